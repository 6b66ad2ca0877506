"""A one-off send to a segment."""

import secrets

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Job
from customers.models import Segment


class CampaignState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    CANCELLED = "cancelled", _("Stopped")


def draw_seed() -> int:
    """Return a new number for the draw of the held-out group, so that two campaigns leave out different people."""
    return secrets.randbelow(2_147_483_647)


class Campaign(models.Model):
    """One message to one segment. holdout_percent of the audience is left out at random to measure the effect."""

    name = models.CharField(_("name"), max_length=120)
    goal = models.CharField(_("what it is about"), max_length=300, blank=True, help_text=_("A sentence the draft generator starts from"))
    segment = models.ForeignKey(Segment, on_delete=models.PROTECT, related_name="campaigns", null=True, blank=True, verbose_name=_("segment"))
    channel = models.CharField(_("channel"), max_length=8, default="email")
    state = models.CharField(_("state"), max_length=10, choices=CampaignState.choices, default=CampaignState.DRAFT)
    holdout_percent = models.PositiveSmallIntegerField(_("held out, %"), default=10)
    attribution_days = models.PositiveSmallIntegerField(_("orders count for, days"), default=7)
    with_recommendations = models.BooleanField(_("add each customer's recommendations"), default=True)
    seed = models.PositiveIntegerField(_("seed"), default=draw_seed, help_text=_("Fixes who is held out"))
    version = models.PositiveIntegerField(default=1, editable=False)
    job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("job"))
    is_demo = models.BooleanField(default=False, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("created by"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(_("sending began"), null=True, blank=True)
    finished_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        ordering = ["-created_at", "-id"]
        constraints = [models.CheckConstraint(condition=models.Q(holdout_percent__lte=50), name="campaign_holdout_at_most_half")]

    def __str__(self) -> str:
        return self.name


class CampaignText(models.Model):
    """Subject and body in one language. Bodies hold {{ merge_fields }} from a fixed list, nothing executable."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="texts", verbose_name=_("campaign"))
    language = models.CharField(_("language"), max_length=16)
    subject = models.CharField(_("subject"), max_length=200)
    body = models.TextField(_("text"))
    origin = models.CharField(
        _("written by"),
        max_length=80,
        default="staff",
        help_text="staff, composer:1, local:…; model-written text stays marked until a person edits or approves it",
    )
    is_approved = models.BooleanField(_("approved"), default=True)

    class Meta:
        verbose_name = _("campaign text")
        verbose_name_plural = _("campaign texts")
        ordering = ["campaign", "language"]
        constraints = [models.UniqueConstraint(fields=["campaign", "language"], name="campaigntext_unique")]

    def __str__(self) -> str:
        return self.subject
