"""The whole portrait of one person, ready to print, and the list of everything in it that can be answered to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from crm.core import charts, formats
from crm.core.charts import Chart
from crm.core.events import publish
from crm.core.models import User
from crm.core.registries import MoodLine, mood_sources
from customers.events import ParagraphWanted
from customers.models import Customer, Portrait
from customers.portrait_words import Reason, Words, words
from customers.portrayal import advice, changes, feedback, narrative, reviews, risk, statements, tastes
from customers.portrayal.feedback import Answer
from customers.portrayal.reviews import ReviewsTold

NO_ANSWER = Answer()


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the portrait says, with what people answered. code: as in PortraitFeedback.statement."""

    code: str
    text: str
    answer: Answer
    sign: str = ""
    shown: str = ""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """A statement with its answers; badge: the model's title and version in words; model_url: its page."""

    statement: statements.Statement
    answer: Answer
    model: str
    model_url: str


@dataclass(frozen=True, slots=True)
class PortraitCard:
    """level: the share of customers the intervals are meant to hold.  has_scores: any model has spoken at all."""

    row: Portrait
    paragraph: narrative.Paragraph
    lines: Sequence[StatementLine]
    chances: Sequence[tuple[str, str, float]]
    risk: risk.Explanation | None
    risk_reasons: Sequence[Claim]
    stage_reasons: Sequence[Claim]
    value: Chart | None
    tastes: Sequence[tuple[tastes.Taste, Claim]]
    from_browsing: bool
    moods: Sequence[MoodLine]
    reviews: ReviewsTold
    changes: changes.Changes
    advice: advice.Advice
    advice_claim: Claim
    level: str
    is_late: bool

    @property
    def churn_version(self) -> int:
        """The version of the churn model behind the risk, 0 for the stated baseline."""
        return int((self.row.versions or {}).get("churn", 0) or 0)

    @property
    def mood_number(self) -> str:
        """The mood of the reviews as a number from −1 to 1."""
        # Adding zero turns a rounded −0.0 into 0.0.
        return formats.MISSING if self.row.sentiment is None else formats.number(round(self.row.sentiment, 1) + 0.0, 1)

    @property
    def disagreed(self) -> bool:
        """Whether the viewer answered to a reason of the risk, so that the list of them stays open."""
        return any(claim.answer.verdict for claim in self.risk_reasons)


def portrait_card(*, customer: Customer, viewer: User | None, reachable: Mapping[str, bool], at: datetime) -> PortraitCard | None:
    """Return the portrait, None where there is none or profiling is refused.

    viewer: whose answers are shown; None for programs.  Queries: answers, names of categories, reasons kept apart from the
    row, and one per source of moods; none of them depends on the length of the history.
    """
    row: Portrait | None = getattr(customer, "portrait", None)
    if row is None or customer.profiling_refused:
        return None
    said = feedback.answers(customer_id=customer.pk, user=viewer) if viewer is not None else {}
    told = words(row)
    claims = statements.of(row)
    found = tastes.tastes_of(row)
    since = changes.since_last_month(row)
    today = timezone.localtime(at).date()
    step = advice.next_step(customer=customer, row=row, reachable=reachable, today=today)
    rest = risk.worked_out(row, task="churn") if row.p_churn is not None and not (row.reasons or {}).get("churn") else []
    why = risk.explain(row, task="churn", total=row.p_churn, title=_("Risk of losing them"), rest=rest)
    facts = narrative.facts_of(
        customer=customer, claims=claims, risk=why, tastes=[(taste.code, taste.text) for taste in found.lines], changes=since, advice=step
    )
    return PortraitCard(
        row=row,
        paragraph=narrative.paragraph(facts, ask=lambda: publish(ParagraphWanted(customer.pk, get_language() or "en"))),
        lines=[StatementLine(claim, said.get(claim.code, NO_ANSWER), _model(claim), reverse("core:model", args=[claim.task])) for claim in claims],
        chances=statements.stage_chances(row),
        risk=why,
        risk_reasons=[Claim(f"churn.{step.code}", step.text, said.get(f"churn.{step.code}", NO_ANSWER), step.sign, step.shown) for step in why.steps]
        if why
        else [],
        stage_reasons=[Claim(f"stage.{reason.code}", reason.text, said.get(f"stage.{reason.code}", NO_ANSWER)) for reason in told.stage],
        value=_value(row, told),
        tastes=[(taste, Claim(f"tastes.{taste.code}", taste.text, said.get(f"tastes.{taste.code}", NO_ANSWER))) for taste in found.lines],
        from_browsing=found.from_browsing,
        moods=_moods(customer, at),
        reviews=reviews.told(customer.pk, at=at) if row.reviews_count else ReviewsTold(),
        changes=since,
        advice=step,
        advice_claim=Claim(f"advice.{step.code}", step.text, said.get(f"advice.{step.code}", NO_ANSWER)),
        level=formats.percent(statements.interval_level(row)),
        is_late=statements.is_overdue(row, today),
    )


def answerable(card: PortraitCard) -> dict[str, Mapping[str, object]]:
    """Return everything one may answer to, by code, with the figures or words that were shown."""
    shown: dict[str, Mapping[str, object]] = {line.statement.code: line.statement.said for line in card.lines}
    for claim in [*card.risk_reasons, *card.stage_reasons, *(claim for _taste, claim in card.tastes), card.advice_claim]:
        shown[claim.code] = {"text": claim.text, **({"effect": claim.shown} if claim.shown else {})}
    return shown


def _model(claim: statements.Statement) -> str:
    return _("version %(n)s") % {"n": claim.version} if claim.version else _("no trained model")


def _value(row: Portrait, told: Words) -> Chart | None:
    """Return what the value is made of, as steps that add up to it."""
    reasons: tuple[Reason, ...] = told.value
    if row.value_365 is None or not reasons:
        return None
    base, *steps = reasons
    return charts.waterfall(
        base=base.effect or 0.0,
        base_label=base.text,
        reasons=[(reason.text, reason.effect or 0.0) for reason in steps],
        total=float(row.value_365),
        total_label=_("Value in 12 months"),
        title=_("What the value is made of"),
        better="up",
        show=charts.as_money(row.currency or "CNY"),
    )


def _moods(customer: Customer, at: datetime) -> list[MoodLine]:
    """Return what other apps know of the person's mood, such as chats; one query each."""
    return [line for source in mood_sources.values() if (line := source(customer.pk, at)) is not None]
