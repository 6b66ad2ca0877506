"""Several actions under one name, done in one transaction: all of them or none."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from support import answering, canned, conversations, tags, teams
from support.models import Conversation, Macro, Team

MOST_ACTIONS = 10
LONGEST_SNOOZE_HOURS = 24 * 90


class MacroMissing(NotFound):
    code = "macro_missing"
    message = gettext_noop("There is no such macro.")


class MacroBad(CrmError):
    code = "macro_bad"
    status = 422
    message = gettext_noop("The macro names an action or a value that does not exist.")


def visible_to(user: User) -> "QuerySet[Macro]":
    """Return the macros of everybody and of the user's teams."""
    return Macro.objects.filter(teams.visible(user))


def run(*, macro_id: int, conversation_id: int, by: User, now: datetime) -> Conversation:
    """Do the macro's actions in order and return the conversation.

    Raises MacroMissing, MacroBad, ConversationMissing and whatever an action raises; then nothing was done.
    """
    teams.check(user=by, conversation_id=conversation_id)
    macro = visible_to(by).filter(pk=macro_id).first()
    if macro is None:
        raise MacroMissing
    checked(macro.actions)
    with transaction.atomic():
        conversation = conversations.locked(conversation_id)
        audit.record(actor=by, action="macro.run", target=conversation, data={"macro": macro.name, "actions": [action["do"] for action in macro.actions]})
        for action in macro.actions:
            _ACTIONS[action["do"]][1](conversation_id, action, by, now)
        return conversations.locked(conversation_id)


def checked(actions: object) -> list[dict[str, Any]]:
    """Return the actions if every one is known and complete. Raises MacroBad."""
    if not isinstance(actions, list) or not 1 <= len(actions) <= MOST_ACTIONS:
        raise MacroBad
    for action in actions:
        if not isinstance(action, dict) or not isinstance(action.get("do"), str) or action["do"] not in _ACTIONS:
            raise MacroBad
        needed = _ACTIONS[action["do"]][0]
        if set(action) != {"do", *needed} or not all(type(action[name]) is kind for name, kind in needed.items()):
            raise MacroBad
    return actions


def save(*, macro_id: int | None, name: str, actions: object, team_id: int | None, by: User) -> Macro:
    """Store a macro and return it. Raises MacroBad or MacroMissing."""
    name = conversations.cleaned(name)[:80]
    if not name or Macro.objects.filter(name=name).exclude(pk=macro_id or 0).exists():
        raise MacroBad
    if team_id is not None and not teams.mine(by).filter(pk=team_id).exists():
        raise MacroBad
    row = visible_to(by).filter(pk=macro_id).first() if macro_id is not None else Macro()
    if row is None:
        raise MacroMissing
    with transaction.atomic():
        row.name, row.actions, row.team_id = name, checked(actions), team_id
        row.save()
        audit.record(actor=by, action="macro.save", target=row)
        return row


def delete(*, macro_id: int, by: User) -> None:
    """Remove a macro. Raises MacroMissing."""
    with transaction.atomic():
        row = visible_to(by).filter(pk=macro_id).first()
        if row is None:
            raise MacroMissing
        audit.record(actor=by, action="macro.delete", target=row)
        row.delete()


def _reply(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    conversation = Conversation.objects.select_related("customer", "source").get(pk=conversation_id)
    saved = canned.visible_to(by).filter(shortcut=action["saved"]).first()
    if saved is None:
        raise MacroBad
    text = canned.fill(canned.text_of(saved, conversation.language), canned.blanks(conversation, by))
    answering.write(conversation_id=conversation_id, agent=by, text=text, now=now)
    canned.count_use(canned_id=saved.pk)


def _note(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    answering.write(conversation_id=conversation_id, agent=by, text=action["text"], is_note=True, now=now)


def _tag(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    tags.add(conversation_id=conversation_id, name=action["name"], by=by, now=now)


def _priority(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    tags.prioritise(conversation_id=conversation_id, priority=action["to"], by=by, now=now)


def _assign(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    if action["to"] not in {"me", "queue"}:
        raise MacroBad
    conversations.assign(conversation_id=conversation_id, agent=by if action["to"] == "me" else None, by=by, now=now)


def _team(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    team = Team.objects.filter(name=action["name"]).first()
    if team is None:
        raise MacroBad
    teams.move(conversation_id=conversation_id, team_id=team.pk, by=by, now=now)


def _snooze(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:
    if not 1 <= action["hours"] <= LONGEST_SNOOZE_HOURS:
        raise MacroBad
    conversations.snooze(conversation_id=conversation_id, until=now + timedelta(hours=action["hours"]), by=by, now=now)


def _close(conversation_id: int, action: dict[str, Any], by: User, now: datetime) -> None:  # noqa: ARG001
    conversations.close(conversation_id=conversation_id, by=by, now=now)


Action = Callable[[int, dict[str, Any], User, datetime], None]
# name -> (what it needs, what it does). An action is looked up here and nowhere else.
_ACTIONS: dict[str, tuple[dict[str, type], Action]] = {
    "reply": ({"saved": str}, _reply),
    "note": ({"text": str}, _note),
    "tag": ({"name": str}, _tag),
    "priority": ({"to": int}, _priority),
    "assign": ({"to": str}, _assign),
    "team": ({"name": str}, _team),
    "snooze": ({"hours": int}, _snooze),
    "close": ({}, _close),
}
