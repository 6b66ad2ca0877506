"""What customers write about products."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Source
from customers.models.catalogue import Product
from customers.models.customer import Customer


class Review(models.Model):
    """One review, and what was read in its words: by a model, which the versions name, or by a list of words.

    aspects: {"praise": {"quality": ["the clause as written", 0.8]}, "blame": {…}}; the number is how sure the reading is.
    Empty sides are left out; null until the review was read.  aspects_version: of the list of words.
    """

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="reviews", verbose_name=_("source"))
    external_id = models.CharField(_("shop's id"), max_length=100)
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True, related_name="reviews", verbose_name=_("customer"))
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="reviews", verbose_name=_("product"))
    rating = models.PositiveSmallIntegerField(_("stars"), null=True, blank=True)
    body = models.TextField(_("text"), blank=True)
    language = models.CharField(_("language"), max_length=16, blank=True)
    written_at = models.DateTimeField(_("written"))
    sentiment = models.FloatField(_("sentiment"), null=True, blank=True, help_text=_("-1 bad to 1 good, guessed from the text"))
    sentiment_version = models.PositiveIntegerField(_("model version"), null=True, blank=True)
    aspects = models.JSONField(_("sides of the purchase"), null=True, blank=True)
    aspects_version = models.PositiveSmallIntegerField(_("version of the word list"), null=True, blank=True)
    intention = models.FloatField(_("probability of another order"), null=True, blank=True, help_text=_("within 90 days of the review, guessed from the text"))
    intention_version = models.PositiveIntegerField(_("model version"), null=True, blank=True)

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        ordering = ["-written_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="review_unique"),
            models.CheckConstraint(condition=models.Q(rating__isnull=True) | models.Q(rating__range=(1, 5)), name="review_rating_1_to_5"),
        ]
        indexes = [
            models.Index(fields=["customer", "-written_at"], name="review_by_customer"),
            models.Index(fields=["product", "-written_at"], name="review_by_product"),
        ]

    def __str__(self) -> str:
        return f"{self.rating or '–'}★ {self.body[:40]}"
