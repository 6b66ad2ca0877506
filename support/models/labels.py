"""Labelled utterances: what the intent classifier learns from, each with its origin."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from support.models.conversation import Message

# The label of messages no intent fits.
OUT_OF_SCOPE = "out_of_scope"


class ExampleOrigin(models.TextChoices):
    SHIPPED = "shipped", _("Shipped with the product")
    CORRECTION = "correction", _("Agent's correction")
    CONFIRMED = "confirmed", _("Confirmed by an agent")
    ADDED = "added", _("Added by hand")


class IntentExample(models.Model):
    """One utterance with its label."""

    text = models.TextField(_("text"))
    label = models.CharField(_("intent"), max_length=60)
    language = models.CharField(_("language"), max_length=16)
    origin = models.CharField(_("origin"), max_length=12, choices=ExampleOrigin.choices)
    message = models.OneToOneField(Message, on_delete=models.CASCADE, null=True, blank=True, related_name="example", verbose_name=_("message"))
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("by"))
    created_at = models.DateTimeField(_("added"))

    class Meta:
        verbose_name = _("intent example")
        verbose_name_plural = _("intent examples")
        ordering = ["label", "id"]
        indexes = [models.Index(fields=["label", "language"], name="example_label")]

    def __str__(self) -> str:
        return f"{self.label}: {self.text[:40]}"
