"""The tables behind the desk for operators: teams, hours, promises, saved replies and webhooks."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm.core import clock
from support import canned, macros, sla, visitors, webhooks
from support.models import (
    BusinessCalendar,
    CannedReply,
    DeskState,
    Macro,
    ServicePolicy,
    ServiceTarget,
    Tag,
    Team,
    TeamSource,
    TicketEntry,
    TokenRevocation,
    Webhook,
    WebhookDelivery,
)  # fmt: skip
from support.models.webhook import WebhookState


class TeamSourceInline(admin.TabularInline):
    model = TeamSource
    extra = 0


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    list_display = ["name", "people"]
    search_fields = ["name"]
    filter_horizontal = ["members"]
    inlines = [TeamSourceInline]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Team]":
        return super().get_queryset(request).annotate(number_of_people=Count("members"))

    @admin.display(description=_("members"), ordering="number_of_people")
    def people(self, team: Any) -> int:
        return int(team.number_of_people)


@admin.register(Tag)
class TagAdmin(admin.ModelAdmin):
    list_display = ["name", "uses"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Tag]":
        return super().get_queryset(request).annotate(number_of_uses=Count("conversations"))

    @admin.display(description=_("conversations"), ordering="number_of_uses")
    def uses(self, tag: Any) -> int:
        return int(tag.number_of_uses)


@admin.register(DeskState)
class DeskStateAdmin(admin.ModelAdmin):
    list_display = ["user", "is_available", "languages", "skills", "seen_at", "last_assigned_at"]
    list_filter = ["is_available"]
    list_select_related = ["user"]
    search_fields = ["user__username", "user__first_name", "user__last_name"]
    autocomplete_fields = ["user"]
    readonly_fields = ["seen_at", "last_assigned_at"]


class CannedReplyForm(forms.ModelForm):
    def clean_texts(self) -> object:
        """Refuse texts that cannot be shown: one such row would break the list for everybody."""
        if not canned.are_texts(self.cleaned_data["texts"]):
            raise ValidationError(canned.CannedBad().text)
        return self.cleaned_data["texts"]


class MacroForm(forms.ModelForm):
    def clean_actions(self) -> object:
        """Refuse actions that cannot be done or shown."""
        try:
            return macros.checked(self.cleaned_data["actions"])
        except macros.MacroBad as error:
            raise ValidationError(error.text) from error


@admin.register(CannedReply)
class CannedReplyAdmin(admin.ModelAdmin):
    form = CannedReplyForm
    list_display = ["shortcut", "title", "team", "used_count"]
    list_filter = ["team"]
    list_select_related = ["team"]
    search_fields = ["shortcut", "title"]


@admin.register(Macro)
class MacroAdmin(admin.ModelAdmin):
    form = MacroForm
    list_display = ["name", "team", "actions"]
    list_filter = ["team"]
    list_select_related = ["team"]
    search_fields = ["name"]


class _Promising(admin.ModelAdmin):
    """What promises are computed from: a change reaches those that are running at the next look, within half a minute."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        sla.follow_again()


@admin.register(BusinessCalendar)
class BusinessCalendarAdmin(_Promising):
    list_display = ["name", "zone", "is_main"]
    search_fields = ["name"]


@admin.register(ServicePolicy)
class ServicePolicyAdmin(_Promising):
    list_display = ["name", "place", "is_active", "team", "priority_from", "calendar", "first_response_minutes", "resolution_minutes", "warn_minutes", "broken"]
    list_filter = ["is_active", "team", "calendar"]
    list_select_related = ["team", "calendar"]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ServicePolicy]":
        return super().get_queryset(request).annotate(number_broken=Count("targets", filter=Q(targets__breached_at__isnull=False)))

    @admin.display(description=_("broken"), ordering="number_broken")
    def broken(self, policy: Any) -> int:
        return int(policy.number_broken)


@admin.register(ServiceTarget)
class ServiceTargetAdmin(admin.ModelAdmin):
    list_display = ["policy", "aim", "conversation", "ticket", "started_at", "due_at", "met_at", "warned_at", "breached_at"]
    list_filter = ["aim", "policy", ("breached_at", admin.EmptyFieldListFilter), "started_at"]
    list_select_related = ["policy", "conversation", "ticket"]
    date_hierarchy = "started_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Computed from rows; a changed one would be computed again.
        return False


class TicketEntryInline(admin.TabularInline):
    """The history inside its ticket."""

    model = TicketEntry
    fields = ["at", "kind", "text", "data", "by"]
    readonly_fields = fields
    ordering = ["at", "id"]
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[TicketEntry]":
        return super().get_queryset(request).select_related("by")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Webhook)
class WebhookAdmin(admin.ModelAdmin):
    list_display = ["name", "url", "topics", "is_active", "waiting", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name", "url"]
    filter_horizontal = ["sources"]
    readonly_fields = ["secret", "created_by", "created_at"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Webhook]":
        return super().get_queryset(request).annotate(number_waiting=Count("deliveries", filter=Q(deliveries__state=WebhookState.WAITING)))

    @admin.display(description=_("waiting"), ordering="number_waiting")
    def waiting(self, hook: Any) -> int:
        return int(hook.number_waiting)

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if not change:
            obj.created_by = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)
        webhooks.forget()


@admin.register(TokenRevocation)
class TokenRevocationAdmin(admin.ModelAdmin):
    """Adding one revokes; it is not taken back, as nobody would know which tokens had been refused meanwhile."""

    list_display = ["source", "customer", "at", "by"]
    list_filter = ["source"]
    list_select_related = ["source", "customer", "by"]
    fields = ["source", "customer"]
    autocomplete_fields = ["source", "customer"]
    date_hierarchy = "at"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: TokenRevocation, form: Any, change: bool) -> None:
        made = visitors.revoke(source=obj.source, customer_id=obj.customer_id, by=request.user, now=clock.now())  # type: ignore[arg-type]
        obj.pk, obj.at, obj.by = made.pk, made.at, made.by


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(admin.ModelAdmin):
    list_display = ["created_at", "webhook", "topic", "state", "attempts", "status", "error", "next_at", "delivered_at"]
    list_filter = ["state", "topic", "webhook"]
    list_select_related = ["webhook"]
    search_fields = ["event_id"]
    date_hierarchy = "created_at"
    actions = ["send_again"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description=_("Send the selected deliveries again, with the same id"), permissions=["view"])
    def send_again(self, request: HttpRequest, chosen: "QuerySet[WebhookDelivery]") -> None:
        count = chosen.exclude(state=WebhookState.DELIVERED).update(state=WebhookState.WAITING, attempts=0, next_at=clock.now())
        messages.success(request, _("%(count)s will be sent again.") % {"count": count})
