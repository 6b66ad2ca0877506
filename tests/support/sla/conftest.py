"""A service level around the clock, and a chat that waits under it."""

from datetime import UTC, datetime, timedelta

import pytest

from support import conversations
from support.models import BusinessCalendar, Conversation, ServicePolicy

T0 = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
ALWAYS = {str(day): [["00:00", "24:00"]] for day in range(7)}


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


@pytest.fixture
def policy(db: None) -> ServicePolicy:
    calendar = BusinessCalendar.objects.create(name="always", zone="UTC", spans=ALWAYS)
    return ServicePolicy.objects.create(name="chat", calendar=calendar, first_response_minutes=60, resolution_minutes=120, warn_minutes=15)


@pytest.fixture
def waiting(policy: ServicePolicy, talk: Conversation) -> Conversation:
    conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=T0)
    return conversations.hand_over(conversation_id=talk.pk, reason="asked", now=T0)
