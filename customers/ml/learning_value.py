"""Choosing and fitting a shop's value model from its order rows: by what the candidates foresaw of a period kept back.

Everything is decided inside the rows given: the last third of the shop's life judges the order models (log-density of
what happened, given what came before), later orders judge the amounts, and one or two past horizons judge the tilt.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from customers.ml.errors_value import normalised_gini, rank_agreement
from customers.ml.orders import OrderHistory, summarise_orders
from customers.ml.rates import ORDER_MODELS, DegenerateFit, OrderModel
from customers.ml.season import Season, learn_season
from customers.ml.spend import GammaGamma, ShrunkenMean
from customers.ml.tilt import Snapshot, Tilt, features, learn_weights, make_tilt
from customers.ml.value import NAMES, ValueModel, fit_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CANDIDATES = ("bg_nbd", "pareto_nbd", "empirical_rate")
# Customers on whom candidates are compared and rankings learned; the model chosen is then fitted to all.
SAMPLE = 40_000
# Rows that each past moment lends to the ranking's regressions: six of them are 60,000 x 111 columns, 53 MB.
MOMENT_ROWS = 10_000
# A shop younger than this has no period to keep back: the order of preference decides.
LEAST_LIFE_DAYS = 42
# A tilt needs this many customers at the judged moment, of whom this many buy; less ranks by chance.
FEWEST_CUSTOMERS, FEWEST_BUYERS = 300, 60
# Past moments the tilt learns from, and the least history before and horizon after one of them.
MOMENTS, LEAST_BEFORE, LEAST_AFTER = 6, 60, 30
# How much better (mean of Spearman and normalised Gini) a tilt must rank than the model alone.
# On shops where the model alone ranks well, gains below a hundredth cost the top tenth more than they bring.
LEAST_GAIN = 0.01
BLENDS = {
    "amount of spend, model": (0.0, 1.0, 1.0),
    "order and amount of spend, model twice": (1.0, 1.0, 2.0),
    "order and amount of spend, model": (1.0, 1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Orders: customer (m,) int, day (m,) int since 1970-01-01, amount (m,) float."""

    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    amount: Floats

    def until(self, day: float) -> Rows:
        known = self.day <= day
        return Rows(self.customer[known], self.day[known], self.amount[known])

    def part(self, customers: int, *, seed: int = 0) -> Rows:
        """Return the rows of so many customers drawn at random; all where there are no more."""
        everyone = np.unique(self.customer)
        if len(everyone) <= customers:
            return self
        drawn = np.zeros(len(everyone), dtype=bool)
        drawn[np.random.default_rng(seed).choice(len(everyone), customers, replace=False)] = True
        kept = drawn[np.searchsorted(everyone, self.customer)]
        return Rows(self.customer[kept], self.day[kept], self.amount[kept])

    def history(self, day: float) -> OrderHistory:
        known = self.until(day)
        return summarise_orders(known.customer, known.day, known.amount, as_of_day=day)

    def spend(self, history: OrderHistory, start: float, end: float) -> Floats:
        """Return what the customers of the history spent after `start` up to `end`, refunds deducted, never negative."""
        later = (self.day > start) & (self.day <= end)
        place = np.searchsorted(history.customer, self.customer[later])
        inside = (place < len(history)) & (history.customer[np.minimum(place, len(history) - 1)] == self.customer[later])
        return np.maximum(np.bincount(place[inside], weights=self.amount[later][inside], minlength=len(history)), 0.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate: its parameters on all rows, their log-likelihood, and its figure on the period kept back.

    holdout: mean log-density per customer of what happened; None where it was not judged.  reason: why it was refused.
    """

    name: str
    parameters: dict[str, float] = field(default_factory=dict)
    log_likelihood: float | None = None
    customers: int = 0
    holdout: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Learned:
    """The model and everything that was tried for it. ranking: figure of each ranking of value on the past judged."""

    model: ValueModel
    tried: tuple[Tried, ...]
    ranking: dict[str, float] = field(default_factory=dict)


def learn_value(customer: NDArray[np.int64], day: NDArray[np.int64], amount: Floats, *, as_of_day: float, horizon_days: float = 90) -> Learned:
    """Return the value model of the shop whose order rows these are. Never raises for what the rows contain.

    customer, day, amount: (m,) as for `summarise_orders`; day counts from 1970-01-01, so that months are known.
    Raises ValueError for rows after `as_of_day`.  Beyond SAMPLE customers only the last fits grow with the shop.
    """
    rows = Rows(np.asarray(customer, dtype=np.int64), np.floor(np.asarray(day, dtype=float)).astype(np.int64), np.asarray(amount, dtype=float))
    history = summarise_orders(rows.customer, rows.day, rows.amount, as_of_day=as_of_day)
    some = rows.part(SAMPLE)
    judged = _judge_orders(some, history if some is rows else some.history(as_of_day), as_of_day)
    ranked = sorted(judged, key=lambda kind: -judged[kind])
    prefer = ranked or list(CANDIDATES)
    model = fit_value(history, prefer=prefer)
    season, reason = _season(rows, history, model)
    if season:
        model = fit_value(history, prefer=prefer, season=season)
    notes = [*model.notes, *([reason] if reason else [])]
    model = replace(model, spend=_spend(some, history, model, as_of_day, notes))
    tried = tuple(_tried(kind, history, model, judged.get(kind)) for kind in CANDIDATES)
    for one in tried:
        told = f"{one.name} not used: {one.reason}"
        if one.reason and told not in notes:
            notes.append(told)
    tilt, ranking, told = _tilt(some, history, model, as_of_day, horizon_days)
    if told:
        notes.append(told)
    return Learned(replace(model, tilt=tilt, notes=tuple(notes)), (*tried, *_amounts_tried(history)), ranking)


def _judge_orders(rows: Rows, history: OrderHistory, as_of_day: float) -> dict[str, float]:
    """Return the mean log-density per customer of the last third of the shop's life, for each model that fits the rest.

    A path's density depends on (x, t_x, T) alone, so that of the later part, given the earlier, is a difference.
    """
    life = float(history.age_days.max()) if len(history) else 0.0
    if life < LEAST_LIFE_DAYS:
        return {}
    cut = as_of_day - float(life // 3)
    early = rows.history(cut)
    if not len(early):
        return {}
    place = np.searchsorted(history.customer, early.customer)
    before, after = early.columns, tuple(column[place] for column in history.columns)
    judged = {}
    for kind in CANDIDATES:
        try:
            model = ORDER_MODELS[kind]().fit(*before)
        except DegenerateFit:
            continue
        figure = float(np.mean(model.log_likelihood(*after) - model.log_likelihood(*before)))
        if np.isfinite(figure):
            judged[kind] = figure
    return judged


def _season(rows: Rows, history: OrderHistory, model: ValueModel) -> tuple[Season | None, str]:
    if not len(history):
        return None, ""
    first = (history.as_of_day - history.age_days).astype(np.int64)
    kept = rows.amount >= 0
    earliest = int(first.min())
    # One number per customer and day; several orders of one day are one.
    span = int(rows.day.max()) - earliest + 1
    days = np.unique(rows.customer[kept] * span + (rows.day[kept] - earliest))
    who, when = days // span, days % span + earliest
    return learn_season(first, when[when > first[np.searchsorted(history.customer, who)]], model.rate, as_of_day=history.as_of_day)


def _spend(rows: Rows, history: OrderHistory, model: ValueModel, as_of_day: float, notes: list[str]) -> GammaGamma | ShrunkenMean:
    """Return gamma-gamma or the shrunken mean, whichever came nearer to the later mean amounts (absolute logarithm)."""
    if not isinstance(model.spend, GammaGamma):
        return model.spend
    rival = ShrunkenMean().fit(history.orders, history.mean_amount)
    life = float(history.age_days.max())
    cut = as_of_day - float(life // 3)
    early = rows.history(cut)
    if len(early) < FEWEST_CUSTOMERS:
        return model.spend
    later = Rows(rows.customer[rows.day > cut], rows.day[rows.day > cut], rows.amount[rows.day > cut]).history(as_of_day)
    place = np.searchsorted(early.customer, later.customer)
    known = (place < len(early)) & (early.customer[np.minimum(place, len(early) - 1)] == later.customer) & (later.mean_amount > 0)
    if known.sum() < FEWEST_BUYERS:
        return model.spend
    orders, mean, actual = early.orders[place[known]], early.mean_amount[place[known]], later.mean_amount[known]
    misses = []
    for kind in (GammaGamma, ShrunkenMean):
        try:
            expected = np.maximum(kind().fit(early.orders, early.mean_amount).expected_amount(orders, mean), 1e-9)
        except DegenerateFit:
            return model.spend
        misses.append(float(np.mean(np.abs(np.log(expected) - np.log(actual)))))
    if misses[1] < misses[0]:
        notes.append(f"Gamma-gamma not used: it missed later amounts by {misses[0]:.3f} in logarithms, the shrunken mean by {misses[1]:.3f}")
        return rival
    return model.spend


def _tried(kind: str, history: OrderHistory, model: ValueModel, holdout: float | None) -> Tried:
    try:
        fitted: OrderModel = model.rate if model.rate.kind == kind else ORDER_MODELS[kind]().fit(*model.timed(history))
    except DegenerateFit as failure:
        return Tried(NAMES[kind], holdout=holdout, reason=failure.reason)
    return Tried(NAMES[kind], dict(zip(fitted.names, fitted.parameters(), strict=True)), fitted.log_likelihood_, fitted.customers_, holdout)


def _amounts_tried(history: OrderHistory) -> list[Tried]:
    """Return gamma-gamma as published (repeat orders only) and as used (all orders)."""
    tried = []
    for name, orders, mean in (
        ("Gamma-gamma, repeat orders", history.frequency, history.repeat_amount),
        ("Gamma-gamma, all orders", history.orders, history.mean_amount),
    ):
        try:
            fitted = GammaGamma().fit(orders, mean)
        except DegenerateFit as failure:
            tried.append(Tried(name, reason=failure.reason))
            continue
        tried.append(Tried(name, {"p": fitted.p_, "q": fitted.q_, "gamma": fitted.gamma_}, fitted.log_likelihood_, fitted.customers_))
    return tried


def _tilt(rows: Rows, history: OrderHistory, model: ValueModel, as_of_day: float, horizon: float) -> tuple[Tilt | None, dict[str, float], str]:
    """Return the tilt that ranks the past best, the figures of all, and why there is none."""
    if len(history) < FEWEST_CUSTOMERS:
        return None, {}, f"Ranking of value not refined: {len(history)} customers, {FEWEST_CUSTOMERS} are needed."
    start = as_of_day - float(history.age_days.max())
    sums: dict[str, float] = {"model": 0.0, **dict.fromkeys(BLENDS, 0.0)}
    windows = 0
    for share in (1.0, 0.5):
        days = float(round(horizon * share))
        cut = as_of_day - days
        past = _moments(start, cut, days)
        if not past:
            continue
        early = rows.history(cut)
        spend = rows.spend(early, cut, as_of_day) if len(early) else np.zeros(0)
        if len(early) < FEWEST_CUSTOMERS or (spend > 0).sum() < FEWEST_BUYERS:
            continue
        snapshots = [_snapshot(rows, model, moment, length) for moment, length in past]
        before = fit_value(early, prefer=[model.rate.kind])
        forecast = before.means(early, days)
        now = features(early, forecast)
        weights = learn_weights(snapshots)
        windows += 1
        sums["model"] += _figure(forecast.value, spend)
        for name, blend in BLENDS.items():
            tilt = make_tilt(weights, now, forecast.value, horizon_days=days, blend=blend)
            sums[name] += _figure(tilt.score(now), spend)
    if not windows:
        return None, {}, "Ranking of value not refined: the past is too short to judge it on."
    ranking = {name: total / windows for name, total in sums.items()}
    best = max(BLENDS, key=lambda name: ranking[name])
    if ranking[best] < ranking["model"] + LEAST_GAIN:
        return None, ranking, "Ranking of value not refined: what recent behaviour adds did not show in the past."
    snapshots = [_snapshot(rows, model, moment, length) for moment, length in _moments(start, as_of_day, horizon)]
    forecast = model.means(history, horizon)
    return make_tilt(learn_weights(snapshots), features(history, forecast), forecast.value, horizon_days=horizon, blend=BLENDS[best]), ranking, ""


def _moments(start: float, end: float, horizon: float) -> list[tuple[float, float]]:
    """Return (day, days that follow) of past moments whose horizon ends by `end`; shorter horizons where life is short."""
    latest = end - min(max(horizon / 2, LEAST_AFTER), horizon)
    earliest = start + LEAST_BEFORE
    if latest < earliest:
        return []
    days = np.unique(np.linspace(max(earliest, end - 3 * horizon), latest, MOMENTS).round())
    return [(float(day), min(horizon, end - float(day))) for day in days]


def _snapshot(rows: Rows, model: ValueModel, day: float, horizon: float) -> Snapshot:
    history = rows.history(day)
    fitted = fit_value(history, prefer=[model.rate.kind])
    given, spend = features(history, fitted.means(history, horizon)), rows.spend(history, day, day + horizon)
    if len(given) > MOMENT_ROWS:
        chosen = np.random.default_rng(0).choice(len(given), MOMENT_ROWS, replace=False)
        given, spend = given[chosen], spend[chosen]
    return Snapshot(given, spend)


def _figure(score: Floats, spend: Floats) -> float:
    return (rank_agreement(score, spend) + normalised_gini(score, spend)) / 2
