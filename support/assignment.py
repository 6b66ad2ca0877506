"""Who gets the next waiting conversation: people at the desk with room, of the right team, language and skill."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import Case, IntegerField, Q, Value, When

from crm.core import locks
from crm.core.models import User
from crm.core.models.people import Role
from support import conversations
from support.models import Conversation, DeskState
from support.models.conversation import ConversationState, Priority
from support.presence import AT_DESK

logger = logging.getLogger(__name__)
# Conversations given out in one go; the next sweep goes on.
AT_ONCE = 100
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Desk:
    """A person who takes chats. room: how many more they may have."""

    user: User
    languages: frozenset[str]
    skills: frozenset[str]
    teams: frozenset[int]
    room: int
    load: int
    last: datetime

    def suits(self, talk: Conversation) -> bool:
        """Return whether the conversation may be given to this person at all."""
        is_of_team = talk.team_id is None or talk.team_id in self.teams or self.user.role == Role.ADMIN or self.user.is_superuser
        speaks = not self.languages or talk.language in self.languages
        knows = not self.skills or not talk.intent or talk.intent in self.skills
        return self.room > 0 and is_of_team and speaks and knows

    def rank(self, talk: Conversation) -> tuple[bool, int, datetime, int]:
        """Return the order in which people are asked: who had this visitor before, then who has least, then who waited longest."""
        return (talk.agent_id != self.user.pk, self.load, self.last, self.user.pk)


def drain(*, now: datetime) -> int:
    """Give waiting conversations to people with room, oldest first (urgent ones before all), and return how many.

    One that nobody suits keeps its place and does not hold up those behind it. Only one process gives out at a time, so
    nobody gets more than they have room for. Six queries and those of each assignment; three where nobody takes chats.
    """
    with transaction.atomic():
        locks.take("support-assignment")
        _take_back(now)
        desks = _desks(now)
        if not any(desk.room > 0 for desk in desks):
            return 0
        given = 0
        for talk in _waiting():
            suited = [desk for desk in desks if desk.suits(talk)]
            if not suited:
                continue
            # Looked at again under its lock: somebody may have taken or closed it since, and that is not undone here.
            if conversations.locked(talk.pk).state != ConversationState.QUEUED:
                continue
            desk = min(suited, key=lambda each: each.rank(talk))
            conversations.assign(conversation_id=talk.pk, agent=desk.user, by=None, now=now)
            desk.room, desk.load, desk.last = desk.room - 1, desk.load + 1, now
            DeskState.objects.filter(user=desk.user).update(last_assigned_at=now)
            given += 1
            if given == AT_ONCE or not any(each.room > 0 for each in desks):
                break
    if given:
        logger.info("conversations given out", extra={"count": given})
    return given


def _take_back(now: datetime) -> None:
    """Queue again what is with somebody whose account was closed or removed: nobody else would see it wait."""
    gone = Q(agent=None) | Q(agent__is_active=False)
    # Whoever has one locked is doing something with it; the next sweep looks again.
    held = Conversation.objects.select_for_update(of=("self",), skip_locked=True).filter(gone, state=ConversationState.ASSIGNED)
    for talk in held.order_by("pk")[:AT_ONCE]:
        conversations.assign(conversation_id=talk.pk, agent=None, by=None, now=now)


def _waiting() -> Iterator[Conversation]:
    """Yield what waits, urgent ones first, then the oldest. All of it: the first hundred may be ones that nobody here suits."""
    is_urgent = Case(When(priority=Priority.URGENT, then=Value(0)), default=Value(1), output_field=IntegerField())
    return Conversation.objects.filter(state=ConversationState.QUEUED).order_by(is_urgent, "waiting_since", "pk").iterator(chunk_size=AT_ONCE)


def _desks(now: datetime) -> list[Desk]:
    states = list(
        DeskState.objects.filter(is_available=True, seen_at__gt=now - AT_DESK, user__is_active=True, user__role__in=[Role.AGENT, Role.ADMIN])
        .select_related("user")
        .prefetch_related("user__teams")
        .order_by("user_id")
    )
    if not states:
        return []
    held = Conversation.objects.filter(Q(state=ConversationState.ASSIGNED), agent__in=[state.user_id for state in states])
    load = Counter(held.values_list("agent_id", flat=True))
    return [
        Desk(
            user=state.user,
            languages=frozenset(map(str, state.languages)),
            skills=frozenset(map(str, state.skills)),
            teams=frozenset(team.pk for team in state.user.teams.all()),
            room=state.user.chat_capacity - load[state.user_id],
            load=load[state.user_id],
            last=state.last_assigned_at or _LONG_AGO,
        )
        for state in states
    ]
