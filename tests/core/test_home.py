"""The landing page: what needs a person, the figures, the empty shop."""

from datetime import timedelta
from decimal import Decimal

import pytest

from crm.core import clock
from crm.core.access.roles import TABLE
from crm.core.learning import registry
from crm.core.models import Job, ModelVersion
from crm.core.models.jobs import JobState
from crm.core.models.people import Role
from crm.home.figures import period, sales
from crm.home.page import home_page
from customers.models import Order, QuarantinedEvent
from support.models import Conversation
from tests import world
from tests.factories import CustomerFactory, PortraitFactory, SourceFactory, UserFactory, place_order

pytestmark = pytest.mark.django_db
ALL = frozenset(TABLE)


@pytest.fixture(autouse=True)
def _the_worlds_day(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: world.NOW)


@pytest.fixture
def shop():
    return world.build()


@pytest.fixture(autouse=True)
def _all_models_serve():
    for task in registry.tasks():
        ModelVersion.objects.create(task=task.name, version=1, state="champion", data_hash="x", as_of=clock.now(), trained_at=clock.now())


def figures(at):
    return {kpi.label: kpi for kpi in home_page(permissions=ALL, at=at).kpis}


def test_an_empty_installation_shows_first_steps(client):
    client.force_login(UserFactory(role=Role.ADMIN))

    page = client.get("/").content.decode()

    assert "Start here" in page
    assert "Bring your orders" in page
    assert "Revenue" not in page


def test_first_steps_are_those_the_role_may_take(client):
    client.force_login(UserFactory(role=Role.AGENT))

    page = client.get("/").content.decode()

    assert "Bring your orders" not in page
    assert "Ask an administrator" in page


def test_six_figures_against_the_thirty_days_before():
    at, buyer = clock.now(), CustomerFactory(first_seen_at=clock.now() - timedelta(days=300))
    for days, amount in ((1, 100), (2, 300), (40, 200)):
        place_order(buyer, at=at - timedelta(days=days), amount=amount)
    place_order(CustomerFactory(), at=at - timedelta(days=3), amount=600)
    place_order(buyer, at=at - timedelta(days=4), amount=9999, status="cancelled")

    shown = figures(at)

    assert list(shown) == ["Revenue", "Orders", "Active customers", "Repeat rate", "Average order", "Open conversations"]
    assert (shown["Revenue"].full, shown["Revenue"].change) == ("¥1,000.00", pytest.approx(4.0))
    assert (shown["Orders"].full, shown["Orders"].change) == ("3", pytest.approx(2.0))
    assert (shown["Active customers"].full, shown["Active customers"].change) == ("2", pytest.approx(1.0))
    assert shown["Repeat rate"].value == "67%"
    assert shown["Average order"].full == "¥333.33"
    assert len(shown["Orders"].spark.rows) == 30


def test_without_earlier_orders_there_is_no_change():
    place_order(CustomerFactory(), at=clock.now() - timedelta(days=1))

    assert figures(clock.now())["Revenue"].change is None


def test_amounts_of_another_currency_are_not_added():
    at = clock.now()
    for _number in range(2):
        place_order(CustomerFactory(), at=at - timedelta(days=1), amount=100)
    place_order(CustomerFactory(), at=at - timedelta(days=1), amount=5000, currency="USD")

    shown = figures(at)

    assert (shown["Revenue"].full, shown["Orders"].full, shown["Average order"].full) == ("¥200.00", "3", "¥100.00")


def test_an_archive_is_shown_up_to_its_newest_order(client):
    at = clock.now()
    place_order(CustomerFactory(), at=at - timedelta(days=4000), amount=700)
    client.force_login(UserFactory(role=Role.ADMIN))

    shown = period(at)

    assert not shown.is_current
    assert sales(shown)[0].full == "¥700.00"
    assert "No order lately" in client.get("/").content.decode()


def titles(permissions=ALL):
    return [action.title for action in home_page(permissions=permissions, at=clock.now()).actions]


def test_a_quiet_day_has_nothing_to_do(client, shop):
    client.force_login(shop.owner)

    assert titles() == []
    assert "Nothing waits for you" in client.get("/").content.decode()


def test_what_needs_a_person_is_listed_most_urgent_first(shop):
    now = clock.now()
    PortraitFactory(customer=shop.lapsing, stage="at_risk", value_365=Decimal(900))
    Conversation.objects.create(
        source=shop.source, visitor_id="v", state="queued", waiting_since=now - timedelta(minutes=12), opened_at=now, last_message_at=now
    )
    Job.objects.create(kind="import", title="Import x.csv", state=JobState.FAILED, finished_at=now - timedelta(hours=2))
    QuarantinedEvent.objects.create(source=shop.source, code="bad", reason="no type", payload="{}", received_at=now - timedelta(days=1))
    ModelVersion.objects.create(task="recommendations", version=2, state="failed", data_hash="y", as_of=now, trained_at=now)

    actions = home_page(permissions=ALL, at=now).actions

    assert [action.tone for action in actions] == ["danger", "danger", "warning", "warning", "info"]
    assert [action.title for action in actions] == [
        "1 chat waits for a person",
        "A job failed",
        "Valuable customers are slipping away",
        "1 event was refused this week",
        "1 model needs a look",
    ]
    at_risk = actions[2].more[0]
    assert at_risk[0] == "王旧友"
    assert "¥900.00" in at_risk[1]
    assert at_risk[2] == f"/customers/{shop.lapsing.pk}/"


def test_old_failures_and_refusals_are_left_in_peace(shop):
    long_ago = clock.now() - timedelta(days=8)
    Job.objects.create(kind="import", title="x", state=JobState.FAILED, finished_at=long_ago)
    QuarantinedEvent.objects.create(source=shop.source, code="bad", reason="r", payload="{}", received_at=long_ago)

    assert titles() == []


def test_each_role_sees_what_it_can_act_on(client, shop):
    now = clock.now()
    Conversation.objects.create(source=shop.source, visitor_id="v", state="queued", waiting_since=now, opened_at=now, last_message_at=now)
    ModelVersion.objects.filter(task="recommendations").delete()
    seen = {}
    for user in (shop.owner, shop.teammate, shop.marketer):
        client.force_login(user)
        page = client.get("/").content.decode()
        seen[user.username] = ("1 chat waits" in page, "1 model needs" in page, "Open conversations" in page)

    assert seen == {"owner": (True, True, True), "teammate": (True, False, True), "marketer": (False, True, False)}


@pytest.mark.parametrize("rows", [3, 30])
def test_home_stays_within_twelve_queries(client, shop, rows, django_assert_max_num_queries):
    now = clock.now()
    for number in range(rows):
        customer = CustomerFactory()
        PortraitFactory(customer=customer, stage="at_risk", value_365=Decimal(number + 1))
        place_order(customer, at=now - timedelta(days=number))
        Job.objects.create(kind="import", title="x", state=JobState.FAILED, finished_at=now)
    client.force_login(shop.owner)
    client.get("/")

    with django_assert_max_num_queries(12):
        client.get("/")


def test_names_on_home_are_escaped(client, shop):
    PortraitFactory(customer=CustomerFactory(name="<script>alert(1)</script>"), stage="at_risk", value_365=Decimal(5))
    client.force_login(shop.owner)

    assert "<script>alert" not in client.get("/").content.decode()


def test_stages_lead_to_their_customers(client, shop):
    PortraitFactory(customer=shop.loyal, stage="loyal")
    client.force_login(shop.owner)

    assert 'href="/customers/?stage=loyal"' in client.get("/").content.decode()


def test_anonymous_orders_alone_are_a_shop_too(client):
    Order.objects.create(source=SourceFactory(), external_id="a", placed_at=clock.now(), currency="CNY", total_amount=5)
    client.force_login(UserFactory(role=Role.ADMIN))

    assert "Start here" not in client.get("/").content.decode()
