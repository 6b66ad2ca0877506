"""Taking an import back: its orders and returns go, and the people and products it made that have nothing else."""

from dataclasses import dataclass
from datetime import datetime

from django.db import models, transaction
from django.db.models import Exists, OuterRef

from crm.core import rows
from customers import consent, ingest, totals
from customers.models import Customer, Order, Product

# Rows we computed about a person or that only say who they are; they do not keep a customer alive.
OURS = frozenset(
    {"customers.Identity", "customers.Portrait", "customers.SegmentMembership", "customers.ConsentEntry", "recommendations.CustomerRecommendation"}
)
OUR_PRODUCT_ROWS = frozenset({"recommendations.ProductRecommendation", "recommendations.PopularProduct", "recommendations.CustomerRecommendation"})


@dataclass(frozen=True, slots=True)
class Undone:
    orders: int
    returns: int
    customers: int
    products: int
    consents: int


def undo(*, job_id: int, at: datetime) -> Undone:
    """Delete what the import with this job made and return how much; running it again finds nothing.

    People who have anything from elsewhere (another order, activity, a review, a conversation, a mail) stay, with totals
    recomputed, and may no longer be written to on the import's word. In one transaction: half an undo would be worse than none.
    """
    with transaction.atomic():
        touched = {
            row[0]
            for row in rows.query(
                "SELECT customer_id FROM customers_order WHERE import_job_id = %s UNION SELECT customer_id FROM customers_return WHERE import_job_id = %s",
                [job_id, job_id],
            )
            if row[0]
        }
        rows.execute("DELETE FROM customers_returnline WHERE return_record_id IN (SELECT id FROM customers_return WHERE import_job_id = %s)", [job_id])
        returns = rows.execute("DELETE FROM customers_return WHERE import_job_id = %s", [job_id])
        lines = "SELECT l.id FROM customers_orderline l JOIN customers_order o ON o.id = l.order_id WHERE o.import_job_id = %s"
        rows.execute(f"UPDATE customers_returnline SET order_line_id = NULL WHERE order_line_id IN ({lines})", [job_id])  # noqa: S608 - a constant
        # What came back from elsewhere waits for its order again: the file may be imported anew.
        rows.execute(
            "UPDATE customers_return r SET order_id = NULL, order_number = o.external_id FROM customers_order o WHERE r.order_id = o.id AND o.import_job_id = %s",
            [job_id],
        )
        rows.execute("DELETE FROM customers_orderline WHERE order_id IN (SELECT id FROM customers_order WHERE import_job_id = %s)", [job_id])
        orders = Order.objects.filter(import_job_id=job_id).count()
        # Through the ORM: other apps may point at an order, and Django knows what becomes of that.
        Order.objects.filter(import_job_id=job_id).delete()
        customers = _delete_idle(Customer, job_id, OURS)
        products = _delete_idle(Product, job_id, OUR_PRODUCT_ROWS)
        consents = consent.take_back(proof=ingest.proof_of_import(job_id), origin="import", at=at, cause="import")
        left = sorted(touched)
        rows.analyze("customers_order", "customers_return", "customers_customer")
        for start in range(0, len(left), 5_000):
            totals.refresh(left[start : start + 5_000])
    return Undone(orders=orders, returns=returns, customers=customers, products=products, consents=consents)


def _delete_idle(model: type[models.Model], job_id: int, ours: frozenset[str]) -> int:
    """Delete rows of the model made by the job that no row of another kind points at; return how many."""
    idle = model._default_manager.filter(import_job_id=job_id)
    for relation in model._meta.related_objects:
        related = relation.related_model
        if isinstance(related, str) or related._meta.label in ours:
            continue
        column = relation.field.name
        idle = idle.exclude(Exists(related._base_manager.filter(**{column: OuterRef("pk")})))
    ids = list(idle.values_list("pk", flat=True))
    for start in range(0, len(ids), 2_000):
        model._default_manager.filter(pk__in=ids[start : start + 2_000]).delete()
    return len(ids)
