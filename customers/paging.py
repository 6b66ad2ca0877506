"""Pages of the customers list that cost the same however many customers there are.

A page begins behind the last row of the one before ("after"), found through the order's index, and not at a number of
rows to be skipped.  Few matches are found first and put into order then; many are met on a walk along the index.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.core.cache import cache
from django.db.models import BooleanField, F, Func, Max, Min, QuerySet, Value
from django.db.models.functions import Lower
from django.utils.dateparse import parse_datetime

from customers.models import Customer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


# Up to here matches are counted; above, their number is estimated.  10,001 ids take about 10 ms to fetch.
MOST_COUNTED = 10_000
# In a shop above LARGE_SHOP, what statistics cannot tell is counted to MOST_COUNTED_DEAR: consents, purchases, parts of a
# name take 5 to 20 µs a person.
LARGE_SHOP = 50_000
MOST_COUNTED_DEAR = 3_000
# People asked about for an estimate, evenly spread over the ids, and how long it is remembered.
SAMPLED = 1_500
ESTIMATE_SECONDS = 300
# Fewer matches than this among the sampled are told with one figure: their number is off by more than 5 %.
FEW_SAMPLED = 400


@dataclass(frozen=True, slots=True)
class Order:
    """By which key people are listed; the id decides between equals.  Who has no key comes last in both directions.

    key: expression on a customer; `id_path`: the id in the key's own table, so that one index covers both.
    """

    key: str
    is_down: bool
    read: Callable[[str], Any]
    may_miss: bool = False
    id_path: str = "pk"

    @property
    def expression(self) -> Any:
        return Lower(self.key) if self.key == "name" else F(self.key)

    def terms(self, *, back: bool = False, nulls_last: bool = False) -> list[Any]:
        """Return what to order by.  nulls_last: for people with and without a key in one list."""
        down = self.is_down != back
        last = {"nulls_last": True} if nulls_last and self.may_miss else {}
        return [each.desc(**(last if place == 0 else {})) if down else each.asc(**(last if place == 0 else {})) for place, each in enumerate(self._pair())]

    def _pair(self) -> tuple[Any, Any]:
        return self.expression, F(self.id_path)

    def beyond(self, key: Any, pk: int, *, back: bool) -> Func:
        """Return the condition for standing behind that place (before it: `back`), as one comparison an index can answer."""
        return _Beyond(*self._pair(), Value(key), Value(pk), sign="<" if self.is_down != back else ">")


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows of an order. key: None for people without one."""

    key: Any
    pk: int

    @property
    def text(self) -> str:
        said = self.key.isoformat() if isinstance(self.key, datetime) else self.key
        return f"{self.pk}" if said is None else f"{self.pk}~{said}"


@dataclass(frozen=True, slots=True)
class Slice:
    """A page of customers in order. total: how many match in all.  is_exact: or about that many, at least MOST_COUNTED.

    previous, next: places to go on from, '' at the ends.
    """

    customers: Sequence[Customer]
    total: int
    is_exact: bool
    previous: str
    next: str


class _Beyond(Func):
    """ROW(key, id) < ROW(value, value)."""

    output_field = BooleanField()

    def __init__(self, *expressions: Any, sign: str) -> None:
        super().__init__(*expressions)
        self.extra["sign"] = sign

    def as_sql(self, compiler: Any, connection: Any, **_extra: Any) -> tuple[str, tuple[Any, ...]]:  # type: ignore[override]
        del connection
        parts = [compiler.compile(each) for each in self.source_expressions]
        key, pk, value, number = (sql for sql, _params in parts)
        return f"ROW({key}, {pk}) {self.extra['sign']} ROW({value}, {number})", tuple(param for _sql, params in parts for param in params)


class Among(Func):
    """id = ANY(array): one parameter for thousands of ids."""

    output_field = BooleanField()
    template = "%(expressions)s::bigint[])"
    arg_joiner = " = ANY("

    def __init__(self, path: str, ids: Sequence[int]) -> None:
        # As PostgreSQL writes an array: Django and psycopg would turn each of ten thousand ids over by itself.
        super().__init__(F(path), Value(f"{{{','.join(map(str, ids))}}}"))


def read_place(text: str | None, order: Order) -> Place | None:
    """Return the place a URL names, None for what is no place of this order."""
    pk, mark, said = (text or "").partition("~")
    if not pk.isdecimal() or len(pk) > 18:
        return None
    if not mark:
        return Place(None, int(pk)) if order.may_miss else None
    try:
        key = order.read(said.replace("\x00", ""))
    except (ValueError, InvalidOperation):
        return None
    return None if key is None else Place(key, int(pk))


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked for.  people: in no order.  text: the same for the same people; an estimate is remembered under it.

    walked: the same people for a walk along an order, said without what only helps to find few.  is_plain: the database's
    own statistics tell well how many they are.  few: the same people begun with a small set of ids, None where there is none.
    """

    people: QuerySet[Customer]
    walked: QuerySet[Customer]
    text: str
    is_plain: bool = False
    few: Callable[[], QuerySet[Customer] | None] | None = None


def page(question: Question, order: Order, *, size: int, after: str | None = None, before: str | None = None) -> Slice:
    """Return `size` of the people, from the beginning or beside a place; three to eight statements."""
    near = question.few() if question.few is not None and _is_large() else None
    ids, about = _counted(question, near)
    # People with a part of the name in common stand together in the order of names: a walk may pass everybody else first.
    many = near if near is not None else question.people if order.key == "name" else question.walked
    people = many if ids is None else Customer.objects.filter(Among("pk", ids))
    total = about if ids is None else len(ids)
    back = read_place(before, order)
    start = back or read_place(after, order)
    found = _walk(people, order, start, size + 1, back=back is not None) if total else []
    more = len(found) > size
    found = found[:size]
    if back is not None:
        found.reverse()
    return Slice(
        customers=_rows([place.pk for place in found]),
        total=total,
        is_exact=ids is not None,
        previous=found[0].text if found and (more if back is not None else start is not None) else "",
        next=found[-1].text if found and (more or back is not None) else "",
    )


def _counted(question: Question, near: QuerySet[Customer] | None) -> tuple[list[int] | None, int]:
    """Return (ids, 0) of people who are few, (None, about how many) of people who are many.  near: the same people begun with few."""
    known: int | None = cache.get(_key(question.text))
    if known is not None:
        return None, known
    about, most = 0, MOST_COUNTED
    people = question.people if near is None else near
    if question.is_plain:
        planned = _planned(people)
        about = rounded(planned, figures=2) if planned > 2 * most else 0
    elif near is None and _is_large():
        most = MOST_COUNTED_DEAR
        about = _estimate(question.walked)
    if about <= 2 * most:
        # One array: as rows, ten thousand ids keep Python's collector of garbage busy for 100 ms now and then.
        ids: list[int] = people.order_by()[: most + 1].aggregate(ids=ArrayAgg("pk"))["ids"] or []
        if len(ids) <= most:
            return ids, 0
        about = about or (_estimate(question.walked) if near is None else rounded(near.count(), figures=2))
    about = max(about, most)
    cache.set(_key(question.text), about, ESTIMATE_SECONDS)
    return None, about


def _is_large() -> bool:
    return _planned(Customer.objects.people()) > LARGE_SHOP


def _walk(people: QuerySet[Customer], order: Order, start: Place | None, size: int, *, back: bool) -> list[Place]:
    """Return up to `size` places behind `start` (before it, nearest first: `back`); people with a key and those without apart."""
    with_key = people.filter(**{f"{order.key}__isnull": False}) if order.may_miss else people
    without = Order("pk", order.is_down, int)
    stretches = [(with_key, order), (people.filter(**{f"{order.key}__isnull": True}), without)] if order.may_miss else [(with_key, order)]
    if back:
        stretches.reverse()
    if start is not None and order.may_miss and (start.key is None) != back:
        stretches = stretches[1:]
    found: list[Place] = []
    for number, (stretch, by) in enumerate(stretches):
        if len(found) >= size:
            break
        if start is not None and number == 0:
            stretch = stretch.filter(by.beyond(start.pk if start.key is None else start.key, start.pk, back=back))
        taken = stretch.order_by(*by.terms(back=back)).values_list("pk", by.expression)[: size - len(found)]
        found += [Place(None if by is without else key, pk) for pk, key in taken]
    return found


def _rows(ids: list[int]) -> list[Customer]:
    """Return these customers with what a list prints of their portraits, in this order."""
    shown = ("name", "email", "country", "tags", "currency", "orders_count", "spent_amount", "last_order_at")
    told = ("stage", "rfm_group", "value_365", "currency")
    rows = Customer.objects.filter(pk__in=ids).select_related("portrait").only(*shown, *(f"portrait__{name}" for name in told))
    by_id = {row.pk: row for row in rows}
    return [by_id[pk] for pk in ids if pk in by_id]


def _planned(people: QuerySet[Customer]) -> int:
    """Return how many rows the database expects; of one column's values it knows the share to a few percent, in a millisecond."""
    plan = json.loads(people.values("pk").explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


def _estimate(people: QuerySet[Customer]) -> int:
    """Return about how many the people are: the share of evenly spread ids that belong to them; rounded to what is known."""
    ends = Customer.objects.aggregate(low=Min("pk"), high=Max("pk"))
    low, width = ends["low"] or 0, (ends["high"] or 0) - (ends["low"] or 0) + 1
    # The middles of equal stretches would meet a pattern of the ids; steps of the golden ratio within them do not.
    size = min(SAMPLED, width)
    asked = [low + int((place + place * 0.618033988749895 % 1) * width / size) for place in range(size)]
    hits = people.filter(Among("pk", asked)).count()
    return rounded(hits * width / size, figures=1 if hits < min(FEW_SAMPLED, size) else 2)


def _key(question: str) -> str:
    # The question may hold any text; a key of the cache may not.
    return f"customers:about:{sha256(question.encode()).hexdigest()[:24]}"


def rounded(amount: float, *, figures: int) -> int:
    """Return a count rounded to that many leading figures: 123,456 to two is 120,000."""
    step = 10 ** max(len(str(int(amount))) - figures, 0)
    return int(round(amount / step) * step)


def _moment(text: str) -> datetime | None:
    # A "+" of the offset arrives as a blank where a link was retyped.
    moment = parse_datetime(text.replace(" ", "+"))
    return moment if moment is not None and moment.tzinfo is not None else None


def _decimal(text: str) -> Decimal | None:
    amount = Decimal(text)
    return amount if amount.is_finite() else None


def _both(name: str, **order: Any) -> dict[str, Order]:
    return {f"-{name}": Order(is_down=True, **order), name: Order(is_down=False, **order)}


# Name in the URL -> order.
ORDERS: dict[str, Order] = {
    "-seen": Order("last_seen_at", True, _moment),
    **_both("name", key="name", read=str),
    **_both("orders", key="orders_count", read=int),
    **_both("spent", key="spent_amount", read=_decimal),
    **_both("last_order", key="last_order_at", read=_moment, may_miss=True),
    **_both("value", key="portrait__value_365", read=_decimal, may_miss=True, id_path="portrait__customer_id"),
}
