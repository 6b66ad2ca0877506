"""Audiences defined by rules, and who is in them since when."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from customers.models.customer import Customer


class Segment(models.Model):
    """A named rule tree over customers (customers/segmentation/tree.py describes the JSON)."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.CharField(_("description"), max_length=300, blank=True)
    rule = models.JSONField(_("rule"), default=dict)
    is_demo = models.BooleanField(default=False, editable=False)
    members_count = models.PositiveIntegerField(_("members"), default=0)
    evaluated_at = models.DateTimeField(_("evaluated"), null=True, blank=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("created by"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        verbose_name = _("segment")
        verbose_name_plural = _("segments")
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class SegmentMembership(models.Model):
    """One stay of a customer in a segment; left_at is empty while it lasts."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("segment"))
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("customer"))
    entered_at = models.DateTimeField(_("entered"))
    left_at = models.DateTimeField(_("left"), null=True, blank=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        ordering = ["-entered_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["segment", "customer"], condition=models.Q(left_at=None), name="membership_current_unique")]
        indexes = [models.Index(fields=["customer", "-entered_at"], name="membership_by_customer")]

    def __str__(self) -> str:
        return f"{self.segment_id}: {self.customer_id}"
