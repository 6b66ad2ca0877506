"""Who records what when: batches that speak of the same people, orders or products take turns, others pass each other.

A batch makes products, joins people, fills customers, changes orders and recounts totals, in that order; two batches that
do so with the same rows would sooner or later wait for each other, PostgreSQL would end one after a second, and its sender
would be told of a failure. So everything a batch speaks of is locked at its beginning, in one order for all.

A chunk of an import speaks of thousands of people for a second or more, and a shop's visitors must not wait for it: imports
take turns with each other only, and where one meets a batch the wrong way round, the one that PostgreSQL ends runs again.
"""

from collections.abc import Iterable

from crm.core import rows

# Names share this many locks: a batch of hundreds of people must not crowd PostgreSQL's lock table (6,400 places), and two
# single events rarely meet by accident.
LOCKS = 256
# Their numbers begin here, away from the single locks of crm.core.locks and customers.identity.
_FIRST = 7_205_760_000


def take(names: Iterable[str]) -> None:
    """Wait until no other batch speaks of any of these names; held to the end of the transaction."""
    rows.query(
        """
        SELECT count(pg_advisory_xact_lock(%s + number)) FROM (
            SELECT DISTINCT abs(hashtextextended(name, 0) %% %s) AS number FROM unnest(%s::text[]) AS name ORDER BY 1
        ) AS sorted
        """,
        [_FIRST, LOCKS, list(names)],
    )


def hold_customers(*, source_id: int, customer_ids: Iterable[int], order_numbers: Iterable[str]) -> None:
    """Lock these customers and the owners of these orders, in the order of their ids.

    One customer may be meant by names that have no lock in common: here by the user id, there by the address.
    """
    known, numbers = sorted(set(customer_ids)), sorted(set(order_numbers))
    if not known and not numbers:
        return
    rows.query(
        """
        SELECT id FROM customers_customer WHERE id IN (
            SELECT unnest(%s::bigint[]) UNION SELECT customer_id FROM customers_order WHERE source_id = %s AND external_id = ANY(%s)
        ) ORDER BY id FOR NO KEY UPDATE
        """,
        [known, source_id, numbers],
    )
