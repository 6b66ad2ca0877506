"""Categories, products and what is said of them."""

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm.core import formats
from customers.models import (
    Category,
    Product,
    Review,
)


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
