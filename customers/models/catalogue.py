"""What the shop sells, as far as its customers' history needs it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Job, Source


class Category(models.Model):
    """A node of the shop's category tree."""

    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="children", verbose_name=_("parent"))
    slug = models.CharField(_("key"), max_length=100, unique=True)
    names = models.JSONField(_("names"), default=dict, help_text='{"en": …, "zh-hans": …}')

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering = ["slug"]

    def __str__(self) -> str:
        return str(self.names.get("en") or self.slug)


class Product(models.Model):
    """A thing that can be bought, or (is_goods off) a code that only adjusts an invoice: postage, fees, manual."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="products", verbose_name=_("source"))
    external_id = models.CharField(_("shop's id"), max_length=100)
    sku = models.CharField(_("SKU"), max_length=100, blank=True)
    name = models.CharField(_("name"), max_length=255)
    names = models.JSONField(_("names per language"), default=dict, blank=True)
    category = models.ForeignKey(Category, on_delete=models.SET_NULL, null=True, blank=True, related_name="products", verbose_name=_("category"))
    brand = models.CharField(_("brand"), max_length=100, blank=True)
    price_amount = models.DecimalField(_("price"), max_digits=12, decimal_places=2, null=True, blank=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    is_available = models.BooleanField(_("available"), default=True)
    is_goods = models.BooleanField(_("goods"), default=True, help_text=_("Off for postage, fees and manual adjustments"))
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    url = models.CharField(_("address"), max_length=500, blank=True)
    image_url = models.CharField(_("picture"), max_length=500, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    import_job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+", verbose_name=_("created by import"))
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="product_unique")]
        indexes = [models.Index(fields=["is_goods", "is_available"], name="product_sellable")]

    def __str__(self) -> str:
        return self.name or self.external_id

    def name_in(self, language: str) -> str:
        """Return the name in that language, else the shop's own."""
        return str(self.names.get(language) or self.name or self.external_id)
