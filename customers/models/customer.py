"""A person who visits, buys, writes: one row per person after identities are joined."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from crm.core.models import Job, Source
from customers.querysets import CustomerQuerySet

_IS_PERSON = ["merged_into", "is_anonymous"]
_LISTED = [*_IS_PERSON, "stage", "rfm_group", "orders_count"]


class Customer(models.Model):
    """Who the person is, plus running totals kept by ingest so that lists need no aggregation."""

    public_id = models.UUIDField(_("public id"), default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(_("name"), max_length=200, blank=True)
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    phone = models.CharField(_("phone"), max_length=40, blank=True)
    locale = models.CharField(_("language"), max_length=16, blank=True)
    country = models.CharField(_("country"), max_length=60, blank=True)
    city = models.CharField(_("city"), max_length=100, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=50, blank=True)
    gender = models.CharField(_("gender"), max_length=16, blank=True)
    birth_date = models.DateField(_("date of birth"), null=True, blank=True)
    tags = ArrayField(models.CharField(max_length=50), default=list, blank=True, verbose_name=_("tags"))
    traits = models.JSONField(_("traits"), default=dict, blank=True)
    source = models.ForeignKey(Source, on_delete=models.SET_NULL, null=True, blank=True, related_name="customers", verbose_name=_("first seen at"))
    is_anonymous = models.BooleanField(_("anonymous visitor"), default=False, help_text=_("Known only by a browser id; joins a person at identify or alias"))
    merged_into = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="merged_from", verbose_name=_("merged into"))
    profiling_refused = models.BooleanField(
        _("profiling refused"),
        default=False,
        db_default=False,
        help_text=_("The portrait shows facts only, and no model scores this person or learns from them"),
    )
    is_demo = models.BooleanField(default=False, editable=False)
    import_job = models.ForeignKey(Job, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+", verbose_name=_("created by import"))
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"))
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    orders_count = models.PositiveIntegerField(_("orders"), default=0)
    spent_amount = models.DecimalField(_("spent"), max_digits=14, decimal_places=2, default=0, help_text=_("Orders less returns, in the customer's currency"))
    first_order_at = models.DateTimeField(_("first order"), null=True, blank=True)
    last_order_at = models.DateTimeField(_("last order"), null=True, blank=True)
    stage = models.CharField(
        _("stage"), max_length=12, blank=True, default="", db_default="", editable=False, help_text=_("As in the portrait, kept by its triggers")
    )
    rfm_group = models.CharField(_("RFM group"), max_length=24, blank=True, default="", db_default="", editable=False)
    version = models.PositiveIntegerField(default=1, editable=False, help_text="Row version behind the API's ETag")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        ordering = ["-last_seen_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(last_seen_at__gte=models.F("first_seen_at")), name="customer_seen_in_order"),
            models.CheckConstraint(condition=~models.Q(merged_into=models.F("id")), name="customer_not_merged_into_itself"),
        ]
        indexes = [
            # Orders of the customers list, each with what it is filtered by: who is wanted may stand at the far end of an
            # order (those who ceased to come, in the order of the last visit), and is looked for in the index alone.
            models.Index(fields=["-last_seen_at", "-id"], include=_LISTED, name="customer_by_visit"),
            models.Index(fields=["-spent_amount", "-id"], include=_LISTED, name="customer_by_spending"),
            models.Index(fields=["-last_order_at", "-id"], include=_LISTED, name="customer_by_last_order"),
            models.Index(fields=["-orders_count", "-id"], include=_LISTED[:-1], name="customer_by_orders"),
            models.Index(fields=["stage", "-last_seen_at", "-id"], include=_IS_PERSON, name="customer_of_stage"),
            models.Index(fields=["rfm_group", "-last_seen_at", "-id"], include=_IS_PERSON, name="customer_of_group"),
            models.Index(Lower("name"), "id", name="customer_name"),
            models.Index(Lower("email"), name="customer_email"),
            models.Index(fields=["country", "-last_seen_at", "-id"], name="customer_of_country"),
            GinIndex(fields=["tags"], name="customer_tags"),
        ]

    def __str__(self) -> str:
        return self.name or self.email or f"#{self.pk}"
