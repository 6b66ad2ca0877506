"""Who has the conversation: the assistant, the queue, a person, nobody for a while, nobody any more."""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction

from crm.core import audit
from crm.core.events import publish
from crm.core.models import User
from support import phrases, queueing, tickets
from support.conversations.posting import appended, system
from support.conversations.rules import PAGE, SAME_SUBJECT, AlreadyTaken, locked
from support.events import ConversationChanged
from support.mail import addresses
from support.models import Conversation, Message, Ticket
from support.models.conversation import Author, ConversationState
from support.models.ticket import WORKED_ON


def assign(*, conversation_id: int, agent: User | None, by: User | None, now: datetime) -> Conversation:
    """Give the conversation to an agent (None: back to the queue) and tell the visitor who is there."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        before = conversation.agent_id
        conversation.agent = agent
        conversation.state = ConversationState.ASSIGNED if agent else ConversationState.QUEUED
        conversation.closed_at = conversation.snoozed_until = None
        conversation.handed_over_at = conversation.handed_over_at or now
        conversation.waiting_since = conversation.waiting_since or (now if conversation.last_author == Author.VISITOR else None)
        conversation.save(update_fields=["agent", "state", "closed_at", "snoozed_until", "handed_over_at", "waiting_since"])
        if agent and agent.pk != before:
            shown = agent.first_name or agent.get_username()
            system(conversation, "joined", now, data={"name": shown}, text=phrases.say("joined", conversation.language, name=shown), agent=agent)
        audit.record(actor=by, action="conversation.assign", target=conversation, data={"from": before, "to": agent.pk if agent else None})
        publish(ConversationChanged(conversation.pk, now, "assign"))
        return conversation


def take(*, conversation_id: int, agent: User, now: datetime) -> Conversation:
    """Assign the conversation to the agent unless a colleague has it. Raises AlreadyTaken."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state == ConversationState.ASSIGNED and conversation.agent_id not in {None, agent.pk}:
            raise AlreadyTaken(agent_id=conversation.agent_id)
        if conversation.state == ConversationState.ASSIGNED and conversation.agent_id == agent.pk:
            return conversation
        return assign(conversation_id=conversation_id, agent=agent, by=agent, now=now)


def hand_over(*, conversation_id: int, reason: str, now: datetime, phrase: str = "handover", cause: str = "bot") -> Conversation:
    """Put the conversation in the queue for people and announce it with the visitor's place; a second call does nothing.

    reason: a short code kept with the conversation (asked, unsure, out_of_scope, complaint, no_article, no_model, details, file, error).
    """
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state in {ConversationState.QUEUED, ConversationState.ASSIGNED}:
            return conversation
        if conversation.state == ConversationState.CLOSED:
            # Taken up again: whoever closed it may be gone, and a rating is not asked for while somebody waits.
            conversation.agent = conversation.closed_at = None
        conversation.state, conversation.snoozed_until = ConversationState.QUEUED, None
        conversation.handed_over_at = conversation.handed_over_at or now
        conversation.waiting_since = conversation.waiting_since or now
        conversation.handover_reason = reason
        conversation.save(update_fields=["state", "agent", "closed_at", "snoozed_until", "handed_over_at", "waiting_since", "handover_reason"])
        outlook = queueing.outlook(conversation, now=now)
        text = phrases.say(phrase, conversation.language, queue=queueing.words(outlook, conversation.language))
        data: dict[str, object] = {"reason": reason, "place": outlook.place}
        if outlook.minutes is not None:
            data["minutes"] = outlook.minutes
        if outlook.opens_at is not None and cause != "demo":
            if addresses.is_on() and not conversation.visitor_email and not conversation.is_verified:
                text = phrases.joined(conversation.language, text, phrases.say("offline_mail", conversation.language))
            data["ticket"] = _kept_as_ticket(conversation, now)
        appended(conversation, Author.BOT, text, now, "", None, False, "handover", data, "", cause)
        publish(ConversationChanged(conversation.pk, now, cause))
        return conversation


def _kept_as_ticket(conversation: Conversation, now: datetime) -> int:
    """Return the ticket that keeps what was asked while nobody is there: one that is still open, also merged, else a new one."""
    kept = [tickets.survivor_id(ticket) for ticket in Ticket.objects.filter(conversation=conversation)]
    open_already = Ticket.objects.filter(pk__in=kept, state__in=WORKED_ON).order_by("-pk").values_list("pk", flat=True).first()
    if open_already is not None:
        return open_already
    asked = Message.objects.filter(conversation=conversation, author=Author.VISITOR).order_by("-seq").values_list("text", flat=True).first()
    subject = asked or phrases.say("ticket", conversation.language)
    return tickets.open(subject=subject, conversation_id=conversation.pk, by_label="assistant", is_demo=conversation.is_demo, now=now).pk


def await_person(*, conversation_id: int, reason: str, now: datetime) -> Conversation:
    """Bring the conversation before people without a word to its visitor, who is elsewhere; one that has a person keeps them.

    reason: as for hand_over. A closed conversation of any age goes on.
    """
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state in {ConversationState.BOT, ConversationState.CLOSED}:
            conversation.state, conversation.agent, conversation.closed_at = ConversationState.QUEUED, None, None
            conversation.handed_over_at = conversation.handed_over_at or now
            conversation.waiting_since = conversation.waiting_since or now
            conversation.handover_reason = reason
            conversation.save(update_fields=["state", "agent", "closed_at", "handed_over_at", "waiting_since", "handover_reason"])
            publish(ConversationChanged(conversation.pk, now, "chat"))
        return conversation


def snooze(*, conversation_id: int, until: datetime, by: User, now: datetime) -> Conversation:
    """Put the conversation out of sight until a moment or until the visitor writes."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        conversation.state, conversation.snoozed_until, conversation.closed_at = ConversationState.SNOOZED, until, None
        conversation.agent_id = conversation.agent_id or by.pk
        conversation.save(update_fields=["state", "snoozed_until", "agent", "closed_at"])
        audit.record(actor=by, action="conversation.snooze", target=conversation, data={"until": until.isoformat()})
        publish(ConversationChanged(conversation.pk, now, "snooze"))
        return conversation


def wake(*, now: datetime) -> int:
    """Bring back every snoozed conversation whose time has come; returns how many."""
    due = list(Conversation.objects.filter(state=ConversationState.SNOOZED, snoozed_until__lte=now).values_list("pk", flat=True)[:PAGE])
    return sum(_awaken(each, now, lambda found: found.snoozed_until is not None and found.snoozed_until <= now) for each in due)


def wake_one(*, conversation_id: int, by: User, now: datetime) -> None:
    """Bring a snoozed conversation back before its time; any other stays as it is."""
    with transaction.atomic():
        if _awaken(conversation_id, now, lambda _: True):
            audit.record(actor=by, action="conversation.wake", target=locked(conversation_id))


def _awaken(conversation_id: int, now: datetime, is_due: Callable[[Conversation], bool]) -> bool:
    with transaction.atomic():
        conversation = locked(conversation_id)
        # Looked at again under the lock: the visitor may have written, or somebody snoozed it for longer.
        if conversation.state != ConversationState.SNOOZED or not is_due(conversation):
            return False
        conversation.state = ConversationState.ASSIGNED if conversation.agent_id else ConversationState.QUEUED
        conversation.snoozed_until = None
        conversation.save(update_fields=["state", "snoozed_until"])
        publish(ConversationChanged(conversation.pk, now, "wake"))
        return True


def close(*, conversation_id: int, by: User | None, now: datetime, cause: str = "chat") -> Conversation:
    """End the conversation and tell the visitor, who is then asked for a rating; a second call does nothing."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state == ConversationState.CLOSED:
            return conversation
        conversation.state, conversation.closed_at = ConversationState.CLOSED, now
        conversation.waiting_since = conversation.snoozed_until = None
        # Asked once: a chat that is taken up and closed again does not ask a second time.
        asks = conversation.csat_asked_at is None and conversation.csat is None
        conversation.csat_asked_at = conversation.csat_asked_at or now
        conversation.save(update_fields=["state", "closed_at", "waiting_since", "snoozed_until", "csat_asked_at"])
        system(conversation, "closed", now, text=phrases.say("closed", conversation.language), data={"ask": asks}, cause=cause)
        if by is not None:
            audit.record(actor=by, action="conversation.close", target=conversation)
        publish(ConversationChanged(conversation.pk, now, cause))
        return conversation


def end_answered(*, now: datetime) -> int:
    """Close what the assistant answered and nobody has written in for a day; returns how many.

    Nobody else ends a chat that needed no person, and only what has ended is counted as solved by the assistant.
    """
    quiet = Conversation.objects.filter(state=ConversationState.BOT, last_author=Author.BOT, last_message_at__lt=now - SAME_SUBJECT)
    found = list(quiet.order_by("last_message_at").values_list("pk", flat=True)[:PAGE])
    return sum(_end_quiet(each, now) for each in found)


def _end_quiet(conversation_id: int, now: datetime) -> bool:
    with transaction.atomic():
        conversation = locked(conversation_id)
        # Looked at again under the lock: the visitor may have written, or somebody taken it.
        if conversation.state != ConversationState.BOT or conversation.last_message_at >= now - SAME_SUBJECT:
            return False
        close(conversation_id=conversation_id, by=None, now=now)
        return True


def reopen(*, conversation_id: int, by: User, now: datetime) -> Conversation:
    """Take a closed conversation up again, assigned to the person who does so."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        if conversation.state != ConversationState.CLOSED:
            return conversation
        conversation.state, conversation.agent, conversation.closed_at = ConversationState.ASSIGNED, by, None
        conversation.save(update_fields=["state", "agent", "closed_at"])
        system(conversation, "reopened", now, text=phrases.say("reopened", conversation.language))
        audit.record(actor=by, action="conversation.reopen", target=conversation)
        publish(ConversationChanged(conversation.pk, now, "reopen"))
        return conversation


def move_customer(*, gone_id: int, kept_id: int) -> int:
    """Give the conversations and tickets of a customer who was joined into another to that one; returns how many."""
    moved = Conversation.objects.filter(customer_id=gone_id).update(customer_id=kept_id)
    return moved + Ticket.objects.filter(customer_id=gone_id).update(customer_id=kept_id)
