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
    together = models.PositiveIntegerField(_("bought by the same customers"), default=0)
    model_version = models.PositiveIntegerField(_("model version"), default=0)
    computed_at = models.DateTimeField(_("computed"))

    class Meta:
        verbose_name = _("related product")
        verbose_name_plural = _("related products")
        ordering = ["product", "rank"]
        constraints = [models.UniqueConstraint(fields=["product", "other"], name="related_unique")]

    def __str__(self) -> str:
        return f"{self.product_id} → {self.other_id}"


class PopularProduct(models.Model):
    """The popularity baseline, shared by all who have no list of their own; replaced as a whole at each refresh."""

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True, related_name="+", verbose_name=_("product"))
    rank = models.PositiveSmallIntegerField(_("rank"), db_index=True)
    score = models.FloatField(_("score"), help_text=_("Purchases, recent ones counting more"))
    computed_at = models.DateTimeField(_("computed"))

    class Meta:
        verbose_name = _("popular product")
        verbose_name_plural = _("popular products")
        ordering = ["rank"]

    def __str__(self) -> str:
        return f"#{self.rank}: {self.product_id}"


class ListState(models.Model):
    """One row (id 1): how the lists in these tables came about. fallback: why popularity serves instead of a model."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    model_version = models.PositiveIntegerField(_("model version"), default=0)
    fallback = models.CharField(_("why no model"), max_length=20, blank=True, help_text="'', missing, corrupt, incompatible, too_little")
    customers = models.PositiveIntegerField(_("customers"), default=0)
    as_of = models.DateTimeField(_("facts up to"))
    refreshed_at = models.DateTimeField(_("refreshed"))

    class Meta:
        verbose_name = _("state of the lists")
        verbose_name_plural = _("state of the lists")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="liststate_one_row")]

    def __str__(self) -> str:
        return f"v{self.model_version}"
