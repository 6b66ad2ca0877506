"""What the assistant proposed to an agent, and what became of it."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from support.models.conversation import Conversation


class SuggestionOutcome(models.TextChoices):
    SHOWN = "shown", _("Shown")
    ACCEPTED = "accepted", _("Sent as it was")
    EDITED = "edited", _("Sent after changes")
    REJECTED = "rejected", _("Dismissed")
    STALE = "stale", _("Overtaken by a new message")


class Suggestion(models.Model):
    """A suggested reply to a visitor's message. changed_share: edit distance over the longer length when it was sent."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="suggestions", verbose_name=_("conversation"))
    upto_seq = models.PositiveIntegerField(help_text="The visitor's message it answers; a later one makes it stale")
    intent = models.CharField(_("intent"), max_length=60, blank=True)
    language = models.CharField(_("language"), max_length=16)
    text = models.TextField(_("text"))
    source = models.JSONField(default=dict, blank=True, help_text="article, title, version, url")
    origin = models.CharField(max_length=80, default="article", help_text="article, order, or the generator's name")
    outcome = models.CharField(_("outcome"), max_length=8, choices=SuggestionOutcome.choices, default=SuggestionOutcome.SHOWN)
    changed_share = models.FloatField(null=True, blank=True)
    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("agent"))
    shown_at = models.DateTimeField(_("shown"))
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("suggested reply")
        verbose_name_plural = _("suggested replies")
        ordering = ["-shown_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["conversation", "upto_seq", "agent"], name="suggestion_once")]
        indexes = [models.Index(fields=["intent", "outcome"], name="suggestion_report")]

    def __str__(self) -> str:
        return self.text[:40]
