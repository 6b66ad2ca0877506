"""The vocabulary in which the rest of the project asks for customers."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django.apps import apps
from django.db import models


class CustomerQuerySet(models.QuerySet):  # type: ignore[type-arg]
    """Customers by what is known of them; every method returns a queryset and runs nothing."""

    def people(self) -> Self:
        """Rows that stand for a person today: not merged away and not a nameless browser."""
        return self.filter(merged_into=None, is_anonymous=False)

    def buyers(self) -> Self:
        return self.people().filter(orders_count__gt=0)

    def bought_between(self, start: datetime, end: datetime) -> Self:
        """Customers with an order placed in [start, end)."""
        return self.filter(models.Exists(_orders().filter(placed_at__gte=start, placed_at__lt=end)))

    def lapsed_since(self, moment: datetime) -> Self:
        """Buyers whose last order was placed before `moment`."""
        return self.filter(last_order_at__lt=moment)

    def with_spend(self, *, at_least: Decimal) -> Self:
        return self.filter(spent_amount__gte=at_least)

    def in_segment(self, segment_id: int) -> Self:
        """Current members of a stored segment."""
        members = _model("SegmentMembership").objects.filter(segment_id=segment_id, left_at=None, customer_id=models.OuterRef("pk"))
        return self.filter(models.Exists(members))


def _orders() -> "models.QuerySet":  # type: ignore[type-arg]
    orders: models.QuerySet = _model("Order").objects.filter(customer_id=models.OuterRef("pk"))  # type: ignore[type-arg]
    return orders


def _model(name: str) -> Any:
    """Return a model of this app by its name: models import this vocabulary, so it cannot import them."""
    return apps.get_model("customers", name)
