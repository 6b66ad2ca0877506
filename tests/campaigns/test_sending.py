"""The ledger: nobody twice, nobody without permission, and a crash that is admitted and not repeated."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection, connections

from campaigns import sending
from campaigns.channels import Lost, ServerUnavailable
from campaigns.errors import CampaignChanged, CampaignNotDraft, CampaignNotReady
from campaigns.models import Arm, Campaign, CampaignState, Delivery, DeliveryState
from crm.core import jobs
from crm.core.models import AuditEntry, Job, User
from crm.core.models.jobs import JobState
from customers import consent
from customers.models import ConsentEntry, Customer
from recommendations.models import RecommendationFeedback
from tests.campaigns.conftest import NOW, Clock, Sink

MakeCustomer = Callable[..., Customer]
MakeCampaign = Callable[..., Campaign]
pytestmark = pytest.mark.django_db


def states(campaign: Campaign) -> dict[int, str]:
    return dict(campaign.deliveries.values_list("customer_id", "state"))


def run(campaign: Campaign, ticking: Clock) -> None:
    campaign.refresh_from_db()
    assert campaign.job_id is not None
    jobs.begin(campaign.job_id, at=ticking())
    sending.deliver(campaign_id=campaign.pk, job_id=campaign.job_id, clock=ticking)


def test_launch_writes_a_row_for_everyone(make_customer: MakeCustomer, make_campaign: MakeCampaign, marketer: User) -> None:
    people = [make_customer() for _one in range(10)]
    silent = make_customer(agreed=False)
    campaign = make_campaign(holdout_percent=20)

    job = sending.launch(campaign_id=campaign.pk, actor=marketer, now=NOW)

    assert sorted(states(campaign).values()) == ["due"] * 8 + ["holdout"] * 2 + ["skipped"]
    assert campaign.deliveries.get(customer=silent).reason == "no_consent"
    assert campaign.deliveries.filter(arm=Arm.TREATED).count() == 8
    assert {row.customer_id for row in campaign.deliveries.exclude(arm="")} == {one.pk for one in people}
    campaign.refresh_from_db()
    assert (campaign.state, campaign.started_at, campaign.job_id, job.total) == (CampaignState.SENDING, NOW, job.pk, 8)
    assert AuditEntry.objects.get(action="campaign.send").data == {"matched": 11, "to_send": 8, "held_out": 2, "left_out": 1}


def test_a_launched_campaign_cannot_be_launched_again(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    make_customer()
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    with pytest.raises(CampaignNotDraft):
        sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    assert campaign.deliveries.count() == 1
    assert Job.objects.count() == 1


def test_a_campaign_changed_after_the_confirmation_is_not_sent(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    make_customer()
    campaign = make_campaign(version=4)

    with pytest.raises(CampaignChanged):
        sending.launch(campaign_id=campaign.pk, actor=None, now=NOW, expected_version=3)

    assert not campaign.deliveries.exists()


def test_a_campaign_without_text_or_people_is_not_sent(make_customer: MakeCustomer, make_campaign: MakeCampaign) -> None:
    with pytest.raises(CampaignNotReady) as caught:
        sending.launch(campaign_id=make_campaign(texts={}).pk, actor=None, now=NOW)

    assert caught.value.data["faults"] == ["no_text", "nobody"]


@pytest.mark.django_db(transaction=True)
def test_two_launches_at_once_write_one_ledger(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink) -> None:
    for _one in range(20):
        make_customer()
    campaign = make_campaign()
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def press() -> None:
        barrier.wait()
        try:
            sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
            outcomes.append("launched")
        except CampaignNotDraft:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press) for _one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["launched", "refused", "refused", "refused"]
    assert campaign.deliveries.count() == 20
    assert len(sink.recipients) == len(set(sink.recipients)) == 20


def test_mails_arrive_in_each_customers_language(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    english, chinese = make_customer(name="Ana Silva"), make_customer(name="王小明", locale="zh-CN")
    campaign = make_campaign(texts={"en": ("Hello {{ first_name }}", "Spring is here."), "zh-hans": ("{{ first_name }}，您好", "春天来了。")})

    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
    run(campaign, ticking)

    assert sink.to(english.email)["Subject"] == "Hello Ana"
    assert sink.to(chinese.email)["Subject"] == "王小明，您好"
    campaign.refresh_from_db()
    assert (campaign.state, campaign.finished_at) == (CampaignState.SENT, NOW)
    assert campaign.job is not None
    assert (campaign.job.state, campaign.job.done, campaign.job.result) == (JobState.DONE, 2, {"sent": 2})
    assert sink.connections == 1


def test_consent_withdrawn_after_the_launch_is_respected(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    stays, leaves = make_customer(), make_customer()
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
    consent.withdraw(customer_id=leaves.pk, channel="email", origin="test", at=NOW)

    run(campaign, ticking)

    assert sink.recipients == [stays.email]
    assert campaign.deliveries.get(customer=leaves).reason == "withdrawn"
    # Drawn into the treated group, and stays there: the comparison must not lose those who say no.
    assert campaign.deliveries.get(customer=leaves).arm == Arm.TREATED


def test_running_twice_sends_once(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    make_customer()
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)
    run(campaign, ticking)

    assert len(sink.mails) == 1


def test_a_refused_address_fails_for_good_and_is_remembered(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    bad, good = make_customer(), make_customer()
    sink.rcpt_answers[bad.email] = "550 5.1.1 No such user"
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)

    assert states(campaign) == {bad.pk: "failed", good.pk: "sent"}
    assert campaign.deliveries.get(customer=bad).reason == "address_refused"
    assert ConsentEntry.objects.filter(customer=bad).first().state == "bounced"  # type: ignore[union-attr]
    assert sink.connections == 1


def test_not_now_is_tried_again_later_and_then_given_up(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    customer = make_customer()
    sink.data_answers[customer.email] = ["451 4.7.1 Greylisted"] * 9
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)
    first = campaign.deliveries.get()
    assert (first.state, first.attempts, first.not_before) == (DeliveryState.DUE, 1, NOW + timedelta(minutes=2))
    run(campaign, ticking)
    assert campaign.deliveries.get().attempts == 1
    for _try in range(4):
        ticking.at += timedelta(hours=3)
        assert sending.sweep(now=ticking.at) == [(campaign.pk, campaign.job_id)]
        run(campaign, ticking)

    last = campaign.deliveries.get()
    assert (last.state, last.reason, last.attempts) == (DeliveryState.FAILED, "gave_up", 5)
    assert not sink.mails
    assert Campaign.objects.get().state == CampaignState.SENT


def test_no_mail_server_leaves_everyone_due_and_says_so(
    make_customer: MakeCustomer, make_campaign: MakeCampaign, ticking: Clock, settings: LazySettings
) -> None:
    make_customer()
    settings.CRM_SMTP_PORT = 9
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)

    row = campaign.deliveries.get()
    assert (row.state, row.attempts, row.not_before) == (DeliveryState.DUE, 0, None)
    campaign.refresh_from_db()
    assert campaign.state == CampaignState.SENDING
    assert campaign.job is not None
    assert campaign.job.state == JobState.WAITING
    assert "cannot be used" in campaign.job.message


def test_a_lost_answer_is_unknown_and_never_sent_again(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    unlucky, next_one = make_customer(), make_customer()
    sink.drop_after_data.add(unlucky.email)
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)
    ticking.at += timedelta(days=1)
    sending.sweep(now=ticking.at)
    run(campaign, ticking)

    assert states(campaign) == {unlucky.pk: "unknown", next_one.pk: "sent"}
    assert sink.recipients == [unlucky.email, next_one.email]
    assert sink.connections == 2


def test_a_worker_killed_while_sending_leaves_an_unknown(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    make_customer()
    campaign = make_campaign()
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
    campaign.deliveries.update(state=DeliveryState.SENDING, claimed_at=NOW)

    sending.sweep(now=NOW + timedelta(minutes=4))
    assert campaign.deliveries.get().state == DeliveryState.SENDING
    sending.sweep(now=NOW + timedelta(minutes=6))

    row = campaign.deliveries.get()
    assert (row.state, row.reason) == (DeliveryState.UNKNOWN, "lost")
    run(campaign, ticking)
    assert not sink.mails
    assert Campaign.objects.get().state == CampaignState.SENT


def test_the_sweeper_takes_over_from_a_dead_worker_but_not_from_a_living_one(
    make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock
) -> None:
    make_customer()
    campaign = make_campaign()
    job = sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
    jobs.begin(job.pk, at=NOW)
    Delivery.objects.update(not_before=NOW + sending.LEASE)

    assert sending.sweep(now=NOW + timedelta(minutes=1)) == []
    assert sending.sweep(now=NOW + timedelta(minutes=3)) == [(campaign.pk, job.pk)]


def test_stop_and_go_on(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock, marketer: User) -> None:
    for _one in range(3):
        make_customer()
    campaign = make_campaign()
    job = sending.launch(campaign_id=campaign.pk, actor=marketer, now=NOW)
    jobs.begin(job.pk, at=NOW)
    sending.stop(campaign_id=campaign.pk, actor=marketer)

    sending.deliver(campaign_id=campaign.pk, job_id=job.pk, clock=ticking)
    assert not sink.mails
    assert set(states(campaign).values()) == {"due"}
    assert Job.objects.get(pk=job.pk).state == JobState.CANCELLED

    sending.resume(campaign_id=campaign.pk, actor=marketer, now=NOW)
    run(campaign, ticking)

    assert len(set(sink.recipients)) == len(sink.recipients) == 3
    assert Campaign.objects.get().state == CampaignState.SENT
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["campaign.send", "campaign.stop", "campaign.resume"]


def test_cancelling_the_job_stops_the_campaign(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink) -> None:
    make_customer()
    campaign = make_campaign()
    job = sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
    jobs.request_cancel(job.pk)

    assert sending.sweep(now=NOW + timedelta(minutes=1)) == []

    assert Campaign.objects.get().state == CampaignState.CANCELLED


def test_customers_without_a_value_the_text_needs_are_left_out(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, ticking: Clock) -> None:
    customer = make_customer()
    campaign = make_campaign(texts={"en": ("Hi", "How is your {{ last_product }}?")})
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)

    row = campaign.deliveries.get(customer=customer)
    assert (row.state, row.reason) == (DeliveryState.SKIPPED, "field_empty")
    assert not sink.mails


def test_printed_recommendations_are_stored_as_shown(
    make_customer: MakeCustomer, make_campaign: MakeCampaign, make_product, make_order, sink: Sink, ticking: Clock
) -> None:  # type: ignore[no-untyped-def]
    customer, other, pot = make_customer(), make_customer(agreed=False), make_product("Iron pot")
    make_order(other, at=NOW - timedelta(days=5), product=pot)
    campaign = make_campaign(with_recommendations=True)
    sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)

    run(campaign, ticking)

    assert campaign.deliveries.get(customer=customer).product_ids == [pot.pk]
    shown = RecommendationFeedback.objects.get()
    assert (shown.customer_id, shown.product_id, shown.kind, shown.origin) == (customer.pk, pot.pk, "shown", f"campaign:{campaign.pk}")
    assert "Iron pot" in sink.to(customer.email).get_body(("plain",)).get_content()  # type: ignore[union-attr]


@pytest.mark.django_db(transaction=True)
def test_two_campaigns_at_once_cannot_both_pass_the_cap(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink, settings: LazySettings) -> None:
    settings.CRM_FREQUENCY_CAP = 2
    people = [make_customer() for _one in range(10)]
    campaigns = [make_campaign(name=f"Campaign {number}") for number in range(5)]
    settings.CELERY_TASK_ALWAYS_EAGER = False
    from campaigns import listeners
    from campaigns.events import CampaignReady
    from crm.core import events

    events._listeners[CampaignReady].remove(listeners._send)
    try:
        launched = [(campaign, sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)) for campaign in campaigns]
    finally:
        events.listen(CampaignReady, listeners._send)

    def work(campaign: Campaign, job: Job) -> None:
        jobs.begin(job.pk, at=NOW)
        sending.deliver(campaign_id=campaign.pk, job_id=job.pk, clock=lambda: NOW)
        connections.close_all()

    threads = [threading.Thread(target=work, args=pair) for pair in launched]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for customer in people:
        assert sink.recipients.count(customer.email) == 2
    assert Delivery.objects.filter(state=DeliveryState.SKIPPED, reason="frequency_cap").count() == 30
    assert connection.is_usable()


def test_a_test_mail_counts_nowhere(make_customer: MakeCustomer, make_campaign: MakeCampaign, sink: Sink) -> None:
    customer, campaign = make_customer(name="Ana Silva"), make_campaign()

    sending.send_test(campaign=campaign, to="mia@shop.example", customer_id=customer.pk, language="en", at=NOW)

    assert sink.recipients == ["mia@shop.example"]
    assert sink.mails[0][1]["Subject"] == "Hello Ana"
    assert not Delivery.objects.exists()


def test_the_channel_may_break_between_messages(make_customer: MakeCustomer, make_campaign: MakeCampaign, ticking: Clock) -> None:
    for _one in range(3):
        make_customer()
    campaign = make_campaign()
    job = sending.launch(campaign_id=campaign.pk, actor=None, now=NOW)
    jobs.begin(job.pk, at=NOW)

    class Breaking:
        sent = 0

        def __enter__(self) -> "Breaking":
            return self

        def __exit__(self, *_error: object) -> None: ...

        def hand_over(self, **_message: object) -> None:
            self.sent += 1
            if self.sent == 2:
                raise Lost
            if self.sent == 3:
                raise ServerUnavailable

    sending.deliver(campaign_id=campaign.pk, job_id=job.pk, clock=ticking, channel=Breaking())  # type: ignore[arg-type]

    assert list(campaign.deliveries.order_by("pk").values_list("state", "attempts")) == [("sent", 1), ("unknown", 1), ("due", 0)]
