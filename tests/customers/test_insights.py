"""The insight pages: figures a person can recount by hand, files, segments made from a click, few questions at any size."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm.core.learning import modelstore
from crm.core.learning.reports import ModelReport, ReportTable, tenths
from crm.core.models import AuditEntry, ModelVersion
from customers.insights import pages, retention, segments, stock
from customers.insights.pages import NAMES
from customers.models import Portrait, PortraitSnapshot, Return, ReturnLine, Segment
from tests.factories import CategoryFactory, CustomerFactory, PortraitFactory, ProductFactory, ReviewFactory, UserFactory, place_order
from tests.factories.customers import NOW, ReturnFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.clear()
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)


@pytest.fixture
def marketer(client: Client) -> Client:
    client.force_login(UserFactory(role="marketer"))
    return client


def champion(task: str, *tables: ReportTable) -> ModelVersion:
    """A serving version that has only a report."""
    return ModelVersion.objects.create(
        task=task, version=1, state="champion", data_hash="x", as_of=NOW, trained_at=NOW, report=ModelReport("m", "b", (), tables=tables).as_dict()
    )


def sheet(name: str, sheet_name: str, **params: str) -> Any:
    found = pages.insight_page(name=name, params=params, at=NOW).sheets
    return next(each for each in found if each.name == sheet_name)


@pytest.mark.parametrize("name", NAMES)
def test_every_page_stands_in_an_empty_shop(marketer: Client, name: str) -> None:
    page = marketer.get(reverse("insights:page", args=[name]))

    assert page.status_code == 200
    assert "Nothing to show yet" in page.content.decode()


def test_retention_counts_who_came_back_in_each_period() -> None:
    """Two first bought in January: one came back in February and April, one never; the running month June is left out."""
    january = NOW - timedelta(days=150)
    one, two = CustomerFactory(), CustomerFactory()
    place_order(two, at=january)
    for days in (150, 148, 115, 60, 1):
        place_order(one, at=NOW - timedelta(days=days))
    place_order(None, at=january)

    shown = sheet("retention", "cohorts")

    assert shown.header[:4] == ["cohort", "customers", "month_1", "month_2"]
    assert [row for row in shown.rows if row[0] == "2026-01-01"] == [["2026-01-01", 2, 0.5, 0.0, 0.5, 0.0, *[None] * 8]]
    # The picture is as wide as the shop is old; the file keeps its columns.
    assert [len(row) for row in shown.chart.rows if row[0] == "January 2026"] == [2 + 4]
    weekly = retention.sheets(unit="week", at=NOW)[0]
    assert all(len(row) == 14 for row in weekly.rows)


def test_the_groups_are_counted_by_their_people_not_by_their_cells() -> None:
    """In one cell of recency and frequency two kinds of people may live; each counts with their own."""
    for group in ("champions", "champions", "loyal"):
        PortraitFactory(recency_score=5, frequency_score=5, rfm_group=group)

    assert sheet("rfm", "groups").chart.rows == (("Champions", "2"), ("Loyal customers", "1"))


def test_weeks_begin_on_monday_and_months_roll_over_the_year() -> None:
    from datetime import date

    assert retention._start(date(2026, 6, 14), "week") == date(2026, 6, 8)
    assert retention._back(date(2026, 2, 1), "month", 3) == date(2025, 11, 1)
    assert retention._back(date(2025, 11, 1), "month", -3) == date(2026, 2, 1)


def test_the_rfm_map_opens_a_cell_and_makes_a_segment_of_it(marketer: Client) -> None:
    for value in (100, 900):
        PortraitFactory(recency_score=5, frequency_score=4, value_365=Decimal(value), rfm_group="champions")
    PortraitFactory(recency_score=1, frequency_score=1, rfm_group="lost")
    page = marketer.get(reverse("insights:page", args=["rfm"]), {"r": "5", "f": "4"})
    cell = page.context["page"].cell

    assert (cell.customers, cell.group) == (2, "Champions")
    assert [int(customer.portrait.value_365) for customer in cell.top] == [900, 100]
    answer = marketer.post(reverse("insights:segment"), {"offer": cell.offer.key}, follow=True)
    segment = Segment.objects.get()
    assert segment.members_count == 2
    assert "Recency 5, frequency 4" in answer.content.decode()
    assert AuditEntry.objects.filter(action="segment.create", data__from="rfm:5:4").count() == 1
    again = segments.make(key="rfm:5:4", actor=UserFactory(), at=NOW)
    assert again.name == "Recency 5, frequency 4 (2)"


@pytest.mark.parametrize(
    "key",
    ["", "rfm:6:1", "rfm:1", "rfm:a:b", "stage:asleep", "cohort:week:soon", "value:nan", "value:-1", "churn:2", "returned:nothing", "drop:table", "unhappy:1"],
)
def test_nonsense_makes_no_segment(marketer: Client, key: str) -> None:
    assert marketer.post(reverse("insights:segment"), {"offer": key}).status_code == 400
    assert not Segment.objects.exists()


@pytest.mark.parametrize(
    "key", ["rfm:1:5", "stage:at_risk", "cohort:month:2026-12-01", "cohort:week:2026-06-08", "value:120.5", "churn:0.5", "returned:shoes", "unhappy"]
)
def test_every_offer_makes_a_rule_that_can_be_asked(key: str) -> None:
    CategoryFactory(slug="shoes")

    assert segments.make(key=key, actor=UserFactory(), at=NOW).members_count == 0


def test_a_cohort_of_december_ends_with_the_year() -> None:
    _name, rule = segments.rule_of("cohort:month:2026-12-01")

    assert [part["value"] for part in rule["rules"]] == ["2026-12-01", "2027-01-01"]


def test_flow_comes_from_kept_months_and_else_from_the_model() -> None:
    customers = [PortraitFactory(stage="loyal").customer, PortraitFactory(stage="at_risk").customer]
    champion("lifecycle", ReportTable("stage_flow", ("from_stage", "to_stage", "share", "customers"), (("new", "loyal", 1.0, 7.0),)))
    assert sheet("lifecycle", "flow").rows == [["new", "loyal", 7.0]]
    cache.clear()
    for month, stages in ((4, ("loyal", "loyal")), (5, ("loyal", "growing"))):
        for customer, stage in zip(customers, stages, strict=True):
            PortraitSnapshot.objects.create(customer=customer, month=f"2026-0{month}-01", stage=stage, as_of=NOW)

    assert sheet("lifecycle", "flow").rows == [["growing", "at_risk", 1], ["loyal", "growing", 1], ["loyal", "loyal", 2]]
    assert [row for row in sheet("lifecycle", "stage-months").rows if row[1] == "loyal"] == [["2026-04-01", "loyal", 2], ["2026-05-01", "loyal", 1]]


def test_the_value_is_spread_and_the_top_tenth_can_be_taken() -> None:
    for amount in range(1, 101):
        PortraitFactory(value_365=Decimal(amount * 10))
    PortraitFactory(value_365=Decimal(999_999), currency="USD")

    spread = sheet("value", "spread")

    assert sum(row[2] for row in spread.rows) == 100
    assert sum(row[3] for row in spread.rows) == 50_500
    # 910 to 1,000, and the one in dollars: a rule on an amount looks at everyone in their own currency.
    assert segments.make(key=spread.offers[0].key, actor=UserFactory(), at=NOW).members_count == 11


def test_deciles_come_from_the_report_and_else_from_kept_portraits() -> None:
    customer = CustomerFactory()
    place_order(customer, at=NOW - timedelta(days=10), amount=70)
    PortraitFactory(customer=customer)
    PortraitSnapshot.objects.create(
        customer=customer, month="2026-03-01", stage="loyal", value_365=Decimal(365), currency="CNY", as_of=NOW - timedelta(days=100)
    )

    assert sheet("value", "deciles").rows == [[1, 1, pytest.approx(100.0), 70.0]]
    champion("value", tenths([3.0, 1.0, 2.0], [9.0, 1.0, 5.0], parts=3))
    assert sheet("value", "deciles").rows == [[1, 1, 3.0, 9.0], [2, 1, 2.0, 5.0], [3, 1, 1.0, 1.0]]


def test_churn_drivers_weigh_the_kept_reasons() -> None:
    for effect in (2.0, -1.0):
        PortraitFactory(
            p_churn=0.8, reasons={"churn": [{"code": "base", "data": {"effect": 0.1}}, {"code": "silence_days", "data": {"effect": effect, "value": 3}}]}
        )
    PortraitFactory(p_churn=0.1, reasons={"churn": [{"code": "mood", "data": {"effect": 9.0}}]})

    drivers = sheet("churn", "drivers")

    assert [(row[0], row[1], row[2], row[3]) for row in drivers.rows] == [("silence_days", 1, 1.5, 0.5)]
    assert sum(row[2] for row in sheet("churn", "risk").rows) == 3


def test_return_reasons_by_department_and_rates() -> None:
    shoes = CategoryFactory(slug="shoes", parent=CategoryFactory(slug="clothing", names={"en": "Clothing"}))
    product, customer = ProductFactory(category=shoes), CustomerFactory()
    order = place_order(customer, at=NOW - timedelta(days=20), product=product, quantity=4)
    for reason, quantity in (("size", 2), ("=cmd()", 1)):
        record: Return = ReturnFactory(order=order, source=order.source, customer=customer, reason=reason)
        ReturnLine.objects.create(return_record=record, product=product, quantity=quantity, unit_amount=1)

    assert sheet("returns", "rates").rows == [["clothing", 4, 3, 0.75]]
    heat = sheet("returns", "reasons")
    assert heat.chart.columns[2:] == ("wrong size", "=cmd()")
    assert heat.chart.rows[0] == ("Clothing", "3", "67%", "33%")


def test_a_file_holds_the_raw_figures_and_no_formula(marketer: Client) -> None:
    test_return_reasons_by_department_and_rates()

    answer = marketer.get(reverse("insights:page", args=["returns"]), {"csv": "reasons"})

    assert answer.headers["Content-Disposition"].startswith('attachment; filename="returns-reasons-')
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows == [["department", "reason", "pieces"], ["clothing", "'=cmd()", "1"], ["clothing", "size", "2"]]
    assert marketer.get(reverse("insights:page", args=["returns"]), {"csv": "nothing"}).status_code == 404


def test_unhappy_products_come_first() -> None:
    good, bad = ProductFactory(name="Good"), ProductFactory(name="Bad")
    ReviewFactory.create_batch(4, product=good, rating=5)
    ReviewFactory.create_batch(3, product=bad, rating=1)

    assert [(row[1], row[2], row[5]) for row in sheet("reviews", "negative").rows] == [("Bad", 3, 3), ("Good", 4, 0)]


@pytest.mark.parametrize("name", NAMES)
def test_pages_ask_the_same_few_questions_for_any_number(marketer: Client, name: str) -> None:
    def asked() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            assert marketer.get(reverse("insights:page", args=[name]), {"r": "4", "f": "3"}).status_code == 200
        return len(captured)

    PortraitFactory(p_churn=0.7)
    few = asked()
    for _each in range(5):
        place_order(PortraitFactory(p_churn=0.7).customer, at=NOW - timedelta(days=40))

    assert asked() == few <= 12
    with CaptureQueriesContext(connection) as captured:
        marketer.get(reverse("insights:page", args=[name]))
    assert len(captured) <= 6


def test_agents_see_no_insights_and_analysts_make_no_segments(client: Client) -> None:
    client.force_login(UserFactory(role="agent"))
    assert client.get(reverse("insights:page", args=["rfm"])).status_code == 403
    client.force_login(UserFactory(role="analyst"))
    assert client.get(reverse("insights:page", args=["rfm"])).status_code == 200
    assert client.post(reverse("insights:segment"), {"offer": "unhappy"}).status_code == 403


def test_an_empty_cell_opens_nothing() -> None:
    PortraitFactory(recency_score=5, frequency_score=5)

    assert stock.rfm_cell(recency=1, frequency=1) is None
    assert Portrait.objects.count() == 1
    assert modelstore.champion("value") is None


def test_old_figures_are_shown_with_their_time_while_new_ones_are_counted(marketer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a minute ago is kept; that of ten minutes ago is shown once more and renewed; that of hours ago waits."""
    clock = {"now": 1_000_000.0}
    monkeypatch.setattr("customers.insights.queries.time.time", lambda: clock["now"])
    url = reverse("insights:page", args=["rfm"])

    def counted() -> int:
        page = marketer.get(url).context["page"]
        assert page.as_of.timestamp() <= clock["now"]
        return len(page.sheets[0].rows)

    PortraitFactory(recency_score=5, frequency_score=5)
    assert counted() == 1
    PortraitFactory(recency_score=1, frequency_score=1)
    clock["now"] += 60
    assert counted() == 1
    clock["now"] += 600
    # Tasks run at once here, after the page was made.
    with TestCase.captureOnCommitCallbacks(execute=True):
        assert counted() == 1
    assert counted() == 2
