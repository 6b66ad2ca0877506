"""An import before it runs: the file, what its columns mean, and what it would do (the dry run)."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.utils.translation import gettext as _

from crm.core import rows as sets
from customers.importing import conventions, mapping, reading, values
from customers.importing.faults import FaultFile, Reason
from customers.importing.lines import RETURN, Fault, Line, LineReader
from customers.importing.mapping import PRESETS, Preset
from customers.importing.reading import FileRefused, Table
from customers.importing.values import CellFault

# A shop's clock or zone may be that far ahead of ours.
CLOCKS_DIFFER = timedelta(days=1)
_NUMBERS = ("unit_price", "quantity", "total", "shipping", "tax", "discount", "refunded")
_ASKED_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """What a person may choose; everything empty means "as the file and the preset say"."""

    preset: str = ""
    overrides: dict[str, str] = field(default_factory=dict)
    zone: str = ""
    currency: str = ""
    day_first: bool | None = None
    encoding: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Options":
        overrides = value.get("overrides")
        day_first = value.get("day_first")
        return cls(
            preset=str(value.get("preset", "")),
            overrides={str(name): str(column) for name, column in overrides.items()} if isinstance(overrides, Mapping) else {},
            zone=str(value.get("zone", "")),
            currency=str(value.get("currency", "")),
            day_first=day_first if isinstance(day_first, bool) else None,
            encoding=str(value.get("encoding", "")),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A file that can be read and a mapping that fits it.

    day_first, comma: how it writes dates and numbers.  dates_unclear: all its dates can be read either way, and nobody chose.
    latest: later orders are faults; None for no limit.
    """

    table: Table
    chosen: dict[str, str]
    preset: Preset
    options: Options
    zone: ZoneInfo
    day_first: bool
    comma: bool = False
    dates_unclear: bool = False
    latest: datetime | None = None

    def lines(self) -> Iterator[Line | list[Fault]]:
        """Yield every row as a checked line or its faults, from the top of the file."""
        reader = LineReader(
            columns=self.table.columns, chosen=self.chosen, preset=self.preset, zone=self.zone, day_first=self.day_first, comma=self.comma, latest=self.latest
        )
        return map(reader.read, reading.rows(self.table))

    def currency(self, default: str) -> str:
        return (self.options.currency or self.preset.currency or default).upper()


@dataclass(frozen=True, slots=True)
class DryRun:
    """What the import would do. known_*: how many of them are stored already. checked_all: False when only the start was read."""

    rows: int
    good_rows: int
    faulty_rows: int
    left_out_rows: int
    orders: int
    known_orders: int
    returns: int
    known_returns: int
    customers: int
    known_customers: int
    products: int
    known_products: int
    reasons: tuple[Reason, ...]
    sample: tuple[Line, ...]
    checked_all: bool


def prepare(*, path: Path, options: Options, at: datetime | None = None) -> Plan:
    """Look at the file and decide how to read it. Raises FileRefused with what is missing.

    at: now, to find orders of the future; None: they are let through.
    """
    if options.encoding and options.encoding not in reading.ENCODINGS:
        raise FileRefused(_("The encoding must be one of %(names)s.") % {"names": ", ".join(reading.ENCODINGS)})
    table = reading.open_table(path, encoding=options.encoding)
    chosen = mapping.choose(table.columns, preset=options.preset, overrides=options.overrides)
    preset = PRESETS[options.preset]
    zone_name = options.zone or preset.zone or settings.TIME_ZONE
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError):
        raise FileRefused(_("There is no time zone %(name)s; write one such as Europe/London.") % {"name": zone_name}) from None
    if options.currency:
        try:
            values.currency(options.currency)
        except CellFault:
            raise FileRefused(_("There is no currency %(name)s; write an ISO code such as EUR.") % {"name": options.currency[:40]}) from None
    order, mark = conventions.look(
        reading.rows(table), dates=table.columns.index(chosen["placed_at"]), numbers=[table.columns.index(chosen[name]) for name in _NUMBERS if name in chosen]
    )
    known = options.day_first if options.day_first is not None else preset.day_first
    return Plan(
        table,
        chosen,
        preset,
        options,
        zone,
        day_first=bool(known if known is not None else order.day_first),
        # The numbers of a workbook are no text: they always have a point.
        comma=bool(mark.comma) and table.kind != "xlsx",
        dates_unclear=known is None and order.day_first is None and order.is_unclear,
        latest=at + CLOCKS_DIFFER if at else None,
    )


def dry_run(plan: Plan, *, source_id: int, at_most: int | None = None) -> DryRun:
    """Read the file as the import would and count what it would do; writes nothing.

    at_most: stop after so many rows (the page must answer in seconds); None reads all.
    """
    orders: set[str] = set()
    returned: set[str] = set()
    people: set[tuple[str, str]] = set()
    products: set[str] = set()
    sample: list[Line] = []
    count = good = 0
    lines = plan.lines()
    with FaultFile() as faults:
        for line in itertools.islice(lines, at_most):
            count += 1
            if isinstance(line, list):
                faults.add(line)
                continue
            good += 1
            (returned if line.kind == RETURN else orders).add(line.order_id)
            products.add(line.product_id)
            if any(line.person):
                people.add(line.person)
            if len(sample) < 5:
                sample.append(line)
        reasons = faults.reasons()
        faulty, left_out = faults.rows, faults.left_out
    checked_all = at_most is None or next(lines, None) is None
    users = {customer_id for customer_id, _ in people if customer_id}
    emails = {email for customer_id, email in people if not customer_id}
    return DryRun(
        rows=count,
        good_rows=good,
        faulty_rows=faulty,
        left_out_rows=left_out,
        orders=len(orders),
        known_orders=_known("SELECT count(*) FROM customers_order WHERE source_id = %s AND external_id = ANY(%s)", source_id, orders),
        returns=len(returned),
        known_returns=_known("SELECT count(*) FROM customers_return WHERE source_id = %s AND external_id = ANY(%s)", source_id, returned),
        customers=len(users) + len(emails),
        known_customers=_known("SELECT count(*) FROM customers_identity WHERE kind = 'user' AND namespace = %s::text AND value = ANY(%s)", source_id, users)
        + _known("SELECT count(*) FROM customers_identity WHERE kind = 'email' AND %s IS NOT NULL AND value = ANY(%s)", source_id, emails),
        products=len(products),
        known_products=_known("SELECT count(*) FROM customers_product WHERE source_id = %s AND external_id = ANY(%s)", source_id, products),
        reasons=reasons,
        sample=tuple(sample),
        checked_all=checked_all,
    )


def _known(sql: str, source_id: int, ids: set[str]) -> int:
    ordered = sorted(ids)
    return sum(int(sets.query(sql, [source_id, ordered[start : start + _ASKED_AT_ONCE]])[0][0]) for start in range(0, len(ordered), _ASKED_AT_ONCE))
