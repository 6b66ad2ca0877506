"""What the customer's record tells the rest of the house: ids, time and cause, nothing more."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FactsRecorded:
    """A batch of facts went in. cause: 'track', 'import', 'demo', 'staff'."""

    customer_ids: tuple[int, ...]
    order_ids: tuple[int, ...]
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class OrderRecorded:
    """An order is new. attribution reads the customer's recent sends and recommendation clicks."""

    order_id: int
    customer_id: int | None
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    customer_id: int
    channel: str
    purpose: str
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class CustomersMerged:
    """`gone_id` now points to `kept_id`; whoever stores customer ids moves them."""

    gone_id: int
    kept_id: int
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class ScoresRefreshed:
    as_of: datetime
    customers: int
    cause: str


@dataclass(frozen=True, slots=True)
class SegmentChanged:
    """Membership of a segment was recomputed."""

    segment_id: int
    entered: int
    left: int
    at: datetime
    cause: str


@dataclass(frozen=True, slots=True)
class FacetAged:
    """A menu of the customers list was shown as it was remembered; it wants counting anew."""

    column: str


@dataclass(frozen=True, slots=True)
class InsightAged:
    """An insight page was shown with old figures. params: the positions of its switches."""

    name: str
    params: dict[str, str]


@dataclass(frozen=True, slots=True)
class ParagraphWanted:
    """Somebody reads a portrait whose paragraph the configured language model has not written yet."""

    customer_id: int
    language: str
