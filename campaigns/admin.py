"""Operators' screens: campaigns and drafts to look into, the ledger to search; the ledger is never edited by hand."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from campaigns.audiences import reason_label
from campaigns.models import Campaign, CampaignText, CopyDraft, Delivery, DeliveryState, Engagement


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are records of what happened: to be searched, not changed."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TextInline(admin.StackedInline):  # type: ignore[type-arg]
    model = CampaignText
    extra = 0


@admin.register(Campaign)
class CampaignAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "state", "segment", "sent", "held_out", "created_by", "created_at", "started_at"]
    list_filter = ["state", "channel", "created_at"]
    search_fields = ["name", "goal", "segment__name"]
    list_select_related = ["segment", "created_by"]
    raw_id_fields = ["segment"]
    readonly_fields = ["state", "job", "version", "seed", "created_by", "created_at", "started_at", "finished_at"]
    date_hierarchy = "created_at"
    inlines = [TextInline]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows = Campaign.objects.all()
        sent, held = Q(deliveries__state=DeliveryState.SENT), Q(deliveries__state=DeliveryState.HOLDOUT)
        return rows.annotate(sent_count=Count("deliveries", filter=sent), held_count=Count("deliveries", filter=held))

    @admin.display(description=_("Sent"), ordering="sent_count")
    def sent(self, campaign: Any) -> int:
        return int(campaign.sent_count)

    @admin.display(description=_("Held out"), ordering="held_count")
    def held_out(self, campaign: Any) -> int:
        return int(campaign.held_count)


class EngagementInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Engagement
    extra = 0
    can_delete = False
    fields = ("kind", "product", "at")
    readonly_fields = ("kind", "product", "at")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["customer", "campaign", "state", "why", "arm", "language", "sent_at", "opened_at", "clicked_at", "unsubscribed_at"]
    list_filter = ["state", "arm", "reason", "language", ("campaign", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["address", "customer__name", "customer__email", "campaign__name", "=public_id"]
    list_select_related = ["customer", "campaign"]
    inlines = [EngagementInline]
    show_full_result_count = False

    @admin.display(description=_("Why"), ordering="reason")
    def why(self, delivery: Delivery) -> str:
        return str(reason_label(delivery.reason)) if delivery.reason else ""


@admin.register(Engagement)
class EngagementAdmin(ReadOnlyAdmin):
    list_display = ["kind", "customer", "campaign", "product", "at"]
    list_filter = ["kind", "at"]
    search_fields = ["delivery__customer__name", "delivery__address", "delivery__campaign__name", "product__name"]
    list_select_related = ["delivery__customer", "delivery__campaign", "product"]
    date_hierarchy = "at"

    @admin.display(description=_("Customer"))
    def customer(self, engagement: Engagement) -> str:
        return str(engagement.delivery.customer)

    @admin.display(description=_("Campaign"))
    def campaign(self, engagement: Engagement) -> str:
        return engagement.delivery.campaign.name


@admin.register(CopyDraft)
class CopyDraftAdmin(ReadOnlyAdmin):
    list_display = ["subject", "campaign", "language", "origin", "outcome", "faults_found", "seconds", "created_at"]
    list_filter = ["outcome", "language", "origin"]
    search_fields = ["subject", "body", "campaign__name"]
    list_select_related = ["campaign"]

    @admin.display(description=_("Faults"))
    def faults_found(self, draft: CopyDraft) -> int:
        return len(draft.faults)
