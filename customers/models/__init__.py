"""Tables of the customer's record. Modules lean one way: scores, segment -> order, activity, review -> catalogue -> customer."""

from customers.models.activity import Activity, QuarantinedEvent
from customers.models.catalogue import Category, Product
from customers.models.consent import ConsentEntry
from customers.models.customer import Customer
from customers.models.identity import Identity, Merge
from customers.models.order import Order, OrderLine, Return, ReturnLine
from customers.models.review import Review
from customers.models.scores import Portrait, PortraitFeatures, PortraitFeedback, PortraitRun, PortraitShard, PortraitSnapshot
from customers.models.segment import Segment, SegmentMembership

__all__ = [
    "Activity",
    "Category",
    "ConsentEntry",
    "Customer",
    "Identity",
    "Merge",
    "Order",
    "OrderLine",
    "Portrait",
    "PortraitFeatures",
    "PortraitFeedback",
    "PortraitRun",
    "PortraitShard",
    "PortraitSnapshot",
    "Product",
    "QuarantinedEvent",
    "Return",
    "ReturnLine",
    "Review",
    "Segment",
    "SegmentMembership",
]
