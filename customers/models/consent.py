"""The consent ledger: append-only rows of what a person allowed or withdrew."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models.customer import Customer


class Channel(models.TextChoices):
    EMAIL = "email", _("E-mail")
    SMS = "sms", _("SMS")
    PUSH = "push", _("Push")
    CHAT = "chat", _("Chat")
    ANY = "any", _("Every channel")


class Purpose(models.TextChoices):
    MARKETING = "marketing", _("Marketing")
    PROFILING = "profiling", _("Profiling and recommendations")
    SERVICE = "service", _("Service messages")


class ConsentState(models.TextChoices):
    GRANTED = "granted", _("Granted")
    WITHDRAWN = "withdrawn", _("Withdrawn")
    BOUNCED = "bounced", _("Address bounced")
    COMPLAINED = "complained", _("Marked as spam")


class ConsentEntry(models.Model):
    """One statement; the latest one per (customer, channel, purpose) holds."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="consents", verbose_name=_("customer"))
    channel = models.CharField(_("channel"), max_length=8, choices=Channel.choices)
    purpose = models.CharField(_("purpose"), max_length=12, choices=Purpose.choices, default=Purpose.MARKETING)
    state = models.CharField(_("state"), max_length=12, choices=ConsentState.choices)
    basis = models.CharField(_("lawful basis"), max_length=40, blank=True)
    wording = models.CharField(_("wording version"), max_length=60, blank=True)
    origin = models.CharField(_("where from"), max_length=60, help_text=_("Such as identify, import, unsubscribe link, staff"))
    proof = models.CharField(_("proof"), max_length=300, blank=True)
    recorded_at = models.DateTimeField(_("recorded"))

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consent ledger")
        ordering = ["-recorded_at", "-id"]
        indexes = [models.Index(fields=["customer", "channel", "purpose", "-recorded_at", "-id"], name="consent_latest")]

    def __str__(self) -> str:
        return f"{self.channel}/{self.purpose}: {self.state}"
