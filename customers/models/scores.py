"""What the models say of a customer today, what they said before, and what people answered to it."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Job
from customers.models.customer import Customer

# For rows written by COPY, which knows no Python defaults.
_NOTHING = models.Value({}, output_field=models.JSONField())


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
    """One customer's scores with where each came from; replaced as a whole at each refresh.

    versions: {"value": 3, "lifecycle": 2, "sentiment": 1}; a task served by its stated baseline has 0.
    reasons: {"stage": [{"code": "overdue", "data": {...}}], "value": [...]} with facts only; words are made on the page.
    stage_probabilities: {"loyal": 0.81, "at_risk": 0.19}, adding up to 1; empty where no model gave any.
    tastes: what the person likes, from orders, else from browsing: see `customers.portrait.tastes`.
    changes: what is different from a month ago: {"since": "2026-10-01", "stage": ["growing", "loyal"], "value_365": [80.0, 95.5], ...}.
    Ends of intervals are 80 % unless reasons["range"]["level"] says otherwise.  Amounts are in `currency`.
    """

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="portrait", verbose_name=_("customer"))
    recency_score = models.PositiveSmallIntegerField(_("R"), null=True)
    frequency_score = models.PositiveSmallIntegerField(_("F"), null=True)
    monetary_score = models.PositiveSmallIntegerField(_("M"), null=True)
    rfm_group = models.CharField(_("RFM group"), max_length=24, choices=RfmGroup.choices, blank=True)
    stage = models.CharField(_("stage"), max_length=12, choices=Stage.choices, blank=True)
    stage_probabilities = models.JSONField(_("probability of each stage"), default=dict, db_default=_NOTHING, blank=True)
    is_cold = models.BooleanField(_("no order yet"), default=False, db_default=False)
    p_active = models.FloatField(_("probability active"), null=True)
    p_purchase_30 = models.FloatField(_("probability of an order in 30 days"), null=True)
    p_churn = models.FloatField(_("probability of no order in the next period"), null=True)
    p_return = models.FloatField(_("probability of a return in 100 days"), null=True)
    expected_orders_30 = models.FloatField(_("orders expected in 30 days"), null=True)
    expected_orders_90 = models.FloatField(_("orders expected in 90 days"), null=True)
    expected_orders_90_low = models.FloatField(_("orders expected in 90 days, low end"), null=True)
    expected_orders_90_high = models.FloatField(_("orders expected in 90 days, high end"), null=True)
    expected_orders_365 = models.FloatField(_("orders expected in 12 months"), null=True)
    next_order_on = models.DateField(_("next order expected"), null=True)
    value_30 = models.DecimalField(_("value in 30 days"), max_digits=14, decimal_places=2, null=True)
    value_90 = models.DecimalField(_("value in 90 days"), max_digits=14, decimal_places=2, null=True)
    value_365 = models.DecimalField(_("value in 12 months"), max_digits=14, decimal_places=2, null=True)
    value_365_low = models.DecimalField(_("value in 12 months, low end"), max_digits=14, decimal_places=2, null=True)
    value_365_high = models.DecimalField(_("value in 12 months, high end"), max_digits=14, decimal_places=2, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    sentiment = models.FloatField(_("mood of reviews"), null=True)
    reviews_count = models.PositiveIntegerField(_("reviews"), default=0)
    tastes = models.JSONField(_("tastes"), default=dict, db_default=_NOTHING, blank=True)
    changes = models.JSONField(_("changes"), default=dict, db_default=_NOTHING, blank=True)
    reasons = models.JSONField(default=dict)
    versions = models.JSONField(default=dict)
    as_of = models.DateTimeField(_("facts up to"))
    refreshed_at = models.DateTimeField(_("refreshed"))

    class Meta:
        verbose_name = _("portrait")
        verbose_name_plural = _("portraits")
        indexes = [
            # The customers list by value, of everybody and of a stage or group; the id makes an order that paging can go on from.
            models.Index(fields=["stage", "-value_365", "-customer"], name="portrait_of_stage"),
            models.Index(fields=["rfm_group", "-value_365", "-customer"], name="portrait_of_group"),
            models.Index(fields=["-value_365", "-customer"], name="portrait_by_value"),
            models.Index(fields=["p_active"], name="portrait_active"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.stage}"


class PortraitFeatures(models.Model):
    """The numbers a portrait's models read, kept so that reasons can be worked out later for exactly these numbers.

    values: float32, little-endian, one per name of the recipe; a missing one is the float's own "not a number" mark,
    which `customers.features.stored` reads back as absent.  recipe: fingerprint of the names and their order.
    """

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="portrait_features", verbose_name=_("customer"))
    recipe = models.CharField(_("recipe"), max_length=16)
    values = models.BinaryField(_("values"))
    as_of = models.DateTimeField(_("facts up to"))

    class Meta:
        verbose_name = _("portrait's features")
        verbose_name_plural = _("portraits' features")

    def __str__(self) -> str:
        return f"{self.customer_id} {self.recipe}"


class PortraitSnapshot(models.Model):
    """A portrait as its month's first refresh found it; what "since last month" and the flow between stages are read from.

    is_rebuilt: made later from the facts of that moment by models that have learned since (customers.snapshots); good for
    telling what changed, not for asking how right the models were.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="portrait_snapshots", verbose_name=_("customer"))
    month = models.DateField(_("month"), help_text=_("Its first day"))
    stage = models.CharField(_("stage"), max_length=12, choices=Stage.choices, blank=True)
    rfm_group = models.CharField(_("RFM group"), max_length=24, choices=RfmGroup.choices, blank=True)
    p_active = models.FloatField(_("probability active"), null=True)
    p_churn = models.FloatField(_("probability of no order in the next period"), null=True)
    value_365 = models.DecimalField(_("value in 12 months"), max_digits=14, decimal_places=2, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    as_of = models.DateTimeField(_("facts up to"))
    is_rebuilt = models.BooleanField(_("made afterwards"), default=False, db_default=False)

    class Meta:
        verbose_name = _("portrait of a month")
        verbose_name_plural = _("portraits of a month")
        ordering = ["-month", "customer_id"]
        constraints = [models.UniqueConstraint(fields=["customer", "month"], name="snapshot_once_a_month")]
        indexes = [models.Index(fields=["month", "stage"], name="snapshot_flow")]

    def __str__(self) -> str:
        return f"{self.customer_id} {self.month:%Y-%m} {self.stage}"


class Verdict(models.TextChoices):
    RIGHT = "right", _("Right")
    WRONG = "wrong", _("Wrong")


class PortraitFeedback(models.Model):
    """Somebody's answer to "was this right?" on one statement of a portrait; a labelled row for the next training.

    statement: which one, as "stage", "churn.overdue", "tastes.category".  said: what the portrait showed then.
    A person answers a statement once; answering again replaces it.
    """

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="portrait_feedback", verbose_name=_("customer"))
    statement = models.CharField(_("statement"), max_length=60)
    verdict = models.CharField(_("answer"), max_length=5, choices=Verdict.choices)
    note = models.CharField(_("note"), max_length=500, blank=True)
    said = models.JSONField(_("what was shown"), default=dict, blank=True)
    versions = models.JSONField(_("model versions"), default=dict, blank=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("answered by"))
    at = models.DateTimeField(_("answered"))

    class Meta:
        verbose_name = _("answer to a portrait")
        verbose_name_plural = _("answers to portraits")
        ordering = ["-at", "-id"]
        constraints = [models.UniqueConstraint(fields=["customer", "statement", "user"], name="feedback_once_per_person")]
        indexes = [models.Index(fields=["statement", "verdict"], name="feedback_by_statement")]

    def __str__(self) -> str:
        return f"{self.statement}: {self.verdict}"


class PortraitRun(models.Model):
    """One refresh of everybody, shared among workers. yardstick: the shop as measured at its beginning, null until then."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, primary_key=True, related_name="portrait_run", verbose_name=_("job"))
    as_of = models.DateTimeField(_("facts up to"))
    cause = models.CharField(_("cause"), max_length=40, blank=True)
    yardstick = models.JSONField(_("yardstick"), null=True, blank=True)

    class Meta:
        verbose_name = _("refresh of portraits")
        verbose_name_plural = _("refreshes of portraits")
        ordering = ["-as_of"]

    def __str__(self) -> str:
        return f"{self.as_of:%Y-%m-%d %H:%M}"


class PortraitShard(models.Model):
    """One range of customers of a refresh, ids from low to below high; done_at is empty while it is due."""

    run = models.ForeignKey(PortraitRun, on_delete=models.CASCADE, related_name="shards", verbose_name=_("refresh"))
    low = models.BigIntegerField(_("from"))
    high = models.BigIntegerField(_("to below"))
    expected = models.PositiveIntegerField(_("customers"), default=0)
    written = models.PositiveIntegerField(_("written"), default=0)
    seconds = models.FloatField(_("seconds"), default=0)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    class Meta:
        verbose_name = _("range of a refresh")
        verbose_name_plural = _("ranges of a refresh")
        ordering = ["run", "low"]
        constraints = [models.UniqueConstraint(fields=["run", "low"], name="portraitshard_unique")]

    def __str__(self) -> str:
        return f"{self.low}–{self.high}"
