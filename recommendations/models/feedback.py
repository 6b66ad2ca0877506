"""What happened to a recommendation: shown, clicked, bought, refused; read by the next training."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models import Customer, Product


class FeedbackKind(models.TextChoices):
    SHOWN = "shown", _("Shown")
    CLICKED = "clicked", _("Clicked")
    BOUGHT = "bought", _("Bought")
    DISMISSED = "dismissed", _("Not for this customer")


class RecommendationFeedback(models.Model):
    """One labelled row. origin: where it was shown (shop, campaign:12, staff)."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="recommendation_feedback", verbose_name=_("customer"))
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+", verbose_name=_("product"))
    kind = models.CharField(_("what"), max_length=10, choices=FeedbackKind.choices)
    origin = models.CharField(_("where"), max_length=40)
    model_version = models.PositiveIntegerField(_("model version"), default=0)
    external_id = models.CharField(max_length=100, blank=True, help_text="Sender's id; a repeat is stored once")
    at = models.DateTimeField(_("at"))

    class Meta:
        verbose_name = _("recommendation feedback")
        verbose_name_plural = _("recommendation feedback")
        ordering = ["-at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["customer", "product", "kind", "external_id"], condition=~models.Q(external_id=""), name="feedback_unique"),
        ]
        indexes = [models.Index(fields=["customer", "product", "-at"], name="feedback_pair")]

    def __str__(self) -> str:
        return f"{self.kind} {self.product_id}"
