"""One record of an order file becomes one checked line, or its faults named by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Protocol

from customers.importing import values
from customers.importing.mapping import NOT_GOODS, Preset
from customers.importing.reading import BrokenRow, Row
from customers.importing.values import CellFault
from customers.ingest.events import email_of
from customers.models.order import LARGEST_AMOUNT

CANCELLED = frozenset({"cancelled", "canceled", "failed", "pending", "pending payment", "checkout-draft", "voided", "已取消", "已关闭", "交易关闭"})
ORDER, RETURN = "O", "R"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row did not go in. left_out: True for rows that are no purchases and were never meant to (stock adjustments)."""

    line: int
    column: str
    value: str
    reason: str
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A checked row. kind: ORDER or RETURN.  details: the order's and product's other facts, JSON-ready, '' left out."""

    kind: str
    order_id: str
    line: int
    placed_at: datetime
    product_id: str
    quantity: int
    unit_amount: Decimal
    details: dict[str, object] = field(default_factory=dict)

    @property
    def person(self) -> tuple[str, str]:
        """Return (customer id, e-mail)."""
        return str(self.details.get("customer_id", "")), str(self.details.get("email", ""))


class _NoteFault(Protocol):
    """The shape of the closure that notes a fault of the row at hand."""

    def __call__(self, name: str, reason: str, *, left_out: bool = False) -> None: ...


class LineReader:
    """Turns rows into lines for one mapping; remembers checked cells, because dates, names and prices repeat."""

    def __init__(
        self,
        *,
        columns: Sequence[str],
        chosen: Mapping[str, str],
        preset: Preset,
        zone: tzinfo,
        day_first: bool,
        comma: bool = False,
        latest: datetime | None = None,
    ) -> None:
        self.columns = columns
        self.comma = comma
        self.latest = latest
        self.preset = preset
        self.zone = zone
        self.day_first = day_first
        self.places = {name: columns.index(column) for name, column in chosen.items()}
        self.names = dict(chosen)
        self.width = max(self.places.values()) + 1
        self._moments: dict[str, datetime] = {}
        self._prices: dict[str, Decimal] = {}
        self._checked: dict[tuple[int, str], str] = {}
        self._carried: tuple[str, dict[str, object], datetime | None] = ("", {}, None)
        self._texts = tuple((name, self.places[name], longest) for name, longest in _TEXTS if name in self.places)
        self._amounts = tuple((name, self.places[name]) for name in ("discount", "shipping", "tax", "total", "refunded") if name in self.places)

    def read(self, row: Row | BrokenRow) -> Line | list[Fault]:
        """Return the line, or every fault of the row."""
        if isinstance(row, BrokenRow):
            return [Fault(row.line, "", "", row.reason)]
        cells = row.cells
        if len(cells) < self.width or (len(cells) > len(self.columns) and any(cells[len(self.columns) :])):
            return [Fault(row.line, "", "", f"the row has {len(cells)} cells, the first line has {len(self.columns)}")]
        faults: list[Fault] = []
        kind, order_id = ORDER, ""
        placed_at: datetime | None = None
        quantity, unit_amount, product_id = 0, Decimal(0), ""
        details: dict[str, object] = {}

        def fault(name: str, reason: str, *, left_out: bool = False) -> None:
            faults.append(Fault(row.line, self.names.get(name, name), cells[self.places[name]] if name in self.places else "", reason, left_out))

        try:
            order_id = values.text(cells[self.places["order_id"]], 100)
            if not order_id:
                fault("order_id", "empty")
        except CellFault as error:
            fault("order_id", str(error))
        sparse = self.preset.sparse and order_id == self._carried[0]
        try:
            cell = cells[self.places["placed_at"]]
            placed_at = self._moments.get(cell)
            if placed_at is None:
                if cell.strip():
                    placed_at = self._remember_moment(cell)
                elif sparse:
                    placed_at = self._carried[2]
                else:
                    fault("placed_at", "empty")
        except CellFault as error:
            fault("placed_at", str(error))
        try:
            product_id = values.text(cells[self.places["product_id"]], 100)
        except CellFault as error:
            fault("product_id", str(error))
        try:
            quantity = values.whole(cells[self.places["quantity"]].strip(), comma=self.comma)
        except CellFault as error:
            fault("quantity", str(error))
        try:
            cell = cells[self.places["unit_price"]]
            price = self._prices.get(cell)
            unit_amount = price if price is not None else self._remember_price(cell)
        except CellFault as error:
            fault("unit_price", str(error))
        for name, place, longest in self._texts:
            if cell := cells[place]:
                found = self._checked.get((place, cell))
                if found is None:
                    try:
                        found = self._remember_text(place, cell, longest)
                    except CellFault as error:
                        fault(name, str(error))
                        continue
                if found:
                    details[name] = found
        for name, place in self._amounts:
            if cell := cells[place].strip():
                try:
                    amount = values.decimal(cell, comma=self.comma)
                    if amount < 0:
                        raise CellFault("below zero")
                    details[name] = str(amount)
                except CellFault as error:
                    fault(name, str(error))
        if "currency" in details:
            try:
                details["currency"] = values.currency(str(details["currency"]))
            except CellFault as error:
                fault("currency", str(error))
        if not faults and not product_id:
            product_id = str(details.get("product_name", ""))[:100]
            if not product_id:
                fault("product_id", "empty")
        if not faults:
            kind, quantity, product_id = self._judge(order_id, product_id, quantity, unit_amount, details, fault)
            if abs(quantity * unit_amount) > LARGEST_AMOUNT:
                fault("quantity", "not a quantity a shop would use")
        if faults:
            return faults
        assert placed_at is not None  # noqa: S101 - a missing moment is a fault
        if self.preset.sparse:
            self._carry(order_id, details, placed_at)
        return Line(kind, order_id, row.line, placed_at, product_id, quantity, unit_amount, self._tidied(details))

    def _judge(
        self, order_id: str, product_id: str, quantity: int, unit_amount: Decimal, details: dict[str, object], fault: "_NoteFault"
    ) -> tuple[str, int, str]:
        """Say whether the row is bought or returned, or no purchase at all; return kind, positive quantity, product id."""
        if not self.preset.cancellations:
            if quantity <= 0:
                fault("quantity", "not above zero")
            if unit_amount < 0:
                fault("unit_price", "below zero")
            return ORDER, quantity, product_id
        if order_id[:1] in "Aa":
            fault("order_id", "left out: an accounting adjustment, not a purchase", left_out=True)
        elif unit_amount < 0:
            fault("unit_price", "below zero")
        elif unit_amount == 0:
            fault("unit_price", "left out: without a price it is a stock adjustment or a gift, not a purchase", left_out=True)
        elif order_id[:1] in "Cc":
            if quantity < 0:
                return RETURN, -quantity, self._code(product_id, details)
            fault("quantity", "a cancellation with a quantity above zero")
        elif quantity < 0:
            fault("quantity", "left out: a stock adjustment, not a purchase", left_out=True)
        elif quantity == 0:
            fault("quantity", "not above zero")
        return ORDER, quantity, self._code(product_id, details)

    def _code(self, product_id: str, details: dict[str, object]) -> str:
        # The same article appears as 15056BL and 15056bl.
        code = product_id.upper()
        if NOT_GOODS.fullmatch(code):
            details["no_goods"] = True
        return code

    def _tidied(self, details: dict[str, object]) -> dict[str, object]:
        if "email" in details:
            details["email"] = email_of(details["email"])
            if not details["email"]:
                del details["email"]
        customer_id = str(details.get("customer_id", ""))
        if customer_id.endswith(".0"):
            # Spreadsheets turn 17850 into 17850.0.
            details["customer_id"] = customer_id = customer_id[:-2]
        if customer_id in {"0", "-", "null", "None", "nan"}:
            del details["customer_id"]
        if str(details.get("country", "")).lower() in {"unspecified", "unknown", "n/a"}:
            del details["country"]
        return details

    def _carry(self, order_id: str, details: dict[str, object], placed_at: datetime) -> None:
        """Give later rows of an order the order-level facts that only its first row has."""
        if order_id == self._carried[0]:
            for name, value in self._carried[1].items():
                details.setdefault(name, value)
        else:
            self._carried = (order_id, {name: value for name, value in details.items() if name not in {"product_name", "category"}}, placed_at)

    def _remember_moment(self, cell: str) -> datetime:
        if len(self._moments) > 100_000:
            self._moments.clear()
        found = self._moments[cell] = values.moment(values.text(cell, 60), self.zone, self.day_first, self.latest)
        return found

    def _remember_text(self, place: int, cell: str, longest: int) -> str:
        if len(self._checked) > 100_000:
            self._checked.clear()
        found = self._checked[place, cell] = values.text(cell, longest)
        return found

    def _remember_price(self, cell: str) -> Decimal:
        if len(self._prices) > 100_000:
            self._prices.clear()
        if not cell.strip():
            raise CellFault("empty")
        found = values.decimal(values.text(cell, 40), comma=self.comma)
        if found.as_tuple().exponent < -4:  # type: ignore[operator]
            found = found.quantize(Decimal("0.0001"))
        self._prices[cell] = found
        return found


# Longest text each optional column may hold, as its table says.
_TEXTS = (
    ("product_name", 255), ("category", 100), ("customer_id", 255), ("email", 254), ("customer_name", 200), ("first_name", 100), ("last_name", 100), ("phone", 40),
    ("country", 60), ("city", 100), ("currency", 3), ("coupon", 60), ("cancelled_at", 60), ("status", 40), ("accepts_marketing", 10),
)  # fmt: skip
