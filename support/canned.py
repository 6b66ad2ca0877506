"""Saved replies: found by shortcut or words, their blanks filled in for one conversation."""

import re
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from customers.models import Order
from support import phrases, teams
from support.conversations import LONGEST_TEXT, cleaned
from support.language import CHINESE, ENGLISH
from support.models import CannedReply, Conversation

MOST = 30
# What may stand in braces; anything else in braces is left as written.
BLANKS = ("customer", "agent", "shop", "order", "order_status")
_BLANK = re.compile(r"\{(" + "|".join(BLANKS) + r")\}")
_SHORTCUT = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}\Z")


class CannedMissing(NotFound):
    code = "canned_missing"
    message = gettext_noop("There is no such saved reply.")


class CannedBad(CrmError):
    code = "canned_bad"
    status = 422
    message = gettext_noop("A saved reply needs a shortcut of small letters, digits and hyphens that no other has, a title, and a text.")


@dataclass(frozen=True, slots=True)
class Filled:
    """A saved reply as it would be sent in this conversation."""

    pk: int
    shortcut: str
    title: str
    text: str


def visible_to(user: User) -> "QuerySet[CannedReply]":
    """Return the saved replies of everybody and of the user's teams."""
    return CannedReply.objects.filter(teams.visible(user))


def find(*, query: str, conversation: Conversation, viewer: User) -> list[Filled]:
    """Return the saved replies whose shortcut or title begins with or holds the query, most used first. At most 2 queries.

    conversation: with `customer` and `source` loaded; its language chooses the text.
    """
    query = query.replace("\x00", "").strip().lstrip("/")[:60]
    found = visible_to(viewer)
    if query:
        found = found.filter(Q(shortcut__icontains=query) | Q(title__icontains=query))
    rows = list(found.order_by("-used_count", "shortcut")[:MOST])
    rows.sort(key=lambda row: not row.shortcut.startswith(query.lower()))
    values = blanks(conversation, viewer) if any(_BLANK.search(text) for row in rows for text in row.texts.values()) else {}
    return [Filled(row.pk, row.shortcut, row.title, fill(text_of(row, conversation.language), values)) for row in rows]


def text_of(row: CannedReply, language: str) -> str:
    """Return the text in the language, or in the one there is."""
    return str(row.texts.get(language) or row.texts.get(ENGLISH) or next(iter(row.texts.values()), ""))


def are_texts(value: object) -> bool:
    """Return whether it is what `texts` holds: at least one of the languages, each with words."""
    return isinstance(value, dict) and bool(value) and set(value) <= {ENGLISH, CHINESE} and all(isinstance(text, str) and text for text in value.values())


def fill(text: str, values: dict[str, str]) -> str:
    """Return the text with its blanks replaced; a value is put in as it is and never read for blanks again."""
    return _BLANK.sub(lambda match: values.get(match[1], ""), text)


def blanks(conversation: Conversation, agent: User) -> dict[str, str]:
    """Return what stands for each blank. An order is named only to a customer who has proven who they are. One query."""
    language = conversation.language
    order = None
    if conversation.customer_id and conversation.is_verified:
        order = Order.objects.filter(customer_id=conversation.customer_id).order_by("-placed_at", "-pk").first()
    name = str(conversation.customer) if conversation.customer and conversation.is_verified else conversation.visitor_name
    return {
        "customer": name or ("您" if language == CHINESE else "there"),
        "agent": agent.first_name or agent.get_username(),
        "shop": conversation.source.name,
        "order": order.external_id if order else "",
        "order_status": phrases.say(f"status_{order.status}", language) if order else "",
    }


def count_use(*, canned_id: int) -> None:
    """Remember that it was sent, so that often used ones come first."""
    CannedReply.objects.filter(pk=canned_id).update(used_count=F("used_count") + 1)


def save(*, canned_id: int | None, shortcut: str, title: str, texts: dict[str, str], team_id: int | None, by: User) -> CannedReply:
    """Store a saved reply and return it. team_id: one of the user's own teams, or None for everybody. Raises CannedBad or CannedMissing."""
    shortcut, title = shortcut.strip().lstrip("/").lower(), cleaned(title)[:120]
    texts = {language: cleaned(text)[:LONGEST_TEXT] for language, text in texts.items() if language in {ENGLISH, CHINESE} and cleaned(text)}
    if not _SHORTCUT.match(shortcut) or not title or not texts:
        raise CannedBad
    if team_id is not None and not teams.mine(by).filter(pk=team_id).exists():
        raise CannedBad
    with transaction.atomic():
        if CannedReply.objects.filter(shortcut=shortcut).exclude(pk=canned_id or 0).exists():
            raise CannedBad
        row = visible_to(by).filter(pk=canned_id).first() if canned_id is not None else CannedReply()
        if row is None:
            raise CannedMissing
        row.shortcut, row.title, row.texts, row.team_id = shortcut, title, texts, team_id
        row.save()
        audit.record(actor=by, action="canned.save", target=row)
        return row


def delete(*, canned_id: int, by: User) -> None:
    """Remove a saved reply. Raises CannedMissing."""
    with transaction.atomic():
        row = visible_to(by).filter(pk=canned_id).first()
        if row is None:
            raise CannedMissing
        audit.record(actor=by, action="canned.delete", target=row)
        row.delete()
