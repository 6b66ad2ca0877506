"""Conversations and tickets for partners."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.core import audit, clock
from crm.core.api.idempotency import idempotent
from crm.core.api.views import PartnerViewSet, bump, check_match, etag
from crm.core.errors import Conflict
from customers.models import Customer
from support.models import Conversation, Message, Ticket
from support.models.ticket import TicketPriority, TicketState


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    id = serializers.UUIDField(source="public_id", read_only=True)
    customer = serializers.UUIDField(source="customer.public_id", read_only=True, allow_null=True, default=None)

    class Meta:
        model = Conversation
        fields = [
            "id",
            "customer",
            "source",
            "state",
            "language",
            "intent",
            "last_seq",
            "opened_at",
            "last_message_at",
            "handed_over_at",
            "handover_reason",
            "first_response_at",
            "closed_at",
            "csat",
        ]
        read_only_fields = fields


class MessageSerializer(serializers.ModelSerializer[Message]):
    """One line; private notes are never given to partners."""

    class Meta:
        model = Message
        fields = ["seq", "author", "text", "kind", "sent_at", "language", "intent", "confidence", "in_scope"]
        read_only_fields = fields


class TicketSerializer(serializers.ModelSerializer[Ticket]):
    customer = serializers.SlugRelatedField(slug_field="public_id", queryset=Customer.objects.filter(merged_into=None))
    state = serializers.ChoiceField(choices=TicketState.choices, required=False)
    priority = serializers.ChoiceField(choices=TicketPriority.choices, required=False)

    class Meta:
        model = Ticket
        fields = ["id", "subject", "body", "customer", "state", "priority", "version", "opened_at", "solved_at"]
        read_only_fields = ["version", "opened_at", "solved_at"]


class ConversationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, PartnerViewSet):
    """Chats of the key's shops."""

    serializer_class = ConversationSerializer
    scopes = {"GET": "support:read"}
    source_path = "source"
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    def rows(self) -> "QuerySet[Conversation]":
        return Conversation.objects.select_related("customer")

    @extend_schema(responses=MessageSerializer(many=True), operation_id="conversations_messages")
    @action(detail=True, methods=["get"], url_path="messages")
    def messages(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The conversation's lines, newest first."""
        rows = Message.objects.filter(conversation=self.get_object(), is_note=False)
        return self.get_paginated_response(MessageSerializer(self.paginate_queryset(rows), many=True).data)


class TicketViewSet(mixins.ListModelMixin, PartnerViewSet):
    """Tickets of the key's customers."""

    serializer_class = TicketSerializer
    scopes = {"GET": "support:read", "POST": "support:write", "PATCH": "support:write"}
    source_path = "customer__source"
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Ticket]":
        return Ticket.objects.select_related("customer")

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        serializer = super().get_serializer(*args, **kwargs)
        source_ids = getattr(self.request.user, "source_ids", [])
        field = getattr(serializer, "fields", {}).get("customer")
        if source_ids and field is not None:
            # A key limited to sources may not even learn that another shop's customer exists.
            field.queryset = field.queryset.filter(source__in=source_ids)
        return serializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        ticket = self.get_object()
        return Response(self.get_serializer(ticket).data, headers={"ETag": etag(ticket.version)})

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Open a ticket for a customer."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        ticket = serializer.save(opened_at=clock.now())
        audit.record(actor=None, actor_label=str(request.user), action="ticket.create", target=ticket)
        return Response(self.get_serializer(ticket).data, status=status.HTTP_201_CREATED, headers={"ETag": etag(ticket.version)})

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change subject, text, state or priority."""
        ticket = self.get_object()
        check_match(request, ticket.version)
        serializer = self.get_serializer(ticket, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        values = dict(serializer.validated_data)
        if values.get("state") == TicketState.SOLVED and ticket.solved_at is None:
            values["solved_at"] = clock.now()
        if not bump(ticket, ticket.version, **values):
            raise Conflict
        ticket = self.get_object()
        audit.record(actor=None, actor_label=str(request.user), action="ticket.change", target=ticket, data={"fields": sorted(values)})
        return Response(self.get_serializer(ticket).data, headers={"ETag": etag(ticket.version)})
