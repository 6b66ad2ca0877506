"""Who may see which conversation or ticket: what belongs to a team is there for its members and administrators only.

Every list, count, thread, socket, search and API of the console goes through `conversations_for`, `tickets_for` or
`check`. A conversation without a team is everybody's.
"""

import time
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError
from crm.core.events import publish
from crm.core.models import User
from crm.core.models.people import Role
from support.conversations import ConversationMissing, locked
from support.events import ConversationChanged
from support.models import Conversation, Team, TeamSource, Ticket, TicketEntry
from support.models.ticket import EntryKind
from support.tickets import TicketMissing

# Seconds a socket trusts what it knows about a conversation's team; a change of team is hinted and forgets it at once.
KNOWN_FOR = 20.0


class TeamForeign(CrmError):
    code = "team_foreign"
    status = 422
    message = gettext_noop("This person is not in the conversation's team.")


def sees_all(user: User) -> bool:
    """Return whether the user sees every team's work."""
    # An analyst reads figures of the whole desk and no thread of it; the inbox is closed to them anyway.
    return bool(user.is_superuser or user.role in {Role.ADMIN, Role.ANALYST})


def visible(user: User, *, path: str = "team") -> Q:
    """Return the condition under which the user may see a row whose team lies at `path`. Its subquery is part of the same query."""
    if sees_all(user):
        return Q()
    return Q(**{f"{path}__isnull": True}) | Q(**{f"{path}__in": Team.members.through.objects.filter(user=user).values("team")})


def conversations_for(user: User) -> "QuerySet[Conversation]":
    """Return the conversations the user may see."""
    return Conversation.objects.filter(visible(user))


def tickets_for(user: User) -> "QuerySet[Ticket]":
    """Return the tickets the user may see."""
    return Ticket.objects.filter(visible(user))


def check(*, user: User, conversation_id: int) -> None:
    """Do nothing if the user may see the conversation. Raises ConversationMissing, as for one that does not exist."""
    if not conversations_for(user).filter(pk=conversation_id).exists():
        raise ConversationMissing


def check_ticket(*, user: User, ticket_id: int) -> None:
    """The same for a ticket. Raises TicketMissing."""
    if not tickets_for(user).filter(pk=ticket_id).exists():
        raise TicketMissing


def staff_for(team_id: int | None) -> "QuerySet[User]":
    """Return who may be given work of the team (None: everybody who answers chats), by name."""
    staff = User.objects.filter(is_active=True, role__in=[Role.AGENT, Role.ADMIN])
    if team_id is not None:
        staff = staff.filter(Q(teams=team_id) | Q(role=Role.ADMIN) | Q(is_superuser=True)).distinct()
    return staff.order_by("username")


def mine(user: User) -> "QuerySet[Team]":
    """Return the teams the user may give work to: their own, or every one for administrators."""
    return Team.objects.all() if sees_all(user) else Team.objects.filter(members=user)


def of_source(source_id: int) -> int | None:
    """Return the team that new conversations of the shop belong to. One query."""
    return TeamSource.objects.filter(source_id=source_id).values_list("team_id", flat=True).first()


def move(*, conversation_id: int, team_id: int | None, by: User | None, now: datetime) -> Conversation:
    """Give the conversation and its tickets to a team; what somebody has who is not in it is nobody's again, the chat in the queue."""
    with transaction.atomic():
        conversation = locked(conversation_id)
        before = conversation.team_id
        if before == team_id:
            return conversation
        conversation.team_id = team_id
        if conversation.agent_id and team_id is not None and not staff_for(team_id).filter(pk=conversation.agent_id).exists():
            conversation.agent = None
            if conversation.state == "assigned":
                conversation.state = "queued"
        conversation.save(update_fields=["team", "agent", "state"])
        for ticket in Ticket.objects.select_for_update(of=("self",)).filter(conversation=conversation).order_by("pk"):
            ticket.team_id, held_by = team_id, ticket.assignee_id
            if held_by and team_id is not None and not staff_for(team_id).filter(pk=held_by).exists():
                ticket.assignee = None
                TicketEntry.objects.create(ticket=ticket, kind=EntryKind.ASSIGNEE, data={"from": held_by, "to": None}, by=by, at=now)
            ticket.save(update_fields=["team", "assignee"])
        audit.record(actor=by, action="conversation.team", target=conversation, data={"from": before, "to": team_id})
        publish(ConversationChanged(conversation.pk, now, "team"))
        return conversation


class SocketView:
    """What one socket may be told, without a query per hint.

    The viewer's teams are read again with `renew`; a conversation's team is remembered for KNOWN_FOR seconds.
    Methods that may query say so; the consumer calls them in its threads.
    """

    def __init__(self, user: User) -> None:
        self.user = user
        self._known: dict[int, tuple[bool, float]] = {}

    def forget(self, conversation_id: int) -> None:
        """Ask again about a conversation something changed in."""
        self._known.pop(conversation_id, None)

    def unknown(self, conversation_ids: set[int]) -> set[int]:
        """Return those that `learn` has to look up. No query."""
        if sees_all(self.user):
            return set()
        now = time.monotonic()
        return {each for each in conversation_ids if self._known.get(each, (False, 0.0))[1] < now}

    def learn(self, conversation_ids: set[int]) -> None:
        """Look up whether these may be seen. One query."""
        until = time.monotonic() + KNOWN_FOR
        if len(self._known) > 5000:
            self._known.clear()
        allowed = set(conversations_for(self.user).filter(pk__in=conversation_ids).values_list("pk", flat=True))
        self._known |= {each: (each in allowed, until) for each in conversation_ids}

    def may_see(self, conversation_id: int) -> bool:
        """Return what is known; False for what was never learnt. No query."""
        return sees_all(self.user) or self._known.get(conversation_id, (False, 0.0))[0]
