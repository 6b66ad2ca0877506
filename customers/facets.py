"""The countries and tags that occur, for the menus of the customers list: remembered, and counted anew behind the reader's back."""

from __future__ import annotations

import time

from django.core.cache import cache

from crm.core import rows
from crm.core.events import publish
from customers.events import FacetAged

# Older than this they are looked for again, by a worker; the page at hand shows the old ones.
FRESH_SECONDS = 300
RENEW_SECONDS = 120
MOST = 200
_KEPT_SECONDS = 7 * 86_400

_PEOPLE = "merged_into_id IS NULL AND NOT is_anonymous"
# A step of the index from country to country: DISTINCT would read every customer.
_COUNTRIES = f"""
    WITH RECURSIVE step(country) AS (
        (SELECT country FROM customers_customer WHERE country > '' AND {_PEOPLE} ORDER BY country LIMIT 1)
        UNION ALL
        SELECT (SELECT c.country FROM customers_customer c WHERE c.country > step.country AND {_PEOPLE} ORDER BY c.country LIMIT 1)
        FROM step WHERE step.country IS NOT NULL
    )
    SELECT country FROM step WHERE country IS NOT NULL LIMIT {MOST}
"""  # noqa: S608 - our own words only
_TAGS = f"SELECT DISTINCT unnest(tags) FROM customers_customer WHERE tags <> '{{}}' AND {_PEOPLE} ORDER BY 1 LIMIT {MOST}"  # noqa: S608
_SQL = {"country": _COUNTRIES, "tags": _TAGS}


def known(column: str) -> list[str]:
    """Return the values that occur in `country` or `tags`, in order, at most MOST."""
    kept: tuple[list[str], float] | None = cache.get(_key(column))
    if kept is None:
        return renew(column)
    values, at = kept
    if time.time() - at > FRESH_SECONDS and cache.add(f"{_key(column)}:renewing", 1, RENEW_SECONDS):
        publish(FacetAged(column))
    return values


def renew(column: str) -> list[str]:
    """Look for the values and remember them; one query."""
    values = sorted(row[0] for row in rows.query(_SQL[column]))
    cache.set(_key(column), (values, time.time()), _KEPT_SECONDS)
    return values


def forget() -> None:
    """Have the next page look again; for when somebody has just changed tags and looks for them."""
    cache.delete_many([_key(column) for column in _SQL])


def _key(column: str) -> str:
    return f"customers:facet:{column}"
