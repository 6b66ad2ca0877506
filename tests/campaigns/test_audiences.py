"""Who a campaign reaches: one gate, every drop with its reason, and a held-out group that cannot be argued with."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from campaigns import audiences
from campaigns.models import Campaign, Delivery, DeliveryState
from customers import consent
from customers.models import Customer, SegmentMembership
from tests.campaigns.conftest import NOW

MakeCustomer = Callable[..., Customer]
MakeCampaign = Callable[..., Campaign]


def test_every_drop_has_its_reason(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    fine = make_customer()
    never = make_customer(agreed=False)
    withdrawn, bounced, homeless = make_customer(), make_customer(), make_customer(email="")
    consent.withdraw(customer_id=withdrawn.pk, channel="email", origin="test", at=NOW - timedelta(days=1))
    consent.withdraw(customer_id=bounced.pk, channel="email", origin="test", at=NOW - timedelta(days=1), state="bounced")
    twin = make_customer(email=fine.email.upper())

    plan = audiences.plan(campaign=make_campaign(), at=NOW)

    assert plan.treated == (fine.pk,)
    assert dict(plan.left_out) == {never.pk: "no_consent", withdrawn.pk: "withdrawn", bounced.pk: "bounced", homeless.pk: "no_address", twin.pk: "same_address"}
    assert (plan.matched, plan.contactable, plan.to_send) == (6, 1, 1)
    assert [(drop.reason, drop.count) for drop in plan.drops] == [("bounced", 1), ("no_address", 1), ("no_consent", 1), ("same_address", 1), ("withdrawn", 1)]
    assert plan.drops[0].sample[0].id == bounced.pk


def test_former_members_and_merged_customers_are_not_in_it(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    stays, gone, merged = make_customer(), make_customer(), make_customer()
    SegmentMembership.objects.filter(customer=gone).update(left_at=NOW)
    Customer.objects.filter(pk=merged.pk).update(merged_into=stays)

    assert set(audiences.plan(campaign=make_campaign(), at=NOW).members) == {stays.pk}


def test_a_withdrawal_counts_from_its_moment(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    customer, campaign = make_customer(), make_campaign()
    consent.withdraw(customer_id=customer.pk, channel="email", origin="test", at=NOW)

    assert audiences.plan(campaign=campaign, at=NOW - timedelta(seconds=1)).to_send == 1
    assert audiences.plan(campaign=campaign, at=NOW).to_send == 0


@pytest.mark.parametrize("state", [DeliveryState.SENT, DeliveryState.UNKNOWN, DeliveryState.SENDING])
def test_the_frequency_cap_counts_what_may_have_arrived(
    make_customer: MakeCustomer, make_campaign: MakeCampaign, state: DeliveryState, settings: LazySettings
) -> None:
    settings.CRM_FREQUENCY_CAP, settings.CRM_FREQUENCY_DAYS = 2, 7
    customer, free = make_customer(), make_customer()
    for days in (1, 6):
        Delivery.objects.create(campaign=make_campaign(), customer=customer, state=state, claimed_at=NOW - timedelta(days=days))
    Delivery.objects.create(campaign=make_campaign(), customer=free, state=state, claimed_at=NOW - timedelta(days=1))
    Delivery.objects.create(campaign=make_campaign(), customer=free, state=state, claimed_at=NOW - timedelta(days=7))

    plan = audiences.plan(campaign=make_campaign(), at=NOW)

    assert plan.treated == (free.pk,)
    assert dict(plan.left_out) == {customer.pk: "frequency_cap"}


def test_failed_skipped_and_own_deliveries_do_not_count_against_the_cap(
    make_customer: MakeCustomer, make_campaign: MakeCampaign, settings: LazySettings
) -> None:
    settings.CRM_FREQUENCY_CAP = 1
    customer, campaign = make_customer(), make_campaign()
    for state in (DeliveryState.FAILED, DeliveryState.SKIPPED, DeliveryState.HOLDOUT, DeliveryState.DUE):
        Delivery.objects.create(campaign=make_campaign(), customer=customer, state=state, claimed_at=NOW - timedelta(days=1))
    Delivery.objects.create(campaign=campaign, customer=customer, state=DeliveryState.SENT, claimed_at=NOW)

    verdicts = audiences.verdicts(customer_ids=[customer.pk], channel="email", at=NOW, campaign_id=campaign.pk)

    assert verdicts[customer.pk].allowed


def test_the_holdout_is_exact_repeatable_and_different_per_seed() -> None:
    people = range(1, 1001)

    first = audiences.draw_holdout(customer_ids=people, percent=10, seed=1)

    assert len(first) == 100
    assert first == audiences.draw_holdout(customer_ids=reversed(people), percent=10, seed=1)
    assert len(first & audiences.draw_holdout(customer_ids=people, percent=10, seed=2)) < 30
    assert audiences.draw_holdout(customer_ids=people, percent=0, seed=1) == frozenset()


def test_the_holdout_is_drawn_from_those_who_can_be_reached(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    reachable = {make_customer().pk for _one in range(20)}
    for _one in range(20):
        make_customer(agreed=False)

    plan = audiences.plan(campaign=make_campaign(holdout_percent=50), at=NOW)

    assert (plan.contactable, plan.held_out, plan.to_send, plan.dropped) == (20, 10, 10, 20)
    assert set(plan.holdout) | set(plan.treated) == reachable


@pytest.mark.parametrize(
    ("locale", "languages", "chosen"),
    [
        ("zh-CN", ["en", "zh-hans"], "zh-hans"),
        ("zh_TW", ["zh-hans"], "zh-hans"),
        ("en-GB", ["en", "zh-hans"], "en"),
        ("fr", ["en", "zh-hans"], "en"),
        ("", ["zh-hans"], "zh-hans"),
        ("fr", ["zh-hans"], "zh-hans"),
        ("en", [], ""),
    ],
)
def test_language_is_the_customers_own_where_there_is_a_text(locale: str, languages: list[str], chosen: str) -> None:
    assert audiences.language_for(locale, languages) == chosen


def test_an_unapproved_text_reaches_nobody(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    make_customer(locale="zh-hans")
    campaign = make_campaign()
    campaign.texts.update(is_approved=False)

    plan = audiences.plan(campaign=Campaign.objects.get(pk=campaign.pk), at=NOW, languages=["en"])
    unwritten = audiences.plan(campaign=Campaign.objects.get(pk=campaign.pk), at=NOW)

    assert plan.by_language == (("en", 1),)
    assert unwritten.by_language == (("", 1),)


def test_the_plan_takes_as_many_queries_for_many_as_for_few(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    counts = []
    for people in (3, 27):
        for _one in range(people):
            make_customer()
        campaign = Campaign.objects.get(pk=make_campaign(holdout_percent=10).pk)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            audiences.plan(campaign=campaign, at=NOW)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 6
