"""Who may be e-mailed, asked of one customer after the other: for lists that stop after a page.

`segmentation.fields.contactable` answers the same for everybody at once, which pays when all are wanted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import BooleanField, CharField, Exists, Func, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from customers.models import ConsentEntry
from customers.models.consent import Channel, ConsentState, Purpose

if TYPE_CHECKING:
    from datetime import datetime


class _Same(Func):
    template = "(%(expressions)s)"
    arg_joiner = " = "
    output_field = BooleanField()


def mailable(at: datetime, *, willing: bool = True) -> Q:
    """Return the condition that consent.may_contact allows marketing mail at that moment; a test holds it against the gate.

    willing: say also that there must be some yes, which the database may begin with where those are few; of no use where
    the condition is turned round.
    """
    said = ConsentEntry.objects.filter(customer_id=OuterRef("pk"), recorded_at__lte=at).order_by("-recorded_at", "-id")
    latest = said.filter(purpose=Purpose.MARKETING, channel__in=(Channel.EMAIL, Channel.ANY)).values("state")[:1]
    delivered = said.filter(channel=Channel.EMAIL, state__in=(ConsentState.BOUNCED, ConsentState.GRANTED)).values("state")[:1]
    some_yes = ConsentEntry.objects.filter(
        customer_id=OuterRef("pk"), purpose=Purpose.MARKETING, channel__in=(Channel.EMAIL, Channel.ANY), state=ConsentState.GRANTED
    )
    begin = Q(Exists(some_yes)) if willing else Q()
    return ~Q(email="") & begin & _is(latest, ConsentState.GRANTED) & ~_is(delivered, ConsentState.BOUNCED)


def _is(latest: Any, state: str) -> Q:
    word = Coalesce(Subquery(latest), Value(""), output_field=CharField())
    return Q(_Same(word, Value(state)))
