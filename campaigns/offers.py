"""Products printed in a message: what the campaign is about or what is nearer to the customer, then their own list.

The list is the shop's recommendations (recommendations.ranking), with its rules: sellable, not blocked, not refused, not
bought a short while ago, what sells best where nothing else is known.  Who gets the campaign's own product and who a
related one is decided by customers.offer.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q, Sum

from customers.models import Product

# Four fit on a phone without scrolling past them.
PER_MESSAGE = 4
POPULAR_DAYS = 90


def for_customers(*, customer_ids: Iterable[int], at: datetime, limit: int = PER_MESSAGE, featured: Sequence[int] = ()) -> dict[int, tuple[Product, ...]]:
    """Return up to `limit` available products per customer, best first.

    featured: products the campaign is about.  Each takes one of the first places, by itself or by the related product
    that this customer is likelier to buy.  Four queries for any number of customers, ten more per featured product.
    """
    # Here, not above: both load numpy, and every process of the stack imports this module at its start.
    from customers import offer
    from recommendations import ranking

    ids = list(dict.fromkeys(customer_ids))
    first: dict[int, list[int]] = {one: [] for one in ids}
    for product_id in featured:
        for customer_id, decision in offer.decide(customer_ids=ids, product_id=product_id, at=at).items():
            first[customer_id].append(decision.product_id)
    wanted = {product_id for listed in first.values() for product_id in listed}
    sellable = Product.objects.filter(is_available=True, is_goods=True).exclude(recommendation_rule__kind="block")
    leading = sellable.in_bulk(wanted) if wanted else {}
    lists = ranking.products_for_customers(customer_ids=ids, at=at, limit=limit)
    chosen = {one: [*(leading[product_id] for product_id in first[one] if product_id in leading), *lists[one]] for one in ids}
    return {one: tuple(dict.fromkeys(listed))[:limit] for one, listed in chosen.items()}


def best_sellers(*, at: datetime, limit: int) -> list[Product]:
    """Return the available goods sold most in the last POPULAR_DAYS before `at`. One query."""
    recent = Q(order_lines__order__placed_at__gte=at - timedelta(days=POPULAR_DAYS), order_lines__order__placed_at__lt=at) & ~Q(
        order_lines__order__status="cancelled"
    )
    goods = Product.objects.filter(is_available=True, is_goods=True).exclude(recommendation_rule__kind="block")
    return list(goods.annotate(sold=Sum("order_lines__quantity", filter=recent)).filter(sold__gt=0).select_related("category").order_by("-sold", "pk")[:limit])
