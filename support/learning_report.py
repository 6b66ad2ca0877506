"""How the assistant does week by week on live messages: what it did, how sure it was, where people corrected it, and drift."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import log

from django.db.models import Avg, Case, CharField, Count, F, Q, Value, When
from django.db.models.functions import Length, TruncWeek
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from support import teams
from support.models import Message, Suggestion
from support.models.conversation import Author
from support.models.labels import OUT_OF_SCOPE

WEEKS = 8
# Population stability index from which a week's mix of intents counts as changed: the usual reading of 0.1 and 0.25.
SHIFTING, SHIFTED = 0.1, 0.25
# Fewer messages than this in a week say nothing about its mix.
FEWEST = 30
# Characters: a few words, a sentence, more. Chinese says the same in about a third of the characters.
SHORT = {"en": 25, "zh-hans": 8}
LONG = {"en": 90, "zh-hans": 30}
# People and model say the same. Labels come after the judgement, so no model is judged on what it was taught.
_AGREED = Q(in_scope=True, example__label=F("intent")) | Q(in_scope=False, example__label=OUT_OF_SCOPE)
LENGTHS: dict[str, str | Promise] = {"short": _("short"), "medium": _("medium"), "long": _("long")}


@dataclass(frozen=True, slots=True)
class Week:
    """drift: of the intents' mix against the weeks before, None where either is too small; tone of its badge.

    labelled, corrected: messages of the week people labelled, and of those, where they disagreed.
    """

    monday: date
    judged: int
    confidence: float | None
    refused: float | None
    answers: int
    questions: int
    handovers: int
    labelled: int
    corrected: int
    drift: float | None
    tone: str


@dataclass(frozen=True, slots=True)
class Slice:
    """right: share of the labelled messages where people agreed with the model."""

    language: str
    length: str
    judged: int
    refused: float | None
    confidence: float | None
    labelled: int
    right: float | None


@dataclass(frozen=True, slots=True)
class AssistLine:
    """What became of the suggestions for one intent."""

    intent: str
    shown: int
    accepted: int
    edited: int
    rejected: int
    stale: int
    changed_share: float | None

    @property
    def used(self) -> float | None:
        """Share of settled suggestions that were sent, changed or not."""
        settled = self.accepted + self.edited + self.rejected
        return (self.accepted + self.edited) / settled if settled else None


def weeks(*, now: datetime) -> list[Week]:
    """Return the last weeks, newest first, without those in which nothing was judged. Four queries."""
    since = now - timedelta(weeks=WEEKS)
    judged = Message.objects.filter(author=Author.VISITOR, intent_version__isnull=False, sent_at__gte=since).annotate(week=TruncWeek("sent_at")).order_by()
    counts = {
        row["week"].date(): row
        for row in judged.values("week").annotate(number=Count("pk"), sure=Avg("confidence"), refused=Count("pk", filter=Q(in_scope=False)))
    }
    mix: dict[date, Counter[str]] = defaultdict(Counter)
    for week, intent, number in judged.filter(in_scope=True).values_list("week", "intent").annotate(number=Count("pk")):
        mix[week.date()][intent] = number
    said: dict[date, Counter[str]] = defaultdict(Counter)
    bot = Message.objects.filter(author=Author.BOT, sent_at__gte=since).annotate(week=TruncWeek("sent_at")).order_by()
    for week, kind, number in bot.values_list("week", "kind").annotate(number=Count("pk")):
        said[week.date()][kind] = number
    labels: dict[date, Counter[str]] = defaultdict(Counter)
    looked_at = judged.filter(example__isnull=False).values_list("week").annotate(number=Count("pk"), right=Count("pk", filter=_AGREED))
    for week, number, right in looked_at:
        labels[week.date()].update(labelled=number, right=right)
    found = []
    for monday in sorted(counts, reverse=True):
        row = counts[monday]
        before: Counter[str] = sum((mix[other] for other in mix if other < monday), Counter())
        drift = stability(before, mix[monday])
        found.append(
            Week(
                monday=monday,
                judged=row["number"],
                confidence=row["sure"],
                refused=row["refused"] / row["number"] if row["number"] else None,
                answers=said[monday]["answer"],
                questions=said[monday]["clarify"],
                handovers=said[monday]["handover"],
                labelled=labels[monday]["labelled"],
                corrected=labels[monday]["labelled"] - labels[monday]["right"],
                drift=drift,
                tone="neutral" if drift is None else "danger" if drift >= SHIFTED else "warning" if drift >= SHIFTING else "success",
            )
        )
    return found


def stability(before: "Counter[str]", after: "Counter[str]") -> float | None:
    """Return the population stability index of two mixes, each smoothed by half a message per intent; None for small ones."""
    if before.total() < FEWEST or after.total() < FEWEST:
        return None
    names = set(before) | set(after)
    old, new = (before.total() + 0.5 * len(names)), (after.total() + 0.5 * len(names))
    shares = [((before[name] + 0.5) / old, (after[name] + 0.5) / new) for name in names]
    return sum((b - a) * log(b / a) for a, b in shares)


def slices(*, now: datetime) -> list[Slice]:
    """Return live messages by language and length, over the same weeks. One query."""
    length = Case(
        *(When(language=language, letters__lte=limit, then=Value("short")) for language, limit in SHORT.items()),
        *(When(language=language, letters__lte=limit, then=Value("medium")) for language, limit in LONG.items()),
        default=Value("long"),
        output_field=CharField(),
    )
    rows = (
        Message.objects.filter(author=Author.VISITOR, intent_version__isnull=False, sent_at__gte=now - timedelta(weeks=WEEKS), language__in=list(SHORT))
        .annotate(letters=Length("text"))
        .annotate(length=length)
        .order_by()
        .values("language", "length")
        .annotate(
            number=Count("pk"),
            refused=Count("pk", filter=Q(in_scope=False)),
            sure=Avg("confidence"),
            labelled=Count("example"),
            right=Count("example", filter=_AGREED),
        )
    )
    order = list(LENGTHS)
    return [
        Slice(
            row["language"],
            row["length"],
            row["number"],
            row["refused"] / row["number"],
            row["sure"],
            row["labelled"],
            row["right"] / row["labelled"] if row["labelled"] else None,
        )
        for row in sorted(rows, key=lambda row: (row["language"], order.index(row["length"])))
    ]


def assist() -> list[AssistLine]:
    """Return what became of suggestions, by intent, the most shown first. One query."""
    rows = (
        Suggestion.objects.order_by()
        .values("intent")
        .annotate(
            number=Count("pk"),
            accepted=Count("pk", filter=Q(outcome="accepted")),
            edited=Count("pk", filter=Q(outcome="edited")),
            rejected=Count("pk", filter=Q(outcome="rejected")),
            stale=Count("pk", filter=Q(outcome="stale")),
            changed=Avg("changed_share"),
        )
        .order_by("-number", "intent")
    )
    return [AssistLine(row["intent"], row["number"], row["accepted"], row["edited"], row["rejected"], row["stale"], row["changed"]) for row in rows[:40]]


def unanswered_intents(*, viewer: object, now: datetime) -> list[tuple[str, int]]:
    """Return (intent, conversations) handed over for want of an article in the last weeks, the commonest first. One query."""
    found = teams.conversations_for(viewer).filter(handover_reason="no_article", handed_over_at__gte=now - timedelta(weeks=WEEKS))  # type: ignore[arg-type]
    asked = Message.objects.filter(conversation__in=found, author=Author.VISITOR, in_scope=True).exclude(intent="")
    rows = asked.order_by().values("intent").annotate(number=Count("conversation", distinct=True)).order_by(F("number").desc(), "intent")
    return [(row["intent"], row["number"]) for row in rows[:20]]
