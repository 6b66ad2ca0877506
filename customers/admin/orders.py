"""Orders and returns with their lines."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm.core import formats
from customers.admin.base import Fixed, FixedInline
from customers.models import (
    Order,
    OrderLine,
    Return,
    ReturnLine,
)


class OrderLineInline(FixedInline):
    model = OrderLine
    fields = ("position", "product", "quantity", "unit_amount")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[OrderLine]":
        return super().get_queryset(request).select_related("product")


class ReturnLineInline(FixedInline):
    model = ReturnLine
    fields = ("product", "quantity", "unit_amount", "order_line")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ReturnLine]":
        return super().get_queryset(request).select_related("product", "order_line")


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
class OrderLineAdmin(Fixed):
    list_display = ("order", "product", "quantity", "unit_amount")
    list_select_related = ("order", "product")
    search_fields = ("order__external_id", "product__name", "product__external_id")
    show_full_result_count = False


@admin.register(Return)
class ReturnAdmin(Fixed):
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
class ReturnLineAdmin(Fixed):
    list_display = ("return_record", "product", "quantity", "unit_amount", "order_line")
    list_filter = (("order_line", admin.EmptyFieldListFilter),)
    list_select_related = ("return_record", "product", "order_line")
    search_fields = ("return_record__external_id", "product__name")
