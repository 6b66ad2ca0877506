"""A conversation is an ordered, gapless list of message rows; everything else about it can be rebuilt."""

import uuid

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.core.models import Source
from customers.models import Customer


class ConversationState(models.TextChoices):
    BOT = "bot", _("With the assistant")
    QUEUED = "queued", _("Waiting for a person")
    ASSIGNED = "assigned", _("With a person")
    SNOOZED = "snoozed", _("Snoozed")
    CLOSED = "closed", _("Closed")


class Priority(models.IntegerChoices):
    """How soon a conversation or a ticket wants a person."""

    LOW = 1, _("Low")
    NORMAL = 2, _("Normal")
    HIGH = 3, _("High")
    URGENT = 4, _("Urgent")


class Team(models.Model):
    """People who share conversations. What belongs to a team is seen by its members and by administrators only."""

    name = models.CharField(_("name"), max_length=60, unique=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams", blank=True, verbose_name=_("members"))

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A word agents put on conversations and tickets."""

    name = models.CharField(_("name"), max_length=40, unique=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Conversation(models.Model):
    """One visitor's chat with the shop. last_seq is the number of its newest message; it only grows under the row lock."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="conversations", verbose_name=_("source"))
    customer = models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, blank=True, related_name="conversations", verbose_name=_("customer"))
    visitor_id = models.CharField(_("visitor"), max_length=64, help_text=_("128-bit random id kept by the visitor's browser"))
    visitor_name = models.CharField(_("name given"), max_length=100, blank=True)
    visitor_email = models.EmailField(_("e-mail given"), blank=True)
    is_verified = models.BooleanField(_("identity verified"), default=False)
    state = models.CharField(_("state"), max_length=10, choices=ConversationState.choices, default=ConversationState.BOT)
    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="conversations", verbose_name=_("agent"))
    team = models.ForeignKey(
        Team, on_delete=models.SET_NULL, null=True, blank=True, related_name="conversations", verbose_name=_("team"), help_text=_("Empty: for everybody.")
    )
    priority = models.PositiveSmallIntegerField(_("priority"), choices=Priority.choices, default=Priority.NORMAL)
    tags = models.ManyToManyField(Tag, related_name="conversations", blank=True, verbose_name=_("tags"))
    language = models.CharField(_("language"), max_length=16, default="en")
    last_seq = models.PositiveIntegerField(_("newest number"), default=0)
    visitor_read_seq = models.PositiveIntegerField(_("read by the visitor up to"), default=0)
    agent_read_seq = models.PositiveIntegerField(_("read by staff up to"), default=0)
    visitor_got_seq = models.PositiveIntegerField(
        _("received by the visitor up to"), default=0, help_text="Highest number a visitor's page has received; read is more than received"
    )
    agent_got_seq = models.PositiveIntegerField(_("received by staff up to"), default=0, help_text="Highest number a console has received")
    clarifications = models.PositiveSmallIntegerField(_("questions asked back"), default=0)
    urgency = models.CharField(_("urgency"), max_length=8, blank=True, help_text="of the visitor's newest judged message: '', low, normal, high")
    intent = models.CharField(_("main intent"), max_length=60, blank=True)
    last_line = models.CharField(_("last line"), max_length=200, blank=True)
    last_author = models.CharField(_("last author"), max_length=10, blank=True)
    waiting_since = models.DateTimeField(
        _("waiting since"), null=True, blank=True, help_text=_("First visitor message not yet answered by a person once handed over")
    )
    snoozed_until = models.DateTimeField(_("snoozed until"), null=True, blank=True)
    opened_at = models.DateTimeField(_("opened"))
    last_message_at = models.DateTimeField(_("last message"))
    handed_over_at = models.DateTimeField(_("handed over"), null=True, blank=True)
    handover_reason = models.CharField(_("why handed over"), max_length=40, blank=True)
    first_response_at = models.DateTimeField(_("first answer by a person"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    csat = models.PositiveSmallIntegerField(_("satisfaction 1-5"), null=True, blank=True)
    csat_comment = models.CharField(_("remark"), max_length=500, blank=True)
    csat_at = models.DateTimeField(_("rated"), null=True, blank=True)
    csat_asked_at = models.DateTimeField(_("asked for a rating"), null=True, blank=True)
    is_demo = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ["-last_message_at", "-id"]
        constraints = [models.CheckConstraint(condition=models.Q(csat__isnull=True) | models.Q(csat__range=(1, 5)), name="conversation_csat_1_to_5")]
        indexes = [
            models.Index(fields=["state", "waiting_since"], name="conversation_queue"),
            models.Index(fields=["agent", "state", "-last_message_at"], name="conversation_mine"),
            models.Index(fields=["source", "visitor_id"], name="conversation_visitor"),
            models.Index(fields=["customer", "-last_message_at"], name="conversation_customer"),
            models.Index(fields=["opened_at"], name="conversation_opened"),
        ]

    def __str__(self) -> str:
        return self.visitor_name or self.last_line[:40] or str(self.public_id)


class Author(models.TextChoices):
    VISITOR = "visitor", _("Visitor")
    BOT = "bot", _("Assistant")
    AGENT = "agent", _("Agent")
    SYSTEM = "system", _("System")


class ReplyState(models.TextChoices):
    """Of a visitor's message: what the assistant still owes. Rows in DUE are picked up by the sweeper."""

    NONE = "", _("Nothing due")
    DUE = "due", _("Due")
    DONE = "done", _("Answered")
    DISCARDED = "discarded", _("Overtaken by a person")


class Grams(models.Func):
    """A text as the words and neighbouring Han characters one searches for; the function is made by a migration."""

    function = "support_grams"
    arity = 1
    output_field = SearchVectorField()


class Message(models.Model):
    """One line of a conversation. (conversation, seq) is gapless; client_id makes a resend harmless."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages", verbose_name=_("conversation"))
    seq = models.PositiveIntegerField(_("number"))
    client_id = models.CharField(_("sender's own number"), max_length=64, blank=True)
    author = models.CharField(_("author"), max_length=8, choices=Author.choices)
    agent = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("agent"))
    is_note = models.BooleanField(_("private note"), default=False)
    text = models.TextField(_("text"))
    kind = models.CharField(_("kind"), max_length=12, default="text", help_text="text, answer, clarify, handover, closed, csat")
    data = models.JSONField(_("details"), default=dict, blank=True, help_text="answer: article slug, title, version; clarify: choices")
    sent_at = models.DateTimeField(_("sent"))
    language = models.CharField(_("language"), max_length=16, blank=True)
    intent = models.CharField(_("intent"), max_length=60, blank=True)
    confidence = models.FloatField(_("confidence"), null=True, blank=True)
    in_scope = models.BooleanField(_("one of the intents"), null=True, blank=True)
    intent_version = models.PositiveIntegerField(_("version of the intent model"), null=True, blank=True)
    corrected_intent = models.CharField(_("corrected intent"), max_length=60, blank=True)
    understood = models.JSONField(
        _("understood"), null=True, blank=True, help_text="entities, urgency and mood of a visitor's message; null where nobody looked"
    )
    label_skipped_at = models.DateTimeField(_("passed over"), null=True, blank=True, help_text="When somebody passed it over in the labelling queue")
    reply_state = models.CharField(_("reply"), max_length=10, choices=ReplyState.choices, default=ReplyState.NONE, blank=True)
    reply_claimed_at = models.DateTimeField(_("reply begun"), null=True, blank=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["conversation", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="message_seq_unique"),
            models.UniqueConstraint(fields=["conversation", "author", "client_id"], condition=~models.Q(client_id=""), name="message_client_unique"),
        ]
        indexes = [
            models.Index(fields=["sent_at"], condition=models.Q(reply_state="due"), name="message_reply_due"),
            # What staff wrote lately, for the mails to visitors who have left.
            models.Index(fields=["sent_at"], condition=models.Q(author="agent", is_note=False), name="message_by_staff"),
            GinIndex(Grams("text"), name="message_grams"),
        ]

    def __str__(self) -> str:
        return f"{self.author} {self.seq}: {self.text[:40]}"
