"""What the models say of a customer today; replaced as a whole at each refresh."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models.customer import Customer


class RfmGroup(models.TextChoices):
    CHAMPIONS = "champions", _("Champions")
    LOYAL = "loyal", _("Loyal customers")
    POTENTIAL_LOYAL = "potential_loyal", _("Potential loyalists")
    NEW = "new", _("New customers")
    PROMISING = "promising", _("Promising")
    NEED_ATTENTION = "need_attention", _("Need attention")
    ABOUT_TO_SLEEP = "about_to_sleep", _("About to sleep")
    AT_RISK = "at_risk", _("At risk")
    CANNOT_LOSE = "cannot_lose", _("Cannot lose them")
    HIBERNATING = "hibernating", _("Hibernating")
    LOST = "lost", _("Lost")


class Stage(models.TextChoices):
    PROSPECT = "prospect", _("Prospect")
    NEW = "new", _("New")
    GROWING = "growing", _("Growing")
    LOYAL = "loyal", _("Loyal")
    AT_RISK = "at_risk", _("At risk")
    LAPSED = "lapsed", _("Lapsed")
    REACTIVATED = "reactivated", _("Reactivated")


class Portrait(models.Model):
    """One customer's scores with where each came from.

    versions: {"value": 3, "lifecycle": 2, "sentiment": 1}; a task served by its stated baseline has 0.
    reasons: {"stage": [{"code": "overdue", "data": {...}}], "value": [...]} with facts only; words are made on the page.
    """

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="portrait", verbose_name=_("customer"))
    recency_score = models.PositiveSmallIntegerField(_("R"), null=True)
    frequency_score = models.PositiveSmallIntegerField(_("F"), null=True)
    monetary_score = models.PositiveSmallIntegerField(_("M"), null=True)
    rfm_group = models.CharField(_("RFM group"), max_length=24, choices=RfmGroup.choices, blank=True)
    stage = models.CharField(_("stage"), max_length=12, choices=Stage.choices, blank=True)
    p_active = models.FloatField(_("probability active"), null=True)
    expected_orders_90 = models.FloatField(_("orders expected in 90 days"), null=True)
    value_365 = models.DecimalField(_("value in 12 months"), max_digits=14, decimal_places=2, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    sentiment = models.FloatField(_("mood of reviews"), null=True)
    reviews_count = models.PositiveIntegerField(_("reviews"), default=0)
    reasons = models.JSONField(default=dict)
    versions = models.JSONField(default=dict)
    as_of = models.DateTimeField(_("facts up to"))
    refreshed_at = models.DateTimeField(_("refreshed"))

    class Meta:
        verbose_name = _("portrait")
        verbose_name_plural = _("portraits")
        indexes = [
            models.Index(fields=["stage", "-value_365"], name="portrait_stage"),
            models.Index(fields=["rfm_group", "-value_365"], name="portrait_group"),
            models.Index(fields=["-value_365"], name="portrait_value"),
            models.Index(fields=["p_active"], name="portrait_active"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.stage}"
