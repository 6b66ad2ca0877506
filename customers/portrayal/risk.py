"""Why a score is what it is: reasons that add up to it exactly, as a waterfall.

Where the numbers come from.  `worked_out` asks the serving model about the features kept with the portrait; a refresh may also
store its answer in `Portrait.reasons[task]`.  Either is a list, the base first:

    [{"code": "base", "data": {"effect": -1.2}}, {"code": "silence_days", "data": {"effect": 0.9, "value": 84.0}}, ...]

with effects in log-odds that add up to the log-odds of the stored probability.  Log-odds are what models add up in; people
read points of per cent.  The steps are therefore told on the scale of the probability, each with its share of the whole way
from the base to the score (`shares`), so that the bars too add up to the shown figure exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.learning import modelstore
from customers.models import Portrait

# More reasons than these are told as one step, so that the picture stays readable.
MOST_REASONS = 6
LOGIT_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One reason. effect: log-odds as the model added them.  points: its part of the probability, signed."""

    code: str
    text: str
    effect: float
    points: float

    @property
    def sign(self) -> str:
        return "up" if self.points > 0 else "down" if self.points < 0 else ""

    @property
    def shown(self) -> str:
        """The points as people read them, +12.3 %."""
        return formats.signed_percent(self.points, 1)


@dataclass(frozen=True, slots=True)
class Explanation:
    """base, total: probabilities; base + the sum of the steps' points is the total to 1e-9."""

    base: float
    steps: tuple[Step, ...]
    total: float
    chart: Chart


def explain(row: Portrait, *, task: str, total: float | None, title: str, better: str = "down", rest: Sequence[Mapping[str, Any]] = ()) -> Explanation | None:
    """Return the reasons behind a probability of this portrait, None where the model gave none.

    rest: reasons worked out for this row now, used where the row stores none.
    """
    stored = (row.reasons or {}).get(task) or list(rest)
    told = [reason for reason in stored if isinstance(reason, Mapping) and _effect(reason) is not None]
    if total is None or not told or told[0].get("code") != "base":
        return None
    start, effects = _effect(told[0]) or 0.0, [(_code(reason), reason.get("data", {}), _effect(reason) or 0.0) for reason in told[1:]]
    effects.sort(key=lambda reason: -abs(reason[2]))
    kept, others = effects[:MOST_REASONS], effects[MOST_REASONS:]
    base = probability(start)
    parts = shares(base, [effect for _code_, _data, effect in kept] + ([math.fsum(effect for *_rest, effect in others)] if others else []), float(total))
    steps = [Step(code, sentence(code, data), effect, part) for (code, data, effect), part in zip(kept, parts, strict=False)]
    if others:
        words = ngettext("%(n)s smaller reason", "%(n)s smaller reasons", len(others)) % {"n": formats.number(len(others))}
        steps.append(Step("others", words, math.fsum(effect for *_rest, effect in others), parts[-1]))
    chart = charts.waterfall(
        base=base,
        base_label=_("The shop's average"),
        reasons=[(step.text, step.points) for step in steps],
        total=float(total),
        total_label=title,
        title=_("Why: %(what)s") % {"what": title},
        better="down" if better == "down" else "up",
        show=charts.as_percent,
    )
    return Explanation(base, tuple(steps), float(total), chart)


def worked_out(row: Portrait, *, task: str) -> list[dict[str, Any]]:
    """Return the reasons the model of this portrait's version gives for the numbers it read. At most two queries.

    [] where they cannot be told honestly: no portrait version, another version serves by now, the features were not kept, or
    the model cannot be loaded.
    """
    version = (row.versions or {}).get(task)
    if not version:
        return []
    # numpy and the models load with the first portrait that is explained, not with every start of the program.
    import numpy as np

    from customers import features
    from customers.ml.tabular.propensity import propensity_model

    champion = modelstore.champion(task)
    if champion is None or champion.version != version:
        return []
    # Read along with the customer's row on that person's page.
    customer = row._state.fields_cache.get("customer")
    loaded = customer._state.fields_cache.get("portrait_features") if customer else None
    kept = features.stored(customer_id=row.customer_id, loaded=loaded)
    if kept is None:
        return []
    try:
        model = modelstore.build(task, propensity_model, version=champion)
    except (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible):
        return []
    names = tuple(feature.name for feature in features.catalogue())
    values = np.array([[kept.get(name, np.nan) for name in names]], dtype=np.float32)
    return model.reasons(features.FeatureTable(np.array([row.customer_id]), names, values), 0)


def shares(base: float, effects: Sequence[float], total: float) -> list[float]:
    """Return each effect's part of the way from base to total, in the effects' proportions; they add up to total - base.

    Where the effects cancel out, their size counts in the neighbourhood of the base (slope p(1 - p)), and what is left
    of the way falls to the largest.
    """
    if not effects:
        return []
    whole, way = math.fsum(effects), total - base
    slope = way / whole if abs(whole) > 1e-6 else base * (1 - base)
    # A nearly cancelled sum would blow single parts up beyond any probability.
    if slope < 0 or slope > 0.5:
        slope = base * (1 - base)
    parts = [effect * slope for effect in effects]
    largest = max(range(len(parts)), key=lambda index: abs(effects[index]))
    parts[largest] += way - math.fsum(parts)
    return parts


def probability(log_odds: float) -> float:
    """Return 1 / (1 + e^-x) without overflow."""
    return 1 / (1 + math.exp(-max(-LOGIT_LIMIT, min(LOGIT_LIMIT, log_odds))))


def sentence(code: str, data: Mapping[str, Any]) -> str:
    """Return a reason in words: the feature's label and the customer's value of it."""
    label, unit = feature_words(code)
    value = data.get("value")
    if value is None or not isinstance(value, int | float | str):
        return _("%(feature)s: not known") % {"feature": label} if "value" in data else label
    return _("%(feature)s: %(value)s") % {"feature": label, "value": value if isinstance(value, str) else feature_value(float(value), unit)}


def feature_words(code: str) -> tuple[str, str]:
    """Return a feature's label in the reader's language and its unit; an unknown one's name with blanks."""
    # numpy loads with the first portrait that is explained, not with every start of the program.
    from customers.features import catalogue

    found = {feature.name: feature for feature in catalogue()}.get(code)
    return (str(found.label), found.unit) if found else (code.replace("_", " "), "")


def feature_value(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return _("not known")
    if unit == "days":
        return ngettext("%(days)s day", "%(days)s days", round(value)) % {"days": formats.number(round(value))}
    if unit in {"share", "rate"} and 0 <= value <= 1:
        return formats.percent(value)
    if unit == "money":
        return formats.money_compact(value)
    if unit == "flag":
        return _("yes") if value else _("no")
    return formats.number(value)


def _code(reason: Mapping[str, Any]) -> str:
    return str(reason.get("code", ""))


def _effect(reason: Mapping[str, Any]) -> float | None:
    effect = reason.get("data", {}).get("effect") if isinstance(reason.get("data"), Mapping) else None
    return float(effect) if isinstance(effect, int | float) and math.isfinite(effect) else None
