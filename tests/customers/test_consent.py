"""The consent ledger and its gate: the latest word holds, second-hand data never reopens a closed door."""

from datetime import UTC, datetime, timedelta

import pytest

from crm.core import events
from customers import consent
from customers.consent import Statement, Verdict
from customers.events import ConsentWithdrawn
from customers.models import ConsentEntry, Customer
from tests.factories import CustomerFactory

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def customer(db):
    return CustomerFactory(email="ann@b.example", phone="")


def entry(customer, state, *, channel="email", purpose="marketing", at=AT):
    ConsentEntry.objects.create(customer=customer, channel=channel, purpose=purpose, state=state, origin="test", recorded_at=at)


def verdict(customer, channel="email", purpose="marketing", at=AT + HOUR):
    return consent.may_contact(customer_ids=[customer.pk], channel=channel, purpose=purpose, at=at)[customer.pk]


def test_defaults_are_off_for_marketing_and_on_for_the_rest(customer):
    assert verdict(customer) == Verdict(allowed=False, reason="no_consent")
    assert verdict(customer, purpose="service") == Verdict(allowed=True, reason="default")
    assert verdict(customer, purpose="profiling") == Verdict(allowed=True, reason="default")


TABLE = [
    ([("granted", "email")], True, "granted"),
    ([("granted", "any")], True, "granted"),
    ([("granted", "sms")], False, "no_consent"),
    ([("granted", "email"), ("withdrawn", "email")], False, "withdrawn"),
    ([("granted", "email"), ("withdrawn", "any")], False, "withdrawn"),
    ([("withdrawn", "any"), ("granted", "email")], True, "granted"),
    ([("granted", "any"), ("withdrawn", "email")], False, "withdrawn"),
    ([("withdrawn", "sms"), ("granted", "email")], True, "granted"),
    ([("granted", "email"), ("complained", "email")], False, "complained"),
    ([("granted", "email"), ("bounced", "email")], False, "bounced"),
    ([("bounced", "email"), ("granted", "any")], False, "bounced"),
    ([("bounced", "email"), ("granted", "email")], True, "granted"),
]


@pytest.mark.parametrize(("said", "allowed", "reason"), TABLE)
def test_latest_statement_for_the_channel_or_for_all_holds(customer, said, allowed, reason):
    for number, (state, channel) in enumerate(said):
        entry(customer, state, channel=channel, at=AT + timedelta(minutes=number))

    assert verdict(customer) == Verdict(allowed, reason)


def test_bounce_closes_service_mail_too(customer):
    entry(customer, "bounced")

    assert verdict(customer, purpose="service") == Verdict(allowed=False, reason="bounced")


def test_what_is_said_later_is_not_known_earlier(customer):
    entry(customer, "granted", at=AT)
    entry(customer, "withdrawn", at=AT + 2 * HOUR)

    assert verdict(customer, at=AT - HOUR).reason == "no_consent"
    assert verdict(customer, at=AT + HOUR).allowed
    assert not verdict(customer, at=AT + 3 * HOUR).allowed


def test_without_address_merged_or_unknown_nobody_is_written_to(customer):
    entry(customer, "granted", channel="any")

    assert verdict(customer, channel="sms").reason == "no_address"
    assert verdict(customer, channel="push").allowed
    assert consent.may_contact(customer_ids=[999_999_999], channel="email", at=AT) == {999_999_999: Verdict(allowed=False, reason="unknown")}
    Customer.objects.filter(pk=customer.pk).update(merged_into=CustomerFactory())
    assert verdict(customer).reason == "merged"


def test_gate_costs_one_query_for_any_number(db, django_assert_num_queries):
    ids = [CustomerFactory().pk for _ in range(30)]

    with django_assert_num_queries(1):
        assert len(consent.may_contact(customer_ids=ids, channel="email", at=AT)) == 30
    with django_assert_num_queries(1):
        assert len(consent.latest_states(customer_ids=ids)) == 30


def test_grant_and_withdraw_write_the_ledger_and_tell(customer, django_capture_on_commit_callbacks):
    heard = []
    events.listen(ConsentWithdrawn, heard.append)

    consent.grant(customer_id=customer.pk, channel="email", origin="staff", at=AT, wording="v1")
    assert verdict(customer).allowed
    with django_capture_on_commit_callbacks(execute=True):
        consent.withdraw(customer_id=customer.pk, channel="email", origin="unsubscribe link", at=AT + timedelta(minutes=1), cause="campaign")

    assert verdict(customer).reason == "withdrawn"
    assert [(event.customer_id, event.channel, event.cause) for event in heard] == [(customer.pk, "email", "campaign")]
    assert consent.latest_states(customer_ids=[customer.pk]) == {customer.pk: {("email", "marketing"): "withdrawn"}}
    assert consent.latest_states(customer_ids=[customer.pk], at=AT) == {customer.pk: {("email", "marketing"): "granted"}}
    events._listeners[ConsentWithdrawn].remove(heard.append)


def say(customer, state, origin, at):
    return consent.record(statements=[Statement(customer.pk, "email", state)], origin=origin, at=at, cause="track")


def test_shop_data_never_undoes_an_unsubscribe_link(customer):
    assert say(customer, "granted", "identify", AT) == 1
    assert say(customer, "granted", "identify", AT + HOUR) == 0
    consent.withdraw(customer_id=customer.pk, channel="email", origin="unsubscribe link", at=AT + 2 * HOUR)
    assert say(customer, "granted", "identify", AT + 3 * HOUR) == 0
    assert say(customer, "granted", "import", AT + 3 * HOUR) == 0
    assert not verdict(customer, at=AT + 4 * HOUR).allowed


def test_shop_data_may_change_its_own_mind_and_always_withdraw(customer):
    consent.grant(customer_id=customer.pk, channel="email", origin="preference page", at=AT)

    assert say(customer, "withdrawn", "identify", AT + HOUR) == 1
    assert say(customer, "granted", "identify", AT + 2 * HOUR) == 1
    assert verdict(customer, at=AT + 3 * HOUR).allowed
