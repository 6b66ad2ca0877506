"""What the generator wrote, with the facts it had and the verdict on them; kept as labels of what people accept."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.campaign import Campaign


class DraftOutcome(models.TextChoices):
    OFFERED = "offered", _("Offered")
    BLOCKED = "blocked", _("Blocked by the fact check")
    USED = "used", _("Used")
    DISMISSED = "dismissed", _("Dismissed")
    STALE = "stale", _("Overtaken by a newer draft")


class CopyDraft(models.Model):
    """One generated subject and body. faults: [{"code": "price_unknown", "text": "¥12"}], empty when every fact holds."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="drafts", verbose_name=_("campaign"))
    language = models.CharField(_("language"), max_length=16)
    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("text"))
    origin = models.CharField(_("written by"), max_length=80, help_text=_("composer:1, or the model's name"))
    prompt_version = models.CharField(_("prompt version"), max_length=40, blank=True)
    note = models.CharField(_("note"), max_length=300, blank=True)
    facts = models.JSONField(_("facts given"), default=dict)
    faults = models.JSONField(_("faults found"), default=list)
    outcome = models.CharField(_("outcome"), max_length=10, choices=DraftOutcome.choices, default=DraftOutcome.OFFERED)
    seconds = models.FloatField(_("seconds"), default=0)
    created_at = models.DateTimeField(_("written"))

    class Meta:
        verbose_name = _("generated draft")
        verbose_name_plural = _("generated drafts")
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["campaign", "language", "-created_at"], name="copydraft_latest")]

    def __str__(self) -> str:
        return self.subject
