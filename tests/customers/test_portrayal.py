"""The portrait as people read it: exact reasons, honest words, answers, the right not to be profiled, few questions."""

import math
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from crm.core.api import keys
from crm.core.learning import modelstore
from crm.core.llm.backends import Answer as GeneratorAnswer
from crm.core.models import AuditEntry, User
from customers import features
from customers.ml.tabular.choosing import choose
from customers.ml.tabular.columns import Matrix
from customers.ml.tabular.linear import LinearSettings
from customers.ml.tabular.propensity import PropensityModel, propensity_model
from customers.models import Activity, ConsentEntry, Customer, Order, Portrait, PortraitFeatures, PortraitFeedback, PortraitSnapshot
from customers.person_pages import find_customer
from customers.portrayal import advice, changes, narrative, risk, statements, tastes
from customers.portrayal.card import PortraitCard, portrait_card
from support.models import Conversation
from tests.factories import CategoryFactory, CustomerFactory, PortraitFactory, ReviewFactory, SourceFactory, UserFactory
from tests.factories.customers import NOW

pytestmark = pytest.mark.django_db
HTMX = {"HTTP_HX_REQUEST": "true"}
CHURN = [
    {"code": "base", "data": {"effect": -1.0}},
    {"code": "silence_days", "data": {"effect": 1.9, "value": 84.0}},
    {"code": "mood", "data": {"effect": -0.4, "value": 0.5}},
    {"code": "a_feature_of_tomorrow", "data": {"effect": 0.1}},
]
P_CHURN = 1 / (1 + math.exp(-0.6))


@pytest.fixture
def at_risk() -> Customer:
    """A dear customer who is leaving, with everything the models can say."""
    customer = CustomerFactory(name="Vera VIP", orders_count=14, spent_amount=Decimal("5200.50"))
    PortraitFactory(
        customer=customer, stage="at_risk", stage_probabilities={"at_risk": 0.81, "loyal": 0.19}, rfm_group="cannot_lose", p_churn=P_CHURN, p_active=0.42,
        value_365=Decimal("1850.00"), value_365_low=Decimal("1200.00"), value_365_high=Decimal("2600.00"), expected_orders_90_low=0.0, expected_orders_90_high=3.0,
        next_order_on=date(2026, 6, 1), sentiment=0.4, reviews_count=3, versions={"value": 2, "churn": 1, "lifecycle": 0},
        changes={"since": "2026-06-01", "stage": ["loyal", "at_risk"], "p_churn": [0.31, 0.65], "value_365": [1900.0, 1890.0]},
        reasons={
            "stage": [{"code": "overdue", "data": {"silence_days": 84, "expected_gap_days": 30, "times": 2.8}}],
            "value": [{"code": "base", "data": {"effect": 400.0}}, {"code": "silence", "data": {"effect": 1450.0, "days": 84}}],
            "churn": CHURN,
        },
    )  # fmt: skip
    return find_customer(customer.pk)


@pytest.fixture
def marketer(client: Client, monkeypatch: pytest.MonkeyPatch) -> User:
    monkeypatch.setattr("crm.core.clock.now", lambda: NOW)
    user: User = UserFactory(username="marketer", role="marketer")
    client.force_login(user)
    return user


def card_of(customer: Customer, viewer: User | None = None) -> PortraitCard:
    card = portrait_card(customer=find_customer(customer.pk), viewer=viewer, reachable={"email": True}, at=NOW)
    assert card is not None
    return card


# --- reasons --------------------------------------------------------------------------------------------------------


def test_reasons_add_up_to_the_shown_risk(at_risk: Customer) -> None:
    why = card_of(at_risk).risk

    assert why is not None
    assert why.base + math.fsum(step.points for step in why.steps) == pytest.approx(why.total, abs=1e-12)
    assert why.total == P_CHURN
    assert [step.code for step in why.steps] == ["silence_days", "mood", "a_feature_of_tomorrow"]
    assert [step.sign for step in why.steps] == ["up", "down", "up"]
    assert why.chart.rows[0][1] == "26.9%"
    assert why.chart.rows[-1][1] == "64.6%"


@given(base=st.floats(0.001, 0.999), effects=st.lists(st.floats(-6, 6), min_size=1, max_size=30), total=st.floats(0, 1))
def test_shares_always_add_up_and_never_explode(base: float, effects: list[float], total: float) -> None:
    parts = risk.shares(base, effects, total)

    assert base + math.fsum(parts) == pytest.approx(total, abs=1e-9)
    assert all(math.isfinite(part) for part in parts)


def test_many_reasons_keep_the_largest_and_one_rest(at_risk: Customer) -> None:
    row = at_risk.portrait
    row.reasons = {"churn": [{"code": "base", "data": {"effect": 0.0}}, *({"code": f"f{n}", "data": {"effect": n / 100}} for n in range(1, 21))]}

    why = risk.explain(row, task="churn", total=0.7, title="Risk")

    assert why is not None
    assert [step.code for step in why.steps] == ["f20", "f19", "f18", "f17", "f16", "f15", "others"]
    assert why.base + math.fsum(step.points for step in why.steps) == pytest.approx(0.7, abs=1e-12)


@pytest.mark.parametrize("stored", [None, [], "text", [{"code": "silence", "data": {"effect": 1}}], [{"code": "base", "data": {"effect": float("nan")}}], [7]])
def test_no_reasons_are_better_than_wrong_ones(at_risk: Customer, stored: Any) -> None:
    at_risk.portrait.reasons = {"churn": stored}

    assert risk.explain(at_risk.portrait, task="churn", total=0.7, title="Risk") is None


# --- statements, changes, advice, words ------------------------------------------------------------------------------


def test_every_statement_carries_number_interval_and_version(at_risk: Customer) -> None:
    said = {statement.code: statement for statement in statements.of(at_risk.portrait)}

    assert (said["value_365"].number, said["value_365"].interval, said["value_365"].version) == ("¥1,850.00", "¥1.2K to ¥2.6K", 2)
    assert (said["stage"].word, said["stage"].number, said["stage"].version) == ("At risk", "81%", 0)
    assert (said["churn"].word, said["churn"].number) == ("high", "65%")
    assert "return" not in said


def test_changes_leave_noise_out_and_judge_the_rest(at_risk: Customer) -> None:
    found = changes.since_last_month(at_risk.portrait)

    assert found.since == date(2026, 6, 1)
    assert [(line.code, line.tone) for line in found.lines] == [("stage", "danger"), ("p_churn", "danger")]


@pytest.mark.parametrize("stored", [{}, {"since": "soon"}, {"since": "2026-13-01", "stage": ["x", "y"]}, {"stage": 3, "value_365": [None, 2]}, [1]])
def test_damaged_changes_say_nothing(at_risk: Customer, stored: Any) -> None:
    at_risk.portrait.changes = stored

    assert changes.since_last_month(at_risk.portrait) == changes.Changes(None, ())


@pytest.mark.parametrize(
    ("values", "reachable", "code"),
    [
        ({}, True, "win_back"),
        ({}, False, "win_back_unreachable"),
        ({"sentiment": -0.8}, True, "make_good"),
        ({"stage": "lapsed", "p_churn": None}, True, "last_try"),
        ({"stage": "lapsed", "p_churn": None}, False, "leave"),
        ({"stage": "loyal", "p_churn": 0.1, "p_return": 0.5}, True, "fit_help"),
        ({"stage": "loyal", "p_churn": 0.1, "next_order_on": date(2026, 6, 20)}, True, "remind"),
        ({"stage": "loyal", "p_churn": 0.1, "next_order_on": None}, True, "reward"),
        ({"stage": "prospect", "p_churn": None, "next_order_on": None}, True, "first_order"),
        ({"stage": "new", "p_churn": 0.2, "next_order_on": None}, True, "second_order"),
    ],
)
def test_advice_takes_the_first_rule_that_fits(at_risk: Customer, values: dict[str, Any], reachable: bool, code: str) -> None:
    for name, value in values.items():
        setattr(at_risk.portrait, name, value)

    assert advice.next_step(customer=at_risk, row=at_risk.portrait, reachable={"email": reachable}, today=date(2026, 6, 15)).code == code


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_number_of_the_paragraph_is_a_number_of_the_page(at_risk: Customer, client: Client, marketer: User, language: str) -> None:
    User.objects.filter(pk=marketer.pk).update(locale=language)
    with translation.override(language):
        text = card_of(at_risk).paragraph.text
    page = client.get(reverse("customers:detail", args=[at_risk.pk]), HTTP_ACCEPT_LANGUAGE=language).content.decode()

    assert narrative.numbers_in(text)
    shown = set(narrative.numbers_in(page))
    assert [number for number in narrative.numbers_in(text) if number not in shown] == []
    assert text.split()[0] in page


@pytest.mark.parametrize(("orders", "words"), [(1, "has placed 1 order and spent"), (14, "has placed 14 orders and spent")])
def test_one_order_is_told_in_the_singular(at_risk: Customer, orders: int, words: str) -> None:
    at_risk.orders_count = orders
    at_risk.save(update_fields=["orders_count"])

    assert words in card_of(at_risk).paragraph.text


class Model:
    """A language model that says what the test wants."""

    def __init__(self, text: str) -> None:
        self.text = text

    def answer(self, *_args: Any, **_kwargs: Any) -> GeneratorAnswer:
        return GeneratorAnswer(text=f'{{"text": "{self.text}"}}', model="test", tokens=3)


def test_a_written_paragraph_with_a_foreign_number_is_thrown_away(at_risk: Customer) -> None:
    cache.clear()
    facts = narrative.Facts({"name": "Vera VIP", "orders": "14", "spent": "¥5,200.50", "advice": "Write."}, "en")

    assert narrative.write(facts, backend=Model("Vera ordered 14 times for ¥5,200.50.")).is_written
    invented = narrative.write(facts, backend=Model("Vera ordered 15 times."))
    assert not invented.is_written
    assert "14" in invented.text


# --- answers --------------------------------------------------------------------------------------------------------


def test_disagreeing_with_a_reason_is_kept_with_what_was_shown(at_risk: Customer, client: Client, marketer: User) -> None:
    url = reverse("customers:answer", args=[at_risk.pk])

    part = client.post(url, {"answer": "wrong churn.silence_days"}, **HTMX).content.decode()
    client.post(url, {"answer": "wrong churn.silence_days", "note": "She was on a long trip."}, **HTMX)

    row = PortraitFeedback.objects.get()
    assert "You: not right" in part
    assert (row.statement, row.verdict, row.note, row.user, row.versions["churn"]) == ("churn.silence_days", "wrong", "She was on a long trip.", marketer, 1)
    assert row.said["effect"].startswith("+")
    assert AuditEntry.objects.filter(action="portrait.answer", target_id=str(at_risk.pk)).count() == 2
    client.post(url, {"answer": "- churn.silence_days"}, **HTMX)
    assert not PortraitFeedback.objects.exists()


@pytest.mark.parametrize(("given_answer", "status"), [("wrong", 409), ("right churn.nonsense", 409), ("maybe stage", 400), ("", 409), ("- nothing", 200)])
def test_answers_to_nothing_are_refused(at_risk: Customer, client: Client, marketer: User, given_answer: str, status: int) -> None:
    answer = client.post(reverse("customers:answer", args=[at_risk.pk]), {"answer": given_answer}, **HTMX)

    assert answer.status_code == status
    assert not PortraitFeedback.objects.exists()


def test_answers_work_without_scripts_and_count_colleagues(at_risk: Customer, client: Client, marketer: User) -> None:
    other = UserFactory(role="analyst")
    PortraitFeedback.objects.create(customer=at_risk, statement="stage", verdict="wrong", user=other, at=NOW)

    answer = client.post(reverse("customers:answer", args=[at_risk.pk]), {"answer": "right value_365"}, follow=True)

    assert "1 colleague disagrees" in answer.content.decode()
    assert PortraitFeedback.objects.get(user=marketer).said["value"] == "1850.00"


# --- the right not to be profiled -----------------------------------------------------------------------------------


def test_a_refusal_deletes_every_score_and_leaves_facts(at_risk: Customer, client: Client, marketer: User) -> None:
    PortraitSnapshot.objects.create(customer=at_risk, month=date(2026, 6, 1), stage="loyal", as_of=NOW)

    client.post(reverse("customers:profiling", args=[at_risk.pk]), {"wish": "refuse"})

    page = client.get(reverse("customers:detail", args=[at_risk.pk])).content.decode()
    assert not Portrait.objects.exists()
    assert not PortraitSnapshot.objects.exists()
    assert "refuses to be profiled" in page
    assert "¥5,200.50" in page
    assert "Why this risk" not in page
    assert ConsentEntry.objects.get().purpose == "profiling"
    assert AuditEntry.objects.filter(action="profiling.refused", actor=marketer).count() == 1
    client.post(reverse("customers:profiling", args=[at_risk.pk]), {"wish": "allow"})
    at_risk.refresh_from_db()
    assert not at_risk.profiling_refused


# --- how much it asks ------------------------------------------------------------------------------------------------


def test_a_long_history_costs_no_more_than_twelve_questions(at_risk: Customer, client: Client, marketer: User) -> None:
    source = SourceFactory()
    Activity.objects.bulk_create(
        [
            Activity(
                source=source, message_id=f"m{n}", customer=at_risk, kind="track", name="Product Viewed", occurred_at=NOW - timedelta(hours=n), received_at=NOW
            )
            for n in range(5000)
        ]
    )
    Order.objects.bulk_create(
        [Order(source=source, external_id=f"o{n}", customer=at_risk, placed_at=NOW - timedelta(days=n), currency="CNY", total_amount=100) for n in range(200)]
    )
    Conversation.objects.bulk_create(
        [Conversation(source=source, customer=at_risk, visitor_id=f"v{n}", opened_at=NOW, last_message_at=NOW, csat=1 + n % 5) for n in range(20)]
    )
    ReviewFactory.create_batch(3, customer=at_risk)
    url = reverse("customers:detail", args=[at_risk.pk])
    client.get(url)

    with CaptureQueriesContext(connection) as captured:
        answer = client.get(url)

    assert answer.status_code == 200
    assert "20 chats" in answer.content.decode()
    assert len(captured) <= 12, "\n".join(query["sql"][:150] for query in captured)


def test_the_api_tells_the_same_as_the_page(at_risk: Customer, client: Client) -> None:
    _key, secret = keys.create(name="Partner", scopes=["customers:read"], sources=[])
    ask = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}

    told = client.get(f"/api/v1/customers/{at_risk.public_id}/portrait", **ask).json()
    chinese = client.get(f"/api/v1/customers/{at_risk.public_id}/portrait", HTTP_ACCEPT_LANGUAGE="zh-hans", **ask).json()

    assert told["value_365_interval"] == {"low": 1200.0, "high": 2600.0}
    assert told["churn_base"] + sum(reason["points"] for reason in told["churn_reasons"]) == pytest.approx(told["p_churn"], abs=1e-9)
    assert "Vera VIP" in told["paragraph"]
    assert told["next_step"]["code"] == chinese["next_step"]["code"]
    Customer.objects.filter(pk=at_risk.pk).update(profiling_refused=True)
    assert client.get(f"/api/v1/customers/{at_risk.public_id}/portrait", **ask).status_code == 404


# --- tastes ---------------------------------------------------------------------------------------------------------


def test_tastes_are_told_with_their_figures(at_risk: Customer, django_assert_num_queries: Any) -> None:
    shoes = CategoryFactory(slug="shoes", names={"en": "Shoes", "zh-hans": "鞋"})
    at_risk.portrait.tastes = {
        "from": "orders", "categories": [[shoes.pk, 0.55], [987654321, 0.3]], "price_level": 0.8, "discount": 0.1, "hours": [18, 23], "channel": "Tea shop",
    }  # fmt: skip

    with django_assert_num_queries(1):
        found = tastes.tastes_of(at_risk.portrait)

    assert [(line.code, line.text) for line in found.lines] == [
        ("categories", "Shoes (55%)"),
        ("price", "the dearer choices"),
        ("discount", "buys at full price"),
        ("hours", "mostly between 18:00 and 23:00"),
        ("channel", "Tea shop"),
    ]
    with translation.override("zh-hans"):
        assert "鞋" in tastes.tastes_of(at_risk.portrait).lines[0].text


@pytest.mark.parametrize("stored", [None, [], {"categories": "tea"}, {"categories": [["x", 1], [1]]}, {"price_level": "high", "hours": [1], "channel": 3}])
def test_damaged_tastes_say_nothing(at_risk: Customer, stored: Any) -> None:
    at_risk.portrait.tastes = stored

    assert tastes.tastes_of(at_risk.portrait).lines == ()


# --- from training to the page ----------------------------------------------------------------------------------------


def test_reasons_are_worked_out_for_exactly_the_numbers_kept(at_risk: Customer, settings: Any, tmp_path: Any) -> None:
    """A model over two features, saved, promoted and asked about the features kept: log-odds that add up to its probability."""
    settings.CRM_MODEL_DIR = tmp_path
    modelstore.forget()
    names = tuple(feature.name for feature in features.catalogue())
    place = names.index("silence_days")
    values = np.zeros((400, len(names)), dtype=np.float32)
    values[:, place] = np.linspace(0, 200, 400)
    left = (np.random.default_rng(3).random(400) < values[:, place] / 200).astype(np.int64)
    matrix = Matrix.of_numbers(values[:, [place]].astype(float), ("silence_days",))
    choice = choose(matrix, left, seed=0, linear=(LinearSettings(1.0, knots=0),), trees=(), repeats=1)
    tensors, config = PropensityModel("churn", 90, {}, choice.model).to_saved()
    saved = modelstore.save(
        task="churn", algorithm="x", tensors=tensors, config=config, metrics={}, baseline={}, report={}, data_hash="x", rows=400, as_of=NOW, trained_at=NOW, seconds=1.0
    )  # fmt: skip
    modelstore.promote(saved.pk, actor=None, at=NOW)
    table = features.FeatureTable(np.array([at_risk.pk]), names, values[350:351])
    PortraitFeatures.objects.create(customer=at_risk, recipe=features.recipe_of(names), values=features.pack(table)[0], as_of=NOW)
    row = at_risk.portrait
    model = modelstore.build("churn", propensity_model)
    row.reasons, row.versions, row.p_churn = {}, {"churn": saved.version}, float(model.score(table).probability[0])
    row.save()

    why = card_of(at_risk).risk

    assert why is not None
    assert [step.code for step in why.steps] == ["silence_days"]
    assert math.log(row.p_churn / (1 - row.p_churn)) == pytest.approx(risk_base(row) + why.steps[0].effect, abs=1e-6)
    row.versions = {"churn": saved.version + 1}
    assert risk.worked_out(row, task="churn") == []
    modelstore.forget()


def risk_base(row: Portrait) -> float:
    return float(risk.worked_out(row, task="churn")[0]["data"]["effect"])
