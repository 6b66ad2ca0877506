"""Conversations, tickets and webhooks for partners: the same verbs as the console, limited to the key's shops."""

from typing import Any

from django.db import transaction
from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from crm.core import audit, clock
from crm.core.api.idempotency import idempotent
from crm.core.api.views import PartnerViewSet, check_match, etag
from customers.models import Customer, Order
from support import conversations, tags, tickets, webhooks
from support.models import Conversation, Message, Tag, Ticket, TicketEntry, Webhook, WebhookDelivery
from support.models.conversation import Priority
from support.models.ticket import CHOSEN, TicketPriority

_STATES = [(each.value, each.label) for each in CHOSEN]


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    id = serializers.UUIDField(source="public_id", read_only=True)
    customer = serializers.UUIDField(source="customer.public_id", read_only=True, allow_null=True, default=None)
    tags: Any = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)

    class Meta:
        model = Conversation
        fields = [
            "id",
            "customer",
            "source",
            "state",
            "priority",
            "tags",
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


class ConversationChange(serializers.Serializer[Any]):
    """What a partner may change of a conversation. tags: the whole set, which replaces the one before."""

    state = serializers.ChoiceField(choices=["closed", "queued"], required=False)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False)
    tags = serializers.ListField(child=serializers.CharField(max_length=tags.LONGEST), max_length=tags.MOST, required=False)


class MessageSerializer(serializers.ModelSerializer[Message]):
    """One line; private notes are never given to partners."""

    class Meta:
        model = Message
        fields = ["seq", "author", "text", "kind", "sent_at", "language", "intent", "confidence", "in_scope"]
        read_only_fields = fields


class MessageSend(serializers.Serializer[Any]):
    """A line a partner's program writes to the visitor, shown as the shop's."""

    text = serializers.CharField(max_length=conversations.LONGEST_TEXT)
    client_id = serializers.CharField(max_length=conversations.LONGEST_CLIENT_ID, required=False, default="")


class TicketSerializer(serializers.ModelSerializer[Ticket]):
    customer = serializers.SlugRelatedField(slug_field="public_id", queryset=Customer.objects.filter(merged_into=None))
    state = serializers.ChoiceField(choices=_STATES, required=False)
    priority = serializers.ChoiceField(choices=TicketPriority.choices, required=False)
    orders: Any = serializers.SlugRelatedField(slug_field="external_id", many=True, read_only=True)

    class Meta:
        model = Ticket
        fields = ["id", "subject", "body", "customer", "state", "priority", "orders", "merged_into", "version", "opened_at", "solved_at"]
        read_only_fields = ["orders", "merged_into", "version", "opened_at", "solved_at"]

    def to_representation(self, instance: Ticket) -> dict[str, Any]:
        shown = super().to_representation(instance)
        # A merged ticket has a state nobody may choose.
        return {**shown, "state": instance.state}


class CommentSerializer(serializers.ModelSerializer[TicketEntry]):
    class Meta:
        model = TicketEntry
        fields = ["id", "kind", "text", "data", "at"]
        read_only_fields = ["id", "kind", "data", "at"]


class WebhookSerializer(serializers.ModelSerializer[Webhook]):
    topics = serializers.ListField(child=serializers.ChoiceField(choices=[(topic, topic) for topic in webhooks.TOPICS]), required=False)

    class Meta:
        model = Webhook
        fields = ["id", "name", "url", "topics", "is_active", "created_at"]
        read_only_fields = ["created_at"]

    def validate_url(self, url: str) -> str:
        try:
            webhooks.check_address(url)
        except (webhooks.AddressForbidden, OSError, ValueError) as error:
            raise serializers.ValidationError(webhooks.AddressForbidden.message) from error
        return url


class DeliverySerializer(serializers.ModelSerializer[WebhookDelivery]):
    class Meta:
        model = WebhookDelivery
        fields = ["event_id", "topic", "state", "attempts", "status", "error", "created_at", "next_at", "delivered_at"]
        read_only_fields = fields


class ConversationViewSet(mixins.ListModelMixin, PartnerViewSet):
    """Chats of the key's shops."""

    serializer_class = ConversationSerializer
    scopes = {"GET": "support:read", "PATCH": "support:write", "POST": "support:write"}
    source_path = "source"
    lookup_field = "public_id"
    lookup_url_kwarg = "id"
    lookup_value_converter = "uuid"

    def rows(self) -> "QuerySet[Conversation]":
        return Conversation.objects.select_related("customer").prefetch_related(Prefetch("tags", Tag.objects.order_by("name")))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=ConversationChange, responses=ConversationSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Close the conversation, put it into the queue, or set its priority and tags."""
        talk, now = self.get_object(), clock.now()
        change = ConversationChange(data=request.data)
        change.is_valid(raise_exception=True)
        given = change.validated_data
        if "priority" in given:
            tags.prioritise(conversation_id=talk.pk, priority=given["priority"], by=None, now=now)
        if "tags" in given:
            wanted = {name.strip().lower(): name.strip() for name in given["tags"]}
            for tag in talk.tags.all():
                if tag.name.lower() not in wanted:
                    tags.remove(conversation_id=talk.pk, name=tag.name, by=None, now=now)
            for name in wanted.values():
                tags.add(conversation_id=talk.pk, name=name, by=None, now=now)
        if given.get("state") == "closed":
            conversations.close(conversation_id=talk.pk, by=None, now=now, cause="api")
        elif given.get("state") == "queued":
            conversations.hand_over(conversation_id=talk.pk, reason="api", now=now, cause="api")
        audit.record(actor=None, actor_label=str(request.user), action="conversation.change", target=talk, data={"fields": sorted(given)})
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses=MessageSerializer(many=True), operation_id="conversations_messages")
    @action(detail=True, methods=["get"], url_path="messages")
    def messages(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The conversation's lines, newest first."""
        rows = Message.objects.filter(conversation=self.get_object(), is_note=False)
        return self.get_paginated_response(MessageSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(request=MessageSend, responses={201: MessageSerializer, 200: MessageSerializer}, operation_id="conversations_send")
    @messages.mapping.post
    @idempotent
    def send(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write to the visitor as the shop; the same client_id again changes nothing."""
        talk, now = self.get_object(), clock.now()
        sent = MessageSend(data=request.data)
        sent.is_valid(raise_exception=True)
        posted = conversations.post(
            conversation_id=talk.pk, author="agent", text=sent.validated_data["text"], client_id=sent.validated_data["client_id"], now=now, cause="api"
        )
        if posted.is_new:
            audit.record(actor=None, actor_label=str(request.user), action="conversation.reply", target=talk, data={"seq": posted.message.seq})
        return Response(MessageSerializer(posted.message).data, status=status.HTTP_201_CREATED if posted.is_new else status.HTTP_200_OK)


class TicketViewSet(mixins.ListModelMixin, PartnerViewSet):
    """Tickets of the key's customers."""

    serializer_class = TicketSerializer
    scopes = {"GET": "support:read", "POST": "support:write", "PATCH": "support:write"}
    source_path = "customer__source"
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Ticket]":
        return Ticket.objects.select_related("customer").prefetch_related(Prefetch("orders", Order.objects.order_by("pk")))

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        serializer = super().get_serializer(*args, **kwargs)
        source_ids = getattr(self.request.user, "source_ids", [])
        field = getattr(serializer, "fields", {}).get("customer")
        if source_ids and field is not None:
            # A key limited to sources may not even learn that another shop's customer exists.
            field.queryset = field.queryset.filter(source__in=source_ids)
        return serializer

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self._answer(self.get_object().pk)

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Open a ticket for a customer."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        given = dict(serializer.validated_data)
        customer = given.pop("customer")
        ticket = tickets.open(customer_id=customer.pk, by_label=str(request.user), now=clock.now(), **given)
        return self._answer(ticket.pk, code=status.HTTP_201_CREATED)

    @transaction.atomic
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change subject, text, state or priority."""
        ticket = self.get_locked_object()
        check_match(request, ticket.version)
        serializer = self.get_serializer(ticket, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        given = {name: value for name, value in serializer.validated_data.items() if name in {"subject", "body", "state", "priority"}}
        tickets.change(ticket_id=ticket.pk, seen_version=ticket.version, by_label=str(request.user), now=clock.now(), **given)
        return self._answer(ticket.pk)

    @extend_schema(responses=CommentSerializer(many=True), operation_id="tickets_history")
    @action(detail=True, methods=["get"], url_path="comments")
    def comments(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The ticket's history, newest first."""
        rows = TicketEntry.objects.filter(ticket=self.get_object())
        return self.get_paginated_response(CommentSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(request=CommentSerializer, responses={201: CommentSerializer}, operation_id="tickets_comment")
    @comments.mapping.post
    @idempotent
    def comment(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write into the ticket's history."""
        ticket = self.get_object()
        serializer = CommentSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        entry = tickets.comment(ticket_id=ticket.pk, text=serializer.validated_data.get("text", ""), by=None, by_label=str(request.user), now=clock.now())
        return Response(CommentSerializer(entry).data, status=status.HTTP_201_CREATED)

    def _answer(self, ticket_id: int, *, code: int = status.HTTP_200_OK) -> Response:
        ticket = self.rows().get(pk=ticket_id)
        return Response(self.get_serializer(ticket).data, status=code, headers={"ETag": etag(ticket.version)})


class WebhookViewSet(mixins.ListModelMixin, PartnerViewSet):
    """Addresses that are told what happens to conversations and tickets. The secret is shown once, when one is made."""

    serializer_class = WebhookSerializer
    scopes = {"GET": "support:read", "POST": "support:write", "PATCH": "support:write", "DELETE": "support:write"}
    source_path = "sources"
    lookup_value_converter = "int"

    def rows(self) -> "QuerySet[Webhook]":
        source_ids = getattr(self.request.user, "source_ids", [])
        if not source_ids:
            return Webhook.objects.all()
        # One that is told of another shop, too, is not this key's: its log would tell of that shop.
        others = Webhook.sources.through.objects.exclude(source_id__in=source_ids).values("webhook")
        return Webhook.objects.exclude(pk__in=others).distinct()

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self.get_serializer(self.get_object()).data)

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Add an address. A key limited to shops is told of those shops only."""
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        hook = serializer.save()
        hook.sources.set(self.partner.source_ids)
        webhooks.forget()
        audit.record(actor=None, actor_label=str(request.user), action="webhook.create", target=hook)
        return Response({**self.get_serializer(hook).data, "secret": hook.secret}, status=status.HTTP_201_CREATED)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change name, address, topics, or switch it on and off."""
        hook = self.get_object()
        serializer = self.get_serializer(hook, data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        webhooks.forget()
        audit.record(actor=None, actor_label=str(request.user), action="webhook.change", target=hook, data={"fields": sorted(serializer.validated_data)})
        return Response(serializer.data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove an address and its log."""
        hook = self.get_object()
        audit.record(actor=None, actor_label=str(request.user), action="webhook.delete", target=hook)
        hook.delete()
        webhooks.forget()
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=DeliverySerializer(many=True), operation_id="webhooks_deliveries")
    @action(detail=True, methods=["get"], url_path="deliveries")
    def deliveries(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Every event for the address and how its delivery stands, newest first."""
        rows = WebhookDelivery.objects.filter(webhook=self.get_object())
        return self.get_paginated_response(DeliverySerializer(self.paginate_queryset(rows), many=True).data)
