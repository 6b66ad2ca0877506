"""Words on conversations and tickets, and how urgent they are."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError
from crm.core.events import publish
from crm.core.models import User
from support.conversations import cleaned, locked
from support.events import ConversationChanged
from support.models import Conversation, Tag
from support.models.conversation import Priority

LONGEST = 40
MOST = 20


class TagBad(CrmError):
    code = "tag_bad"
    status = 422
    message = gettext_noop("A tag has 1 to 40 characters, and a conversation at most 20 of them.")


class PriorityBad(CrmError):
    code = "priority_bad"
    status = 422
    message = gettext_noop("That is not one of the priorities.")


def named(name: str) -> Tag:
    """Return the tag of that name, made where it is new; upper and lower case are one. Raises TagBad."""
    name = " ".join(cleaned(name).split())
    if not 1 <= len(name) <= LONGEST:
        raise TagBad
    return Tag.objects.filter(name__iexact=name).first() or Tag.objects.get_or_create(name=name)[0]


def add(*, conversation_id: int, name: str, by: User | None, now: datetime) -> Conversation:
    """Put a tag on the conversation; one that is on it already stays. Raises TagBad."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        tag = named(name)
        if conversation.tags.filter(pk=tag.pk).exists():
            return conversation
        if conversation.tags.count() >= MOST:
            raise TagBad
        conversation.tags.add(tag)
        audit.record(actor=by, action="conversation.tag", target=conversation, data={"tag": tag.name})
        publish(ConversationChanged(conversation.pk, now, "tag"))
        return conversation


def remove(*, conversation_id: int, name: str, by: User | None, now: datetime) -> Conversation:
    """Take a tag off the conversation; one that is not on it is no error."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        found = conversation.tags.filter(name__iexact=name.strip()).first()
        if found is not None:
            conversation.tags.remove(found)
            audit.record(actor=by, action="conversation.untag", target=conversation, data={"tag": found.name})
            publish(ConversationChanged(conversation.pk, now, "tag"))
        return conversation


def prioritise(*, conversation_id: int, priority: int, by: User | None, now: datetime) -> Conversation:
    """Set how urgent the conversation is. Raises PriorityBad."""
    if isinstance(priority, bool) or priority not in Priority.values:
        raise PriorityBad
    with transaction.atomic():
        conversation = locked(conversation_id)
        before, conversation.priority = conversation.priority, priority
        if before != priority:
            conversation.save(update_fields=["priority"])
            audit.record(actor=by, action="conversation.priority", target=conversation, data={"from": before, "to": priority})
            publish(ConversationChanged(conversation.pk, now, "priority"))
        return conversation
