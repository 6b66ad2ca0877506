"""What chats and tickets tell the customer models."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from crm.core.registries import FeatureSource

if TYPE_CHECKING:
    from collections.abc import Callable

_SQL = """
    SELECT s.customer_id AS customer, count(*) FILTER (WHERE s.opened_at > %(since_90)s) AS chats_90, count(*) AS chats_365,
           count(*) FILTER (WHERE s.handed_over_at <= %(as_of)s) AS handovers_365,
           avg(s.csat) FILTER (WHERE s.csat_at <= %(as_of)s) AS satisfaction, extract(epoch FROM %(as_of)s - max(s.opened_at)) / 86400 AS chat_days
    FROM support_conversation s WHERE {who} AND s.opened_at <= %(as_of)s AND s.opened_at > %(since_365)s GROUP BY 1
"""


def query(where: Callable[[str], str]) -> tuple[str, Callable[[datetime], dict[str, Any]]]:
    """Return the SQL over conversations and its parameters."""
    return _SQL.format(who=where("s.customer_id")), _windows


def _windows(as_of: datetime) -> dict[str, Any]:
    return {"since_90": as_of - timedelta(days=90), "since_365": as_of - timedelta(days=365)}


SOURCE = FeatureSource(
    name="support",
    features=(
        ("chats_90", _("Conversations in 90 days"), "count"),
        ("chats_365", _("Conversations in a year"), "count"),
        ("handovers_365", _("Conversations that needed a person, in a year"), "count"),
        ("satisfaction", _("Satisfaction after chats, 1 to 5"), "rate"),
        ("chat_days", _("Days since the last conversation"), "days"),
    ),
    query=query,
)
