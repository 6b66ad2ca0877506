"""Writing a campaign: create, change under a version check, approve, duplicate, delete."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from campaigns import merge
from campaigns.errors import CampaignChanged, CampaignNotDraft
from campaigns.models import Campaign, CampaignState, CampaignText
from crm.core import audit
from crm.core.errors import NotFound
from crm.core.models import User

# What a person may set in the editor.
FIELDS = ("name", "goal", "segment_id", "holdout_percent", "attribution_days", "with_recommendations")


@dataclass(frozen=True, slots=True)
class Written:
    """Subject and body of one language as typed; both empty: no text in that language."""

    subject: str
    body: str

    @property
    def is_empty(self) -> bool:
        return not self.subject.strip() and not self.body.strip()


def create(*, actor: User | None, name: str = "", segment_id: int | None = None, goal: str = "") -> Campaign:
    """Return a new draft."""
    with transaction.atomic():
        campaign = Campaign.objects.create(name=name.strip()[:120] or _("New campaign"), goal=goal[:300], segment_id=segment_id, created_by=actor)
        audit.record(actor=actor, action="campaign.create", target=campaign)
    return campaign


def change(*, campaign_id: int, version: int, values: Mapping[str, object], texts: Mapping[str, Written], actor: User | None) -> Campaign:
    """Store what was typed and return the campaign with its new version.

    version: the one the form was opened with. A text that was edited counts as a person's own; one left as the model
    wrote it stays unapproved. Raises CampaignChanged, CampaignNotDraft, UnknownField or MalformedField; then nothing is
    stored.
    """
    for text in texts.values():
        if not text.is_empty:
            merge.parse(text.subject, subject=True)
            merge.parse(text.body)
    with transaction.atomic():
        campaign = _locked_draft(campaign_id)
        if campaign.version != version:
            raise CampaignChanged(version=campaign.version)
        changed = [name for name in FIELDS if name in values and getattr(campaign, name) != values[name]]
        for name in changed:
            setattr(campaign, name, values[name])
        changed += [f"text.{language}" for language, text in texts.items() if _write(campaign, language, text)]
        if changed:
            campaign.version += 1
            campaign.save()
            audit.record(actor=actor, action="campaign.change", target=campaign, data={"changed": changed})
    return campaign


def approve(*, campaign_id: int, language: str, actor: User | None) -> None:
    """Take responsibility for a text a model wrote. Raises NotFound or CampaignNotDraft."""
    with transaction.atomic():
        campaign = _locked_draft(campaign_id)
        if not CampaignText.objects.filter(campaign=campaign, language=language).update(is_approved=True):
            raise NotFound
        campaign.version += 1
        campaign.save(update_fields=["version", "updated_at"])
        audit.record(actor=actor, action="campaign.approve_text", target=campaign, data={"language": language})


def duplicate(*, campaign_id: int, actor: User | None) -> Campaign:
    """Return a new draft with the same settings and texts; a new draw decides who is held out."""
    with transaction.atomic():
        original = Campaign.objects.prefetch_related("texts").get(pk=campaign_id)
        copy = Campaign.objects.create(
            name=_("%(name)s (copy)") % {"name": original.name[:110]},
            created_by=actor,
            **{field: getattr(original, field) for field in FIELDS if field != "name"},
        )
        CampaignText.objects.bulk_create(
            [
                CampaignText(campaign=copy, language=text.language, subject=text.subject, body=text.body, origin=text.origin, is_approved=text.is_approved)
                for text in original.texts.all()
            ]
        )
        audit.record(actor=actor, action="campaign.duplicate", target=copy, data={"original": original.pk})
    return copy


def delete(*, campaign_id: int, actor: User | None) -> None:
    """Delete a draft; anything that was sent stays as a record. Raises CampaignNotDraft."""
    with transaction.atomic():
        campaign = _locked_draft(campaign_id)
        audit.record(actor=actor, action="campaign.delete", target=campaign)
        campaign.delete()


def _locked_draft(campaign_id: int) -> Campaign:
    campaign = Campaign.objects.select_for_update(of=("self",)).filter(pk=campaign_id).first()
    if campaign is None:
        raise NotFound
    if campaign.state != CampaignState.DRAFT:
        raise CampaignNotDraft
    return campaign


def _write(campaign: Campaign, language: str, text: Written) -> bool:
    """Store one language's text; True when it differs from what was there."""
    if text.is_empty:
        return bool(CampaignText.objects.filter(campaign=campaign, language=language).delete()[0])
    # Browsers send line ends as CR LF.
    subject, body = text.subject.strip()[:200], text.body.replace("\r\n", "\n").strip()
    stored = CampaignText.objects.filter(campaign=campaign, language=language).first()
    if stored is not None and stored.subject == subject and stored.body == body:
        return False
    CampaignText.objects.update_or_create(
        campaign=campaign, language=language, defaults={"subject": subject, "body": body, "origin": "staff", "is_approved": True}
    )
    return True
