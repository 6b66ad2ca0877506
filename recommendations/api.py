"""Recommendations for the shop's pages, and what visitors did with them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from crm.core import clock
from crm.core.api.filters import integer_param
from crm.core.api.idempotency import idempotent
from crm.core.api.views import PartnerViewSet
from crm.core.errors import NotFound
from customers.models import Customer, Product
from recommendations import feedback, ranking
from recommendations.models.feedback import FeedbackKind

_LIMIT = [OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 20, "default": 8})]


class SuggestionSerializer(serializers.Serializer[Any]):
    """One product. `why` is in the language of Accept-Language; model_version 0 is the popularity baseline."""

    product = serializers.IntegerField(source="product_id")
    external_id = serializers.CharField()
    name = serializers.CharField()
    price_amount = serializers.DecimalField(max_digits=12, decimal_places=2, allow_null=True)
    currency = serializers.CharField()
    url = serializers.CharField()
    image_url = serializers.CharField()
    rank = serializers.IntegerField()
    score = serializers.FloatField()
    why = serializers.CharField()
    model_version = serializers.IntegerField()


class SuggestionListSerializer(serializers.Serializer[Any]):
    """fallback: why no model stands behind the list, '' when one does."""

    object = serializers.CharField()
    data = SuggestionSerializer(many=True)  # type: ignore[assignment]  # the answer's own member, not the serializer's
    fallback = serializers.CharField()
    model_version = serializers.IntegerField()


class FeedbackSerializer(serializers.Serializer[Any]):
    customer = serializers.UUIDField()
    product = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    kind = serializers.ChoiceField(choices=FeedbackKind.choices)
    origin = serializers.CharField(max_length=40, default="shop")
    external_id = serializers.CharField(max_length=100, default="", allow_blank=True)


class CustomerRecommendationViewSet(PartnerViewSet):
    """What to show a customer."""

    serializer_class = SuggestionListSerializer
    scopes = {"GET": "recommendations:read"}
    source_path = "source"
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"
    pagination_class = None

    def rows(self) -> "QuerySet[Customer]":
        return Customer.objects.filter(merged_into=None)

    @extend_schema(parameters=_LIMIT)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Products for this customer, best first; unavailable and just bought ones are left out."""
        limit = integer_param(request, "limit", default=8, minimum=1, maximum=20)
        found = ranking.for_customer(customer_id=self.get_object().pk, limit=limit, at=clock.now())
        return _listed(found)


class ProductRecommendationViewSet(PartnerViewSet):
    """What goes with a product."""

    serializer_class = SuggestionListSerializer
    scopes = {"GET": "recommendations:read"}
    source_path = "source"
    lookup_value_converter = "int"
    pagination_class = None

    def rows(self) -> "QuerySet[Product]":
        return Product.objects.filter(is_goods=True)

    @extend_schema(parameters=_LIMIT, operation_id="recommendations_products_retrieve")
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Products often bought by those who bought this one."""
        limit = integer_param(request, "limit", default=8, minimum=1, maximum=20)
        found = ranking.for_product(product_id=self.get_object().pk, limit=limit, at=clock.now())
        return _listed(found)


class FeedbackViewSet(PartnerViewSet):
    """What a visitor did with a recommendation; the next training reads it."""

    serializer_class = FeedbackSerializer
    scopes = {"POST": "recommendations:write"}

    def rows(self) -> "QuerySet[Customer]":
        return Customer.objects.filter(merged_into=None)

    source_path = "source"

    @extend_schema(responses={201: FeedbackSerializer, (404, "application/problem+json"): OpenApiTypes.OBJECT})
    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Store one reaction; the same external_id again is stored once."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        customer = self.get_queryset().filter(public_id=values["customer"]).first()
        products = Product.objects.filter(pk=values["product"])
        if self.partner.source_ids:
            products = products.filter(source__in=self.partner.source_ids)
        product = products.first()
        if customer is None or product is None:
            raise NotFound
        feedback.record(
            customer_id=customer.pk, product_id=product.pk, kind=values["kind"], origin=values["origin"], at=clock.now(), external_id=values["external_id"]
        )
        return Response(serializer.data, status=status.HTTP_201_CREATED)


def _listed(found: ranking.Recommendations) -> Response:
    return Response(SuggestionListSerializer({"object": "list", "data": found.items, "fallback": found.fallback, "model_version": found.model_version}).data)
