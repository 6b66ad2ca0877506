"""Portraits, the numbers under them, and the runs that made them."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.core import formats
from customers import tasks
from customers.admin.base import Fixed
from customers.models import (
    Portrait,
    PortraitFeatures,
    PortraitFeedback,
    PortraitRun,
    PortraitShard,
    PortraitSnapshot,
)


@admin.register(Portrait)
class PortraitAdmin(Fixed):
    list_display = ("customer", "stage", "rfm_group", "active", "expected_orders_90", "value", "sentiment", "as_of")
    list_filter = ("stage", "rfm_group")
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    date_hierarchy = "as_of"
    actions = ("refresh",)

    @admin.display(description=_("active"), ordering="p_active")
    def active(self, portrait: Portrait) -> str:
        return formats.percent(portrait.p_active)

    @admin.display(description=_("12-month value"), ordering="value_365")
    def value(self, portrait: Portrait) -> str:
        return formats.money(portrait.value_365, portrait.currency or None)

    @admin.action(description=_("Refresh the selected portraits"), permissions=["view"])
    def refresh(self, request: HttpRequest, queryset: "QuerySet[Portrait]") -> None:
        ids = list(queryset.values_list("pk", flat=True))
        tasks.refresh_portraits.delay(ids)
        self.message_user(
            request,
            ngettext("%(count)s portrait will be refreshed.", "%(count)s portraits will be refreshed.", len(ids)) % {"count": len(ids)},
            messages.SUCCESS,
        )


@admin.register(PortraitFeatures)
class PortraitFeaturesAdmin(Fixed):
    list_display = ("customer", "recipe", "as_of")
    list_filter = ("recipe",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    date_hierarchy = "as_of"
    exclude = ("values",)


@admin.register(PortraitSnapshot)
class PortraitSnapshotAdmin(Fixed):
    list_display = ("customer", "month", "stage", "rfm_group", "value_365", "currency", "as_of")
    list_filter = ("stage", "rfm_group")
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    date_hierarchy = "month"


@admin.register(PortraitRun)
class PortraitRunAdmin(Fixed):
    list_display = ("as_of", "cause", "job")
    list_filter = ("cause",)
    list_select_related = ("job",)
    search_fields = ("job__title",)
    date_hierarchy = "as_of"
    exclude = ("yardstick",)


@admin.register(PortraitShard)
class PortraitShardAdmin(Fixed):
    list_display = ("run", "low", "high", "expected", "written", "seconds", "done_at")
    list_filter = (("done_at", admin.EmptyFieldListFilter),)
    list_select_related = ("run",)
    search_fields = ("run__job__title",)
    date_hierarchy = "done_at"


@admin.register(PortraitFeedback)
class PortraitFeedbackAdmin(Fixed):
    list_display = ("customer", "statement", "verdict", "note", "user", "at")
    list_filter = ("verdict", "statement")
    list_select_related = ("customer", "user")
    search_fields = ("statement", "note", "customer__name", "customer__email")
    date_hierarchy = "at"
