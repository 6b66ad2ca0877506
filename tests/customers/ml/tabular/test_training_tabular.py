"""Propensity models on an invented shop whose truth is known: judged in time, promoted when better, explained, no leak."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crm.core.learning import modelstore, registry
from crm.core.learning.evaluation import auroc
from crm.core.learning.registry import Outcome
from crm.core.learning.reports import ModelReport
from crm.core.models import ModelVersion
from customers.features import build
from customers.ml import tabular_dataset, training_tabular
from customers.ml.tabular.propensity import PropensityModel, propensity_model
from customers.ml.tabular_dataset import QUESTIONS, outcome, snapshots
from customers.ml.training_tabular import rows_of
from customers.models import Customer, Order, Return
from tests.factories import SourceFactory
from tests.world import NOW

pytestmark = pytest.mark.django_db

CUSTOMERS = 320
LIFE_DAYS = 420


@pytest.fixture(autouse=True)
def _own_models(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.CRM_MODEL_DIR = tmp_path
    # One candidate of each kind: the choice among them is tested on tables.
    monkeypatch.setattr(training_tabular, "LINEAR", training_tabular.LINEAR[:1])
    monkeypatch.setattr(training_tabular, "TREES", training_tabular.TREES[:1])
    modelstore.forget()
    yield
    modelstore.forget()


@pytest.fixture
def shop() -> None:
    """Customers come at regular gaps of their own (10 to 150 days) and may stop for good; a third sends much back."""
    random = np.random.default_rng(5)
    source = SourceFactory()
    people = Customer.objects.bulk_create(
        Customer(
            name=f"c{number}",
            source=source,
            currency="CNY",
            gender="f" if number % 2 else "m",
            locale="zh-hans" if number % 3 else "en",
            first_seen_at=NOW - timedelta(days=LIFE_DAYS),
            last_seen_at=NOW,
        )
        for number in range(CUSTOMERS)
    )
    orders, returns = [], []
    for number, person in enumerate(people):
        gap, at = random.uniform(10, 150), random.uniform(0, 200)
        while at < LIFE_DAYS:
            placed_at = NOW - timedelta(days=LIFE_DAYS - at)
            orders.append(Order(source=source, external_id=f"S{len(orders)}", customer=person, placed_at=placed_at, currency="CNY", total_amount=50))
            if number % 3 == 0 and random.random() < 0.6 and at + 3 < LIFE_DAYS:
                returned_at = placed_at + timedelta(days=3)
                returns.append(Return(source=source, external_id=f"R{len(returns)}", customer=person, returned_at=returned_at, currency="CNY", total_amount=20))
            if random.random() < 0.1:
                break
            at += gap * random.gamma(8, 1 / 8)
    Order.objects.bulk_create(orders)
    Return.objects.bulk_create(returns)


@pytest.mark.parametrize("task", QUESTIONS)
def test_each_question_is_answered_better_than_by_its_baseline(shop: None, task: str) -> None:
    outcome_of = registry.run(task, as_of=NOW)

    assert outcome_of.state is Outcome.TRAINED, outcome_of.message
    version = ModelVersion.objects.get(task=task, state="champion")
    assert version.metrics["auroc"] > version.baseline["auroc"]
    assert version.metrics["auroc"] > 0.7
    report = ModelReport.from_dict(version.report)
    assert {table.name for table in report.tables} >= {"lift", "drivers", "slices", "candidates", "fairness", "fairness_gaps"}
    assert [figure.name for figure in report.figures][:1] == ["auroc"]
    assert report.calibration
    assert sorted(version.files) == ["config.json", "model.safetensors"]


def test_a_served_version_scores_explains_and_says_what_it_read(shop: None) -> None:
    registry.run("churn", as_of=NOW)
    prospect = Customer.objects.create(name="looks only", first_seen_at=NOW - timedelta(days=5), last_seen_at=NOW)
    model, config, table = modelstore.build("churn", propensity_model), modelstore.load("churn").config, build(as_of=NOW)

    scores = model.score(table)
    row = int(np.flatnonzero(scores.asked)[3])
    told = model.reasons(table, row)

    said = scores.probability[row]
    assert told[0]["code"] == "base"
    assert sum(reason["data"]["effect"] for reason in told) == pytest.approx(np.log(said / (1 - said)), abs=1e-6)
    assert told == model.reasons(table, row)
    np.testing.assert_array_equal(PropensityModel.from_saved(*model.to_saved()).score(table).probability, scores.probability)
    # Gender is known and read by nobody; language is, and the version says so.
    assert set(config["personal_fields"]) <= {"reads_chinese", "main_country"}
    assert not {"age", "is_female"} & set(config["model"]["names"])
    # Who never ordered is not asked whether they leave.
    newcomer = int(np.flatnonzero(table.customer == prospect.pk)[0])
    assert np.isnan(scores.probability[newcomer])
    assert model.reasons(table, newcomer) == []


def test_unchanged_facts_skip(shop: None) -> None:
    registry.run("returns", as_of=NOW)

    assert registry.run("returns", as_of=NOW).state is Outcome.SKIPPED
    assert ModelVersion.objects.filter(task="returns").count() == 1
    # The first version was fitted to the rows both are judged on; that must not make it irreplaceable.
    assert registry.run("returns", as_of=NOW, force=True).state is Outcome.TRAINED


def test_nothing_after_the_cut_enters_a_snapshot(shop: None) -> None:
    question = QUESTIONS["churn"]
    before = snapshots(question, as_of=NOW, days=90)[0]
    Order.objects.filter(placed_at__gt=before.cut).update(total_amount=9_999)
    Return.objects.filter(returned_at__gt=before.cut).delete()

    after = snapshots(question, as_of=NOW, days=90)[0]

    np.testing.assert_array_equal(after.table.values, before.table.values)
    np.testing.assert_array_equal(after.label, before.label)


def test_outcomes_by_hand(shop: None) -> None:
    customer = Customer.objects.order_by("pk").first()
    Order.objects.filter(customer=customer).delete()
    source = SourceFactory()
    cut = NOW - timedelta(days=50)
    Order.objects.create(source=source, external_id="X1", customer=customer, placed_at=cut, currency="CNY", total_amount=5)
    ids = np.array([customer.pk])

    assert outcome(QUESTIONS["churn"], ids, cut=cut, days=30).tolist() == [1]
    Order.objects.create(source=source, external_id="X2", customer=customer, placed_at=cut + timedelta(days=30), currency="CNY", total_amount=5)
    assert outcome(QUESTIONS["churn"], ids, cut=cut, days=30).tolist() == [0]
    Order.objects.filter(external_id="X2").update(status="cancelled")
    assert outcome(QUESTIONS["next_purchase"], ids, cut=cut, days=30).tolist() == [0]


def test_who_refuses_profiling_is_in_no_training_row(shop: None) -> None:
    refuser = Customer.objects.order_by("pk").first()
    Customer.objects.filter(pk=refuser.pk).update(profiling_refused=True)

    shots = snapshots(QUESTIONS["churn"], as_of=NOW, days=90)

    assert all(refuser.pk not in shot.table.customer for shot in shots)


def test_a_column_that_gives_the_answer_away_is_left_out_by_name(shop: None) -> None:
    shots = snapshots(QUESTIONS["churn"], as_of=NOW, days=90)
    leaking = []
    for shot in shots:
        values = shot.table.values.copy()
        values[:, shot.table.names.index("channels")] = shot.label
        leaking.append(tabular_dataset.Snapshot(shot.cut, type(shot.table)(shot.table.customer, shot.table.names, values), shot.label))

    matrix, _label, _people, left_out = rows_of(leaking)

    assert "channels" not in matrix.names
    assert "'channels' alone predicts the label" in left_out["channels"]


@pytest.mark.parametrize(
    ("days", "said"), [(0, "There are no orders yet"), (20, "span 20 days; 42 are needed"), (60, "customers asked about|one to learn from")]
)
def test_a_young_shop_is_told_what_is_missing(days: int, said: str) -> None:
    source = SourceFactory()
    person = Customer.objects.create(name="c", source=source, currency="CNY", first_seen_at=NOW - timedelta(days=100), last_seen_at=NOW)
    if days:
        Order.objects.create(source=source, external_id="1", customer=person, placed_at=NOW - timedelta(days=days), currency="CNY", total_amount=5)

    ended = registry.run("churn", as_of=NOW)

    assert ended.state is Outcome.FAILED
    assert ModelVersion.objects.get(task="churn").state == "failed"
    assert any(part in ended.message for part in said.split("|"))


def test_the_judged_rows_had_not_been_seen(shop: None) -> None:
    """With outcomes shuffled in the held-out period alone, the judged ranking must fall to chance."""
    shots = snapshots(QUESTIONS["churn"], as_of=NOW, days=90)
    shuffled = np.random.default_rng(0).permutation(shots[0].label)
    shots[0] = tabular_dataset.Snapshot(shots[0].cut, shots[0].table, shuffled)

    judged = training_tabular.judge(QUESTIONS["churn"], shots)

    assert auroc(shuffled, judged.probability) == pytest.approx(0.5, abs=0.1)
