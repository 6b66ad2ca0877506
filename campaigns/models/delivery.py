"""The send ledger and what recipients did."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.campaign import Campaign
from customers.models import Customer, Order, Product


class DeliveryState(models.TextChoices):
    DUE = "due", _("Due")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    UNKNOWN = "unknown", _("Unknown: lost between hand-over and record")
    SKIPPED = "skipped", _("Left out")
    HOLDOUT = "holdout", _("Held out")


class Arm(models.TextChoices):
    """Where the draw put a contactable customer; it never changes afterwards, so both groups stay comparable."""

    TREATED = "treated", _("To be written to")
    HOLDOUT = "holdout", _("Held out")


class Delivery(models.Model):
    """What one campaign owes one customer; unique, so a second send cannot exist.

    not_before: nobody may claim a due row before it (a worker's lease, or the pause before another try).
    claimed_at: when the row went to `sending`; one that stays there too long is swept to `unknown`.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("campaign"))
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("customer"))
    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=DeliveryState.choices, default=DeliveryState.DUE)
    reason = models.CharField(_("why left out or failed"), max_length=60, blank=True)
    address = models.CharField(_("address"), max_length=254, blank=True)
    language = models.CharField(_("language"), max_length=16, blank=True)
    arm = models.CharField(_("group"), max_length=8, choices=Arm.choices, blank=True, help_text=_("Empty for customers left out before the draw"))
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    opened_at = models.DateTimeField(_("opened"), null=True, blank=True)
    clicked_at = models.DateTimeField(_("clicked"), null=True, blank=True)
    unsubscribed_at = models.DateTimeField(_("unsubscribed"), null=True, blank=True)
    order = models.ForeignKey(
        Order,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("order"),
        help_text=_("First order within the attribution window, held-out customers too"),
    )
    product_ids = models.JSONField(default=list, blank=True, help_text="Recommended products printed in this message")

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["campaign", "id"]
        constraints = [models.UniqueConstraint(fields=["campaign", "customer"], name="delivery_once")]
        indexes = [
            models.Index(fields=["campaign", "state"], name="delivery_state"),
            models.Index(fields=["customer", "-sent_at"], name="delivery_customer"),
            models.Index(fields=["claimed_at"], condition=models.Q(state="sending"), name="delivery_in_flight"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id} → {self.customer_id}: {self.state}"


class EngagementKind(models.TextChoices):
    OPENED = "opened", _("Opened")
    CLICKED = "clicked", _("Clicked")
    ORDERED = "ordered", _("Ordered")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")


class Engagement(models.Model):
    """One labelled reaction to one delivery; a repeat of the same reaction is not stored again."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="engagements", verbose_name=_("delivery"))
    kind = models.CharField(_("what"), max_length=12, choices=EngagementKind.choices)
    product = models.ForeignKey(Product, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("product"))
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("engagement")
        verbose_name_plural = _("engagements")
        ordering = ["-at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "kind"], condition=models.Q(product=None), name="engagement_once"),
            models.UniqueConstraint(fields=["delivery", "kind", "product"], condition=models.Q(product__isnull=False), name="engagement_product_once"),
        ]

    def __str__(self) -> str:
        return self.kind
