"""What the global search finds in the customer's record: one query per kind, best matches first."""

from collections.abc import Sequence

from django.db.models import Case, F, Q, Value, When
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from crm.core import formats
from crm.core.registries import SearchHit
from customers.models import Customer, Order, Product, Segment


def customers(text: str, limit: int) -> Sequence[SearchHit]:
    """People whose name, e-mail or phone contains the text; those that begin with it come first."""
    starts = Q(name__istartswith=text) | Q(email__istartswith=text)
    found = (
        Customer.objects.people()
        .filter(Q(name__icontains=text) | Q(email__icontains=text) | Q(phone__contains=text))
        .order_by(Case(When(starts, then=Value(0)), default=Value(1)), "-last_seen_at", "-id")[:limit]
    )
    return [
        SearchHit(_("Customers"), str(customer), " · ".join(filter(None, (customer.email, customer.country))), reverse("customers:detail", args=[customer.pk]))
        for customer in found
    ]


def segments(text: str, limit: int) -> Sequence[SearchHit]:
    found = Segment.objects.filter(Q(name__icontains=text) | Q(description__icontains=text)).order_by("name", "id")[:limit]
    return [SearchHit(_("Segments"), segment.name, segment.description, reverse("segments:detail", args=[segment.pk])) for segment in found]


def orders(text: str, limit: int) -> Sequence[SearchHit]:
    """Orders by number; they lead to their customer's page, anonymous ones to the admin's."""
    found = Order.objects.filter(external_id__istartswith=text).select_related("customer").order_by("-placed_at", "-id")[:limit]
    return [
        SearchHit(
            _("Orders"),
            order.external_id,
            " · ".join(filter(None, (formats.day(order.placed_at), formats.money(order.total_amount, order.currency), str(order.customer or "")))),
            reverse("customers:detail", args=[order.customer_id]) if order.customer_id else reverse("admin:customers_order_change", args=[order.pk]),
        )
        for order in found
    ]


def products(text: str, limit: int) -> Sequence[SearchHit]:
    """Goods by name in any language, SKU or the shop's id; they lead to the customers who bought them."""
    named = Q(name__icontains=text) | Q(sku__istartswith=text) | Q(external_id__istartswith=text) | Q(**{"names__zh-hans__icontains": text})
    found = Product.objects.filter(named, is_goods=True).annotate(slug=F("category__slug")).order_by("-is_available", "name", "id")[:limit]
    return [
        SearchHit(
            _("Products"),
            str(product),
            " · ".join(filter(None, (product.sku, formats.money(product.price_amount, product.currency) if product.price_amount is not None else ""))),
            f"{reverse('customers:list')}?product={product.pk}",
        )
        for product in found
    ]
