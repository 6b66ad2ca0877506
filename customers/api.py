"""The partner API's view of the customer's record."""

from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from crm.core import audit, clock
from crm.core.api.filters import moment_param
from crm.core.api.idempotency import idempotent
from crm.core.api.views import PartnerViewSet, check_match, etag
from customers import person_pages, records
from customers.models import Activity, Customer, Order, OrderLine, Product, Segment, SegmentMembership
from customers.portrayal.card import portrait_card
from customers.portrayal_serializers import PortraitSerializer
from customers.segmentation import tree


class CustomerSerializer(serializers.ModelSerializer[Customer]):
    """A customer. `id` is stable and public; totals are in `currency`."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    tags = serializers.ListField(child=serializers.CharField(max_length=50), required=False, max_length=50)

    class Meta:
        model = Customer
        fields = [
            "id", "name", "email", "phone", "locale", "country", "city", "time_zone", "gender", "birth_date", "tags", "source", "currency",
            "orders_count", "spent_amount", "first_order_at", "last_order_at", "first_seen_at", "last_seen_at", "version",
        ]  # fmt: skip
        read_only_fields = ["source", "currency", "orders_count", "spent_amount", "first_order_at", "last_order_at", "first_seen_at", "last_seen_at", "version"]


class OrderLineSerializer(serializers.ModelSerializer[OrderLine]):
    product_name = serializers.CharField(source="product.name", read_only=True)

    class Meta:
        model = OrderLine
        fields = ["product", "product_name", "quantity", "unit_amount"]
        read_only_fields = fields


class OrderSerializer(serializers.ModelSerializer[Order]):
    customer = serializers.UUIDField(source="customer.public_id", read_only=True, allow_null=True, default=None)
    lines = OrderLineSerializer(many=True, read_only=True)

    class Meta:
        model = Order
        fields = [
            "id",
            "external_id",
            "customer",
            "source",
            "placed_at",
            "status",
            "currency",
            "total_amount",
            "discount_amount",
            "shipping_amount",
            "tax_amount",
            "coupon",
            "country",
            "lines",
        ]
        read_only_fields = fields


class ProductSerializer(serializers.ModelSerializer[Product]):
    names = serializers.DictField(child=serializers.CharField(), read_only=True)
    category: Any = serializers.SlugRelatedField(slug_field="slug", read_only=True, allow_null=True)

    class Meta:
        model = Product
        fields = ["id", "external_id", "sku", "name", "names", "category", "brand", "price_amount", "currency", "is_available", "is_goods", "url", "image_url"]
        read_only_fields = fields


class ActivitySerializer(serializers.ModelSerializer[Activity]):
    customer = serializers.UUIDField(source="customer.public_id", read_only=True, allow_null=True, default=None)
    properties = serializers.DictField(read_only=True)

    class Meta:
        model = Activity
        fields = ["id", "message_id", "customer", "source", "kind", "name", "product", "properties", "occurred_at", "received_at"]
        read_only_fields = fields


class SegmentSerializer(serializers.ModelSerializer[Segment]):
    """An audience. `rule` is the tree described in docs/api.md."""

    rule = serializers.DictField()

    class Meta:
        model = Segment
        fields = ["id", "name", "description", "rule", "members_count", "evaluated_at", "version", "created_at", "updated_at"]
        read_only_fields = ["members_count", "evaluated_at", "version", "created_at", "updated_at"]

    def validate_rule(self, value: dict[str, Any]) -> dict[str, Any]:
        try:
            tree.parse(value)
        except tree.RuleInvalid as error:
            raise serializers.ValidationError(error.text, code=error.code) from error
        return value


class MembershipSerializer(serializers.ModelSerializer[SegmentMembership]):
    customer = serializers.UUIDField(source="customer.public_id", read_only=True)

    class Meta:
        model = SegmentMembership
        fields = ["customer", "entered_at"]
        read_only_fields = fields


class CustomerViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PartnerViewSet):
    """Customers: people known by name, newest first."""

    serializer_class = CustomerSerializer
    scopes = {"GET": "customers:read", "POST": "customers:write", "PATCH": "customers:write"}
    source_path = "source"
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    def rows(self) -> "QuerySet[Customer]":
        rows = Customer.objects.people()
        if (email := self.request.query_params.get("email")) is not None:
            rows = rows.filter(email__iexact=_address(email))
        if since := moment_param(self.request, "updated_since"):
            rows = rows.filter(updated_at__gte=since)
        return rows

    @extend_schema(parameters=[OpenApiParameter("email", str), OpenApiParameter("updated_since", OpenApiTypes.DATETIME)])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        customer = self.get_object()
        return Response(self.get_serializer(customer).data, headers={"ETag": etag(customer.version)})

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Create a customer. A key limited to one source creates there; otherwise the customer belongs to no source yet."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if not any(serializer.validated_data.get(name) for name in ("name", "email", "phone")):
            raise serializers.ValidationError("A customer needs a name, an e-mail address or a phone number.")
        source_ids = self.partner.source_ids
        customer = records.create(values=serializer.validated_data, source_id=source_ids[0] if source_ids else None, at=clock.now())
        audit.record(actor=None, actor_label=str(request.user), action="customer.create", target=customer)
        return Response(self.get_serializer(customer).data, status=status.HTTP_201_CREATED, headers={"ETag": etag(customer.version)})

    @transaction.atomic
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change some fields. With If-Match, only if nobody changed the customer since."""
        customer = self.get_locked_object()
        check_match(request, customer.version)
        serializer = self.get_serializer(customer, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        customer = records.change(customer_id=customer.pk, values=serializer.validated_data, at=clock.now())
        audit.record(actor=None, actor_label=str(request.user), action="customer.change", target=customer, data={"fields": sorted(serializer.validated_data)})
        return Response(self.get_serializer(customer).data, headers={"ETag": etag(customer.version)})

    @extend_schema(responses=PortraitSerializer)
    @action(detail=True, methods=["get"], url_path="portrait")
    def portrait(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The customer's scores with intervals, reasons and versions; 404 until the first refresh and after a refusal of profiling."""
        customer, at = self.get_object(), clock.now()
        if customer.profiling_refused:
            raise NotFound("This customer refuses to be profiled; there is no portrait.")
        reachable = person_pages.reachable(person_pages.consent_lines(customer=customer, at=at))
        card = portrait_card(customer=customer, viewer=None, reachable=reachable, at=at)
        if card is None:
            raise NotFound("There is no portrait of this customer yet; it appears after the next refresh.")
        return Response(PortraitSerializer(card.row, context={"card": card}).data)


class OrderViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PartnerViewSet):
    """Orders with their lines."""

    serializer_class = OrderSerializer
    scopes = {"GET": "orders:read"}
    source_path = "source"
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Order]":
        rows = Order.objects.select_related("customer").prefetch_related(
            Prefetch("lines", OrderLine.objects.select_related("product").order_by("position", "pk"))
        )
        if (customer := self.request.query_params.get("customer")) is not None:
            rows = rows.filter(customer__public_id=_uuid(customer))
        return rows

    @extend_schema(parameters=[OpenApiParameter("customer", OpenApiTypes.UUID)])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)


class ProductViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PartnerViewSet):
    """Products, goods and adjustment codes alike; `is_goods` tells them apart."""

    serializer_class = ProductSerializer
    scopes = {"GET": "products:read"}
    source_path = "source"
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Product]":
        return Product.objects.select_related("category")


class ActivityViewSet(mixins.ListModelMixin, PartnerViewSet):
    """What visitors did, one row per tracking call."""

    serializer_class = ActivitySerializer
    scopes = {"GET": "activity:read"}
    source_path = "source"

    def rows(self) -> "QuerySet[Activity]":
        rows = Activity.objects.select_related("customer")
        if (customer := self.request.query_params.get("customer")) is not None:
            rows = rows.filter(customer__public_id=_uuid(customer))
        if name := self.request.query_params.get("name"):
            rows = rows.filter(name=name.replace("\x00", ""))
        return rows

    @extend_schema(parameters=[OpenApiParameter("customer", OpenApiTypes.UUID), OpenApiParameter("name", str)])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)


class SegmentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PartnerViewSet):
    """Audiences. They belong to the organisation; a key limited to sources sees only its own customers among the members."""

    serializer_class = SegmentSerializer
    scopes = {"GET": "segments:read", "POST": "segments:write", "PATCH": "segments:write"}
    organisation_wide = True
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Segment]":
        return Segment.objects.all()

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        segment = self.get_object()
        return Response(self.get_serializer(segment).data, headers={"ETag": etag(segment.version)})

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Create a segment; its members are counted at the next evaluation (every five minutes)."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        segment = serializer.save()
        audit.record(actor=None, actor_label=str(request.user), action="segment.create", target=segment)
        return Response(self.get_serializer(segment).data, status=status.HTTP_201_CREATED, headers={"ETag": etag(segment.version)})

    @transaction.atomic
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change name, description or rule."""
        segment = self.get_locked_object()
        check_match(request, segment.version)
        serializer = self.get_serializer(segment, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        segment = serializer.save(version=segment.version + 1)
        audit.record(actor=None, actor_label=str(request.user), action="segment.change", target=segment)
        return Response(self.get_serializer(segment).data, headers={"ETag": etag(segment.version)})

    @extend_schema(responses=MembershipSerializer(many=True), operation_id="segments_members")
    @action(detail=True, methods=["get"], url_path="members")
    def members(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Who is in the segment now."""
        rows = SegmentMembership.objects.filter(segment=self.get_object(), left_at=None).select_related("customer")
        if self.partner.source_ids:
            rows = rows.filter(customer__source__in=self.partner.source_ids)
        return self.get_paginated_response(MembershipSerializer(self.paginate_queryset(rows), many=True).data)


def _address(text: str) -> str:
    # An empty one, from a partner's empty variable, must not be answered with everybody.
    if not (found := text.strip()) or "\x00" in found:
        raise serializers.ValidationError({"email": "Write an e-mail address, or leave the parameter out."})
    return found


def _uuid(text: str) -> str:
    try:
        return str(serializers.UUIDField().to_internal_value(text))
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"customer": "Write the customer's id, a UUID."}) from error
