"""Customers and who they are: identities, merges, consent."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.core import formats
from customers import tasks
from customers.admin.base import Fixed, FixedInline, KnownValues
from customers.models import (
    ConsentEntry,
    Customer,
    Identity,
    Merge,
)


class IdentityInline(FixedInline):
    model = Identity
    fields = ("kind", "namespace", "value", "first_seen_at")


class ConsentInline(FixedInline):
    model = ConsentEntry
    fields = ("channel", "purpose", "state", "origin", "recorded_at")


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("__str__", "email", "country", "stage_told", "orders_count", "spent", "last_order_at", "last_seen_at", "source")
    list_filter = (
        "is_anonymous",
        "profiling_refused",
        "portrait__stage",
        "portrait__rfm_group",
        "source",
        ("merged_into", admin.EmptyFieldListFilter),
        ("locale", KnownValues),
    )
    list_select_related = ("portrait", "source")
    search_fields = ("name", "email", "phone", "public_id__iexact", "identities__value__iexact")
    search_help_text = _("Name, e-mail, phone, public id, or any identity in full")
    date_hierarchy = "last_seen_at"
    ordering = ("-last_seen_at", "-id")
    list_per_page = 50
    show_full_result_count = False
    autocomplete_fields = ("source",)
    raw_id_fields = ("merged_into",)
    readonly_fields = (
        "public_id", "is_anonymous", "merged_into", "import_job", "is_demo", "first_seen_at", "last_seen_at", "currency", "orders_count", "spent_amount",
        "first_order_at", "last_order_at", "version", "created_at", "updated_at",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("name", "email", "phone", "locale", "country", "city", "time_zone", "gender", "birth_date", "tags", "traits")}),
        (_("Bought"), {"fields": ("currency", "orders_count", "spent_amount", "first_order_at", "last_order_at")}),
        (
            _("Record"),
            {
                "fields": (
                    "public_id",
                    "source",
                    "is_anonymous",
                    "merged_into",
                    "import_job",
                    "is_demo",
                    "first_seen_at",
                    "last_seen_at",
                    "version",
                    "created_at",
                    "updated_at",
                )
            },
        ),
    )
    inlines = (IdentityInline, ConsentInline)
    actions = ("refresh_portraits",)

    # Not "stage": the row has a column of that name, a bare code, which Django would show instead.
    @admin.display(description=_("stage"), ordering="portrait__stage")
    def stage_told(self, customer: Customer) -> str:
        portrait = getattr(customer, "portrait", None)
        return str(portrait.get_stage_display()) if portrait and portrait.stage else formats.MISSING

    @admin.display(description=_("spent"), ordering="spent_amount")
    def spent(self, customer: Customer) -> str:
        return formats.money(customer.spent_amount, customer.currency or None)

    @admin.action(description=_("Refresh the portraits of the selected customers"))
    def refresh_portraits(self, request: HttpRequest, queryset: "QuerySet[Customer]") -> None:
        ids = list(queryset.values_list("pk", flat=True))
        tasks.refresh_portraits.delay(ids)
        self.message_user(
            request,
            ngettext("%(count)s portrait will be refreshed.", "%(count)s portraits will be refreshed.", len(ids)) % {"count": len(ids)},
            messages.SUCCESS,
        )


@admin.register(Identity)
class IdentityAdmin(Fixed):
    list_display = ("value", "kind", "namespace", "customer", "first_seen_at")
    list_filter = ("kind",)
    list_select_related = ("customer",)
    search_fields = ("value", "customer__name", "customer__email")
    date_hierarchy = "first_seen_at"


@admin.register(Merge)
class MergeAdmin(Fixed):
    list_display = ("gone", "kept", "merged_by", "merged_at", "undone_at")
    list_filter = (("undone_at", admin.EmptyFieldListFilter),)
    list_select_related = ("gone", "kept", "merged_by")
    search_fields = ("gone__name", "gone__email", "kept__name", "kept__email")
    date_hierarchy = "merged_at"


@admin.register(ConsentEntry)
class ConsentEntryAdmin(Fixed):
    """The ledger is append-only: a correction is a new statement, made on the customer's page."""

    list_display = ("customer", "channel", "purpose", "state", "origin", "basis", "recorded_at")
    list_filter = ("state", "channel", "purpose", "origin")
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email", "proof")
    date_hierarchy = "recorded_at"

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False
