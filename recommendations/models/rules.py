"""What a merchandiser decides over the model's head."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models import Product


class RuleKind(models.TextChoices):
    BLOCK = "block", _("Never recommend")
    BOOST = "boost", _("Show earlier")


class RecommendationRule(models.Model):
    """Block or boost one product everywhere."""

    product = models.OneToOneField(Product, on_delete=models.CASCADE, related_name="recommendation_rule", verbose_name=_("product"))
    kind = models.CharField(_("rule"), max_length=8, choices=RuleKind.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("recommendation rule")
        verbose_name_plural = _("recommendation rules")
        ordering = ["product"]

    def __str__(self) -> str:
        return f"{self.kind} {self.product_id}"
