"""What every chart is, and how its values are written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.safestring import SafeString
from django.utils.translation import gettext

from crm.core import formats

Value = float | int | Decimal | None
Show = Callable[[Value], str]
# Series whose highest and lowest are told in words under the picture.
MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished chart.

    svg: markup to print, empty when there is nothing to draw.  summary: one sentence that says what the picture shows.
    columns, rows: the same figures as a table, already written out; every row is as long as columns.
    """

    kind: str
    title: str
    svg: SafeString
    summary: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether the picture itself is a table, so no second one is needed."""
        return self.kind == "heat"

    @property
    def says_more(self) -> bool:
        """Whether the summary tells a reader something that the picture does not already say in words."""
        # Of many lines the sentence is a list nobody reads beside the picture; screen readers still get it.
        return self.kind in {"calibration", "columns", "grouped", "histogram", "line"} and len(self.columns) <= MOST_TOLD + 1

    @property
    def is_empty(self) -> bool:
        return not self.svg


@dataclass(frozen=True, slots=True)
class Formatter:
    """Writes a value in full; `short` writes it for an axis, where room is scarce."""

    full: Show
    short: Show

    def __call__(self, value: Value) -> str:
        return self.full(value)


as_number = Formatter(full=formats.number, short=formats.compact)
as_percent = Formatter(full=lambda value: formats.percent(value, 1), short=formats.percent)

# The difference of two rates is no percentage of anything.
as_points = Formatter(full=formats.points, short=lambda value: formats.number(None if value is None else value * 100, 1))


def as_money(currency: str) -> Formatter:
    """Return a formatter for amounts in one currency."""
    return Formatter(full=lambda value: formats.money(value, currency), short=lambda value: formats.money_compact(value, currency))


def short(show: Show, value: Value) -> str:
    """Return the value as an axis writes it; a plain function has only its one form."""
    return show.short(value) if isinstance(show, Formatter) else show(value)


def signed(show: Show, value: Value) -> str:
    """Return the value with an explicit sign, +12% or −5%."""
    if value is None or formats.is_gap(value):
        return formats.MISSING
    sign = "+" if value > 0 else formats.MINUS if value < 0 else ""
    return sign + show(value if value > 0 else -value)


def plottable(value: Value) -> float | None:
    """Return the value as a float, or None for a gap."""
    return None if value is None or formats.is_gap(value) else float(value)


def known(values: Iterable[Value]) -> list[float]:
    """Return the values that can be drawn, in order."""
    return [number for number in map(plottable, values) if number is not None]


def empty(kind: str, title: str, columns: Sequence[str] = ()) -> Chart:
    """Return the chart of no data: nothing drawn, and a sentence that says so."""
    return Chart(kind, str(title), SafeString(""), gettext("No data yet."), tuple(columns))
