"""Everything the assistant notes about one visitor message: entities, mood, urgency, and the intents it wavers between."""

import re
from collections.abc import Sequence
from datetime import datetime

from django.core.cache import cache
from django.db.models import Q
from django.utils import timezone

from customers.models import Order, Product
from support import entities, mood
from support.entities import ORDER, PRODUCT, Entity
from support.mood import Mood

# Products looked for in messages: more would make every message slow; and how long their names are kept, in seconds.
MOST_PRODUCTS, NAMES_KEPT = 5000, 300


def look(text: str, *, source_id: int, at: datetime) -> tuple[list[Entity], Mood]:
    """Return what the message names and how it is meant. One query at most, for the product names, every five minutes."""
    today = timezone.localtime(at).date()
    found = entities.extract(text, today=today, products=product_names(source_id))
    return found, mood.of(text, today=today, entities=found)


def noted(named: list[Entity], meant: Mood, weighed: Sequence[tuple[str, float]]) -> dict[str, object]:
    """Return it as Message.understood keeps it: entities, mood, urgency, why, choices (label and probability)."""
    return {
        "entities": [entity.as_dict() for entity in named[:20]],
        "mood": meant.mood,
        "urgency": meant.urgency,
        "why": list(meant.why),
        "choices": [[label, round(share, 4)] for label, share in weighed],
    }


def product_names(source_id: int) -> dict[str, str]:
    """Return the shop's product names and codes in lower case, with the shop's ids."""
    key = f"support:products:{source_id}"
    try:
        known = cache.get(key)
    except Exception:  # every cache backend has its own class for being away
        known = None
    if known is None:
        found: dict[str, str] = {}
        rows = Product.objects.filter(source_id=source_id, is_goods=True).order_by("pk").values_list("external_id", "sku", "name", "names")
        for external_id, sku, name, names in rows[:MOST_PRODUCTS]:
            for written in (name, sku, external_id, *names.values()):
                if isinstance(written, str) and len(written) >= 3 and not written.isdigit():
                    found.setdefault(written.lower(), external_id)
        try:
            cache.set(key, found, NAMES_KEPT)
        except Exception:  # as above
            return found
        return found
    return dict(known)


def own_order(found: list[Entity], text: str, *, customer_id: int) -> tuple[list[Order], Order | None, bool]:
    """Return the customer's newest orders, the one meant (by number, else by a product named), and whether a number was
    named that is not among them. Two queries. Never looks at anybody else's orders.
    """
    orders = list(Order.objects.filter(customer_id=customer_id).order_by("-placed_at", "-id")[:50])
    lowered = text.lower()
    numbers = {entity.value.lower() for entity in found if entity.kind == ORDER}
    named = next((order for order in orders if order.external_id.lower() in numbers or _written(order.external_id.lower().lstrip("#"), lowered)), None)
    if named is not None or numbers:
        return orders, named, bool(numbers) and named is None
    products = [entity.value for entity in found if entity.kind == PRODUCT]
    if products:
        holding = Q(lines__product__external_id__in=products)
        named = Order.objects.filter(holding, customer_id=customer_id).order_by("-placed_at", "-id").first()
    return orders, named, False


def _written(number: str, text: str) -> bool:
    """Whether an order number of any shape stands in the text, and not within a longer one; three characters are no evidence."""
    return len(number) > 3 and re.search(rf"(?<![a-z0-9]){re.escape(number)}(?![a-z0-9])", text) is not None
