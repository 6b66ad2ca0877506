"""Lists as the last training or refresh left them; read at once, filtered for stock on the way out."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models import Customer, Product


class CustomerRecommendation(models.Model):
    """One product for one customer. reason: {"code": "bought_with", "product_id": …} | {"code": "popular"}."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="recommendations", verbose_name=_("customer"))
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+", verbose_name=_("product"))
    rank = models.PositiveSmallIntegerField(_("rank"))
    score = models.FloatField(_("score"))
    reason = models.JSONField(_("reason"), default=dict)
    model_version = models.PositiveIntegerField(_("model version"), default=0, help_text=_("0: popularity baseline"))
    computed_at = models.DateTimeField(_("computed"))

    class Meta:
        verbose_name = _("recommendation")
        verbose_name_plural = _("recommendations")
        ordering = ["customer", "rank"]
        constraints = [models.UniqueConstraint(fields=["customer", "product"], name="recommendation_unique")]
        indexes = [models.Index(fields=["customer", "rank"], name="recommendation_rank")]

    def __str__(self) -> str:
        return f"{self.customer_id} #{self.rank}: {self.product_id}"


class ProductRecommendation(models.Model):
    """A product often bought by those who bought `product`."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="related", verbose_name=_("product"))
    other = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="+", verbose_name=_("goes with"))
    rank = models.PositiveSmallIntegerField(_("rank"))
    score = models.FloatField(_("score"))
    together = models.PositiveIntegerField(_("bought together"), default=0)
    model_version = models.PositiveIntegerField(_("model version"), default=0)
    computed_at = models.DateTimeField(_("computed"))

    class Meta:
        verbose_name = _("related product")
        verbose_name_plural = _("related products")
        ordering = ["product", "rank"]
        constraints = [models.UniqueConstraint(fields=["product", "other"], name="related_unique")]

    def __str__(self) -> str:
        return f"{self.product_id} → {self.other_id}"
