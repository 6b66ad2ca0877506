"""The figures of the landing page: the last thirty days against the thirty before."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Count, F, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.charts.chart import Show
from customers.models import Order
from customers.models.order import OrderStatus

PERIOD_DAYS = 30


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure as components/kpi.html prints it. change: against the period before, None where there was none."""

    label: str
    value: str
    full: str = ""
    change: float | None = None
    better: str = "up"
    note: str = ""
    spark: Chart | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """Thirty calendar days of the team's zone ending with `last`; the thirty before them are compared with.

    is_current: False when nothing was ordered for so long that the figures end at the newest order instead of today.
    has_orders: whether there is any order at all.
    """

    last: date
    is_current: bool
    has_orders: bool

    @property
    def first(self) -> date:
        return self.last - timedelta(days=PERIOD_DAYS - 1)

    @property
    def first_before(self) -> date:
        return self.first - timedelta(days=PERIOD_DAYS)


@dataclass(slots=True)
class _Sums:
    """Orders of one day or period. revenue: of the main currency; known, returning: orders with a customer, of a repeat
    one.  people: different customers of a day; over several days it counts who came twice twice, so it is drawn only."""

    revenue: float = 0.0
    priced: int = 0
    orders: int = 0
    known: int = 0
    returning: int = 0
    people: int = 0

    def add(self, row: "_Sums") -> None:
        self.revenue += row.revenue
        self.priced += row.priced
        self.orders += row.orders
        self.known += row.known
        self.returning += row.returning
        self.people += row.people

    @property
    def order_value(self) -> float | None:
        return self.revenue / self.priced if self.priced else None

    @property
    def repeat_rate(self) -> float | None:
        return self.returning / self.known if self.known else None


@dataclass(slots=True)
class _Days:
    by_day: dict[date, _Sums] = field(default_factory=dict)

    def between(self, first: date) -> list[_Sums]:
        """Return the thirty days from `first`, days without orders as zeros."""
        return [self.by_day.get(first + timedelta(days=index), _Sums()) for index in range(PERIOD_DAYS)]


def period(at: datetime) -> Period:
    """Return the days to show: up to today, or up to the newest order where that is older (an imported archive). One query."""
    today = timezone.localdate(at)
    newest = Order.objects.filter(placed_at__lte=at).aggregate(newest=Max("placed_at"))["newest"]
    last_order = timezone.localdate(newest) if newest else today
    is_current = last_order > today - timedelta(days=PERIOD_DAYS)
    return Period(last=today if is_current else last_order, is_current=is_current, has_orders=newest is not None)


def sales(shown: Period) -> list[Kpi]:
    """Return revenue, orders, active customers, repeat rate and order value. Two queries.

    Cancelled orders do not count; revenue is what was ordered, before returns, in the currency most orders are in.
    """
    start, cut, end = (_midnight(day) for day in (shown.first_before, shown.first, shown.last + timedelta(days=1)))
    orders = Order.objects.filter(placed_at__gte=start, placed_at__lt=end).exclude(status=OrderStatus.CANCELLED)
    days, currency = _read(orders)
    people = orders.aggregate(
        now=Count("customer_id", distinct=True, filter=Q(placed_at__gte=cut)), before=Count("customer_id", distinct=True, filter=Q(placed_at__lt=cut))
    )
    now, before = days.between(shown.first), days.between(shown.first_before)
    labels = [formats.day(shown.first + timedelta(days=index)) for index in range(PERIOD_DAYS)]
    total, earlier = _total(now), _total(before)
    money = charts.as_money(currency)

    def kpi(label: str, told: Callable[[float | None], str], full: Show, pick: Callable[[_Sums], float | None], title: str) -> Kpi:
        return Kpi(
            label=label,
            value=told(pick(total)),
            full=full(pick(total)),
            change=_change(pick(total), pick(earlier)),
            note=_("to the 30 days before"),
            spark=charts.sparkline([pick(day) for day in now], title=title, labels=labels, show=full),
        )

    return [
        kpi(_("Revenue"), money.short, money, lambda sums: sums.revenue, _("Revenue per day")),
        kpi(_("Orders"), formats.compact, charts.as_number, lambda sums: sums.orders, _("Orders per day")),
        Kpi(
            label=_("Active customers"),
            value=formats.compact(people["now"]),
            full=formats.number(people["now"]),
            change=_change(people["now"], people["before"]),
            note=_("to the 30 days before"),
            spark=charts.sparkline([day.people for day in now], title=_("Active customers per day"), labels=labels),
        ),
        kpi(_("Repeat rate"), formats.percent, charts.as_percent, lambda sums: sums.repeat_rate, _("Orders by returning customers per day")),
        kpi(_("Average order"), money.short, money, lambda sums: sums.order_value, _("Average order per day")),
    ]


def _read(orders: "QuerySet[Order]") -> tuple[_Days, str]:
    """Return the sums per day and the currency most orders are in. One query."""
    rows = list(
        orders.annotate(day=TruncDate("placed_at"))
        .values_list("day", "currency")
        .annotate(
            revenue=Sum("total_amount"),
            orders=Count("id"),
            known=Count("customer_id"),
            people=Count("customer_id", distinct=True),
            returning=Count("id", filter=Q(customer__first_order_at__lt=F("placed_at"))),
        )
        .order_by("day", "currency")
    )
    seen: Counter[str] = Counter()
    for _day, code, _revenue, count, *_rest in rows:
        seen[code] += count
    main = max(seen, key=lambda code: (seen[code], code), default=settings.CRM_CURRENCY)
    days = _Days()
    for day, code, revenue, count, known, people, returning in rows:
        counted = (float(revenue), count) if code == main else (0.0, 0)
        days.by_day.setdefault(day, _Sums()).add(_Sums(revenue=counted[0], priced=counted[1], orders=count, known=known, returning=returning, people=people))
    return days, main


def _total(days: Sequence[_Sums]) -> _Sums:
    total = _Sums()
    for day in days:
        total.add(day)
    return total


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _change(now: float | None, before: float | None) -> float | None:
    if now is None or not before:
        return None
    return now / before - 1
