"""Small makers of rows for tests; every value can be named, the rest is plain and predictable."""

from tests.factories.customers import (
    ActivityFactory,
    CategoryFactory,
    ConsentFactory,
    CustomerFactory,
    IdentityFactory,
    OrderFactory,
    OrderLineFactory,
    PortraitFactory,
    ProductFactory,
    ReturnFactory,
    ReviewFactory,
    SegmentFactory,
    place_order,
)
from tests.factories.kernel import SourceFactory, UserFactory

__all__ = [
    "ActivityFactory",
    "CategoryFactory",
    "ConsentFactory",
    "CustomerFactory",
    "IdentityFactory",
    "OrderFactory",
    "OrderLineFactory",
    "PortraitFactory",
    "ProductFactory",
    "ReturnFactory",
    "ReviewFactory",
    "SegmentFactory",
    "SourceFactory",
    "UserFactory",
    "place_order",
]
