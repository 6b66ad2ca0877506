"""The assistant's thresholds: those a training chose, those a person chose instead, and what either would have done.

A choice belongs to one version of the model: its probabilities are not another version's. A newly promoted version
starts from its own training's thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit, rows
from crm.core.errors import CrmError
from crm.core.learning import modelstore
from crm.core.models import ModelVersion, User
from support.models import PolicyChoice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]
    Chosen = NDArray[np.bool_]

TASK = "intents"
# As support/ml/heldout.py names its arrays; pages may not import ml.
PREFIX = "heldout."
LANGUAGES = ("en", "zh-hans")
# As PolicyChoice is ordered; asked with every chat message.
_NEWEST_CHOICE = "SELECT answer_from, clarify_from, scope_from FROM support_policychoice WHERE version = %s ORDER BY chosen_at DESC, id DESC LIMIT 1"
# Points of the coverage/accuracy curve.
CURVE_POINTS = 21


class ThresholdBad(CrmError):
    code = "threshold_bad"
    status = 422
    message = gettext_noop("A threshold is a number from 0 to 1.")


class NothingHeldOut(CrmError):
    code = "nothing_held_out"
    status = 409
    message = gettext_noop("This version was trained before held-out judgements were kept; train it again.")


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Each 0..1; see PolicyChoice."""

    answer_from: float
    clarify_from: float
    scope_from: float

    def decision(self, *, confidence: float, together: float, scope: float) -> str:
        """Return answer, clarify or hand_over for one message; the one place where the three-way choice is made."""
        if scope < self.scope_from:
            return "hand_over"
        if confidence >= self.answer_from:
            return "answer"
        return "clarify" if together >= self.clarify_from else "hand_over"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Judgements of examples the model had not seen; equal-length columns, see support/ml/heldout.py."""

    confidence: "Column"
    together: "Column"
    scope: "Column"
    right: "Chosen"
    holds: "Chosen"
    outside: "Chosen"
    language: "NDArray[Any]"

    def __len__(self) -> int:
        return len(self.confidence)

    def only(self, rows: "Chosen") -> "HeldOut":
        return HeldOut(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Split:
    """What thresholds would have done. Shares of in-scope examples unless said otherwise; None without rows.

    answered_right: of answers to in-scope questions. right_low, right_high: its 95% interval (Wilson). asked_right: of
    questions back, how many offer the right intent. outside_refused: of examples no intent fits, how many go to a
    person. outside_answered: of those, how many get an answer they should not.
    """

    rows: int
    outside_rows: int
    answered: float | None
    answered_right: float | None
    right_low: float | None
    right_high: float | None
    asked: float | None
    asked_right: float | None
    handed_over: float | None
    outside_refused: float | None
    outside_answered: float | None


def in_force(*, version: int, trained: Thresholds) -> Thresholds:
    """Return the thresholds that decide for a version: the newest choice, else those of its training. One query."""
    chosen = rows.prepared(_NEWEST_CHOICE, (version,))
    return Thresholds(*chosen[0]) if chosen else trained


def choose(*, version: int, thresholds: Thresholds, by: User, now: datetime) -> PolicyChoice:
    """Let these thresholds decide from now on. Raises ThresholdBad."""
    if not all(0.0 <= value <= 1.0 for value in (thresholds.answer_from, thresholds.clarify_from, thresholds.scope_from)):
        raise ThresholdBad
    with transaction.atomic():
        before = PolicyChoice.objects.filter(version=version).first()
        row = PolicyChoice.objects.create(
            version=version,
            answer_from=thresholds.answer_from,
            clarify_from=thresholds.clarify_from,
            scope_from=thresholds.scope_from,
            chosen_by=by,
            chosen_at=now,
        )
        audit.record(actor=by, action="policy.choose", target=row, data={"version": version, "from": str(before or ""), "to": str(row)})
        return row


def trained_of(config: Mapping[str, Any]) -> Thresholds:
    """Return the thresholds a training left in its files. Raises NothingHeldOut for versions of before."""
    try:
        found = config["thresholds"]
        return Thresholds(found["answer_from"], found["clarify_from"], found["scope_from"])
    except KeyError:
        raise NothingHeldOut from None


def held_out(version: ModelVersion) -> tuple[HeldOut, Thresholds]:
    """Return the version's held-out judgements and its training's thresholds. Reads its files once per process.

    Raises NothingHeldOut, or what modelstore.load_version raises.
    """
    import numpy as np

    loaded = modelstore.load_version(version)
    trained = trained_of(loaded.config)
    try:
        column = {name: loaded.tensors[PREFIX + name] for name in HeldOut.__slots__}
    except KeyError:
        raise NothingHeldOut from None
    kinds: dict[str, Any] = {"right": bool, "holds": bool, "outside": bool, "language": np.uint8}
    return HeldOut(**{name: values.astype(kinds.get(name, np.float64)) for name, values in column.items()}), trained


def split(rows: HeldOut, thresholds: Thresholds) -> Split:
    """Return what the thresholds would have done with the examples."""
    through = rows.scope >= thresholds.scope_from
    answered = through & (rows.confidence >= thresholds.answer_from)
    asked = through & ~answered & (rows.together >= thresholds.clarify_from)
    inside = ~rows.outside
    answers, questions = answered & inside, asked & inside
    low, high = _wilson(int(rows.right[answers].sum()), int(answers.sum()))
    return Split(
        rows=int(inside.sum()),
        outside_rows=int(rows.outside.sum()),
        answered=_share(answers[inside]),
        answered_right=_share(rows.right[answers]),
        right_low=low,
        right_high=high,
        asked=_share(questions[inside]),
        asked_right=_share(rows.holds[questions]),
        handed_over=_share(~(answered | asked)[inside]),
        outside_refused=_share(~(answered | asked)[rows.outside]),
        outside_answered=_share(answered[rows.outside]),
    )


def by_language(rows: HeldOut, thresholds: Thresholds) -> list[tuple[str, Split]]:
    """Return the split of each language that has rows."""
    found = [(name, rows.language == number) for number, name in enumerate(LANGUAGES)]
    return [(name, split(rows.only(chosen), thresholds)) for name, chosen in found if chosen.any()]


def curve(rows: HeldOut, *, scope_from: float) -> list[tuple[float, float, float | None]]:
    """Return (answer_from, coverage, share right) from the most careful to the boldest setting, evenly spaced in coverage.

    Coverage and share right count in-scope examples that pass the gate at `scope_from`.
    """
    import numpy as np

    inside = rows.only(~rows.outside)
    through = inside.scope >= scope_from
    ordered = np.sort(inside.confidence[through])[::-1]
    if not len(ordered):
        return []
    points: list[tuple[float, float, float | None]] = []
    for place in np.unique(np.linspace(0, len(ordered) - 1, CURVE_POINTS).astype(int)):
        level = float(ordered[place])
        answered = through & (inside.confidence >= level)
        points.append((level, float(answered.mean()), _share(inside.right[answered])))
    return points


def _share(values: "Chosen") -> float | None:
    return float(values.mean()) if len(values) else None


def _wilson(hits: int, total: int, z: float = 1.96) -> tuple[float | None, float | None]:
    """Return the 95% interval of a share (Wilson 1927), Nones without rows."""
    if not total:
        return None, None
    share, square = hits / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = z * ((share * (1 - share) / total + square / (4 * total * total)) ** 0.5) / (1 + square / total)
    return max(0.0, middle - half), min(1.0, middle + half)
