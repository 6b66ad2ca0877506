"""Facts as they arrive, before they are rows: plain values that any door can make.

Every fact names its person by what the sender knows (`PersonKey`); identity.py finds or creates the customer.
Amounts are exact Decimals, moments are aware. A fact's `external_id` is the shop's own and makes recording idempotent.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from customers.identity import NOBODY, PersonKey
from customers.models.order import LARGEST_TOTAL

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class ConsentFacts:
    """A statement about one channel and purpose; state is a ConsentState value."""

    channel: str
    state: str
    purpose: str = "marketing"


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What is known of a person. Empty values say nothing; they never erase what is known already."""

    key: PersonKey
    seen_at: datetime
    first_seen_at: datetime | None = None
    name: str = ""
    email: str = ""
    phone: str = ""
    locale: str = ""
    country: str = ""
    city: str = ""
    time_zone: str = ""
    gender: str = ""
    birth_date: date | None = None
    currency: str = ""
    tags: tuple[str, ...] = ()
    traits: dict[str, object] = field(default_factory=dict)
    consents: tuple[ConsentFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """One thing the shop sells. category: slug of a Category row, made when it is missing."""

    external_id: str
    name: str = ""
    sku: str = ""
    names: dict[str, str] = field(default_factory=dict)
    category: str = ""
    brand: str = ""
    price_amount: Decimal | None = None
    currency: str = ""
    is_available: bool = True
    is_goods: bool = True
    attributes: dict[str, object] = field(default_factory=dict)
    url: str = ""
    image_url: str = ""
    first_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LineFacts:
    """quantity: positive pieces. unit_amount: price of one piece, at most four decimals."""

    product: ProductFacts
    quantity: int
    unit_amount: Decimal


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """One purchase. total_amount None: lines - discount + shipping + tax."""

    external_id: str
    placed_at: datetime
    currency: str
    lines: tuple[LineFacts, ...]
    person: PersonKey = NOBODY
    total_amount: Decimal | None = None
    discount_amount: Decimal = Decimal(0)
    shipping_amount: Decimal = Decimal(0)
    tax_amount: Decimal = Decimal(0)
    coupon: str = ""
    country: str = ""
    status: str = "paid"

    @property
    def total(self) -> Decimal:
        """What was paid, in cents' precision; never more than its column holds."""
        if self.total_amount is not None:
            return self.total_amount.quantize(CENT)
        lines = sum((line.unit_amount * line.quantity for line in self.lines), Decimal(0))
        total = max(lines - self.discount_amount + self.shipping_amount + self.tax_amount, Decimal(0))
        return min(total, LARGEST_TOTAL).quantize(CENT)


@dataclass(frozen=True, slots=True)
class ReturnFacts:
    """What came back. order_id: the order's external id where the shop says it; otherwise lines find their purchases.

    total_amount None: the lines' sum, or for a refund without lines what is left of the order.
    """

    external_id: str
    returned_at: datetime
    currency: str
    lines: tuple[LineFacts, ...] = ()
    person: PersonKey = NOBODY
    order_id: str = ""
    total_amount: Decimal | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    external_id: str
    product: ProductFacts
    written_at: datetime
    person: PersonKey = NOBODY
    rating: int | None = None
    body: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one call put in: counts of new rows, and the ids the events speak of."""

    customers: int = 0
    products: int = 0
    orders: int = 0
    lines: int = 0
    returns: int = 0
    reviews: int = 0
    skipped: int = 0
    customer_ids: tuple[int, ...] = ()
    order_ids: tuple[int, ...] = ()
