"""The raw tables for operators; lists are computed, so they can be looked at but not edited."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from recommendations.models import CustomerRecommendation, ListState, PopularProduct, ProductRecommendation, RecommendationFeedback, RecommendationRule


class ComputedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that only the program writes."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(CustomerRecommendation)
class CustomerRecommendationAdmin(ComputedAdmin):
    list_display = ("customer", "rank", "product", "score", "reason", "model_version", "computed_at")
    list_select_related = ("customer", "product")
    list_filter = ("model_version",)
    search_fields = ("customer__name", "customer__email", "product__name", "product__sku")
    search_help_text = "Customer's name or e-mail, product's name or SKU"
    ordering = ("customer_id", "rank")


@admin.register(ProductRecommendation)
class ProductRecommendationAdmin(ComputedAdmin):
    list_display = ("product", "rank", "other", "together", "score", "model_version", "computed_at")
    list_select_related = ("product", "other")
    list_filter = ("model_version",)
    search_fields = ("product__name", "product__sku", "other__name")
    ordering = ("product_id", "rank")


@admin.register(PopularProduct)
class PopularProductAdmin(ComputedAdmin):
    list_display = ("rank", "product", "score", "computed_at")
    list_select_related = ("product",)
    search_fields = ("product__name", "product__sku")
    ordering = ("rank",)


@admin.register(ListState)
class ListStateAdmin(ComputedAdmin):
    list_display = ("model_version", "fallback", "customers", "as_of", "refreshed_at")


@admin.register(RecommendationFeedback)
class RecommendationFeedbackAdmin(ComputedAdmin):
    list_display = ("at", "customer", "kind", "product", "origin", "model_version")
    list_select_related = ("customer", "product")
    list_filter = ("kind", "origin", "model_version", "at")
    search_fields = ("customer__name", "customer__email", "product__name", "product__sku", "external_id")
    date_hierarchy = "at"
    actions = ("forget",)

    @admin.action(description="Delete the selected feedback (training will not see it again)", permissions=["forget"])
    def forget(self, request: HttpRequest, queryset: QuerySet[RecommendationFeedback]) -> None:
        number = queryset.count()
        queryset.delete()
        self.message_user(request, f"{number} rows deleted.")

    def has_forget_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)


@admin.register(RecommendationRule)
class RecommendationRuleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("product", "kind", "created_at")
    list_select_related = ("product",)
    list_filter = ("kind",)
    search_fields = ("product__name", "product__sku", "product__external_id")
    raw_id_fields = ("product",)
