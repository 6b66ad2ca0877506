"""Service levels: which promise a conversation or ticket has, when it is due, and telling once when it is about to be or was broken.

Everything is computed from the rows (messages, times of the conversation, history of the ticket), so a promise can be
followed again at any time, after an outage too, and comes out the same. The clock of a solution stands still while the
customer has the word; the clock of the first answer never does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet, TextField, Value
from django.db.models.functions import Coalesce, Concat

from crm.core import audit
from crm.core.events import publish
from support import calendars
from support.events import ServiceTargetReached
from support.models import Conversation, Message, ServicePolicy, ServiceTarget, Ticket, TicketEntry
from support.models.conversation import Author, ConversationState
from support.models.service import Aim
from support.models.ticket import EntryKind, TicketState

AT_ONCE = 500
MOST_ROUNDS = 20
# Older conversations and tickets are history that no promise runs for any more.
FOLLOWED_FOR = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Work:
    """What a clock is computed from. spans: when the next step was ours, [from, to); the last may be open-ended (None).

    answered_at: first answer by a person, or when it was first closed or solved without one. ended_at: closed or solved,
    None while it goes on.
    """

    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    spans: tuple[tuple[datetime, datetime | None], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a promise stands. due_at: None while the clock stands still. met_at: when it was done."""

    due_at: datetime | None
    spent: timedelta
    met_at: datetime | None
    breached_at: datetime | None


def standing(*, aim: str, work: Work, limit: timedelta, hours: calendars.Hours) -> Standing:
    """Return where the promise of `limit` working time stands. Pure; breached_at is when the limit was passed, if done later."""
    if aim == Aim.FIRST_RESPONSE:
        due = _due(hours, work.started_at, limit)
        done = work.answered_at or work.ended_at
        spent = hours.between(work.started_at, done) if done else timedelta()
        return Standing(due, spent, done, due if done is not None and due is not None and done > due else None)
    spent = timedelta()
    for begin, end in work.spans:
        if end is None:
            return Standing(_due(hours, begin, limit - spent), spent, None, None)
        passed = hours.between(begin, end)
        if spent <= limit < spent + passed:
            due = hours.after(begin, limit - spent)
            return Standing(due, spent + passed, work.ended_at, due)
        spent += passed
    return Standing(None, spent, work.ended_at, None)


def _due(hours: calendars.Hours, begin: datetime, working: timedelta) -> datetime | None:
    """Return by when so much working time has passed, None where the calendar is closed for as far as one can see."""
    try:
        return hours.after(begin, working)
    except calendars.NeverOpen:
        return None


def work_of_conversation(talk: Conversation) -> Work | None:
    """Return the work of a conversation that reached a person, else None. One query.

    The next step is ours while the visitor has had the last word and people have the chat: neither while it is closed nor
    while the assistant has it again.
    """
    if talk.handed_over_at is None:
        return None
    begin = talk.handed_over_at
    ended = talk.closed_at if talk.state == ConversationState.CLOSED else None
    said = Q(author__in=[Author.VISITOR, Author.AGENT], kind__in=["text", "mail", "file"])
    turns = Message.objects.filter(said | Q(kind__in=[_CLOSES, *_BRINGS_PEOPLE]), conversation=talk, is_note=False, sent_at__gte=begin)
    answered = None
    closed = None
    spans: list[tuple[datetime, datetime | None]] = []
    ours: datetime | None = begin
    is_asked = True
    for author, kind, at in turns.order_by("seq").values_list("author", "kind", "sent_at"):
        if ended is not None and at > ended:
            break
        if kind == _CLOSES or author == Author.AGENT:
            answered = answered or at
        if kind == _CLOSES:
            closed = at
        elif author == Author.AGENT or kind in _BRINGS_PEOPLE:
            closed = None
        # Who asks for a person has the word, also without a line of their own.
        is_asked = author == Author.VISITOR or kind == "handover" or (is_asked and author != Author.AGENT)
        is_ours = is_asked and closed is None
        if ours is not None and not is_ours:
            spans.append((ours, at))
            ours = None
        elif ours is None and is_ours:
            ours = at
    if closed is not None and talk.state in {ConversationState.QUEUED, ConversationState.ASSIGNED}:
        # Put before people again without a word.
        closed, ours = None, talk.waiting_since
    if ours is not None:
        spans.append((ours, ended))
    return Work(begin, answered, ended or closed, tuple(spans))


# The line after which nobody has the chat, or the assistant again, and those after which people do.
_CLOSES = "closed"
_BRINGS_PEOPLE = frozenset({"handover", "joined", "reopened", "mail"})


def work_of_ticket(ticket: Ticket) -> Work:
    """Return the work of a ticket: ours while it is open or waits for somebody else. One query."""
    is_solved = TicketState.SOLVED in {ticket.state, ticket.state_before_merge}
    ended = ticket.solved_at if is_solved else ticket.updated_at if ticket.state == TicketState.MERGED else None
    entries = TicketEntry.objects.filter(ticket=ticket, kind__in=[EntryKind.STATE, EntryKind.COMMENT]).order_by("at", "pk")
    changes = list(entries.values_list("kind", "data", "at"))
    # The first change says in which state it was opened.
    first = next((data.get("from") for kind, data, _ in changes if kind == EntryKind.STATE), ticket.state_before_merge or ticket.state)
    answered = None
    spans: list[tuple[datetime, datetime | None]] = []
    ours: datetime | None = ticket.opened_at if first in _OURS else None
    for kind, data, at in changes:
        is_ours = data.get("to") in _OURS
        if kind == EntryKind.COMMENT or not is_ours:
            answered = answered or at
        if kind == EntryKind.COMMENT:
            continue
        if ours is not None and not is_ours:
            spans.append((ours, at))
            ours = None
        elif ours is None and is_ours:
            ours = at
    if ours is not None:
        spans.append((ours, ended))
    return Work(ticket.opened_at, answered, ended, tuple(spans))


_OURS = frozenset({TicketState.OPEN, TicketState.HOLD})


def policy_for(*, team_id: int | None, priority: int, policies: list[ServicePolicy]) -> ServicePolicy | None:
    """Return the first of the policies, in their order, whose team and priority fit. No query."""
    return next((each for each in policies if priority >= each.priority_from and each.team_id in {None, team_id}), None)


def _to_follow(policies: list[ServicePolicy], states: Sequence[str]) -> Q:
    """Return the condition on what has changed since it was looked at, or is new, in one of the states and promised something.

    What no policy fits would be looked at again and again, and keep others from their turn.
    """
    fits = Q(pk=None)
    for each in policies:
        fits |= Q(priority__gte=each.priority_from) & (Q(team=each.team_id) if each.team_id else Q())
    return fits & Q(seen=None, state__in=states) | Q(seen__isnull=False) & ~Q(seen=F("stands"))


def in_force() -> list[ServicePolicy]:
    """Return the active policies in order, with their calendars. One query."""
    return list(ServicePolicy.objects.filter(is_active=True).select_related("calendar").order_by("place", "pk"))


def follow_again() -> int:
    """Have the next `follow` compute every running promise anew: hours or policies have changed. Returns how many run."""
    return ServiceTarget.objects.filter(met_at=None).update(followed="")


def follow(*, now: datetime) -> int:
    """Compute again the promises of everything that changed since it was last looked at; returns how many things were."""
    policies = in_force()
    if not policies:
        return 0
    talks = (
        Conversation.objects.filter(handed_over_at__isnull=False, last_message_at__gte=now - FOLLOWED_FOR)
        .annotate(
            seen=Min("targets__followed"),
            stands=Concat("last_seq", Value(":"), "state", Value(":"), "priority", Value(":"), Coalesce("team", 0), output_field=TextField()),
        )
        .filter(_to_follow(policies, [ConversationState.QUEUED, ConversationState.ASSIGNED, ConversationState.SNOOZED]))
        .order_by("-last_message_at")[:AT_ONCE]
    )
    tickets = (
        Ticket.objects.filter(updated_at__gte=now - FOLLOWED_FOR)
        .annotate(
            seen=Min("targets__followed"),
            stands=Concat("version", Value(":"), "state", Value(":"), "priority", Value(":"), Coalesce("team", 0), output_field=TextField()),
        )
        .filter(_to_follow(policies, [TicketState.OPEN, TicketState.PENDING, TicketState.HOLD]))
        .order_by("-updated_at")[:AT_ONCE]
    )
    count = 0
    for talk in talks:
        work = work_of_conversation(talk)
        if work is not None:
            _keep(policies, talk, None, work, talk.stands)  # type: ignore[attr-defined]
            count += 1
    for ticket in tickets:
        _keep(policies, None, ticket, work_of_ticket(ticket), ticket.stands)  # type: ignore[attr-defined]
        count += 1
    return count


def catch_up(*, now: datetime) -> int:
    """Follow until nothing is left that changed, or a backlog is too long for one go; returns how many things were looked at.

    What is not followed yet is judged by how it stood before, and an answer that was in time would be told as broken.
    """
    total = 0
    for _ in range(MOST_ROUNDS):
        count = follow(now=now)
        total += count
        if count < AT_ONCE:
            break
    return total


def _keep(policies: list[ServicePolicy], talk: Conversation | None, ticket: Ticket | None, work: Work, stands: str) -> None:
    thing = talk or ticket
    if thing is None:
        return
    targets = ServiceTarget.objects.filter(conversation=talk, ticket=ticket)
    policy = policy_for(team_id=thing.team_id, priority=thing.priority, policies=policies)
    if policy is None:
        _promise_no_more(targets, stands)
        return
    hours = calendars.of(policy.calendar)
    kept = {target.aim: target for target in targets}
    for aim, minutes in ((Aim.FIRST_RESPONSE, policy.first_response_minutes), (Aim.RESOLUTION, policy.resolution_minutes)):
        if minutes is None:
            _promise_no_more(targets.filter(aim=aim), stands)
            continue
        found = standing(aim=aim, work=work, limit=timedelta(minutes=minutes), hours=hours)
        if aim in kept and kept[aim].met_at is not None and kept[aim].met_at == found.met_at:
            # Done under what was promised then: another promise later does not judge it anew.
            targets.filter(aim=aim).update(followed=stands)
            continue
        values = {
            "policy": policy,
            "started_at": work.started_at,
            "due_at": found.due_at,
            "spent_seconds": int(found.spent.total_seconds()),
            "met_at": found.met_at,
            "followed": stands,
        }
        target, _ = ServiceTarget.objects.update_or_create(aim=aim, conversation=talk, ticket=ticket, defaults=values)
        if found.breached_at is not None and target.breached_at is None:
            # It was broken and mended between two looks: told all the same, once.
            _tell(target, "breach", found.breached_at, only_open=False)


def _promise_no_more(targets: "QuerySet[ServiceTarget]", stands: str) -> None:
    """Forget the promises that run; what was kept or broken already stays told."""
    targets.filter(met_at=None, breached_at=None).delete()
    targets.update(followed=stands)


def watch(*, now: datetime) -> tuple[int, int]:
    """Warn of promises that are about to be broken and say which were; once each. Returns (warnings, breaches)."""
    running = ServiceTarget.objects.filter(met_at=None, due_at__isnull=False, policy__is_active=True).select_related("policy")
    breached = [target for target in running.filter(breached_at=None, due_at__lte=now).order_by("due_at")[:AT_ONCE] if _tell(target, "breach", now)]
    due_soon = running.filter(warned_at=None, breached_at=None, due_at__gt=now, due_at__lte=now + timedelta(days=7)).order_by("due_at")[:AT_ONCE]
    warned = [
        target
        for target in due_soon
        if target.due_at and target.due_at - now <= timedelta(minutes=target.policy.warn_minutes) and _tell(target, "warning", now)
    ]
    return len(warned), len(breached)


def _tell(target: ServiceTarget, cause: str, at: datetime, *, only_open: bool = True) -> bool:
    """Mark and announce a warning or a breach; False where somebody else did so before."""
    field = "breached_at" if cause == "breach" else "warned_at"
    with transaction.atomic():
        rows = ServiceTarget.objects.filter(pk=target.pk, **{field: None})
        if only_open:
            rows = rows.filter(met_at=None)
        # The condition is part of the update: of two workers only one gets to tell.
        if not rows.update(**{field: at}):
            return False
        audit.record(actor=None, actor_label="service levels", action=f"service.{cause}", target=target.conversation or target.ticket, data={"aim": target.aim})
        publish(ServiceTargetReached(target.pk, at, cause))
        return True
