"""What people do: every tracking call becomes one row, exactly once per message id."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Source
from customers.models.catalogue import Product
from customers.models.customer import Customer


class ActivityKind(models.TextChoices):
    TRACK = "track", _("Event")
    PAGE = "page", _("Page")
    SCREEN = "screen", _("Screen")
    IDENTIFY = "identify", _("Identify")
    GROUP = "group", _("Group")
    ALIAS = "alias", _("Alias")


class Activity(models.Model):
    """One tracking call. occurred_at is corrected for the sender's clock; the sent times are kept beside it."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="activities", verbose_name=_("source"))
    message_id = models.CharField(_("message id"), max_length=100)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, null=True, blank=True, related_name="activities", verbose_name=_("customer"))
    kind = models.CharField(_("kind"), max_length=10, choices=ActivityKind.choices)
    name = models.CharField(_("name"), max_length=200, blank=True)
    product = models.ForeignKey(Product, on_delete=models.SET_NULL, null=True, blank=True, related_name="activities", verbose_name=_("product"))
    properties = models.JSONField(_("properties"), default=dict, blank=True)
    context = models.JSONField(_("context"), default=dict, blank=True)
    occurred_at = models.DateTimeField(_("happened"))
    received_at = models.DateTimeField(_("received"))
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    original_at = models.DateTimeField(_("sender's time"), null=True, blank=True)

    class Meta:
        verbose_name = _("activity")
        verbose_name_plural = _("activities")
        ordering = ["-occurred_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["source", "message_id"], name="activity_unique")]
        indexes = [
            # With what features read of a row, so that a range of customers is read from the index alone: their rows lie all
            # over the table, which is in the order of time.  At 20 million rows 50,000 customers took 53 s without, 3 s with it.
            models.Index(fields=["customer", "-occurred_at"], include=["name", "kind", "product"], name="activity_of_customer"),
            models.Index(fields=["name", "-occurred_at"], name="activity_by_name"),
            models.Index(fields=["-occurred_at", "-id"], name="activity_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


class QuarantinedEvent(models.Model):
    """An event that could not be taken in, kept with its reason so that a person can mend the sender."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="quarantined", verbose_name=_("source"))
    message_id = models.CharField(_("message id"), max_length=100, blank=True)
    code = models.CharField(_("code"), max_length=40)
    reason = models.CharField(_("reason"), max_length=300)
    payload = models.TextField(_("payload"), help_text=_("As received, cut at 32 kB"))
    received_at = models.DateTimeField(_("received"))

    class Meta:
        verbose_name = _("quarantined event")
        verbose_name_plural = _("quarantined events")
        ordering = ["-received_at", "-id"]
        indexes = [models.Index(fields=["source", "-received_at"], name="quarantine_by_source")]

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"
