"""Products printed in a message: each customer's own recommendations, filled up with what sells best just now."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, Sum

from customers.models import OrderLine, Product
from recommendations.models import CustomerRecommendation

# Four fit on a phone without scrolling past them.
PER_MESSAGE = 4
POPULAR_DAYS = 90
# Enough to fill four places for someone who already bought most of them.
_SPARE = 12


def for_customers(*, customer_ids: Iterable[int], at: datetime, limit: int = PER_MESSAGE) -> dict[int, tuple[Product, ...]]:
    """Return up to `limit` available products per customer, best first. Three queries for any number of customers.

    Customers without a list of their own get best sellers they did not buy within POPULAR_DAYS; the recommendations
    model leaves out such products by itself.
    """
    ids = list(customer_ids)
    chosen: dict[int, list[Product]] = {one: [] for one in ids}
    rows = (
        CustomerRecommendation.objects.filter(customer_id__in=ids, product__is_available=True, product__is_goods=True)
        .exclude(product__recommendation_rule__kind="block")
        .select_related("product")
        .order_by("customer_id", "rank", "pk")
    )
    for row in rows:
        if len(chosen[row.customer_id]) < limit:
            chosen[row.customer_id].append(row.product)
    short = [one for one in ids if len(chosen[one]) < limit]
    if not short:
        return {one: tuple(found) for one, found in chosen.items()}
    popular = best_sellers(at=at, limit=_SPARE)
    since = at - timedelta(days=POPULAR_DAYS)
    bought = set(
        OrderLine.objects.filter(order__customer_id__in=short, order__placed_at__gte=since, product_id__in=[one.pk for one in popular]).values_list(
            "order__customer_id", "product_id"
        )
    )
    for one in short:
        have = {product.pk for product in chosen[one]}
        spare = [product for product in popular if product.pk not in have and (one, product.pk) not in bought]
        chosen[one] += spare[: limit - len(chosen[one])]
    return {one: tuple(found) for one, found in chosen.items()}


def best_sellers(*, at: datetime, limit: int) -> list[Product]:
    """Return the available goods sold most in the last POPULAR_DAYS before `at`. One query."""
    recent = Q(order_lines__order__placed_at__gte=at - timedelta(days=POPULAR_DAYS), order_lines__order__placed_at__lt=at) & ~Q(
        order_lines__order__status="cancelled"
    )
    goods = Product.objects.filter(is_available=True, is_goods=True).exclude(recommendation_rule__kind="block")
    return list(goods.annotate(sold=Sum("order_lines__quantity", filter=recent)).filter(sold__gt=0).select_related("category").order_by("-sold", "pk")[:limit])
