"""Whether a model treats groups of people alike: differences with intervals, and one mitigation that is measured.

Statistical parity: difference of the groups' shares selected.  Equal opportunity (Hardt, Price & Srebro 2016): difference
of the shares selected among those who bear the label.  Disparate impact (Feldman et al. 2015): ratio of shares selected.
The same differences of the label itself say how unequal the facts are before any model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crm.core.errors import CrmError
from crm.core.learning.evaluation import Figure, auroc, bootstrap
from customers.ml.tabular.columns import is_missing, level_of, number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

# A group smaller than this says nothing about how a group is treated; its interval would span everything.
FEWEST = 10
RESAMPLES = 400
# What the mitigation may cost in AUC; how much of the way to equal shares it goes, the fullest first.
MOST_AUC = 0.02
STEPS = (1.0, 0.8, 0.6)
_CUT = re.compile(r"(?P<column>.+?)\s*>\s*(?P<cut>-?\d+(\.\d+)?)$")
_PREFIX = re.compile(r"(?P<column>.+?)\^(?P<prefix>.+)$")


class GroupUnusable(CrmError):
    """A protected column does not divide the rows into at least two groups."""

    code = "group_unusable"
    status = 422


@dataclass(frozen=True, slots=True)
class Protected:
    """How one column divides people. `column>25`: above and not above. `column^male`: cells that begin so and the others.
    `column` alone: its values, numbers of many values cut at the median of the training rows.
    """

    column: str
    cut: float | None = None
    prefix: str | None = None

    @classmethod
    def parse(cls, text: str, columns: Sequence[str]) -> Protected:
        """Return what a --protected option says; a column that is so named wins over the two short forms."""
        if text not in columns:
            if (found := _CUT.fullmatch(text)) and found["column"] in columns:
                return cls(found["column"], cut=float(found["cut"]))
            if (found := _PREFIX.fullmatch(text)) and found["column"] in columns:
                return cls(found["column"], prefix=found["prefix"])
        return cls(text)

    @property
    def name(self) -> str:
        return self.column + (f">{self.cut:g}" if self.cut is not None else "") + (f"^{self.prefix}" if self.prefix else "")

    def learn(self, cells: Sequence[str]) -> Protected:
        """Return the same with the cut that training cells ask for, where the column is a number of many values."""
        values = np.array([number(cell) for cell in cells])
        known = values[np.isfinite(values)]
        if self.cut is None and self.prefix is None and len(known) >= 0.95 * sum(not is_missing(cell) for cell in cells) and len(np.unique(known)) > 10:
            return Protected(self.column, cut=float(np.median(known)))
        return self

    def groups(self, cells: Sequence[str]) -> NDArray[np.str_]:
        """Return each row's group, "" where the cell is missing."""
        if self.cut is not None:
            values = [number(cell) for cell in cells]
            return np.array(["" if np.isnan(value) else f"> {self.cut:g}" if value > self.cut else f"<= {self.cut:g}" for value in values])
        if self.prefix:
            return np.array(["" if is_missing(cell) else self.prefix if level_of(cell).startswith(self.prefix) else f"not {self.prefix}" for cell in cells])
        return np.array(["" if is_missing(cell) else level_of(cell) for cell in cells])


@dataclass(frozen=True, slots=True)
class GroupShares:
    """One group: share bearing the label, share selected, and share selected of those with and without the label."""

    group: str
    rows: int
    label: float
    selected: float
    selected_with_label: float
    selected_without_label: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """One protected column. groups: largest first.  between: per measure, the favoured and the other group.
    label_difference, parity_difference, opportunity_difference: favoured minus other.  disparate_impact: other over favoured.
    """

    column: str
    groups: tuple[GroupShares, ...]
    between: dict[str, tuple[str, str]]
    label_difference: Figure
    parity_difference: Figure
    opportunity_difference: Figure
    disparate_impact: Figure

    def as_dict(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "groups": [{name: getattr(group, name) for name in GroupShares.__dataclass_fields__} for group in self.groups],
            "between": {name: list(pair) for name, pair in self.between.items()},
            **{name: getattr(self, name).as_dict() for name in _MEASURES},
        }


_MEASURES = ("label_difference", "parity_difference", "opportunity_difference", "disparate_impact")


def difference_of_shares(flag: NDArray[Any], group: NDArray[np.str_], favoured: str, other: str) -> float:
    """Return the share of `flag` among `favoured` minus that among `other`; NaN where either is empty."""
    return _share(flag, group == favoured) - _share(flag, group == other)


def measure(label: NDArray[Any], selected: Bools, group: NDArray[np.str_], *, column: str, seed: int = 0) -> Fairness:
    """Return how the groups of one column fare, the two farthest apart compared, with 95% bootstrap intervals over rows.

    label: (n,) 0/1.  selected: (n,) the decision.  group: (n,) names, "" belongs to none.  Groups below FEWEST rows are
    not compared.  Raises GroupUnusable where fewer than two remain.
    """
    truth = np.asarray(label).astype(bool)
    names, counts = np.unique(group[group != ""], return_counts=True)
    kept = [str(name) for name, count in sorted(zip(names, counts, strict=True), key=lambda pair: (-pair[1], pair[0])) if count >= FEWEST]
    if len(kept) < 2:
        raise GroupUnusable(f"{column!r} has {len(kept)} group(s) of at least {FEWEST} rows; two are needed to compare.", column=column)
    tables = tuple(
        GroupShares(
            name, int((group == name).sum()), _share(truth, group == name), _share(selected, group == name),
            _share(selected, (group == name) & truth), _share(selected, (group == name) & ~truth),
        )
        for name in kept
    )  # fmt: skip
    pairs = {}
    for name, field in (("label_difference", "label"), ("parity_difference", "selected"), ("opportunity_difference", "selected_with_label")):
        able = [table for table in tables if np.isfinite(getattr(table, field))]
        ordered = sorted(able, key=lambda table: getattr(table, field))
        pairs[name] = (ordered[-1].group, ordered[0].group) if ordered else (kept[0], kept[1])

    def of(value: Callable[[Bools, Bools, NDArray[np.str_]], float]) -> Figure:
        return _interval(value, truth, selected, group, seed=seed)

    best, worst = pairs["parity_difference"]
    return Fairness(
        column=column,
        groups=tables,
        between=pairs,
        label_difference=of(lambda t, _s, g: difference_of_shares(t, g, *pairs["label_difference"])),
        parity_difference=of(lambda _t, s, g: difference_of_shares(s, g, best, worst)),
        opportunity_difference=of(lambda t, s, g: difference_of_shares(s[t], g[t], *pairs["opportunity_difference"])),
        disparate_impact=of(lambda _t, s, g: _share(s, g == worst) / max(_share(s, g == best), 1e-12)),
    )


@dataclass(frozen=True, slots=True)
class Mitigation:
    """Thresholds by group: of each group the likeliest are selected, `strength` of the way from its own share to that of all.

    threshold: log-odds that select without mitigation.  Needs the person's group when deciding, which law or policy may
    forbid; it is therefore measured and offered, and never applied unless somebody asks for it.
    """

    column: str
    threshold: float
    strength: float

    def offsets(self, log_odds: Floats, group: NDArray[np.str_]) -> dict[str, float]:
        """Return per group what to add to its log-odds before the one threshold, set on the rows to decide; needs no labels."""
        overall = float((log_odds >= self.threshold).mean())
        found = {}
        for name in np.unique(group[group != ""]):
            own = np.sort(log_odds[group == name])[::-1]
            if len(own) < FEWEST:
                continue
            wanted = self.strength * overall + (1 - self.strength) * float((own >= self.threshold).mean())
            last = round(wanted * len(own))
            # Halfway between the last selected and the first that is not, so that rounding decides nothing.
            around = own[max(last - 1, 0)], own[min(last, len(own) - 1)]
            edge = own[0] + 1e-6 if last == 0 else own[-1] - 1e-6 if last == len(own) else (around[0] + around[1]) / 2
            found[str(name)] = float(self.threshold - edge)
        return found

    def apply(self, log_odds: Floats, group: NDArray[np.str_]) -> Floats:
        """Return the log-odds moved by their groups' offsets, (n,)."""
        offsets = self.offsets(log_odds, group)
        return np.asarray(log_odds + np.array([offsets.get(str(name), 0.0) for name in group]))


def learn_mitigation(label: NDArray[Any], log_odds: Floats, group: NDArray[np.str_], *, threshold: float, column: str) -> Mitigation:
    """Return the fullest mitigation that costs less than MOST_AUC; if none does, the gentlest.

    log_odds: (n,) of rows the model had not seen.  threshold: in log-odds.
    """
    ranked = auroc(label, log_odds)
    for strength in STEPS:
        found = Mitigation(column, threshold, strength)
        if ranked - auroc(label, found.apply(log_odds, group)) < MOST_AUC:
            break
    return found


def _share(flag: NDArray[Any], rows: Bools) -> float:
    return float(np.asarray(flag)[rows].mean()) if rows.any() else float("nan")


def _interval(value: Callable[[Bools, Bools, NDArray[np.str_]], float], label: Bools, selected: Bools, group: NDArray[np.str_], *, seed: int) -> Figure:
    def finite(label: Bools, selected: Bools, group: NDArray[np.str_]) -> float:
        # Of a draw without a single selected one a quotient says nothing.
        drawn = value(label, selected, group)
        return drawn if np.isfinite(drawn) else float("nan")

    found = bootstrap(finite, label, selected, group, resamples=RESAMPLES, seed=seed)
    return replace(found, value=value(label, selected, group))
