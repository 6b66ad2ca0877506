"""The page of saved replies and macros, and how its macro form becomes a list of actions."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from crm.core.models import User
from support import canned, macros, teams
from support.models import CannedReply, Macro, Team
from support.models.conversation import Priority


@dataclass(frozen=True, slots=True)
class SavedReply:
    row: CannedReply
    english: str
    chinese: str


@dataclass(frozen=True, slots=True)
class SavedMacro:
    """A macro with its actions as words."""

    row: Macro
    steps: list[str]


@dataclass(frozen=True, slots=True)
class SavedPage:
    replies: list[SavedReply]
    macros: list[SavedMacro]
    teams: list[Team]
    blanks: list[str]
    priorities: list[tuple[int, str | Promise]]


def saved_page(*, viewer: User) -> SavedPage:
    """Return what the viewer may use and change. Three queries."""
    rows = list(canned.visible_to(viewer).select_related("team"))
    titles = {row.shortcut: row.title for row in rows}
    return SavedPage(
        replies=[SavedReply(row, str(row.texts.get("en", "")), str(row.texts.get("zh-hans", ""))) for row in rows],
        macros=[SavedMacro(row, [_words(action, titles) for action in row.actions]) for row in macros.visible_to(viewer).select_related("team")],
        teams=list(teams.mine(viewer)),
        blanks=["{" + name + "}" for name in canned.BLANKS],
        priorities=list(Priority.choices),
    )


def _words(action: Mapping[str, object], titles: Mapping[str, str]) -> str:
    match action.get("do"):
        case "reply":
            return _("Reply with “%(title)s”") % {"title": titles.get(str(action.get("saved")), action.get("saved"))}
        case "note":
            return _("Note: %(text)s") % {"text": action.get("text")}
        case "tag":
            return _("Tag %(name)s") % {"name": action.get("name")}
        case "priority":
            return _("Priority %(name)s") % {"name": dict(Priority.choices).get(int(str(action.get("to"))), "")}
        case "assign":
            return _("Assign to me") if action.get("to") == "me" else _("Back to the queue")
        case "team":
            return _("To the team %(name)s") % {"name": action.get("name")}
        case "snooze":
            return _("Snooze for %(hours)s hours") % {"hours": action.get("hours")}
        case "close":
            return _("Close")
    return ""


def actions_of(form: Mapping[str, str]) -> list[dict[str, object]]:
    """Return the macro's actions from the form's fields, in the order they are done; unchecked are left out by macros.checked."""
    actions: list[dict[str, object]] = []
    if form.get("do_assign") == "me":
        actions.append({"do": "assign", "to": "me"})
    if form.get("do_tag", "").strip():
        actions.append({"do": "tag", "name": form["do_tag"].strip()})
    if form.get("do_priority", "").isdecimal():
        actions.append({"do": "priority", "to": int(form["do_priority"][:2])})
    if form.get("do_note", "").strip():
        actions.append({"do": "note", "text": form["do_note"].strip()})
    if form.get("do_reply", "").strip():
        actions.append({"do": "reply", "saved": form["do_reply"].strip()})
    if form.get("do_assign") == "queue":
        # After the reply: whoever answers takes the conversation.
        actions.append({"do": "assign", "to": "queue"})
    match form.get("do_then"):
        case "close":
            actions.append({"do": "close"})
        case "snooze":
            actions.append({"do": "snooze", "hours": 24})
    return actions
