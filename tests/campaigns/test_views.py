"""The campaign pages: who may, how many queries, and that each form works without scripts."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from campaigns.models import Arm, Campaign, CampaignState, CopyDraft, Delivery, DeliveryState
from crm.core import clock
from crm.core.models import AuditEntry, User
from customers.models import Customer, Segment
from tests.campaigns.conftest import Sink

pytestmark = pytest.mark.django_db
Make = Callable  # type: ignore[type-arg]


@pytest.fixture
def browser(marketer: User) -> Client:
    client = Client()
    client.force_login(marketer)
    return client


def fields(campaign: Campaign, **changed: object) -> dict[str, object]:
    texts = {text.language: text for text in campaign.texts.all()}
    return {
        "name": campaign.name,
        "goal": campaign.goal,
        "segment": campaign.segment_id or "",
        "holdout_percent": campaign.holdout_percent,
        "attribution_days": campaign.attribution_days,
        "version": campaign.version,
        **{f"subject_{language}": texts[language].subject if language in texts else "" for language in ("en", "zh-hans")},
        **{f"body_{language}": texts[language].body if language in texts else "" for language in ("en", "zh-hans")},
        **changed,
    }


def launched(make_campaign: Make, customers: list[Customer]) -> Campaign:
    at = clock.now() - timedelta(days=1)
    campaign: Campaign = make_campaign(state=CampaignState.SENT, started_at=at, finished_at=at)
    for number, customer in enumerate(customers):
        arm = Arm.HOLDOUT if number % 3 == 0 else Arm.TREATED
        state = DeliveryState.HOLDOUT if arm == Arm.HOLDOUT else DeliveryState.SENT
        Delivery.objects.create(
            campaign=campaign, customer=customer, arm=arm, state=state, sent_at=None if arm == Arm.HOLDOUT else at, claimed_at=at, language="en"
        )
    return campaign


GET_PAGES = ["list", "new", "edit", "audience", "preview", "confirm", "detail", "recipients", "recipient", "customer-panel", "segment-panel"]


def address(name: str, draft: Campaign, sent: Campaign, customer: Customer) -> str:
    arguments = {"list": [], "new": [], "detail": [sent.pk], "recipients": [sent.pk], "recipient": [sent.pk, customer.pk], "customer-panel": [customer.pk]}
    arguments["segment-panel"] = [sent.segment_id]
    return reverse(f"campaigns:{name}", args=arguments.get(name, [draft.pk]))


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("name", GET_PAGES)
def test_pages_take_at_most_twelve_queries_and_no_more_for_more_rows(
    name: str, language: str, browser: Client, make_customer: Make, make_campaign: Make, make_product: Make, make_order: Make
) -> None:
    browser.cookies["django_language"] = language
    counts = []
    for rows in (3, 27):
        customers = [make_customer() for _one in range(rows)]
        make_order(customers[0], at=clock.now() - timedelta(days=3), product=make_product())
        draft = make_campaign(
            with_recommendations=True, texts={"en": ("Hi {{ first_name|x }}", "“Pot” ¥12 {{ last_product|thing }}"), "zh-hans": ("您好", "“壶” ¥12")}
        )
        sent = launched(make_campaign, customers)
        for _more in range(rows):
            make_campaign()
        Segment.objects.create(name=f"Segment {rows}")
        url = address(name, draft, sent, customers[-1])
        browser.get(url)
        with CaptureQueriesContext(connection) as queries:
            answer = browser.get(url)
        assert answer.status_code == 200
        counts.append(len([query for query in queries if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))]))

    assert counts[0] == counts[1] <= 12, counts


@pytest.mark.parametrize("name", GET_PAGES)
def test_agents_see_no_campaign_and_visitors_are_asked_to_log_in(name: str, agent: User, make_customer: Make, make_campaign: Make) -> None:
    customer = make_customer()
    url = address(name, make_campaign(), launched(make_campaign, [customer]), customer)
    client = Client()

    assert client.get(url).status_code == 302
    client.force_login(agent)
    assert client.get(url).status_code == 403


@pytest.mark.parametrize("name", ["send", "stop", "resume", "duplicate", "delete", "test", "drafts"])
def test_analysts_may_look_but_not_act(name: str, make_campaign: Make) -> None:
    client = Client()
    client.force_login(User.objects.create_user(username="ann", password="x", role="analyst"))
    campaign = make_campaign()

    assert client.post(reverse(f"campaigns:{name}", args=[campaign.pk])).status_code == 403
    assert client.get(reverse("campaigns:audience", args=[campaign.pk])).status_code == 200
    assert Campaign.objects.get().state == CampaignState.DRAFT


@pytest.mark.parametrize("name", ["edit", "audience", "preview", "confirm", "detail", "recipients"])
def test_a_campaign_that_does_not_exist_is_404(name: str, browser: Client) -> None:
    assert browser.get(reverse(f"campaigns:{name}", args=[999])).status_code == 404


def test_from_nothing_to_a_sent_campaign(browser: Client, make_customer: Make, segment: Segment, sink: Sink, django_capture_on_commit_callbacks: Make) -> None:
    english, chinese, silent = make_customer(name="Ana Silva"), make_customer(name="王小明", locale="zh-hans"), make_customer(agreed=False)

    answer = browser.post(reverse("campaigns:new"), {"name": "Win back", "segment": segment.pk, "goal": "Win back silent customers"})
    campaign = Campaign.objects.get()
    assert answer["Location"] == reverse("campaigns:edit", args=[campaign.pk])

    with django_capture_on_commit_callbacks(execute=True):
        browser.post(reverse("campaigns:drafts", args=[campaign.pk]))
    for draft in CopyDraft.objects.all():
        browser.post(reverse("campaigns:use-draft", args=[draft.pk]))
    page = browser.get(reverse("campaigns:edit", args=[campaign.pk])).content.decode()
    assert page.count('data-tone="ai">Written by a model') == 2
    for language in ("en", "zh-hans"):
        browser.post(reverse("campaigns:approve", args=[campaign.pk, language]))

    campaign.refresh_from_db()
    browser.post(reverse("campaigns:edit", args=[campaign.pk]), fields(campaign, holdout_percent=0))
    confirm = browser.get(reverse("campaigns:confirm", args=[campaign.pk])).content.decode()
    assert "2 customers will get this mail" in confirm
    assert "Never agreed to marketing mail" in confirm
    campaign.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        answer = browser.post(reverse("campaigns:send", args=[campaign.pk]), {"version": campaign.version})
    assert answer["Location"] == reverse("campaigns:detail", args=[campaign.pk])

    assert sorted(sink.recipients) == sorted([english.email, chinese.email])
    assert "王小明" in str(sink.to(chinese.email)["Subject"]) + sink.to(chinese.email).get_body(("plain",)).get_content()  # type: ignore[union-attr]
    report = browser.get(reverse("campaigns:detail", args=[campaign.pk])).content.decode()
    assert "Nobody" not in report
    assert "There is no held-out group to compare with." in report
    trace = browser.get(reverse("campaigns:recipient", args=[campaign.pk, silent.pk])).content.decode()
    assert "Never agreed to marketing mail" in trace
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {
        "campaign.create", "campaign.draft_texts", "campaign.use_draft", "campaign.approve_text", "campaign.change", "campaign.send",
    }  # fmt: skip


def test_a_save_that_meets_another_change_keeps_what_was_typed(browser: Client, make_campaign: Make) -> None:
    campaign = make_campaign(version=3)
    url = reverse("campaigns:edit", args=[campaign.pk])

    answer = browser.post(url, fields(campaign, version=2, name="Mine", body_en="My long text"))

    assert answer.status_code == 409
    page = answer.content.decode()
    assert "Someone changed this campaign while you had it open." in page
    assert "My long text" in page
    assert 'name="version" value="3"' in page
    assert 'name="name" value="Mine"' in page
    assert campaign.texts.get().body == "Spring is here."
    assert browser.post(url, fields(campaign, version=3, body_en="My long text")).status_code == 302
    assert campaign.texts.get().body == "My long text"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"body_en": "{{ nope }}"}, "There is no field {{ nope }}"),
        ({"subject_en": ""}, "both a subject and a text"),
        ({"subject_en": "{{ recommendations }}"}, "cannot stand in a subject"),
        ({"holdout_percent": 80}, "less than or equal to 50"),
        ({"segment": 999}, "valid choice"),
    ],
)
def test_a_form_with_faults_is_422_and_stores_nothing(browser: Client, make_campaign: Make, changed: dict[str, object], message: str) -> None:
    campaign = make_campaign()

    answer = browser.post(reverse("campaigns:edit", args=[campaign.pk]), fields(campaign, name="Other", **changed))

    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert Campaign.objects.get().name == "Spring"


def test_a_large_send_asks_for_the_name(browser: Client, make_customer: Make, make_campaign: Make, settings: LazySettings) -> None:
    settings.CRM_SEND_CONFIRM_ABOVE = 0
    make_customer()
    campaign = make_campaign()
    url = reverse("campaigns:send", args=[campaign.pk])

    browser.post(url, {"version": 1, "name": "Sprin"})
    assert not Delivery.objects.exists()
    browser.post(url, {"version": 1, "name": "Spring"})
    assert Delivery.objects.count() == 1


def test_sending_needs_the_version_that_was_confirmed(browser: Client, make_customer: Make, make_campaign: Make) -> None:
    make_customer()
    campaign = make_campaign(version=2)

    for version in ("1", "", "x"):
        answer = browser.post(reverse("campaigns:send", args=[campaign.pk]), {"version": version})
        assert answer["Location"] == reverse("campaigns:confirm", args=[campaign.pk])

    assert not Delivery.objects.exists()


def test_pressing_send_twice_launches_once(browser: Client, make_customer: Make, make_campaign: Make) -> None:
    make_customer()
    campaign = make_campaign()

    answers = [browser.post(reverse("campaigns:send", args=[campaign.pk]), {"version": 1}) for _press in range(2)]

    assert {answer["Location"] for answer in answers} == {reverse("campaigns:detail", args=[campaign.pk])}
    assert Delivery.objects.count() == 1


def test_preview_and_its_frame_show_the_chosen_customer(browser: Client, make_customer: Make, make_campaign: Make) -> None:
    make_customer(name="Ana Silva")
    bo = make_customer(name="Bo <script>alert(1)</script>")
    campaign = make_campaign(texts={"en": ("Hi {{ name }}", "Dear {{ name }}")})

    page = browser.get(reverse("campaigns:preview", args=[campaign.pk]), {"as": bo.pk, "q": "Bo"}).content.decode()
    frame = browser.get(reverse("campaigns:preview-frame", args=[campaign.pk]), {"as": bo.pk, "language": "en"})

    assert "Hi Bo &lt;script&gt;" in page
    assert "<script>alert" not in page + frame.content.decode()
    assert "Dear Bo &lt;script&gt;" in frame.content.decode()
    policy = frame["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "frame-ancestors 'self'" in policy
    assert "script-src" not in policy
    assert "img-src data:" in policy
    assert not Delivery.objects.exists()


def test_a_test_mail_goes_to_the_address_given(browser: Client, make_customer: Make, make_campaign: Make, sink: Sink) -> None:
    customer, campaign = make_customer(name="Ana Silva"), make_campaign()

    answer = browser.post(reverse("campaigns:test", args=[campaign.pk]), {"to": "mia@shop.example", "language": "en", "customer": customer.pk}, follow=True)

    assert "Test sent to mia@shop.example." in answer.content.decode()
    assert sink.recipients == ["mia@shop.example"]


def test_a_test_mail_to_a_customer_who_does_not_exist_is_refused_in_words(browser: Client, make_campaign: Make, sink: Sink) -> None:
    campaign = make_campaign()

    answer = browser.post(reverse("campaigns:test", args=[campaign.pk]), {"to": "mia@shop.example", "language": "en", "customer": 999}, follow=True)

    assert answer.status_code == 404
    assert not sink.mails


def test_stop_resume_duplicate_and_delete(browser: Client, make_customer: Make, make_campaign: Make) -> None:
    make_customer()
    campaign = make_campaign()
    browser.post(reverse("campaigns:send", args=[campaign.pk]), {"version": 1})

    browser.post(reverse("campaigns:stop", args=[campaign.pk]))
    assert Campaign.objects.get().state == CampaignState.CANCELLED
    assert "Sending was stopped; 1 customer was not written to." in browser.get(reverse("campaigns:detail", args=[campaign.pk])).content.decode()
    browser.post(reverse("campaigns:resume", args=[campaign.pk]))
    assert Campaign.objects.get().state == CampaignState.SENDING
    browser.post(reverse("campaigns:duplicate", args=[campaign.pk]))
    copy = Campaign.objects.exclude(pk=campaign.pk).get()
    browser.post(reverse("campaigns:delete", args=[campaign.pk]))
    browser.post(reverse("campaigns:delete", args=[copy.pk]))
    assert Campaign.objects.get().pk == campaign.pk


@pytest.mark.parametrize("query", ["?page=99999999999999999999", "?page=-1", "?state=nope&q=%00", "?q=%27%3B--", "?as=99999999999999999999999"])
@pytest.mark.parametrize("name", ["list", "recipients", "preview"])
def test_strange_queries_are_no_500(name: str, query: str, browser: Client, make_customer: Make, make_campaign: Make) -> None:
    customer = make_customer()
    sent = launched(make_campaign, [customer])

    assert browser.get(address(name, sent, sent, customer) + query).status_code in {200, 400, 404}


def test_parts_for_htmx_hold_no_frame(browser: Client, make_campaign: Make, make_customer: Make) -> None:
    customer = make_customer()
    sent = launched(make_campaign, [customer])
    draft = make_campaign()
    for name in ("list", "audience", "preview", "detail", "recipients", "drafts"):
        url = reverse("campaigns:drafts", args=[draft.pk]) if name == "drafts" else address(name, draft, sent, customer)
        page = browser.get(url, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in page
        assert page.strip()


def test_the_admin_lists_work(make_campaign: Make, make_customer: Make, admin_user: User) -> None:
    launched(make_campaign, [make_customer() for _one in range(3)])
    client = Client()
    client.force_login(admin_user)

    for model in ("campaign", "delivery", "engagement", "copydraft"):
        assert client.get(reverse(f"admin:campaigns_{model}_changelist"), {"q": "ana"}).status_code == 200
    assert client.get(reverse("admin:campaigns_delivery_change", args=[Delivery.objects.first().pk])).status_code == 200  # type: ignore[union-attr]
