"""`manage.py evaluate value`: the shop's value model on a file of transactions, and its errors where later rows exist."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.errors import CrmError
from crm.core.learning import tables
from crm.core.learning.evaluating import EvaluationReport, Say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from customers.ml.learning_value import Learned, Rows, Tried
    from customers.ml.orders import OrderHistory
    from customers.ml.value import ValueForecast

HELP = "Forecast orders and value of every customer from a file of transactions: customer_id,date,amount."
COLUMNS = ("customer_id", "p_active", "orders", "orders_low", "orders_high", "value", "value_low", "value_high")
_DATE = re.compile(r"^(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?$")
EPOCH = date(1970, 1, 1).toordinal()
# Dates outside are what systems write for "not known" (0001-01-01, 9999-12-31): one of them would make the shop's life
# two thousand years long.
FIRST_DAY, LAST_DAY = (date(year, month, day).toordinal() - EPOCH for year, month, day in ((1900, 1, 1), (2199, 12, 31)))
# No order costs more in any currency; sums and squares of larger ones would run out of floating-point numbers.
LARGEST_AMOUNT = 1e15


class TransactionsUnreadable(CrmError):
    """A cell of the file is no date or no number, or no row is usable; the message says which."""

    code = "transactions_unreadable"
    status = 422


@dataclass(frozen=True, slots=True)
class Transactions:
    """names: customers in the order of their first row.  customer: (m,) places in it.  day: (m,) since 1970-01-01.
    notes: what was left out, and how refunds count.
    """

    names: list[str]
    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: NDArray[np.float64]
    notes: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--transactions", required=True, metavar="F.csv", help="customer_id,date,amount; one row per order or per order line, .gz allowed")
    parser.add_argument("--calibration-end", required=True, metavar="DATE", help="the last day that may be learned from, YYYY-MM-DD")
    parser.add_argument("--horizon-days", required=True, type=int, metavar="N", help="how many days after it to forecast, 1 to 3650")
    parser.add_argument("--level", type=float, default=0.8, help="probability of the intervals (0.8)")
    parser.add_argument("--out", metavar="P.csv", help="write the forecasts here")


def run(options: Mapping[str, Any], say: Say) -> EvaluationReport:
    """Learn from the rows up to the calibration's end, write the forecasts, and only then look at later rows."""
    from customers.ml.learning_value import Rows, learn_value

    end, horizon, level = _day(options["calibration_end"], "--calibration-end"), int(options["horizon_days"]), float(options.get("level") or 0.8)
    if not 1 <= horizon <= 3650:
        raise TransactionsUnreadable("--horizon-days must lie between 1 and 3650.")
    if not 0 < level < 1:
        raise TransactionsUnreadable("--level must lie between 0 and 1.")
    if not FIRST_DAY <= end <= LAST_DAY:
        raise TransactionsUnreadable("--calibration-end must lie between 1900 and 2199.")
    given = read_transactions(options["transactions"])
    rows = Rows(given.customer, given.day, given.amount)
    known = rows.until(end)
    if not (known.amount >= 0).any():
        raise TransactionsUnreadable(f"{options['transactions']} has no order up to {options['calibration_end']}; there is nothing to learn from.")
    say(f"{len(known.day)} rows of {len(np.unique(known.customer))} customers up to {options['calibration_end']}")
    learned = learn_value(known.customer, known.day, known.amount, as_of_day=end, horizon_days=horizon)
    history = known.history(end)
    forecast = learned.model.forecast(history, horizon_days=horizon, level=level)
    if options.get("out"):
        _write(options["out"], given.names, np.unique(known.customer), history, forecast)
    later = (rows.day > end) & (rows.day <= end + horizon)
    figures, weeks = _figures(learned, history, forecast, rows, end, horizon) if later.any() else ({}, [])
    notes = [*given.notes, *learned.model.notes]
    if without := len(np.unique(known.customer)) - len(history):
        notes.append(f"{without} customers have refunds and no order up to the calibration's end: their forecast is 0, and the errors leave them out.")
    if not later.any():
        notes.append("The file has no rows after the calibration's end: forecasts only, no errors.")
    elif (last := int(rows.day.max())) < end + horizon:
        notes.append(f"Rows end {end + horizon - last} days before the horizon does; errors are too high if the shop went on selling.")
    return EvaluationReport(
        task="value",
        protocol=f"Learned from rows up to {options['calibration_end']}, every choice made inside them; compared with the {horizon} days after it.",
        chosen=learned.model.described,
        figures=figures,
        candidates={one.name: _told(one) for one in learned.tried} | {f"ranking: {name}": value for name, value in learned.ranking.items()},
        parameters={
            "rate": learned.model.rate.to_config(),
            "spend": learned.model.spend.to_config(),
            "season": learned.model.season.to_config() if learned.model.season else None,
            "ranking": {"blend": list(learned.model.tilt.blend), "horizon_days": learned.model.tilt.horizon_days} if learned.model.tilt else None,
            "unit_days": learned.model.rate.unit_days,
        },
        tables={"models": [_told(one) | {"model": one.name} for one in learned.tried], "weeks": weeks},
        notes=tuple(notes),
        rows={"transactions": len(rows.day), "calibration": len(known.day), "later": int(later.sum()), "customers": len(history)},
    )


def read_transactions(path: str) -> Transactions:
    """Return the rows; ones without a customer or a date that can be are left out and counted.

    Raises TableUnreadable or TransactionsUnreadable.
    """
    table = tables.read(path, least_columns=3)
    if table.has("currency") and len(found := sorted({cell.strip().upper() for cell in table.column("currency")} - {""})) > 1:
        raise TransactionsUnreadable(f"{path} has amounts in {len(found)} currencies ({', '.join(found[:5])}); convert them to one, or evaluate each alone.")
    who, when, paid = (table.column(name) for name in ("customer_id", "date", "amount"))
    names: dict[str, int] = {}
    customer, day, amount = [], [], []
    days: dict[str, int] = {}
    nameless = dateless = 0
    for number, (name, moment, money) in enumerate(zip(who, when, paid, strict=True), start=2):
        if not name.strip():
            nameless += 1
            continue
        if moment not in days:
            days[moment] = _day(moment, f"{path}, row {number}")
        if not FIRST_DAY <= days[moment] <= LAST_DAY:
            dateless += 1
            continue
        try:
            value = float(money)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise TransactionsUnreadable(f"{path}, row {number}: amount {money!r} is no number; all amounts must be in one currency, without its sign.")
        if abs(value) > LARGEST_AMOUNT:
            raise TransactionsUnreadable(f"{path}, row {number}: amount {money!r} is larger than any order can be.")
        customer.append(names.setdefault(name.strip(), len(names)))
        day.append(days[moment])
        amount.append(value)
    if not customer:
        raise TransactionsUnreadable(f"{path} has no row with a customer and a date between 1900 and 2199.")
    money_of = np.array(amount, dtype=float)
    notes = []
    if nameless:
        notes.append(f"{nameless} rows without a customer were left out.")
    if dateless:
        notes.append(f"{dateless} rows dated before 1900 or after 2199 were left out: such dates stand for unknown ones.")
    if refunds := int((money_of < 0).sum()):
        notes.append(f"{refunds} rows have a negative amount: they count as refunds, which lower what the customer spent and are no orders.")
    return Transactions(list(names), np.array(customer, dtype=np.int64), np.array(day, dtype=np.int64), money_of, tuple(notes))


def _day(text: str, where: str) -> int:
    found = _DATE.match(text.strip())
    try:
        if found:
            return date(*(int(part) for part in found.groups())).toordinal() - EPOCH
    except ValueError:
        pass
    raise TransactionsUnreadable(f"{where}: {text!r} is no date; use YYYY-MM-DD or YYYYMMDD, a time of day may follow.")


def _write(path: str, names: list[str], known: NDArray[np.int64], history: OrderHistory, forecast: ValueForecast) -> None:
    """Write a line per customer known by the calibration's end; zeros for those who had refunds and no order by then."""
    columns = (
        forecast.p_active,
        forecast.orders,
        forecast.orders_low,
        forecast.orders_high,
        forecast.value,
        forecast.value_low,
        forecast.value_high,
    )
    lines = np.zeros((len(known), len(columns)))
    lines[np.searchsorted(known, history.customer)] = np.column_stack(columns)
    # Customers are numbered by their first row, so ascending numbers are the order of the input.
    tables.write(path, COLUMNS, ([names[customer], *cells] for customer, cells in zip(known.tolist(), lines.tolist(), strict=True)))


def _figures(
    learned: Learned, history: OrderHistory, forecast: ValueForecast, rows: Rows, end: int, horizon: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the errors of the forecast and the weekly cumulative curve, expected and actual, of the known customers."""
    from crm.core.learning.evaluation import Figure, auroc, bootstrap
    from customers.ml.errors_value import correlation, curve_error, normalised_gini, rank_agreement, top_share

    spend = rows.spend(history, end, end + horizon)
    bought = (rows.day > end) & (rows.day <= end + horizon) & (rows.amount >= 0) & np.isin(rows.customer, history.customer)
    days = np.unique(np.column_stack([rows.customer[bought], rows.day[bought]]), axis=0)
    orders = np.bincount(np.searchsorted(history.customer, days[:, 0]), minlength=len(history)).astype(float)
    ends = np.arange(7, horizon + 1, 7) if horizon >= 7 else np.array([horizon])
    model, columns = learned.model, learned.model.timed(history)
    expected = np.array([float(model.rate.expected_orders(*columns, model.horizon(history, float(days))).sum()) for days in ends])
    actual = np.array([float((days[:, 1] <= end + until).sum()) for until in ends])

    def absolute(predicted: NDArray[Any], truth: NDArray[Any]) -> float:
        return float(np.abs(predicted - truth).mean())

    def told(figure: Figure) -> dict[str, float]:
        return {"value": figure.value, "low": figure.low, "high": figure.high}

    total, earned = float(orders.sum()), float(spend.sum())
    return {
        "orders_mae": told(bootstrap(absolute, forecast.orders, orders)),
        "orders_correlation": told(bootstrap(correlation, forecast.orders, orders)),
        "orders_total_error": float(forecast.orders.sum() / total - 1) if total else None,
        "orders_weekly_mape": curve_error(expected, actual),
        "orders_inside_interval": float(((orders >= forecast.orders_low) & (orders <= forecast.orders_high)).mean()),
        "buys_again_auroc": auroc(orders > 0, forecast.orders),
        "spend_mae": told(bootstrap(absolute, forecast.value, spend)),
        "spend_correlation": correlation(forecast.value, spend),
        "spend_spearman": told(bootstrap(rank_agreement, forecast.value, spend)),
        "spend_normalised_gini": told(bootstrap(normalised_gini, forecast.value, spend)),
        "spend_top_tenth": told(bootstrap(top_share, forecast.value, spend)),
        "spend_total_error": float(forecast.value.sum() / earned - 1) if earned else None,
        "spend_inside_interval": float(((spend >= forecast.value_low) & (spend <= forecast.value_high)).mean()),
        "baseline_spend_spearman": rank_agreement(history.total_amount, spend),
        "baseline_spend_normalised_gini": normalised_gini(history.total_amount, spend),
    }, [{"week": number + 1, "expected": float(e), "actual": float(a)} for number, (e, a) in enumerate(zip(expected, actual, strict=True))]


def _told(one: Tried) -> dict[str, Any]:
    """Return what a report says of one candidate."""
    if one.reason:
        return {"refused": one.reason}
    told: dict[str, Any] = {**one.parameters, "log_likelihood": one.log_likelihood, "customers": one.customers}
    return told | ({"holdout_log_likelihood_per_customer": one.holdout} if one.holdout is not None else {})
