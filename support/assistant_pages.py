"""What the pages about the assistant show: its thresholds, messages to label, and how it does."""

from dataclasses import dataclass
from datetime import datetime

from babel.dates import format_skeleton
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.errors import CrmError
from crm.core.learning import modelstore
from crm.core.models import ModelVersion, User
from support import intents, labelling, learning_report, policy
from support.labelling import Candidate
from support.learning_report import LENGTHS, AssistLine, Slice, Week
from support.models import Message, PolicyChoice, QuestionCluster
from support.models.cluster import ClusterKind, ClusterState
from support.policy import Split, Thresholds
from support.threads import LANGUAGE_NAMES

CHOICES_SHOWN = 10
# Messages of a group that its card shows.
SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """One column of the comparison. name: in words. is_tried: the one the sliders stand at."""

    name: str | Promise
    thresholds: Thresholds
    split: Split
    is_tried: bool = False


@dataclass(frozen=True, slots=True)
class LanguageSplit:
    name: str | Promise
    split: Split


@dataclass(frozen=True, slots=True)
class ThresholdsPage:
    """needs: why there is nothing to show, '' otherwise; then everything else is there."""

    needs: str | Promise
    version: ModelVersion | None = None
    tried: Thresholds | None = None
    settings: tuple[Setting, ...] = ()
    languages: tuple[LanguageSplit, ...] = ()
    curve: Chart | None = None
    choices: tuple[PolicyChoice, ...] = ()
    is_changed: bool = False


def thresholds_page(*, given: dict[str, str]) -> ThresholdsPage:
    """Return what the thresholds in `given` (answer, clarify, scope; missing ones as in force) would have done. Three queries."""
    version = modelstore.champion(policy.TASK)
    if version is None:
        return ThresholdsPage(_("No intent model serves yet, so there is nothing to decide on. Train one under Models."))
    try:
        rows, trained = policy.held_out(version)
    except CrmError as error:
        return ThresholdsPage(gettext(error.text), version)
    in_force = policy.in_force(version=version.version, trained=trained)
    tried = Thresholds(
        _share(given.get("answer"), in_force.answer_from), _share(given.get("clarify"), in_force.clarify_from), _share(given.get("scope"), in_force.scope_from)
    )
    settings = [Setting(_("As trained"), trained, policy.split(rows, trained)), Setting(_("In force"), in_force, policy.split(rows, in_force))]
    if tried != in_force:
        settings.append(Setting(_("Tried here"), tried, policy.split(rows, tried), is_tried=True))
    return ThresholdsPage(
        "",
        version,
        tried,
        tuple(settings),
        tuple(LanguageSplit(LANGUAGE_NAMES.get(name, name), part) for name, part in policy.by_language(rows, tried)),
        _curve(policy.curve(rows, scope_from=tried.scope_from)),
        tuple(PolicyChoice.objects.select_related("chosen_by").filter(version=version.version)[:CHOICES_SHOWN]),
        tried != in_force,
    )


def _share(text: str | None, otherwise: float) -> float:
    try:
        value = float(text) if text else otherwise
    except ValueError:
        return otherwise
    return value if 0.0 <= value <= 1.0 else otherwise


def _curve(points: list[tuple[float, float, float | None]]) -> Chart:
    return charts.line(
        {gettext("Right answers"): [right for _, _, right in points]},
        labels=[f"{coverage:.0%}" for _, coverage, _ in points],
        title=gettext("The more it answers, the more often it is wrong"),
        label_title=gettext("Questions answered"),
        show=charts.as_percent,
    )


# ---- Labelling -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabellingPage:
    """candidate: the message to judge now, None where the queue is empty."""

    candidate: Candidate | None
    reason: str | Promise
    left: int
    language_name: str | Promise
    can_label: bool


def labelling_page(*, viewer: User, now: datetime, can_label: bool) -> LabellingPage:
    """Return the queue's first message and how many there are. At most six queries."""
    queue = labelling.waiting(viewer=viewer, now=now)
    message: Message | None = queue.select_related("conversation").first()
    if message is None:
        return LabellingPage(None, "", 0, "", can_label)
    candidate = labelling.candidate(message=message, language=get_language() or "en")
    return LabellingPage(candidate, labelling.REASONS[candidate.reason], queue.count(), LANGUAGE_NAMES.get(message.language, message.language), can_label)


# ---- How it does ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SliceLine:
    language: str | Promise
    length: str | Promise
    figures: Slice


@dataclass(frozen=True, slots=True)
class AssistRow:
    name: str
    figures: AssistLine


@dataclass(frozen=True, slots=True)
class ClusterCard:
    """title: the most typical message the viewer may read."""

    row: QuestionCluster
    title: str
    intent_name: str
    samples: list[Message]


@dataclass(frozen=True, slots=True)
class LearningPage:
    weeks: list[Week]
    drift: Chart | None
    slices: list[SliceLine]
    assist: list[AssistRow]
    clusters: list[ClusterCard]
    unanswered: list[tuple[str, str, int]]
    found_at: datetime | None


def learning_page(*, viewer: User, now: datetime) -> LearningPage:
    """Return how the assistant did in the last weeks and what it could learn. At most ten queries."""
    language = get_language() or "en"
    weeks = learning_report.weeks(now=now)
    rows = list(QuestionCluster.objects.filter(state=ClusterState.OPEN))
    shown = {number for row in rows for number in row.message_ids[:SAMPLES]}
    seen = Message.objects.filter(pk__in=shown, conversation__in=labelling.seen_by(viewer)).in_bulk()
    clusters = [
        ClusterCard(row, samples[0].text[:200], intents.name(row.intent, language) if row.intent else "", samples)
        for row in rows
        # A group is shown to those who may read what it is made of.
        if (samples := [seen[number] for number in row.message_ids[:SAMPLES] if number in seen])
    ]
    return LearningPage(
        weeks=weeks,
        drift=_weekly(weeks),
        slices=[SliceLine(LANGUAGE_NAMES.get(each.language, each.language), LENGTHS[each.length], each) for each in learning_report.slices(now=now)],
        assist=[AssistRow(intents.name(each.intent, language) if each.intent else "–", each) for each in learning_report.assist()],
        clusters=sorted(clusters, key=lambda card: (card.row.kind != ClusterKind.INTENT, -card.row.size)),
        unanswered=[(name, intents.name(name, language), number) for name, number in learning_report.unanswered_intents(viewer=viewer, now=now)],
        found_at=rows[0].found_at if rows else None,
    )


def _weekly(weeks: list[Week]) -> Chart | None:
    if len(weeks) < 2:
        return None
    ordered = weeks[::-1]
    return charts.line(
        {
            gettext("Mean certainty"): [week.confidence for week in ordered],
            gettext("Refused as outside every intent"): [week.refused for week in ordered],
        },
        labels=[format_skeleton("MMMd", week.monday, locale=formats.locale()) for week in ordered],
        title=gettext("Certainty and refusals by week"),
        label_title=gettext("Week from"),
        show=charts.as_percent,
    )
