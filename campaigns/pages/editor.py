"""What the editor prints: texts by language, suggested copy, the audience beside them."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils.translation import gettext as _

from campaigns import audiences, facts, merge, preflight
from campaigns.audiences import Audience, Drop
from campaigns.copywriting import LANGUAGES
from campaigns.models import Campaign, CampaignText, CopyDraft, DraftOutcome
from campaigns.pages.finding import find
from campaigns.preflight import LANGUAGE_NAMES, Finding
from crm.core.models import Job
from crm.core.models.jobs import JobState
from customers.models import Segment


@dataclass(frozen=True, slots=True)
class TextTab:
    """One language in the editor. subject and body as stored, or as typed when a save failed."""

    language: str
    label: str
    subject: str
    body: str
    is_written: bool
    is_model_text: bool
    origin: str
    error: str = ""

    @property
    def html_lang(self) -> str:
        return "zh-Hans" if self.language.startswith("zh") else self.language


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A draft on offer, or blocked with its faults."""

    draft: CopyDraft
    label: str
    html_lang: str
    is_blocked: bool
    is_composed: bool
    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """campaigns/edit.html#suggestions. job: the generator at work, None when it is not."""

    campaign_id: int
    job: Job | None
    suggestions: tuple[Suggestion, ...]
    generator: str


@dataclass(frozen=True, slots=True)
class EditorPage:
    """campaigns/edit.html."""

    campaign: Campaign
    segments: tuple[Segment, ...]
    tabs: tuple[TextTab, ...]
    merge_fields: tuple[merge.MergeField, ...]
    suggestions: Suggestions
    conflict: bool = False
    error: str = ""


def editor_page(
    *, campaign_id: int, typed: dict[str, tuple[str, str]] | None = None, errors: dict[str, str] | None = None, conflict: bool = False
) -> EditorPage:
    """Return the editor. Five queries. typed, errors: per language what a failed save held. Raises NotFound."""
    campaign = find(campaign_id)
    stored = {text.language: text for text in campaign.texts.all()}
    return EditorPage(
        campaign=campaign,
        segments=tuple(Segment.objects.order_by("name", "pk")),
        tabs=tuple(_tab(language, stored.get(language), (typed or {}).get(language), (errors or {}).get(language, "")) for language in LANGUAGES),
        merge_fields=tuple(merge.FIELDS.values()),
        suggestions=suggestions(campaign_id=campaign_id),
        conflict=conflict,
    )


def _tab(language: str, stored: CampaignText | None, typed: tuple[str, str] | None, error: str) -> TextTab:
    subject, body = typed or ((stored.subject, stored.body) if stored else ("", ""))
    return TextTab(
        language=language,
        label=str(LANGUAGE_NAMES[language]),
        subject=subject,
        body=body,
        is_written=stored is not None,
        is_model_text=stored is not None and not stored.is_approved,
        origin=stored.origin if stored else "",
        error=error,
    )


def suggestions(*, campaign_id: int) -> Suggestions:
    """Return what the generator has to offer. Two queries."""
    rows = CopyDraft.objects.filter(campaign_id=campaign_id, outcome__in=[DraftOutcome.OFFERED, DraftOutcome.BLOCKED]).order_by("language", "-pk")
    job = Job.objects.filter(kind="campaign.draft", params__campaign_id=campaign_id, state__in=[JobState.WAITING, JobState.RUNNING]).order_by("-pk").first()
    return Suggestions(campaign_id, job, tuple(_suggestion(draft) for draft in rows), settings.CRM_GENERATOR)


def _suggestion(draft: CopyDraft) -> Suggestion:
    return Suggestion(
        draft=draft,
        label=str(LANGUAGE_NAMES.get(draft.language, draft.language)),
        html_lang="zh-Hans" if draft.language.startswith("zh") else draft.language,
        is_blocked=draft.outcome == DraftOutcome.BLOCKED,
        is_composed=draft.origin.startswith("composer:"),
        faults=tuple((str(facts.Fault(fault["code"], fault["text"]).label), str(fault["text"])) for fault in draft.faults),
    )


@dataclass(frozen=True, slots=True)
class AudiencePanel:
    """campaigns/audience.html: matched -> contactable -> after holdout, and the pre-flight list."""

    campaign: Campaign
    audience: Audience
    steps: tuple[tuple[str, int], ...]
    drops: tuple[Drop, ...]
    languages: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]
    can_send: bool
    type_name: bool
    at: datetime


def audience_panel(*, campaign: Campaign, at: datetime) -> AudiencePanel:
    """Return who would be reached at `at` and what stands in the way. At most five queries beside the campaign's own."""
    texts = list(campaign.texts.all())
    audience = audiences.plan(campaign=campaign, at=at, languages=[text.language for text in texts if text.is_approved])
    findings = preflight.check(campaign=campaign, audience=audience, texts=texts)
    return AudiencePanel(
        campaign=campaign,
        audience=audience,
        steps=((_("In the segment"), audience.matched), (_("Can be written to"), audience.contactable), (_("After holdout"), audience.to_send)),
        drops=audience.drops,
        languages=tuple((str(LANGUAGE_NAMES.get(language, language)), count) for language, count in audience.by_language if language),
        findings=findings,
        can_send=not any(finding.is_blocking for finding in findings),
        type_name=audience.to_send > settings.CRM_SEND_CONFIRM_ABOVE,
        at=at,
    )
