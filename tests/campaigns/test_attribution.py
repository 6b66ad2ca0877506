"""Orders after a campaign: the same rule for both groups, corrected when facts change."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from campaigns import attribution, pages
from campaigns.models import Arm, Campaign, CampaignState, Delivery, DeliveryState, Engagement
from customers.models import Customer, Order
from tests.campaigns.conftest import NOW

pytestmark = pytest.mark.django_db
Make = Callable  # type: ignore[type-arg]


@pytest.fixture
def sent(make_campaign: Make) -> Campaign:
    return make_campaign(state=CampaignState.SENT, started_at=NOW, attribution_days=7)


def owe(campaign: Campaign, customer: Customer, arm: Arm = Arm.TREATED) -> Delivery:
    state = DeliveryState.SENT if arm == Arm.TREATED else DeliveryState.HOLDOUT
    return Delivery.objects.create(campaign=campaign, customer=customer, arm=arm, state=state, sent_at=NOW if arm == Arm.TREATED else None)


def test_the_first_order_in_the_window_counts_for_both_groups(sent: Campaign, make_customer: Make, make_order: Make) -> None:
    treated, held, early, late = (owe(sent, make_customer(), arm) for arm in (Arm.TREATED, Arm.HOLDOUT, Arm.TREATED, Arm.HOLDOUT))
    second = make_order(treated.customer, at=NOW + timedelta(days=3))
    first = make_order(treated.customer, at=NOW)
    held_order = make_order(held.customer, at=NOW + timedelta(days=6, hours=23))
    make_order(early.customer, at=NOW - timedelta(seconds=1))
    make_order(late.customer, at=NOW + timedelta(days=7))

    assert attribution.attribute_orders(at=NOW + timedelta(days=8)) == 1

    orders = dict(Delivery.objects.values_list("pk", "order_id"))
    assert orders == {treated.pk: first.pk, held.pk: held_order.pk, early.pk: None, late.pk: None}
    assert second.pk not in orders.values()
    assert {(row.delivery_id, row.kind, row.at) for row in Engagement.objects.all()} == {
        (treated.pk, "ordered", NOW),
        (held.pk, "ordered", held_order.placed_at),
    }


def test_counting_again_corrects_what_changed_and_adds_nothing(sent: Campaign, make_customer: Make, make_order: Make) -> None:
    one, other = owe(sent, make_customer()), owe(sent, make_customer())
    order = make_order(one.customer, at=NOW + timedelta(days=2))
    attribution.attribute(campaign=sent)
    attribution.attribute(campaign=sent)
    assert Engagement.objects.count() == 1

    Order.objects.filter(pk=order.pk).update(status="cancelled")
    late_import = make_order(other.customer, at=NOW + timedelta(days=1))
    attribution.attribute(campaign=sent)

    assert dict(Delivery.objects.values_list("pk", "order_id")) == {one.pk: None, other.pk: late_import.pk}
    assert [row.delivery_id for row in Engagement.objects.all()] == [other.pk]


def test_a_shorter_window_recomputes_the_history(sent: Campaign, make_customer: Make, make_order: Make) -> None:
    row = owe(sent, make_customer())
    make_order(row.customer, at=NOW + timedelta(days=4))
    attribution.attribute(campaign=sent)
    assert Delivery.objects.get().order_id is not None

    sent.attribution_days = 1
    attribution.attribute(campaign=sent)

    assert Delivery.objects.get().order_id is None
    assert not Engagement.objects.exists()


def test_those_left_out_before_the_draw_are_no_part_of_it(sent: Campaign, make_customer: Make, make_order: Make) -> None:
    customer = make_customer(agreed=False)
    Delivery.objects.create(campaign=sent, customer=customer, state=DeliveryState.SKIPPED, reason="no_consent")
    make_order(customer, at=NOW + timedelta(days=1))

    attribution.attribute(campaign=sent)

    assert Delivery.objects.get().order_id is None


def test_the_report_adds_up_as_the_orders_do(sent: Campaign, make_customer: Make, make_order: Make) -> None:
    treated = [owe(sent, make_customer()) for _one in range(4)]
    held = [owe(sent, make_customer(), Arm.HOLDOUT) for _one in range(2)]
    for row, amounts in ((treated[0], ("10.00", "5.50")), (treated[1], ("20.00",)), (held[0], ("7.00",))):
        for days, amount in enumerate(amounts, start=1):
            make_order(row.customer, at=NOW + timedelta(days=days), amount=amount)
    make_order(treated[2].customer, at=NOW + timedelta(days=1), amount="99.00", currency="USD")
    attribution.attribute(campaign=sent)

    page = pages.report_page(campaign_id=sent.pk, at=NOW + timedelta(days=1))

    assert (page.treated.people, page.treated.buyers, page.holdout.people, page.holdout.buyers) == (4, 3, 2, 1)
    assert page.revenue_total == Decimal("35.50")
    assert page.treated.revenue_mean == pytest.approx(35.5 / 4)
    assert (page.currency, page.other_currencies, page.window_open) == ("CNY", 1, True)
    assert page.rate.verdict == "unclear"
    assert page.counts["ordered"] == 3


def test_deliveries_follow_a_merge_unless_both_had_one(sent: Campaign, make_campaign: Make, make_customer: Make) -> None:
    kept, gone = make_customer(), make_customer()
    both = make_campaign(name="Both")
    owe(sent, gone)
    owe(both, gone)
    owe(both, kept)

    assert attribution.move(gone_id=gone.pk, kept_id=kept.pk) == 1

    assert Delivery.objects.get(campaign=sent).customer_id == kept.pk
    assert set(Delivery.objects.filter(campaign=both).values_list("customer_id", flat=True)) == {kept.pk, gone.pk}


def test_an_open_of_a_mail_that_was_never_sent_is_not_counted(sent: Campaign, make_customer: Make) -> None:
    row = owe(sent, make_customer(), Arm.HOLDOUT)

    assert not attribution.record_open(public_id=row.public_id, at=NOW)
    assert not attribution.record_click(public_id=row.public_id, product_id=None, at=NOW)

    assert not Engagement.objects.exists()
