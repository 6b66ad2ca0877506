"""Portraits as COPY lines: whole columns are turned into texts at once, then joined. Nothing that is no number is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from customers import features
from customers.portrait.tastes import tastes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from customers.features.builder import Parts
    from customers.portrait.scoring import Scores
    from customers.portrait.yardstick import Yardstick

    Floats = NDArray[np.float64]

LEVEL = 0.8
NULL = "\\N"
# What numeric(14,2) holds, and no customer is worth.
LARGEST = 1e11
COLUMNS = (
    "customer_id", "recency_score", "frequency_score", "monetary_score", "rfm_group", "stage", "stage_probabilities", "is_cold", "p_active", "p_purchase_30",
    "p_churn", "p_return", "expected_orders_30", "expected_orders_90", "expected_orders_90_low", "expected_orders_90_high", "expected_orders_365", "next_order_on",
    "value_30", "value_90", "value_365", "value_365_low", "value_365_high", "currency", "sentiment", "reviews_count", "tastes", "changes", "reasons", "versions",
    "as_of", "refreshed_at",
)  # fmt: skip

# A portrait of before: (month's first day, stage, rfm_group, p_active, p_churn, value_365, currency).
Before = dict[int, tuple[Any, ...]]


class Printer:
    """Prints the rows of one shard. before: the portraits of about a month ago, by customer.  sources: names by id."""

    def __init__(self, parts: Parts, scores: Scores, yardstick: Yardstick, before: Before, sources: dict[int, str], refreshed_at: str) -> None:
        self.parts, self.scores, self.yardstick, self.before = parts, scores, yardstick, before
        self.ids = parts.table.customer.tolist()
        self.currency = [parts.codes[index] for index in parts.currency.tolist()]
        factor = np.array([yardstick.context.known.of(code) for code in parts.codes])
        self.factor = factor[parts.currency]
        buyers = scores.buyers
        size = len(self.ids)
        self.buyer = np.full(size, -1, dtype=np.int64)
        self.buyer[buyers.place] = np.arange(len(buyers.place))
        expected = scores.expected
        self.value_365 = _clipped(expected.value_365 / self.factor)
        self.stage = _over(buyers.stage.tolist(), buyers.place, size, "prospect")
        self.group = _over(buyers.group.tolist(), buyers.place, size, "")
        mood, reviews = parts.table.column("mood").astype(float), np.nan_to_num(parts.table.column("reviews").astype(float)).astype(int)
        moment = yardstick.as_of.isoformat()
        self.columns: list[list[str]] = [
            [str(key) for key in self.ids],
            *(_over([str(value) for value in column.tolist()], buyers.place, size, NULL) for column in (buyers.recency, buyers.frequency, buyers.monetary)),
            self.group,
            self.stage,
            self._stage_shares(),
            ["t" if cold else "f" for cold in scores.is_cold.tolist()],
            *(numbers(_share(column)) for column in (expected.p_active, scores.p_purchase_30, scores.p_churn, scores.p_return)),
            *(
                numbers(np.maximum(column, 0))
                for column in (expected.orders_30, expected.orders_90, expected.orders_90_low, expected.orders_90_high, expected.orders_365)
            ),
            _dates(expected.next_order_day),
            *(money(column / self.factor) for column in (expected.value_30, expected.value_90)),
            money(self.value_365),
            *(money(column / self.factor) for column in (expected.value_365_low, expected.value_365_high)),
            self.currency,
            numbers(mood),
            [str(count) for count in reviews.tolist()],
            [_escaped(told) for told in tastes(parts, sources)],
            self._changes(),
            [_escaped(told) for told in self._reasons()],
            [orjson.dumps(yardstick.versions).decode()] * size,
            [moment] * size,
            [refreshed_at] * size,
        ]

    def lines(self, size: int) -> Iterator[str]:
        """Yield chunks of `size` COPY lines of COLUMNS."""
        for begin in range(0, len(self.ids), size):
            yield "".join("\t".join(row) + "\n" for row in zip(*(column[begin : begin + size] for column in self.columns), strict=True))

    def feature_lines(self, size: int) -> Iterator[str]:
        """Yield chunks of COPY lines of (customer_id, recipe, values, as_of)."""
        recipe, moment = features.recipe_of(self.parts.table.names), self.yardstick.as_of.isoformat()
        packed = features.pack(self.parts.table)
        for begin in range(0, len(self.ids), size):
            part = zip(self.ids[begin : begin + size], packed[begin : begin + size], strict=True)
            yield "".join(f"{key}\t{recipe}\t\\\\x{raw.hex()}\t{moment}\n" for key, raw in part)

    def _stage_shares(self) -> list[str]:
        buyers = self.scores.buyers
        if buyers.stage_share is None:
            return ["{}"] * len(self.ids)
        names, shares = buyers.stage_names, np.round(buyers.stage_share, 4).tolist()
        said = [orjson.dumps({name: share for name, share in zip(names, row, strict=True) if share > 0}).decode() for row in shares]
        return _over(said, buyers.place, len(self.ids), '{"prospect":1.0}')

    def _changes(self) -> list[str]:
        if not self.before:
            return ["{}"] * len(self.ids)
        p_active, p_churn = self.scores.expected.p_active.tolist(), self.scores.p_churn.tolist()
        value = self.value_365.tolist()
        return [
            orjson.dumps(self._change(self.before.get(key), place, p_active[place], p_churn[place], value[place])).decode()
            for place, key in enumerate(self.ids)
        ]

    def _change(self, then: tuple[Any, ...] | None, place: int, p_active: float, p_churn: float, value: float) -> dict[str, Any]:
        if then is None:
            return {}
        since, stage, group, was_active, was_churn, was_value, currency = then
        said: dict[str, Any] = {"since": str(since)}
        pairs: list[tuple[str, Any, Any]] = [("stage", stage, self.stage[place]), ("rfm_group", group, self.group[place])]
        if currency == self.currency[place] and was_value is not None:
            pairs.append(("value_365", float(was_value), short(value)))
        pairs += [("p_active", short(was_active, 4), short(p_active, 4)), ("p_churn", short(was_churn, 4), short(p_churn, 4))]
        return said | {name: [was, now] for name, was, now in pairs if was not in {None, ""} and now not in {None, ""} and was != now}

    def _reasons(self) -> Iterator[str]:
        """Yield the facts behind stage and value as JSON. The value's effects add up to it exactly."""
        scores, buyers, expected = self.scores, self.scores.buyers, self.scores.expected
        history = buyers.history
        # Without dropout: what the same rate would give if the customer were certainly active.
        sure = np.where(np.isfinite(expected.p_active) & (expected.p_active > 0), expected.p_active, 1.0)
        columns = zip(
            self.buyer.tolist(), self.factor.tolist(), expected.orders_365.tolist(), (expected.orders_365 / sure).tolist(), expected.order_amount.tolist(),
            expected.orders_90_low.tolist(), expected.orders_90_high.tolist(), scores.neighbours.tolist(), strict=True,
        )  # fmt: skip
        days = self.yardstick.cold.days if self.yardstick.cold else 0
        asked = self.yardstick.cold.asked if self.yardstick.cold else 0
        facts = _Facts(
            *(column.tolist() for column in (history.orders, history.age_days, history.silence_days, buyers.expected_gap, buyers.overdue, buyers.last_gap)),
            stage=buyers.stage.tolist(),
            loyal_orders=buyers.loyal_orders,
        )
        mean_orders, mean_amount = self.yardstick.mean_orders, self.yardstick.mean_amount
        for place, factor, orders, rate, amount, low, high, bought in columns:
            if place < 0:
                told: dict[str, Any] = {"stage": [{"code": "no_orders", "data": {}}]}
                if bought == bought:
                    told["stage"].append({"code": "neighbours", "data": {"asked": asked, "bought": int(bought), "days": days}})
            else:
                typical, own = mean_amount / factor, amount / factor
                told = {
                    "stage": facts.of(place),
                    "value": [
                        {"code": "base", "data": {"effect": short(mean_orders * typical)}},
                        {
                            "code": "frequency",
                            "data": {"effect": short((rate - mean_orders) * typical), "orders": int(facts.orders[place]), "days": int(facts.age[place])},
                        },
                        {"code": "silence", "data": {"effect": short((orders - rate) * typical), "days": int(facts.silence[place])}},
                        {"code": "amount", "data": {"effect": short(orders * (own - typical)), "amount": short(own), "typical": short(typical)}},
                    ],
                }
            if np.isfinite(low):
                told["range"] = {"orders_90": [short(low), short(high)], "level": LEVEL}
            yield orjson.dumps(told).decode()


class _Facts:
    """The rhythm of each buyer as lists, and the reasons of their stage."""

    def __init__(
        self, orders: list[float], age: list[float], silence: list[float], gap: list[float], overdue: list[float], last_gap: list[float], *, stage: list[str], loyal_orders: int
    ) -> None:  # fmt: skip
        self.orders, self.age, self.silence, self.gap, self.overdue, self.last_gap = orders, age, silence, gap, overdue, last_gap
        self.stage, self.loyal_orders = stage, loyal_orders

    def of(self, place: int) -> list[dict[str, Any]]:
        stage, silence = self.stage[place], int(self.silence[place])
        rhythm = {"silence_days": silence, "expected_gap_days": round(self.gap[place]), "times": round(self.overdue[place], 1)}
        count = {"code": "orders", "data": {"count": int(self.orders[place]), "loyal_from": self.loyal_orders}}
        if stage in {"at_risk", "lapsed"}:
            return [{"code": "overdue", "data": rhythm}, count]
        if stage == "reactivated":
            return [{"code": "came_back", "data": {"gap_days": int(self.last_gap[place]), "silence_days": silence}}, count]
        if stage == "new":
            return [{"code": "first_order", "data": {"days": silence}}]
        return [{"code": "on_time", "data": rhythm}, count]


def numbers(column: Floats) -> list[str]:
    """Return COPY fields; what is not a finite number is NULL, never NaN."""
    return [f"{value:.6g}" if known else NULL for value, known in zip(column.tolist(), np.isfinite(column).tolist(), strict=True)]


def money(column: Floats) -> list[str]:
    return [f"{value:.2f}" if known else NULL for value, known in zip(_clipped(column).tolist(), np.isfinite(column).tolist(), strict=True)]


def short(value: float | None, digits: int = 2) -> float | None:
    return round(float(value), digits) if value is not None and np.isfinite(value) else None


def _clipped(column: Floats) -> Floats:
    return np.clip(column, 0.0, LARGEST)


def _share(column: Floats) -> Floats:
    return np.clip(column, 0.0, 1.0)


def _dates(day: Floats) -> list[str]:
    known = np.isfinite(day)
    said = np.where(known, day, 0).astype("datetime64[D]").astype(str).tolist()
    return [text if told else NULL for text, told in zip(said, known.tolist(), strict=True)]


def _over(values: list[str], place: NDArray[np.int64], size: int, missing: str) -> list[str]:
    found = [missing] * size
    for index, value in zip(place.tolist(), values, strict=True):
        found[index] = value
    return found


def _escaped(text: str) -> str:
    """Return the text as COPY wants it; our JSON has no tabs or line breaks, but may have backslashes."""
    return text.replace("\\", "\\\\")
