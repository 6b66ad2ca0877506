"""Who has a conversation open and who is writing in it: rows that count for less than a minute."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm.core.models import User
from support.models import DeskState, Presence

# A console says that it is there every 15 seconds; a tab in the background may be held back by the browser for longer.
LASTS = timedelta(seconds=40)
WRITING_LASTS = timedelta(seconds=12)
# Nobody looks back on who looked at what.
KEPT = timedelta(hours=1)
# At the desk: the console was heard within this time, also from a background tab that is only let run once a minute.
AT_DESK = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody else in the conversation, as the console shows them."""

    user_id: int
    name: str
    initials: str
    is_replying: bool


def seen(*, user: User, now: datetime) -> None:
    """Remember that the user's console is open. One statement, two the first time."""
    if not DeskState.objects.filter(user=user).update(seen_at=now):
        DeskState.objects.get_or_create(user=user, defaults={"seen_at": now})


def enter(*, conversation_id: int, user: User, is_replying: bool, now: datetime) -> None:
    """Remember that the user has the conversation open. One statement."""
    Presence.objects.bulk_create(
        [Presence(conversation_id=conversation_id, user=user, is_replying=is_replying, at=now)],
        update_conflicts=True,
        unique_fields=["conversation", "user"],
        update_fields=["is_replying", "at"],
    )


def leave(*, conversation_id: int, user: User) -> None:
    """Forget it at once; a browser that dies without saying so is forgotten after LASTS."""
    Presence.objects.filter(conversation_id=conversation_id, user=user).delete()


def viewers(*, conversation_ids: Iterable[int], now: datetime, besides: User | None = None) -> dict[int, list[Viewer]]:
    """Return who has each conversation open, without `besides`. One query."""
    rows = Presence.objects.filter(conversation_id__in=list(conversation_ids), at__gt=now - LASTS).select_related("user").order_by("user__username")
    found: dict[int, list[Viewer]] = {}
    for row in rows:
        if besides is None or row.user_id != besides.pk:
            writing = row.is_replying and row.at > now - WRITING_LASTS
            found.setdefault(row.conversation_id, []).append(Viewer(row.user_id, str(row.user), initials(str(row.user)), writing))
    return found


def initials(name: str) -> str:
    """Return up to two letters for a face: of the words of a Latin name, or the last two characters of a Chinese one."""
    if not name.isascii():
        return name[-2:]
    return "".join(word[0] for word in name.replace(".", " ").split()[:2]).upper() or "?"


def sweep(*, now: datetime) -> int:
    """Delete rows nobody will read again; returns how many."""
    return Presence.objects.filter(at__lt=now - KEPT).delete()[0]
