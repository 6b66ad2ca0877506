"""Refusing to be profiled, wherever it was said: the customer's flag follows the consent ledger, and scores go at once.

The page's switch, an `identify` call with `consent: {profiling: false}` and a merge all end here. Trainings and refreshes
read the flag alone.
"""

from collections.abc import Iterable
from datetime import datetime

from crm.core import rows
from customers.models import Portrait, PortraitFeatures, PortraitSnapshot, Review

# The last statement holds. Without one the flag stays, and somebody who refused and was merged into another has refused.
_SETTLE = """
    UPDATE customers_customer c SET profiling_refused = said.refused, version = c.version + 1, updated_at = %(at)s
    FROM (
        SELECT k.id, coalesce(
            (SELECT e.state <> 'granted' FROM customers_consententry e WHERE e.customer_id = k.id AND e.purpose = 'profiling'
             ORDER BY e.recorded_at DESC, e.id DESC LIMIT 1),
            k.profiling_refused OR EXISTS (SELECT 1 FROM customers_customer g WHERE g.merged_into_id = k.id AND g.profiling_refused)
        ) AS refused
        FROM customers_customer k WHERE k.id = ANY(%(ids)s)
    ) said
    WHERE c.id = said.id AND c.profiling_refused <> said.refused
    RETURNING c.id, c.profiling_refused
"""


def settle(*, customer_ids: Iterable[int], at: datetime) -> list[int]:
    """Bring the flag of these customers in line with what was said, and return who refuses since now. One query, five where somebody does.

    Every score kept of those is deleted; from now on a refresh and every training skip them. Call it in the transaction
    that wrote the statements or moved them.
    """
    changed = rows.query(_SETTLE, {"ids": sorted(set(customer_ids)), "at": at})
    refusing = sorted(customer_id for customer_id, refused in changed if refused)
    if refusing:
        for kept in (Portrait, PortraitFeatures, PortraitSnapshot):
            kept.objects.filter(customer_id__in=refusing).delete()
        # What a person wrote is a fact and stays; what was read into it goes.
        Review.objects.filter(customer_id__in=refusing).update(
            sentiment=None, sentiment_version=None, aspects=None, aspects_version=None, intention=None, intention_version=None
        )
    return refusing
