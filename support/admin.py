"""The chat's tables for operators. Messages are read-only: the conversation's verbs are the only way to write one."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from crm.core import clock
from support import intents
from support.desk_admin import TicketEntryInline
from support.models import Article, ArticleText, Conversation, IntentExample, Message, Ticket
from support.models.ticket import TicketState


class MessageInline(admin.TabularInline):
    """The thread inside its conversation, in order."""

    model = Message
    fields = ["seq", "author", "agent", "is_note", "kind", "text", "intent", "confidence", "corrected_intent", "sent_at"]
    readonly_fields = fields
    ordering = ["seq"]
    extra = 0
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Message]":
        return super().get_queryset(request).select_related("agent")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Conversation)
class ConversationAdmin(admin.ModelAdmin):
    list_display = ["__str__", "state", "customer", "agent", "source", "language", "intent", "messages_count", "csat", "opened_at", "last_message_at"]
    list_filter = ["state", "source", "language", "is_verified", "csat", ("agent", admin.RelatedOnlyFieldListFilter), "handover_reason", "opened_at"]
    list_select_related = ["customer", "agent", "source"]
    search_fields = ["visitor_name", "visitor_email", "customer__name", "customer__email", "last_line", "public_id"]
    autocomplete_fields = ["customer", "agent", "source", "team", "tags"]
    date_hierarchy = "opened_at"
    readonly_fields = [
        "public_id", "visitor_id", "last_seq", "visitor_read_seq", "agent_read_seq", "clarifications", "last_line", "last_author", "is_verified",
        "opened_at", "last_message_at", "handed_over_at", "first_response_at", "closed_at", "waiting_since", "csat_at",
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["state", "agent", "team", "priority", "tags", "snoozed_until", "intent", "handover_reason"]}),
        (_("Visitor"), {"fields": ["source", "customer", "is_verified", "visitor_name", "visitor_email", "language", "visitor_id", "public_id"]}),
        (_("Times"), {"fields": ["opened_at", "last_message_at", "waiting_since", "handed_over_at", "first_response_at", "closed_at"]}),
        (_("Rating"), {"fields": ["csat", "csat_comment", "csat_at"]}),
        (_("Numbers"), {"classes": ["collapse"], "fields": ["last_seq", "visitor_read_seq", "agent_read_seq", "clarifications", "last_line", "last_author"]}),
    ]
    inlines = [MessageInline]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Conversation]":
        return super().get_queryset(request).annotate(number_of_messages=Count("messages"))

    @admin.display(description=_("messages"), ordering="number_of_messages")
    def messages_count(self, found: Any) -> int:
        return int(found.number_of_messages)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A conversation begins with a visitor.
        return False


@admin.register(Message)
class MessageAdmin(admin.ModelAdmin):
    list_display = [
        "conversation",
        "seq",
        "author",
        "short_text",
        "kind",
        "intent_name",
        "confidence",
        "in_scope",
        "corrected_intent",
        "reply_state",
        "sent_at",
    ]
    list_filter = ["author", "kind", "is_note", "in_scope", "reply_state", "language", "intent", "sent_at"]
    list_select_related = ["conversation"]
    search_fields = ["text", "conversation__public_id"]
    date_hierarchy = "sent_at"
    ordering = ["-sent_at", "-pk"]
    show_full_result_count = False

    @admin.display(description=_("text"))
    def short_text(self, row: Message) -> str:
        return row.text[:80]

    @admin.display(description=_("intent"), ordering="intent")
    def intent_name(self, row: Message) -> str:
        return intents.name(row.intent, "en") if row.intent else ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Deleting one would leave a gap in its conversation's numbers.
        return False


class ArticleTextInline(admin.StackedInline):
    model = ArticleText
    fields = ["language", "title", "body", "version", "last_used_at"]
    readonly_fields = ["version", "last_used_at"]
    extra = 0


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):
    list_display = ["slug", "titles", "answers", "state", "updated_at", "page"]
    list_filter = ["state", "updated_at"]
    search_fields = ["slug", "texts__title", "texts__body"]
    inlines = [ArticleTextInline]
    actions = ["publish", "archive"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Article]":
        return super().get_queryset(request).prefetch_related("texts")

    @admin.display(description=_("titles"))
    def titles(self, article: Article) -> str:
        return " · ".join(text.title for text in article.texts.all())

    @admin.display(description=_("answers these intents"))
    def answers(self, article: Article) -> str:
        return ", ".join(intents.name(label, "en") for label in article.intents)

    @admin.display(description=_("page"))
    def page(self, article: Article) -> str:
        return format_html('<a href="/help/{}/">{}</a>', article.slug, _("Open"))

    @admin.action(description=_("Publish the selected articles"))
    def publish(self, request: HttpRequest, chosen: "QuerySet[Article]") -> None:
        chosen.update(state="published", updated_at=clock.now())

    @admin.action(description=_("Archive the selected articles"))
    def archive(self, request: HttpRequest, chosen: "QuerySet[Article]") -> None:
        chosen.update(state="archived", updated_at=clock.now())

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Save the texts; one whose words changed gets the next version, which later answers cite."""
        texts = formset.save(commit=False)
        changed = {text.pk for text, fields in formset.changed_objects if {"title", "body"} & set(fields)}
        for gone in formset.deleted_objects:
            gone.delete()
        for text in texts:
            if text.pk in changed:
                text.version = F("version") + 1
            text.save()


@admin.register(IntentExample)
class IntentExampleAdmin(admin.ModelAdmin):
    list_display = ["short_text", "label", "language", "origin", "created_by", "created_at"]
    list_filter = ["origin", "language", "label", "created_at"]
    list_select_related = ["created_by"]
    search_fields = ["text", "label"]
    autocomplete_fields = ["created_by"]
    raw_id_fields = ["message"]
    fields = ["text", "label", "language", "origin", "message", "created_by", "created_at"]
    readonly_fields = ["message", "created_by", "created_at"]

    @admin.display(description=_("text"), ordering="text")
    def short_text(self, example: IntentExample) -> str:
        return example.text[:100]

    def save_model(self, request: HttpRequest, obj: IntentExample, form: Any, change: bool) -> None:
        if not change:
            obj.created_by, obj.created_at = request.user, clock.now()
        super().save_model(request, obj, form, change)


@admin.register(Ticket)
class TicketAdmin(admin.ModelAdmin):
    list_display = ["subject", "state", "priority", "customer", "assignee", "team", "merged_into", "opened_at", "solved_at"]
    list_filter = ["state", "priority", ("assignee", admin.RelatedOnlyFieldListFilter), "opened_at"]
    list_select_related = ["customer", "assignee", "team", "merged_into"]
    search_fields = ["subject", "body", "customer__name", "customer__email", "orders__external_id"]
    autocomplete_fields = ["customer", "conversation", "assignee", "orders", "tags", "team"]
    readonly_fields = ["solved_at", "version", "merged_into"]
    inlines = [TicketEntryInline]
    date_hierarchy = "opened_at"
    actions = ["solve"]

    @admin.action(description=_("Mark the selected tickets as solved"))
    def solve(self, request: HttpRequest, chosen: "QuerySet[Ticket]") -> None:
        chosen.exclude(state=TicketState.SOLVED).update(state=TicketState.SOLVED, solved_at=clock.now(), version=F("version") + 1)
