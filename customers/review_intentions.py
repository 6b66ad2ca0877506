"""Whether reviewers are about to order again, as the serving model reads it in their words; kept in `Review.intention`."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import numpy as np

from crm.core import rows
from crm.core.learning import modelstore
from customers.ml.saved import intention_model

logger = logging.getLogger(__name__)

# Older reviews say nothing of what comes now; of the others so many are read per refresh, newest first.
OLDEST_DAYS, MOST_READ = 365, 20_000
UNUSABLE = (modelstore.ModelMissing, modelstore.ModelCorrupt, modelstore.ModelIncompatible)

_UNREAD = """
    SELECT v.id, v.body, v.rating FROM customers_review v JOIN customers_customer c ON c.id = v.customer_id AND NOT c.profiling_refused
    WHERE v.written_at <= %(as_of)s AND v.written_at > %(since)s AND v.body <> '' AND v.intention_version IS DISTINCT FROM %(version)s
    ORDER BY v.written_at DESC, v.id DESC LIMIT %(most)s
"""
_KEEP = """
    UPDATE customers_review SET intention = said.chance, intention_version = %s
    FROM unnest(%s::bigint[], %s::float8[]) AS said(id, chance) WHERE customers_review.id = said.id RETURNING customers_review.id
"""


def read(*, as_of: datetime) -> int:
    """Have the serving model read the reviews of the last year it has not read yet; return how many. No model, none."""
    version = modelstore.champion("intention")
    if version is None:
        return 0
    try:
        model = modelstore.build("intention", intention_model, version=version)
    except UNUSABLE as error:
        logger.warning("intentions not read", extra={"code": error.code})
        return 0
    unread = rows.query(_UNREAD, {"as_of": as_of, "since": as_of - timedelta(days=OLDEST_DAYS), "version": version.version, "most": MOST_READ})
    if unread:
        stars = np.array([np.nan if rating is None else rating for _pk, _body, rating in unread], dtype=float)
        chances = model.predict([body for _pk, body, _rating in unread], stars)
        rows.query(_KEEP, [version.version, [pk for pk, _body, _rating in unread], [float(chance) for chance in chances]])
    return len(unread)
