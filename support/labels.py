"""What agents say a message really asked: rows the next training reads, each with its origin."""

import re
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError, NotFound
from crm.core.events import publish
from crm.core.models import User
from support import intents
from support.events import IntentCorrected
from support.models import Conversation, IntentExample, Message
from support.models.conversation import Author
from support.models.labels import OUT_OF_SCOPE, ExampleOrigin


class MessageMissing(NotFound):
    code = "message_missing"
    message = gettext_noop("There is no such visitor message.")


class LabelUnknown(CrmError):
    code = "label_unknown"
    status = 422
    message = gettext_noop("There is no intent of that name.")


def known_labels() -> set[str]:
    """Return every label a message may get: the shipped ones and those examples use. Runs one query."""
    used = IntentExample.objects.order_by().values_list("label", flat=True).distinct()
    return {*intents.SHIPPED, OUT_OF_SCOPE, *used}


class IntentNameBad(CrmError):
    code = "intent_name_bad"
    status = 422
    message = gettext_noop("An intent's name has 3 to 40 small letters, digits and underscores and begins with a letter.")


_NAME = re.compile(r"[a-z][a-z0-9_]{2,39}")


def begin_intent(*, name: str, message_ids: Sequence[int], by: User, now: datetime) -> int:
    """Label messages with an intent that may be new; return how many. The next training learns it.

    Raises IntentNameBad. Messages that are gone, or not a visitor's, are passed over.
    """
    name = name.strip().lower().replace(" ", "_").replace("-", "_")
    if not _NAME.fullmatch(name) or name == OUT_OF_SCOPE:
        raise IntentNameBad
    with transaction.atomic():
        rows = list(Message.objects.select_for_update(of=("self",)).filter(pk__in=message_ids, author=Author.VISITOR).order_by("pk"))
        for row in rows:
            IntentExample.objects.update_or_create(
                message=row,
                defaults={
                    "text": row.text, "label": name, "language": row.language, "origin": ExampleOrigin.CORRECTION, "created_by": by, "created_at": now,
                },
            )  # fmt: skip
        Message.objects.filter(pk__in=[row.pk for row in rows]).update(corrected_intent=name)
        audit.record(actor=by, action="intent.begin", data={"intent": name, "messages": len(rows)})
    return len(rows)


def label(*, message_id: int, label: str, by: User, now: datetime, conversation_id: int | None = None) -> IntentExample:
    """Store what the visitor's message asked: a correction, or a confirmation where the model said the same.

    Saying it again replaces the earlier word. conversation_id: the one the message must belong to, where the caller has
    checked that conversation and not the message. Raises MessageMissing or LabelUnknown.
    """
    if label not in known_labels():
        raise LabelUnknown
    with transaction.atomic():
        rows = Message.objects.select_for_update(of=("self",)).filter(pk=message_id, author=Author.VISITOR)
        message = (rows if conversation_id is None else rows.filter(conversation_id=conversation_id)).first()
        if message is None:
            raise MessageMissing
        agreed = label == message.intent if message.in_scope is not False else label == OUT_OF_SCOPE
        example, _ = IntentExample.objects.update_or_create(
            message=message,
            defaults={
                "text": message.text,
                "label": label,
                "language": message.language,
                "origin": ExampleOrigin.CONFIRMED if agreed else ExampleOrigin.CORRECTION,
                "created_by": by,
                "created_at": now,
            },
        )
        # The conversation is about something else too, for reports and for whom it suits, if this message said what.
        said = {"", message.intent, message.corrected_intent}
        Conversation.objects.filter(pk=message.conversation_id, intent__in=said).update(intent="" if label in intents.NOT_A_CHOICE else label)
        message.corrected_intent = "" if agreed else label
        message.save(update_fields=["corrected_intent"])
        audit.record(actor=by, action="message.label", target=message, data={"said": message.intent, "label": label})
        publish(IntentCorrected(message.pk, label, now, "agent"))
        return example
