"""A person's right not to be profiled: the switch on their page, kept in the consent ledger and the audit trail."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from crm.core import audit
from crm.core.models import User
from customers import consent
from customers.models import Customer
from customers.models.consent import Channel, Purpose

# Facts of the refusal that pages quote.
ORIGIN = "staff"


def refuse(*, customer_id: int, actor: User | None, at: datetime, proof: str = "") -> Customer:
    """Write that the person refuses profiling and delete every score kept of them. Repeating changes nothing.

    From now on a refresh skips the row, and so does every training.
    """
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer_id)
        if customer.profiling_refused:
            return customer
        consent.withdraw(customer_id=customer_id, channel=Channel.ANY, purpose=Purpose.PROFILING, origin=ORIGIN, at=at, proof=proof, cause="staff")
        audit.record(actor=actor, action="profiling.refused", target=customer)
    customer.refresh_from_db()
    return customer


def allow(*, customer_id: int, actor: User | None, at: datetime, proof: str = "") -> Customer:
    """Write that the person agrees to be profiled again; the portrait appears with the next refresh."""
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer_id)
        if not customer.profiling_refused:
            return customer
        consent.grant(customer_id=customer_id, channel=Channel.ANY, purpose=Purpose.PROFILING, origin=ORIGIN, at=at, proof=proof)
        audit.record(actor=actor, action="profiling.allowed", target=customer)
    customer.refresh_from_db()
    return customer
