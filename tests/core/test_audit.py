"""The audit trail: who, what, on which thing; rows are only added."""

import pytest

from crm.core import audit
from crm.core.models import AuditEntry
from tests.factories import CustomerFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_an_entry_names_actor_action_and_target():
    user, customer = UserFactory(username="ana"), CustomerFactory(name="Lin")

    entry = audit.record(actor=user, action="customer.edit", target=customer, data={"fields": ["name"]})

    assert (entry.actor, entry.actor_label, entry.action) == (user, "ana", "customer.edit")
    assert (entry.target_type, entry.target_id, entry.target_label, entry.data) == ("customers.customer", str(customer.pk), "Lin", {"fields": ["name"]})


def test_programs_are_named_too():
    assert audit.record(actor=None, action="x").actor_label == "system"
    assert audit.record(actor=None, action="x", actor_label="key:abcd").actor_label == "key:abcd"


def test_a_long_name_is_cut_rather_than_refused():
    assert len(audit.record(actor=None, action="x", target=CustomerFactory(name="n" * 200)).target_label) == 200


def test_an_account_that_acted_cannot_be_deleted_away():
    user = UserFactory()
    audit.record(actor=user, action="x")

    with pytest.raises(Exception, match="protected"):
        user.delete()

    assert AuditEntry.objects.count() == 1
