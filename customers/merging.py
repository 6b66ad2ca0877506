"""Two customers become one: by staff with a way back, or a nameless browser into its person."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_noop

from crm.core import rows
from crm.core.errors import CrmError
from crm.core.events import publish
from customers import refusal, totals
from customers.events import CustomersMerged
from customers.models import Customer, Merge

# Tables of this app whose rows follow a person at a merge, with the column that names the customer.
FOLLOWING = ("customers_activity", "customers_order", "customers_return", "customers_review", "customers_consententry", "customers_identity")


class MergeRefused(CrmError):
    code = "merge_refused"
    status = 409
    message = gettext_noop("These two customers cannot be merged.")


def merge(*, gone_id: int, kept_id: int, at: datetime, by_id: int | None = None, cause: str = "staff") -> Merge:
    """Join one customer into another and return the record by which `unmerge` takes it back.

    Orders, activity, reviews, consents and identities move; `gone` stays as a row that points to `kept`. Who of the two
    refused to be profiled has refused for both, unless the last statement about it says otherwise.
    Raises MergeRefused when either is gone already or both are the same.
    """
    with transaction.atomic():
        pair = list(Customer.objects.select_for_update().filter(pk__in=[gone_id, kept_id], merged_into=None).order_by("pk"))
        if len(pair) != 2:
            raise MergeRefused(gone_id=gone_id, kept_id=kept_id)
        moved = {}
        for table in FOLLOWING:
            found = rows.query(f"UPDATE {table} SET customer_id = %s WHERE customer_id = %s RETURNING id", [kept_id, gone_id])  # noqa: S608 - table is one of FOLLOWING
            if found:
                moved[table] = [row[0] for row in found]
        _point_away([(gone_id, kept_id)])
        totals.refresh([kept_id, gone_id])
        refusal.settle(customer_ids=[kept_id], at=at)
        record = Merge.objects.create(gone_id=gone_id, kept_id=kept_id, moved=moved, merged_by_id=by_id, merged_at=at)
        publish(CustomersMerged(gone_id=gone_id, kept_id=kept_id, at=at, cause=cause))
    return record


def unmerge(*, merge_id: int, at: datetime) -> Customer:
    """Take a merge back: every row it moved and that still exists returns; return the customer that is back.

    Raises MergeRefused when it was taken back already.
    """
    with transaction.atomic():
        record = Merge.objects.select_for_update().filter(pk=merge_id, undone_at=None).first()
        if record is None:
            raise MergeRefused(merge_id=merge_id)
        list(Customer.objects.select_for_update().filter(pk__in=[record.gone_id, record.kept_id]).order_by("pk"))
        Customer.objects.filter(pk=record.gone_id).update(merged_into=None)
        for table, ids in record.moved.items():
            if table in FOLLOWING:
                rows.execute(f"UPDATE {table} SET customer_id = %s WHERE id = ANY(%s) AND customer_id = %s", [record.gone_id, ids, record.kept_id])  # noqa: S608
        totals.refresh([record.gone_id, record.kept_id])
        # Who took over a refusal by the merge, with no statement of their own, goes on refusing: the cautious side.
        refusal.settle(customer_ids=[record.gone_id, record.kept_id], at=at)
        record.undone_at = at
        record.save(update_fields=["undone_at"])
    return Customer.objects.get(pk=record.gone_id)


def join_visitors(pairs: Sequence[tuple[int, int]], at: datetime, cause: str) -> None:
    """Move everything nameless visitors did to their people, one statement per table."""
    gone, kept = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for table in FOLLOWING:
        rows.execute(
            f"UPDATE {table} t SET customer_id = moved.kept FROM unnest(%s::bigint[], %s::bigint[]) AS moved(gone, kept) WHERE t.customer_id = moved.gone",  # noqa: S608
            [gone, kept],
        )
    _point_away(pairs)
    totals.refresh([*gone, *kept])
    refusal.settle(customer_ids=kept, at=at)
    for gone_id, kept_id in pairs:
        publish(CustomersMerged(gone_id=gone_id, kept_id=kept_id, at=at, cause=cause))


def _point_away(pairs: Sequence[tuple[int, int]]) -> None:
    gone, kept = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    rows.execute("SELECT id FROM customers_customer WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sorted({*gone, *kept})])
    rows.execute(
        "UPDATE customers_customer c SET merged_into_id = moved.kept, version = c.version + 1, updated_at = now() FROM unnest(%s::bigint[], %s::bigint[]) AS moved(gone, kept) WHERE c.id = moved.gone",
        [gone, kept],
    )
    rows.execute(
        """
        UPDATE customers_customer c SET first_seen_at = least(c.first_seen_at, old.first_at), last_seen_at = greatest(c.last_seen_at, old.last_at), version = c.version + 1, updated_at = now()
        FROM (SELECT moved.kept, min(g.first_seen_at) AS first_at, max(g.last_seen_at) AS last_at
              FROM unnest(%s::bigint[], %s::bigint[]) AS moved(gone, kept) JOIN customers_customer g ON g.id = moved.gone GROUP BY moved.kept) AS old
        WHERE c.id = old.kept
        """,
        [gone, kept],
    )
