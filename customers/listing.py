"""The customers list as a question: filters and order read from the URL, turned into one queryset.

The same reading serves the page, "select all including those not on screen", and the CSV file, so all three mean the
same people. Values that make no sense are ignored: a shared link with a typing error still opens.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Self

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Lower
from django.http import QueryDict

from customers.models import Customer, OrderLine, SegmentMembership
from customers.models.consent import Channel
from customers.models.scores import RfmGroup, Stage
from customers.segmentation.fields import contactable

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_TEXT = 100
LARGEST_AMOUNT = Decimal(10) ** 12

# Name in the URL -> order. Every order ends with the primary key, so that pages never overlap.
SORTS: dict[str, tuple[str | Combinable, ...]] = {
    "-seen": ("-last_seen_at", "-id"),
    "name": (Lower("name"), "id"),
    "-name": (Lower("name").desc(), "-id"),
    "-orders": ("-orders_count", "-id"),
    "orders": ("orders_count", "id"),
    "-spent": ("-spent_amount", "-id"),
    "spent": ("spent_amount", "id"),
    "-last_order": (F("last_order_at").desc(nulls_last=True), "-id"),
    "last_order": (F("last_order_at").asc(nulls_last=True), "id"),
    "-value": (F("portrait__value_365").desc(nulls_last=True), "-id"),
    "value": (F("portrait__value_365").asc(nulls_last=True), "id"),
}
FIRST_SORT = "-seen"


@dataclass(frozen=True, slots=True)
class Filters:
    """What is asked for; empty means "does not matter"."""

    q: str = ""
    stage: str = ""
    group: str = ""
    country: str = ""
    contactable: str = ""
    orders: str = ""
    min_spend: Decimal | None = None
    tag: str = ""
    segment: int | None = None
    product: int | None = None
    sort: str = FIRST_SORT

    @classmethod
    def read(cls, params: Mapping[str, str]) -> Self:
        """Return the filters in a query string's parameters."""
        return cls(
            q=_text(params.get("q")),
            stage=_one_of(params.get("stage"), Stage.values),
            group=_one_of(params.get("group"), RfmGroup.values),
            country=_text(params.get("country")),
            contactable=_one_of(params.get("contactable"), ("yes", "no")),
            orders=_one_of(params.get("orders"), ("yes", "no")),
            min_spend=_amount(params.get("min_spend")),
            tag=_text(params.get("tag")),
            segment=_number(params.get("segment")),
            product=_number(params.get("product")),
            sort=_one_of(params.get("sort"), SORTS) or FIRST_SORT,
        )

    def as_query(self) -> str:
        """Return the filters as a query string with names in order: equal filters give equal texts."""
        query = QueryDict(mutable=True)
        for name in sorted(self.__dataclass_fields__):
            value = getattr(self, name)
            if value not in (None, "") and not (name == "sort" and value == FIRST_SORT):
                query[name] = str(value)
        return query.urlencode()

    @property
    def is_filtered(self) -> bool:
        return replace(self, sort=FIRST_SORT) != type(self)()

    def queryset(self, *, at: datetime) -> QuerySet[Customer]:
        """Return the people asked for, in the order asked for; runs nothing."""
        people = Customer.objects.people()
        if self.q:
            people = people.filter(Q(name__icontains=self.q) | Q(email__icontains=self.q) | Q(phone__contains=self.q))
        if self.stage:
            people = people.filter(portrait__stage=self.stage)
        if self.group:
            people = people.filter(portrait__rfm_group=self.group)
        if self.country:
            people = people.filter(country=self.country)
        if self.contactable:
            reachable = contactable(Channel.EMAIL, at)
            people = people.filter(reachable if self.contactable == "yes" else ~reachable)
        if self.orders:
            people = people.filter(orders_count__gt=0) if self.orders == "yes" else people.filter(orders_count=0)
        if self.min_spend is not None:
            people = people.with_spend(at_least=self.min_spend)
        if self.tag:
            people = people.filter(tags__contains=[self.tag])
        if self.segment is not None:
            members = SegmentMembership.objects.filter(segment_id=self.segment, left_at=None)
            people = people.filter(pk__in=members.values("customer_id"))
        if self.product is not None:
            people = people.filter(Exists(OrderLine.objects.filter(product_id=self.product, order__customer_id=OuterRef("pk"))))
        return people.order_by(*SORTS[self.sort])


CSV_COLUMNS = (
    "id", "name", "email", "phone", "country", "city", "language", "tags", "orders", "spent", "currency", "first_order", "last_order",
    "stage", "rfm_group", "probability_active", "orders_expected_90_days", "value_12_months",
)  # fmt: skip


def as_csv(people: QuerySet[Customer]) -> str:
    """Return the people as CSV with a header and a byte order mark, safe to open in a spreadsheet program. One query."""
    out = io.StringIO()
    # Excel reads UTF-8 only behind this mark.
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for row in people.values_list(
        "public_id", "name", "email", "phone", "country", "city", "locale", "tags", "orders_count", "spent_amount", "currency", "first_order_at", "last_order_at",
        "portrait__stage", "portrait__rfm_group", "portrait__p_active", "portrait__expected_orders_90", "portrait__value_365",
    ).iterator(chunk_size=5000):  # fmt: skip
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = ", ".join(value)
    if isinstance(value, datetime):
        return value.isoformat()
    # A text that begins so would be run as a formula by spreadsheet programs; an apostrophe makes it text.
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"
    return value


def _text(value: str | None) -> str:
    # PostgreSQL text cannot hold NUL.
    return (value or "").replace("\x00", "").strip()[:LONGEST_TEXT]


def _one_of(value: str | None, allowed: object) -> str:
    return value if value and value in allowed else ""  # type: ignore[operator]


def _amount(value: str | None) -> Decimal | None:
    try:
        amount = Decimal((value or "").replace(",", "").strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and abs(amount) < LARGEST_AMOUNT else None


def _number(value: str | None) -> int | None:
    # isdecimal accepts other scripts' digits, which int() reads too; 18 digits fit a bigint.
    return int(value) if value and value.isdecimal() and len(value) <= 18 else None
