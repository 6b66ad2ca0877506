"""Answers to "was this right?": one per person and statement, kept with what was shown, as labelled rows for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError
from crm.core.models import User
from customers.models import Customer, Portrait, PortraitFeedback
from customers.models.scores import Verdict

NOTE_LENGTH = 500


class StatementUnknown(CrmError):
    """The portrait no longer says this; it was refreshed meanwhile."""

    code = "statement_unknown"
    status = 409
    message = gettext_noop("The portrait no longer says this. Look at it again.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the viewer answered, and how many others said right or wrong."""

    verdict: str = ""
    note: str = ""
    others_right: int = 0
    others_wrong: int = 0


def answers(*, customer_id: int, user: User) -> dict[str, Answer]:
    """Return the answers to a customer's portrait by statement. One query."""
    own: dict[str, tuple[str, str]] = {}
    right: dict[str, int] = {}
    wrong: dict[str, int] = {}
    rows = PortraitFeedback.objects.filter(customer_id=customer_id).order_by("id").values_list("statement", "verdict", "note", "user_id")[:500]
    for statement, verdict, note, user_id in rows:
        if user_id == user.pk:
            own[statement] = (verdict, note)
        else:
            counts = right if verdict == Verdict.RIGHT else wrong
            counts[statement] = counts.get(statement, 0) + 1
    return {
        statement: Answer(*own.get(statement, ("", "")), others_right=right.get(statement, 0), others_wrong=wrong.get(statement, 0))
        for statement in {*own, *right, *wrong}
    }


def answer(
    *, customer: Customer, statement: str, verdict: str, note: str, said: Mapping[str, object], known: Iterable[str], user: User, at: datetime
) -> PortraitFeedback:
    """Keep one answer, replacing the same person's earlier one to this statement.

    known: the statements the portrait makes now.  said: the figures shown.  Raises StatementUnknown, ValueError.
    """
    if statement not in set(known):
        raise StatementUnknown
    if verdict not in Verdict.values:
        raise ValueError(verdict)
    versions = Portrait.objects.filter(customer=customer).values_list("versions", flat=True).first() or {}
    with transaction.atomic():
        row, _created = PortraitFeedback.objects.update_or_create(
            customer=customer,
            statement=statement,
            user=user,
            defaults={"verdict": verdict, "note": note.strip()[:NOTE_LENGTH], "said": dict(said), "versions": versions, "at": at},
        )
        audit.record(actor=user, action="portrait.answer", target=customer, data={"statement": statement, "verdict": verdict})
    return row


def withdraw(*, customer: Customer, statement: str, user: User) -> None:
    """Take one's own answer back; nothing happens where there is none."""
    with transaction.atomic():
        gone, _rows = PortraitFeedback.objects.filter(customer=customer, statement=statement, user=user).delete()
        if gone:
            audit.record(actor=user, action="portrait.answer", target=customer, data={"statement": statement, "verdict": ""})
