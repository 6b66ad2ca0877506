"""What sent messages and their clicks tell the customer models."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from crm.core.registries import FeatureSource

if TYPE_CHECKING:
    from collections.abc import Callable

_SQL = """
    SELECT d.customer_id AS customer, count(*) FILTER (WHERE d.sent_at > %(since_90)s) AS mails_90,
           count(*) FILTER (WHERE d.opened_at > %(since_90)s AND d.opened_at <= %(as_of)s) AS opens_90,
           count(*) FILTER (WHERE d.clicked_at > %(since_90)s AND d.clicked_at <= %(as_of)s) AS clicks_90,
           extract(epoch FROM %(as_of)s - max(d.clicked_at) FILTER (WHERE d.clicked_at <= %(as_of)s)) / 86400 AS click_days,
           max((d.unsubscribed_at <= %(as_of)s)::int) AS unsubscribed
    FROM campaigns_delivery d WHERE {who} AND d.sent_at <= %(as_of)s AND d.sent_at > %(since_365)s GROUP BY 1
"""


def query(where: Callable[[str], str]) -> tuple[str, Callable[[datetime], dict[str, Any]]]:
    """Return the SQL over deliveries and its parameters."""
    return _SQL.format(who=where("d.customer_id")), _windows


def _windows(as_of: datetime) -> dict[str, Any]:
    return {"since_90": as_of - timedelta(days=90), "since_365": as_of - timedelta(days=365)}


SOURCE = FeatureSource(
    name="campaigns",
    features=(
        ("mails_90", _("Campaign mails in 90 days"), "count"),
        ("opens_90", _("Campaign mails opened in 90 days"), "count"),
        ("clicks_90", _("Campaign mails clicked in 90 days"), "count"),
        ("click_days", _("Days since the last click in a mail"), "days"),
        ("unsubscribed", _("Unsubscribed from campaign mail"), "flag"),
    ),
    query=query,
)
