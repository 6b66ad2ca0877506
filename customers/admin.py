"""The customer's record for operators: find anything, see it whole, change only what is safe to change by hand.

Every list names its joins, so none asks per row; columns that programs compute are read-only.
"""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.core import clock, formats
from customers import tasks
from customers.models import (
    Activity,
    Category,
    ConsentEntry,
    Customer,
    Identity,
    Merge,
    Order,
    OrderLine,
    Portrait,
    PortraitFeatures,
    PortraitFeedback,
    PortraitRun,
    PortraitShard,
    PortraitSnapshot,
    Product,
    QuarantinedEvent,
    Return,
    ReturnLine,
    Review,
    Segment,
    SegmentMembership,
)


class _Fixed(admin.ModelAdmin):
    """Rows that are facts: nobody adds or edits them by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class _FixedInline(admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


class IdentityInline(_FixedInline):
    model = Identity
    fields = ("kind", "namespace", "value", "first_seen_at")


class ConsentInline(_FixedInline):
    model = ConsentEntry
    fields = ("channel", "purpose", "state", "origin", "recorded_at")


class OrderLineInline(_FixedInline):
    model = OrderLine
    fields = ("position", "product", "quantity", "unit_amount")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[OrderLine]":
        return super().get_queryset(request).select_related("product")


class ReturnLineInline(_FixedInline):
    model = ReturnLine
    fields = ("product", "quantity", "unit_amount", "order_line")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ReturnLine]":
        return super().get_queryset(request).select_related("product", "order_line")


class _KnownValues(admin.AllValuesFieldListFilter):
    """The values there are, with a word for the empty one: Django prints a link without a text for it."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or formats.MISSING}


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ("__str__", "email", "country", "stage", "orders_count", "spent", "last_order_at", "last_seen_at", "source")
    list_filter = (
        "is_anonymous",
        "profiling_refused",
        "portrait__stage",
        "portrait__rfm_group",
        "source",
        ("merged_into", admin.EmptyFieldListFilter),
        ("locale", _KnownValues),
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

    @admin.display(description=_("stage"), ordering="portrait__stage")
    def stage(self, customer: Customer) -> str:
        portrait = getattr(customer, "portrait", None)
        return str(portrait.get_stage_display()) if portrait else formats.MISSING

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
class IdentityAdmin(_Fixed):
    list_display = ("value", "kind", "namespace", "customer", "first_seen_at")
    list_filter = ("kind",)
    list_select_related = ("customer",)
    search_fields = ("value", "customer__name", "customer__email")
    date_hierarchy = "first_seen_at"


@admin.register(Merge)
class MergeAdmin(_Fixed):
    list_display = ("gone", "kept", "merged_by", "merged_at", "undone_at")
    list_filter = (("undone_at", admin.EmptyFieldListFilter),)
    list_select_related = ("gone", "kept", "merged_by")
    search_fields = ("gone__name", "gone__email", "kept__name", "kept__email")
    date_hierarchy = "merged_at"


@admin.register(ConsentEntry)
class ConsentEntryAdmin(_Fixed):
    """The ledger is append-only: a correction is a new statement, made on the customer's page."""

    list_display = ("customer", "channel", "purpose", "state", "origin", "basis", "recorded_at")
    list_filter = ("state", "channel", "purpose", "origin")
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email", "proof")
    date_hierarchy = "recorded_at"

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    list_display = ("__str__", "slug", "parent", "products_count")
    list_filter = (("parent", admin.EmptyFieldListFilter),)
    list_select_related = ("parent",)
    search_fields = ("slug", "names")
    autocomplete_fields = ("parent",)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Category]":
        return super().get_queryset(request).annotate(products_number=Count("products"))

    @admin.display(description=_("products"), ordering="products_number")
    def products_count(self, category: Category) -> int:
        return int(category.products_number)  # type: ignore[attr-defined]


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("name", "external_id", "category", "price", "is_available", "is_goods", "source", "first_seen_at")
    list_filter = ("is_goods", "is_available", "source", "category")
    list_editable = ("is_available", "is_goods")
    list_select_related = ("category", "source")
    search_fields = ("name", "external_id", "sku", "names")
    date_hierarchy = "first_seen_at"
    autocomplete_fields = ("category", "source")
    readonly_fields = ("first_seen_at", "updated_at", "import_job")
    list_per_page = 50

    @admin.display(description=_("price"), ordering="price_amount")
    def price(self, product: Product) -> str:
        return formats.money(product.price_amount, product.currency or None)


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ("external_id", "customer", "placed_at", "status", "total", "coupon", "source")
    list_filter = ("status", "source", "currency", ("customer", admin.EmptyFieldListFilter))
    list_select_related = ("customer", "source")
    search_fields = ("external_id", "customer__name", "customer__email")
    date_hierarchy = "placed_at"
    list_per_page = 50
    show_full_result_count = False
    raw_id_fields = ("customer",)
    readonly_fields = (
        "source",
        "external_id",
        "placed_at",
        "currency",
        "total_amount",
        "discount_amount",
        "shipping_amount",
        "tax_amount",
        "coupon",
        "country",
        "import_job",
        "created_at",
    )
    inlines = (OrderLineInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description=_("total"), ordering="total_amount")
    def total(self, order: Order) -> str:
        return formats.money(order.total_amount, order.currency)


@admin.register(OrderLine)
class OrderLineAdmin(_Fixed):
    list_display = ("order", "product", "quantity", "unit_amount")
    list_select_related = ("order", "product")
    search_fields = ("order__external_id", "product__name", "product__external_id")
    show_full_result_count = False


@admin.register(Return)
class ReturnAdmin(_Fixed):
    list_display = ("external_id", "customer", "order", "returned_at", "amount", "reason", "source")
    list_filter = ("source", "currency", ("order", admin.EmptyFieldListFilter))
    list_select_related = ("customer", "order", "source")
    search_fields = ("external_id", "order__external_id", "customer__name", "customer__email")
    date_hierarchy = "returned_at"
    inlines = (ReturnLineInline,)

    @admin.display(description=_("amount"), ordering="total_amount")
    def amount(self, each: Return) -> str:
        return formats.money(each.total_amount, each.currency)


@admin.register(ReturnLine)
class ReturnLineAdmin(_Fixed):
    list_display = ("return_record", "product", "quantity", "unit_amount", "order_line")
    list_filter = (("order_line", admin.EmptyFieldListFilter),)
    list_select_related = ("return_record", "product", "order_line")
    search_fields = ("return_record__external_id", "product__name")


@admin.register(Activity)
class ActivityAdmin(_Fixed):
    list_display = ("name", "kind", "customer", "product", "source", "occurred_at", "received_at")
    list_filter = ("kind", "source")
    list_select_related = ("customer", "product", "source")
    search_fields = ("message_id__iexact", "name__istartswith", "customer__email__iexact")
    search_help_text = _("Message id, beginning of the event's name, or a customer's e-mail")
    date_hierarchy = "occurred_at"
    show_full_result_count = False


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(_Fixed):
    list_display = ("code", "reason", "source", "message_id", "received_at")
    list_filter = ("code", "source")
    list_select_related = ("source",)
    search_fields = ("message_id", "reason", "payload")
    date_hierarchy = "received_at"


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    list_display = ("product", "customer", "rating", "mood", "language", "written_at", "source")
    list_filter = ("rating", "language", "source", ("sentiment", admin.EmptyFieldListFilter))
    list_select_related = ("product", "customer", "source")
    search_fields = ("body", "external_id", "product__name", "customer__name", "customer__email")
    date_hierarchy = "written_at"
    raw_id_fields = ("customer", "product")
    readonly_fields = (
        "source", "external_id", "sentiment", "sentiment_version", "aspects", "aspects_version", "intention", "intention_version", "written_at",
    )  # fmt: skip

    @admin.display(description=_("mood"), ordering="sentiment")
    def mood(self, review: Review) -> str:
        return formats.number(review.sentiment, 2)


@admin.register(Portrait)
class PortraitAdmin(_Fixed):
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
class PortraitFeaturesAdmin(_Fixed):
    list_display = ("customer", "recipe", "as_of")
    list_filter = ("recipe",)
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    date_hierarchy = "as_of"
    exclude = ("values",)


@admin.register(PortraitSnapshot)
class PortraitSnapshotAdmin(_Fixed):
    list_display = ("customer", "month", "stage", "rfm_group", "value_365", "currency", "as_of")
    list_filter = ("stage", "rfm_group")
    list_select_related = ("customer",)
    search_fields = ("customer__name", "customer__email")
    date_hierarchy = "month"


@admin.register(PortraitRun)
class PortraitRunAdmin(_Fixed):
    list_display = ("as_of", "cause", "job")
    list_filter = ("cause",)
    list_select_related = ("job",)
    search_fields = ("job__title",)
    date_hierarchy = "as_of"
    exclude = ("yardstick",)


@admin.register(PortraitShard)
class PortraitShardAdmin(_Fixed):
    list_display = ("run", "low", "high", "expected", "written", "seconds", "done_at")
    list_filter = (("done_at", admin.EmptyFieldListFilter),)
    list_select_related = ("run",)
    search_fields = ("run__job__title",)
    date_hierarchy = "done_at"


@admin.register(PortraitFeedback)
class PortraitFeedbackAdmin(_Fixed):
    list_display = ("customer", "statement", "verdict", "note", "user", "at")
    list_filter = ("verdict", "statement")
    list_select_related = ("customer", "user")
    search_fields = ("statement", "note", "customer__name", "customer__email")
    date_hierarchy = "at"


@admin.register(Segment)
class SegmentAdmin(admin.ModelAdmin):
    """Rules are edited on the segment's page, which checks them; here they are only shown."""

    list_display = ("name", "description", "members_count", "evaluated_at", "created_by", "updated_at")
    list_filter = (("created_by", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("created_by",)
    search_fields = ("name", "description")
    readonly_fields = ("rule", "is_demo", "members_count", "evaluated_at", "version", "created_by", "created_at", "updated_at")
    actions = ("evaluate",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description=_("Evaluate the selected segments now"))
    def evaluate(self, request: HttpRequest, queryset: "QuerySet[Segment]") -> None:
        for segment_id in queryset.values_list("pk", flat=True):
            tasks.refresh_segment.delay(segment_id)
        self.message_user(request, _("The segments are being evaluated (%(at)s).") % {"at": formats.clock_time(clock.now())}, messages.SUCCESS)


@admin.register(SegmentMembership)
class SegmentMembershipAdmin(_Fixed):
    list_display = ("customer", "segment", "entered_at", "left_at")
    list_filter = ("segment", ("left_at", admin.EmptyFieldListFilter))
    list_select_related = ("customer", "segment")
    search_fields = ("customer__name", "customer__email", "segment__name")
    date_hierarchy = "entered_at"
