"""On the demo shop the models find what docs/demo.md says is there, by chance impossible and better than their baselines."""

from datetime import timedelta

import numpy as np
import pytest

from crm.core.learning.evaluation import auroc
from crm.demo import catalogue, history, people, seed
from customers.ml import tabular_report, training_tabular
from customers.ml.tabular_dataset import QUESTIONS, snapshots
from customers.ml.training_tabular import Judged
from customers.models import Customer
from tests.world import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# Enough people for differences of .03 in AUC to be no chance, few enough for a quick build.
PEOPLE, EVENTS = 700, 35_000


@pytest.fixture(autouse=True)
def _fewer_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_tabular, "LINEAR", training_tabular.LINEAR[1:])
    monkeypatch.setattr(training_tabular, "TREES", training_tabular.TREES[1:])


@pytest.fixture
def tastes() -> dict[int, str]:
    """Build customers, orders, returns and visits of the demo shop; return each customer's hidden taste."""
    first_day = NOW - timedelta(days=people.DAYS)
    products, persons = catalogue.build(), people.build(first_day=first_day.date(), count=PEOPLE)
    past = history.build(persons, products, first_day_of_year=first_day.timetuple().tm_yday, events_target=EVENTS)
    source = seed._source()
    with seed.events.rebuilding_history():
        seed._products(source, products, first_day)
        seed._customers(source, persons, first_day, NOW)
        seed._orders(source, past, first_day, NOW)
        seed._returns(source, past, first_day, NOW)
        seed._events(source, persons, past, first_day, NOW)
    by_email = {person.email: person.taste for person in persons}
    return {pk: by_email[email] for pk, email in Customer.objects.values_list("pk", "email") if email in by_email}


def judged(task: str) -> Judged:
    question = QUESTIONS[task]
    return training_tabular.judge(question, snapshots(question, as_of=NOW, days=question.days))


def test_who_leaves_is_told_by_visits_that_dry_up_and_who_returns_by_what_they_buy(tastes: dict[int, str]) -> None:
    churn = judged("churn")
    label = churn.held_out.label

    ours = auroc(label, churn.probability)
    assert ours > 0.75
    assert ours > auroc(label, churn.baseline) + 0.03
    # Visits stop within twelve days of leaving: days since the last visit are among the strongest reasons.
    drivers = [row[0] for row in tabular_report._drivers(churn).rows]
    assert {"seen_days", "view_days"} & set(drivers[:3])

    returns = judged("returns")
    label = returns.held_out.label

    ours = auroc(label, returns.probability)
    assert ours > 0.65
    assert ours > auroc(label, returns.baseline)
    # Clothes and shoes come back most often (to 24%), tea least (1%).
    taste = np.array([tastes.get(int(customer), "") for customer in returns.held_out.table.customer])
    assert returns.probability[taste == "dresser"].mean() > 1.2 * returns.probability[taste == "tea_lover"].mean()
