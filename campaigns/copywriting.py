"""Drafts of subject and body in each language, from the goal, the audience and catalogue facts, checked before anyone sees them.

The generator is reached through crm.core.llm.client. What it writes is stored as a CopyDraft with the facts it had and
the faults found; a draft with faults is blocked and says why. Nothing here puts a text into a campaign by itself.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from campaigns import facts as facts_of
from campaigns import merge, sentences
from campaigns.errors import CampaignNotDraft
from campaigns.events import DraftWanted
from campaigns.facts import Facts, Fault
from campaigns.models import Campaign, CampaignState, CampaignText, CopyDraft, DraftOutcome
from crm.core import audit, jobs
from crm.core.errors import NotFound
from crm.core.events import publish
from crm.core.llm import client
from crm.core.llm.backends import Backend
from crm.core.llm.client import Generated
from crm.core.llm.schemas import Field, Schema
from crm.core.models import Job, User

logger = logging.getLogger(__name__)
PROMPT = "campaigns/email_copy"
LANGUAGES = ("en", "zh-hans")
NAMES = {"en": "English", "zh-hans": "Simplified Chinese, addressing the reader as 您"}
COPY = Schema(
    "email_copy",
    (
        Field("subject", "One line of at most 60 characters, no exclamation marks, no emoji", 120),
        Field("body", "Plain text, paragraphs separated by a blank line, 60 to 160 words; merge fields in double curly brackets", 4000),
    ),
)


def request(*, campaign_id: int, actor: User | None, now: datetime) -> Job:
    """Ask for drafts in every language; the job's task writes them. Raises CampaignNotDraft."""
    with transaction.atomic():
        campaign = Campaign.objects.get(pk=campaign_id)
        if campaign.state != CampaignState.DRAFT:
            raise CampaignNotDraft
        job = jobs.start(kind="campaign.draft", title=campaign.name, created_by=actor, params={"campaign_id": campaign_id}, total=len(LANGUAGES))
        audit.record(actor=actor, action="campaign.draft_texts", target=campaign)
        publish(DraftWanted(campaign_id=campaign_id, job_id=job.pk, at=now, cause="staff"))
    return job


def draft(*, campaign: Campaign, language: str, at: datetime, backend: Backend | None = None) -> CopyDraft:
    """Write, check and store one draft; older offered drafts of that language become stale. backend: for tests."""
    facts = facts_of.gather(campaign=campaign, at=at)
    earlier = CopyDraft.objects.filter(campaign=campaign, language=language).count()
    written = client.generate(
        prompt=PROMPT,
        facts={**facts.as_json(language), "language": NAMES[language], "merge_fields": ["{{ " + name + " }}" for name in merge.FIELDS]},
        quoted={"goal": facts.goal},
        schema=COPY,
        compose=lambda: compose(facts=facts, language=language, number=campaign.pk + earlier),
        backend=backend,
    )
    return _store(campaign, language, facts, written, at)


def compose(*, facts: Facts, language: str, number: int) -> Mapping[str, object]:
    """Return subject and body put together from facts alone. number: picks among the alternatives, so a redraft differs."""
    theme = sentences.THEMES[language][sentences.theme_of(facts.goal, facts.segment)]

    def pick(options: Sequence[str]) -> str:
        return options[number % len(options)]

    paragraphs = [sentences.GREETING[language], pick(theme.openings)]
    offer = _offer(facts, language)
    if offer:
        paragraphs.append(offer)
    named = _products(facts, language, number)
    if named:
        paragraphs.append(pick(sentences.PRODUCTS[language]).format(products=named))
    paragraphs += [sentences.PICKS[language], "{{ recommendations }}", pick(theme.closings), sentences.SIGNATURE[language]]
    return {"subject": pick(theme.subjects), "body": "\n\n".join(paragraphs)}


def use(*, draft_id: int, actor: User | None) -> CopyDraft:
    """Put an offered draft into its campaign; the text stays marked as model-written until a person edits or approves it.

    Raises NotFound for a blocked or spent draft and CampaignNotDraft.
    """
    with transaction.atomic():
        offered = CopyDraft.objects.select_for_update(of=("self",)).select_related("campaign").filter(pk=draft_id, outcome=DraftOutcome.OFFERED).first()
        if offered is None:
            raise NotFound
        campaign = Campaign.objects.select_for_update(of=("self",)).get(pk=offered.campaign_id)
        if campaign.state != CampaignState.DRAFT:
            raise CampaignNotDraft
        CampaignText.objects.update_or_create(
            campaign=campaign,
            language=offered.language,
            defaults={"subject": offered.subject, "body": offered.body, "origin": offered.origin, "is_approved": False},
        )
        campaign.version += 1
        campaign.save(update_fields=["version", "updated_at"])
        offered.outcome = DraftOutcome.USED
        offered.save(update_fields=["outcome"])
        audit.record(actor=actor, action="campaign.use_draft", target=campaign, data={"language": offered.language, "origin": offered.origin})
    return offered


def dismiss(*, draft_id: int) -> CopyDraft:
    """Put a draft away; kept as a label that people did not want it."""
    found = CopyDraft.objects.filter(pk=draft_id).first()
    if found is None:
        raise NotFound
    CopyDraft.objects.filter(pk=draft_id, outcome__in=[DraftOutcome.OFFERED, DraftOutcome.BLOCKED]).update(outcome=DraftOutcome.DISMISSED)
    return found


def _store(campaign: Campaign, language: str, facts: Facts, written: Generated, at: datetime) -> CopyDraft:
    subject, body = written.text("subject")[:200], written.text("body")
    faults = list(facts_of.check(subject=subject, body=body, facts=facts)) + _field_faults(subject, body)
    with transaction.atomic():
        CopyDraft.objects.filter(campaign=campaign, language=language, outcome__in=[DraftOutcome.OFFERED, DraftOutcome.BLOCKED]).update(
            outcome=DraftOutcome.STALE
        )
        stored = CopyDraft.objects.create(
            campaign=campaign,
            language=language,
            subject=subject,
            body=body,
            origin=written.origin,
            prompt_version=written.prompt_version,
            note=str(written.note)[:300],
            facts=facts.as_json(language),
            faults=[{"code": fault.code, "text": fault.text} for fault in faults],
            outcome=DraftOutcome.BLOCKED if faults else DraftOutcome.OFFERED,
            seconds=round(written.seconds, 3),
            created_at=at,
        )
    logger.info("campaign text drafted", extra={"campaign": campaign.pk, "language": language, "origin": written.origin, "faults": len(faults)})
    return stored


def _field_faults(subject: str, body: str) -> list[Fault]:
    faults: list[Fault] = []
    for text, is_subject in ((subject, True), (body, False)):
        try:
            merge.parse(text, subject=is_subject)
        except (merge.UnknownField, merge.MalformedField) as error:
            faults.append(Fault("field_unknown", str(error.data.get("field") or error.data.get("place") or "")[:60]))
    return faults


def _offer(facts: Facts, language: str) -> str:
    """Return the sentence about the one discount the goal states; with several, none: which one is meant is a guess."""
    stated = sorted(facts.offer_percents)
    if len(stated) != 1 or len(facts.codes) > 1:
        return ""
    percent = format(stated[0].normalize(), "f")
    if facts.codes:
        return sentences.OFFER_WITH_CODE[language].format(code=facts.codes[0], percent=percent)
    return sentences.OFFER[language].format(percent=percent)


def _products(facts: Facts, language: str, number: int) -> str:
    """Return up to three products in words, starting at another one for each draft."""
    if not facts.products:
        return ""
    start = number % len(facts.products)
    chosen = (facts.products[start:] + facts.products[:start])[:3]
    words = [_priced(product.name_in(language), product.price_in(language), language) for product in chosen]
    comma, last = sentences.JOINED[language]
    return words[0] if len(words) == 1 else f"{comma.join(words[:-1])}{last}{words[-1]}"


def _priced(name: str, price: str, language: str) -> str:
    return sentences.NAMED[language].format(name=name) + (sentences.PRICED[language].format(price=price) if price else "")
