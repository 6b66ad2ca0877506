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
from functools import partial
from typing import TYPE_CHECKING, Self

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import QueryDict

from customers import buyers, pieces
from customers.models import Customer, OrderLine
from customers.models.consent import Channel
from customers.models.scores import RfmGroup, Stage
from customers.paging import ORDERS, Among, Order, Question
from customers.reach import mailable
from customers.segmentation.fields import contactable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_TEXT = 100
LARGEST_AMOUNT = Decimal(10) ** 12

FIRST_SORT = "-seen"
# Filters of one column each.
PLAIN = ("stage", "group", "country", "orders", "min_spend", "tag", "segment")


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
            sort=_one_of(params.get("sort"), ORDERS) or FIRST_SORT,
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

    @property
    def order(self) -> Order:
        """The order asked for."""
        # Without an order there is no last one: everybody stands where those without a date stand.
        return replace(ORDERS["-seen"], key="pk", read=int, is_down=ORDERS[self.sort].is_down) if self._is_undated else ORDERS[self.sort]

    @property
    def _is_undated(self) -> bool:
        return self.orders == "no" and ORDERS[self.sort].key == "last_order_at"

    def queryset(self, *, at: datetime) -> QuerySet[Customer]:
        """Return all the people asked for, in the order asked for; runs nothing."""
        order = ORDERS[self.sort]
        key = order.expression.desc(nulls_last=True) if order.is_down else order.expression.asc(nulls_last=True)
        return self._matching(contactable(Channel.EMAIL, at)).order_by(key, "-pk" if order.is_down else "pk")

    def question(self, *, at: datetime) -> Question:
        """Return the people asked for as a page of them is read; runs nothing."""
        people = self._matching(mailable(at, willing=self.contactable == "yes"))
        return Question(
            people=people,
            walked=self._matching(mailable(at, willing=self.contactable == "yes"), text=pieces.said) if self.q else people,
            text=replace(self, sort=FIRST_SORT).as_query(),
            is_plain=self.is_plain,
            few=None if self.product is None else partial(self._of_few_buyers, self.product, mailable(at, willing=self.contactable == "yes")),
        )

    def _of_few_buyers(self, product_id: int, reachable: Q) -> QuerySet[Customer] | None:
        """Return the people asked for, begun with those who bought the product; None where too many did. One query."""
        ids = buyers.few(product_id=product_id)
        return None if ids is None else replace(self, product=None)._matching(reachable).filter(Among("pk", ids))

    @property
    def is_plain(self) -> bool:
        """Whether the database's statistics tell how many match: at most one thing is asked for, of columns alone."""
        asked = [name for name in self.__dataclass_fields__ if name != "sort" and getattr(self, name) not in ("", None)]
        return not asked or (len(asked) == 1 and asked[0] in PLAIN)

    def _matching(self, reachable: Q, *, text: Callable[[str], Q] = pieces.containing) -> QuerySet[Customer]:
        people = Customer.objects.people()
        if self.q:
            people = people.filter(text(self.q))
        # The customer's row repeats both from the portrait, for the indexes of its own orders.
        standing = "portrait__" if "portrait" in self.order.key else ""
        if self.stage:
            people = people.filter(**{f"{standing}stage": self.stage})
        if self.group:
            people = people.filter(**{f"{standing}rfm_group": self.group})
        if self.country:
            people = people.filter(country=self.country)
        if self.contactable:
            people = people.filter(reachable if self.contactable == "yes" else ~reachable)
        if self.orders:
            people = people.filter(orders_count__gt=0) if self.orders == "yes" else people.filter(orders_count=0)
        if self.min_spend is not None:
            people = people.with_spend(at_least=self.min_spend)
        if self.tag:
            people = people.filter(tags__contains=[self.tag])
        if self.segment is not None:
            people = people.in_segment(self.segment)
        if self.product is not None:
            people = people.filter(Exists(OrderLine.objects.filter(product_id=self.product, order__customer_id=OuterRef("pk"))))
        return people


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
