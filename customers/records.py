"""Creating and changing a customer by hand or by a partner's program, with its identities kept in step."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_noop

from crm.core.errors import Conflict, CrmError
from customers.models import Customer, Identity
from customers.models.identity import IdentityKind

# What a person or program may write; everything else is computed or comes from the shop.
EDITABLE = ("name", "email", "phone", "locale", "country", "city", "time_zone", "gender", "birth_date", "tags")


class EmailTaken(CrmError):
    code = "email_taken"
    status = 409
    message = gettext_noop("Another customer already has this e-mail address.")


def create(*, values: Mapping[str, Any], source_id: int | None, at: datetime) -> Customer:
    """Return a new customer with those EDITABLE values. Raises EmailTaken."""
    cleaned = _cleaned(values)
    with transaction.atomic():
        customer = Customer.objects.create(**cleaned, source_id=source_id, first_seen_at=at, last_seen_at=at)
        _claim_email(customer.pk, str(cleaned.get("email", "")), at)
    return customer


def change(*, customer_id: int, values: Mapping[str, Any], seen_version: int | None = None, at: datetime) -> Customer:
    """Change EDITABLE values and return the row. Raises Conflict when `seen_version` is no longer current, EmailTaken."""
    cleaned = _cleaned(values)
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer_id)
        if seen_version is not None and customer.version != seen_version:
            raise Conflict
        for name, value in cleaned.items():
            setattr(customer, name, value)
        customer.version += 1
        customer.save(update_fields=[*cleaned, "version", "updated_at"])
        if "email" in cleaned:
            Identity.objects.filter(customer_id=customer_id, kind=IdentityKind.EMAIL).exclude(value=cleaned["email"]).delete()
            _claim_email(customer_id, str(cleaned["email"]), at)
    return customer


def _cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    cleaned = {name: values[name] for name in EDITABLE if name in values}
    if "email" in cleaned:
        cleaned["email"] = str(cleaned["email"]).strip().lower()
    return cleaned


def _claim_email(customer_id: int, email: str, at: datetime) -> None:
    if not email:
        return
    try:
        with transaction.atomic():
            identity, _created = Identity.objects.get_or_create(
                kind=IdentityKind.EMAIL, namespace="", value=email, defaults={"customer_id": customer_id, "first_seen_at": at}
            )
    except IntegrityError:
        raise EmailTaken from None
    if identity.customer_id != customer_id:
        raise EmailTaken(customer_id=identity.customer_id)
