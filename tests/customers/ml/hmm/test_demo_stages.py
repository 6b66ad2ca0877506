"""The demo shop's documented lives (docs/demo.md): who left for good, who buys often, found from the orders alone."""

from datetime import date

import numpy as np
import pytest

from crm.core.learning.evaluation import auroc
from crm.demo import catalogue, history, people
from crm.demo.people import DAYS
from customers.ml.hmm import fitting
from customers.ml.hmm.panel import panel_of_orders
from customers.ml.hmm.stages import PERIOD_DAYS, StageModel, StageProbabilities, names_stages, stage_probabilities
from customers.ml.lifecycle import STAGES, Lifecycle

CUT = DAYS - 90


@pytest.fixture(scope="module")
def shop() -> tuple[np.ndarray, np.ndarray, dict[int, float], dict[int, float]]:
    """Return (customer, day) of every order, and the hidden truth: the day of leaving and the rate of orders."""
    persons = people.build(first_day=date(2024, 11, 24), count=3000)
    past = history.build(persons, catalogue.build(), first_day_of_year=329, events_target=0)
    rows = np.array([(order.person.index, int(order.day)) for order in past.orders])
    return rows[:, 0], rows[:, 1], dict(past.left), {person.index: person.orders_per_day for person in persons}


@pytest.fixture(scope="module")
def told(shop: tuple) -> tuple[np.ndarray, StageProbabilities, StageProbabilities]:
    """Return the customers known 90 days before the end, and their stages by hidden states and by gaps, learned until then."""
    customer, day, _left, _rate = shop
    known = day <= CUT
    customers = np.unique(customer[known])
    panel = panel_of_orders(customer[known], day[known], customers=customers, as_of_day=CUT, period_days=PERIOD_DAYS, most_periods=36)
    states = fitting.choose(panel, states=(3, 4), families=("poisson",), restarts=3).model
    assert names_stages(states)
    gaps = Lifecycle().fit(customer[known], day[known])
    asked = {"customer": customer, "day": day, "customers": customers, "as_of_day": CUT}
    return customers, stage_probabilities(StageModel(gaps, states), **asked), stage_probabilities(StageModel(gaps), **asked)


def test_who_left_for_good_is_found_and_better_than_by_silence(shop: tuple, told: tuple) -> None:
    customer, day, left, _rate = shop
    customers, found, _gaps = told
    gone = np.array([left.get(int(one), DAYS) <= CUT for one in customers])
    last = np.full(customers[-1] + 1, -1)
    np.maximum.at(last, customer[day <= CUT], day[day <= CUT])
    share = {name: float(gone[found.stage == name].mean()) for name in np.unique(found.stage)}

    away = found.probability[:, [STAGES.index("at_risk"), STAGES.index("lapsed")]].sum(axis=1)

    assert auroc(gone, away) > 0.78
    assert auroc(gone, away) > auroc(gone, CUT - last[customers])
    assert share["lapsed"] > 0.75
    assert share["lapsed"] > share["at_risk"] > 0.45 > share["new"]
    assert max(share["loyal"], share["growing"]) < 0.3


def test_stages_order_by_what_customers_do_next_and_beat_the_gaps(shop: tuple, told: tuple) -> None:
    customer, day, _left, rate = shop
    customers, found, gaps = told
    again = np.isin(customers, customer[day > CUT])
    share = {name: float(again[found.stage == name].mean()) for name in STAGES if (found.stage == name).sum() >= 15}
    pace = {name: float(np.mean([rate[int(one)] for one in customers[found.stage == name]])) for name in ("loyal", "growing")}

    by_gaps = {name: float(again[gaps.stage == name].mean()) for name in np.unique(gaps.stage)}
    assert share["loyal"] > share["growing"] > share["at_risk"] > share["lapsed"]
    assert share["loyal"] > 2 * share["lapsed"]
    assert pace["loyal"] > 1.5 * pace["growing"]
    assert auroc(again, found.buys_again) > auroc(again, [by_gaps[str(stage)] for stage in gaps.stage])
