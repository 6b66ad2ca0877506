"""Who is who: the rules of customers/identity.py, one by one, and that nothing merges two known people by accident."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from crm.core import events
from crm.core.models import Source
from customers import identity
from customers.events import CustomersMerged
from customers.identity import NOBODY, MergeRefused, PersonKey
from customers.models import Activity, ConsentEntry, Customer, Identity, Merge, Order
from tests.factories import OrderFactory, UserFactory

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def source(db):
    return Source.objects.create(name="Shop", write_key="wk_identity")


def resolve(source, *keys, **options):
    return identity.resolve(source_id=source.pk, keys=[PersonKey(*key) if isinstance(key, tuple) else key for key in keys], at=AT, **options)


def identities_of(customer_id):
    return set(Identity.objects.filter(customer_id=customer_id).values_list("kind", "value"))


def test_new_people_are_made_once_per_key_and_found_again(source):
    first = resolve(source, ("u1",), ("", "a@b.example"), ("", "", "browser"), ("u1",), NOBODY)

    again = resolve(source, ("u1",), ("", "a@b.example"), ("", "", "browser"))
    assert len(first.created) == 3
    assert first.customer_ids[0] == first.customer_ids[3]
    assert first.customer_ids[4] is None
    assert again.customer_ids == first.customer_ids[:3]
    assert again.created == ()
    assert list(Customer.objects.order_by("id").values_list("is_anonymous", "email")) == [(False, ""), (False, "a@b.example"), (True, "")]


def test_known_people_cost_one_query(source, django_assert_num_queries):
    keys = [PersonKey(f"u{number}", "", f"a{number}") for number in range(50)]
    resolve(source, *keys)

    with django_assert_num_queries(1):
        resolve(source, *keys)


def test_user_ids_belong_to_their_source_and_mail_addresses_to_everyone(source):
    other = Source.objects.create(name="Other", write_key="wk_other")

    here = resolve(source, ("u1", "a@b.example")).customer_ids[0]

    assert resolve(other, ("u1",)).customer_ids[0] != here
    assert resolve(other, ("u2", "a@b.example")).customer_ids[0] == here


def test_browser_becomes_the_person_without_moving_anything(source):
    browser = resolve(source, ("", "", "b1")).customer_ids[0]

    person = resolve(source, ("u1", "", "b1"))

    assert person.customer_ids == [browser]
    assert person.joined == ()
    assert not Customer.objects.get(pk=browser).is_anonymous
    assert identities_of(browser) == {("user", "u1"), ("anonymous", "b1")}


def test_history_of_a_browser_joins_a_person_who_exists(source, django_capture_on_commit_callbacks):
    heard = []
    events.listen(CustomersMerged, heard.append)
    person = resolve(source, ("u1",)).customer_ids[0]
    browser = resolve(source, ("", "", "b1"), seen=[AT - timedelta(days=3)]).customer_ids[0]
    Activity.objects.create(source=source, message_id="m1", customer_id=browser, kind="page", occurred_at=AT, received_at=AT)
    OrderFactory(source=source, customer_id=browser, customer=Customer.objects.get(pk=browser), total_amount=30, currency="CNY", placed_at=AT)

    with django_capture_on_commit_callbacks(execute=True):
        found = resolve(source, ("u1", "", "b1"))

    assert found.customer_ids == [person]
    assert found.joined == ((browser, person),)
    assert Activity.objects.get().customer_id == person
    row = Customer.objects.get(pk=person)
    assert (row.orders_count, row.spent_amount, row.first_seen_at) == (1, 30, AT - timedelta(days=3))
    gone = Customer.objects.get(pk=browser)
    assert (gone.merged_into_id, gone.orders_count, gone.spent_amount) == (person, 0, 0)
    assert [(event.gone_id, event.kept_id) for event in heard] == [(browser, person)]
    assert resolve(source, ("", "", "b1")).customer_ids == [person]
    events._listeners[CustomersMerged].remove(heard.append)


def test_shared_browser_never_merges_two_known_people(source):
    one = resolve(source, ("u1", "", "shared")).customer_ids[0]
    two = resolve(source, ("u2", "", "shared")).customer_ids[0]

    assert one != two
    assert Customer.objects.filter(merged_into=None).count() == 2
    assert identities_of(one) == {("user", "u1"), ("anonymous", "shared")}
    assert identities_of(two) == {("user", "u2")}
    assert resolve(source, ("u1", "", "shared"), ("u2", "", "shared"), ("", "", "shared")).customer_ids == [one, two, one]


def test_two_accounts_with_one_mailbox_stay_two_people(source):
    one = resolve(source, ("u1", "family@b.example")).customer_ids[0]
    two = resolve(source, ("u2", "family@b.example")).customer_ids[0]

    assert one != two
    assert resolve(source, ("", "family@b.example")).customer_ids == [one]


def test_account_takes_over_the_guest_of_the_same_address(source):
    guest = resolve(source, ("", "ann@b.example")).customer_ids[0]

    assert resolve(source, ("u1", "ann@b.example")).customer_ids == [guest]
    assert identities_of(guest) == {("email", "ann@b.example"), ("user", "u1")}


def test_address_given_in_a_known_browser_without_one_belongs_to_its_person(source):
    person = resolve(source, ("u1", "", "b1")).customer_ids[0]

    assert resolve(source, ("", "ann@b.example", "b1")).customer_ids == [person]
    other = resolve(source, ("", "bob@b.example", "b1")).customer_ids[0]
    assert other != person


def test_order_within_one_batch_counts(source):
    found = resolve(source, ("", "", "b1"), ("", "", "b2"), ("u1", "", "b1"), ("u1", "", "b2"), ("", "", "b2"))

    assert len(set(found.customer_ids)) == 1
    assert Customer.objects.count() == 1
    assert identities_of(found.customer_ids[0]) == {("user", "u1"), ("anonymous", "b1"), ("anonymous", "b2")}


def test_find_makes_no_one(source):
    assert identity.find(source_id=source.pk, key=PersonKey("u1")) is None
    made = resolve(source, ("u1",)).customer_ids[0]
    assert identity.find(source_id=source.pk, key=PersonKey("u1", "x@b.example")) == made
    assert Customer.objects.count() == 1


def test_more_people_than_locks_fit_are_still_resolved(source):
    found = resolve(source, *[(f"u{number}", f"u{number}@b.example", f"b{number}") for number in range(1_000)])

    assert len(set(found.customer_ids)) == 1_000
    assert Identity.objects.count() == 3_000


def test_people_of_the_demo_shop_are_marked(db):
    demo = Source.objects.create(name="Demo", write_key="wk_demo", is_demo=True)

    resolve(demo, ("u1",))

    assert Customer.objects.get().is_demo


def two_people(source):
    gone, kept = resolve(source, ("u1", "one@b.example"), ("u2", "two@b.example")).customer_ids
    OrderFactory(source=source, customer=Customer.objects.get(pk=gone), total_amount=10, currency="CNY", placed_at=AT)
    OrderFactory(source=source, customer=Customer.objects.get(pk=kept), total_amount=20, currency="CNY", placed_at=AT)
    ConsentEntry.objects.create(customer_id=gone, channel="email", state="withdrawn", origin="test", recorded_at=AT)
    return gone, kept


def test_merge_moves_everything_and_unmerge_brings_it_back(source):
    gone, kept = two_people(source)
    staff = UserFactory(username="mia", role="marketer")

    record = identity.merge(gone_id=gone, kept_id=kept, at=AT, by_id=staff.pk)

    assert Order.objects.filter(customer_id=kept).count() == 2
    assert Customer.objects.get(pk=kept).spent_amount == 30
    assert Customer.objects.get(pk=gone).merged_into_id == kept
    assert resolve(source, ("u1",)).customer_ids == [kept]
    assert ConsentEntry.objects.get().customer_id == kept
    back = identity.unmerge(merge_id=record.pk, at=AT)
    assert (back.pk, back.merged_into_id, back.spent_amount) == (gone, None, 10)
    assert Customer.objects.get(pk=kept).spent_amount == 20
    assert resolve(source, ("u1",)).customer_ids == [gone]
    assert ConsentEntry.objects.get().customer_id == gone
    assert Merge.objects.get().undone_at == AT
    with pytest.raises(MergeRefused):
        identity.unmerge(merge_id=record.pk, at=AT)


def test_merging_with_oneself_or_the_gone_is_refused_and_changes_nothing(source):
    gone, kept = two_people(source)
    with pytest.raises(MergeRefused), transaction.atomic():
        identity.merge(gone_id=kept, kept_id=kept, at=AT)
    identity.merge(gone_id=gone, kept_id=kept, at=AT)
    with pytest.raises(MergeRefused), transaction.atomic():
        identity.merge(gone_id=gone, kept_id=kept, at=AT)
    assert Merge.objects.count() == 1
