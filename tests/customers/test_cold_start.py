"""People without an order: what neighbours tell of a first purchase, held against the base rate on later months."""

from datetime import timedelta

import numpy as np
import pytest

from crm.core import rows
from crm.core.learning.evaluation import Figure, auroc, bootstrap
from crm.demo import catalogue, history, people, seed
from customers import features
from customers.features import FeatureTable
from customers.portrait import cold
from customers.portrait import yardstick as yardsticks
from tests import public_data
from tests.world import NOW


def table(known_days: np.ndarray) -> FeatureTable:
    """People who differ in how long they are known, and visited as long ago."""
    values = np.zeros((len(known_days), len(cold.NAMES)), dtype=np.float32)
    values[:, 0], values[:, 1] = known_days, known_days
    return FeatureTable(np.arange(len(known_days)), cold.NAMES, values)


def test_newcomers_are_told_from_those_who_only_look() -> None:
    random = np.random.default_rng(1)
    known = random.uniform(0, 300, 400)
    bought = (random.random(400) < np.where(known < 30, 0.7, 0.02)).astype(float)

    learned = cold.learn(table(known), orders=bought, orders_30=bought, spend=100 * bought, days=90)
    assert learned is not None
    told = learned.forecast(table(np.array([2.0, 250.0])))

    assert learned.asked == 40
    assert told.p_30[0] > 0.4 > 0.1 > told.p_30[1]
    assert (told.value_365_low <= told.value_365).all()
    assert (told.value_365 <= told.value_365_high).all()
    assert (told.orders_90_low <= told.orders_90_high).all()


def test_an_expectation_lies_within_its_interval_beside_a_whale_and_where_all_neighbours_buy() -> None:
    random = np.random.default_rng(2)
    known = np.concatenate([random.uniform(1, 3, 60), random.uniform(200, 300, 340)])
    orders = np.where(known < 100, 1.0, 0.0)
    spend = np.where(known < 100, 1.0, 0.0)
    spend[100] = 100_000.0

    learned = cold.learn(table(known), orders=orders, orders_30=orders, spend=spend, days=90)
    assert learned is not None
    told = learned.forecast(table(np.array([2.0, known[100]])))

    assert (told.value_365_low <= told.value_365).all()
    assert (told.value_365 <= told.value_365_high).all()
    assert (told.orders_90_low <= told.orders_90).all()
    assert (told.orders_90 <= told.orders_90_high).all()


@pytest.mark.parametrize("count", [0, 10, 59])
def test_too_few_past_prospects_tell_nothing(count: int) -> None:
    assert cold.learn(table(np.ones(count)), orders=np.ones(count), orders_30=np.ones(count), spend=np.ones(count), days=90) is None


def log_loss(happened: np.ndarray, said: np.ndarray) -> float:
    said = np.clip(said, 1e-9, 1 - 1e-9)
    return float(-(happened * np.log(said) + (1 - happened) * np.log1p(-said)).mean())


@pytest.mark.slow
@pytest.mark.django_db
@public_data.minutes_long
def test_how_well_neighbours_foretell_a_first_purchase_in_the_demo_shop(capsys: pytest.CaptureFixture[str]) -> None:
    """Learned from prospects of 90 days before each cut, asked of those at the cut, judged on the 30 days after it."""
    first_day = NOW - timedelta(days=people.DAYS)
    products, persons = catalogue.build(), people.build(first_day=first_day.date())
    past = history.build(persons, products, first_day_of_year=first_day.timetuple().tm_yday)
    source = seed._source()
    with seed.events.rebuilding_history():
        seed._products(source, products, first_day)
        seed._customers(source, persons, first_day, NOW)
        seed._orders(source, past, first_day, NOW)
        seed._events(source, persons, past, first_day, NOW)
    columns: list[np.ndarray] = []
    for back in (360, 270, 180, 90):
        cut = NOW - timedelta(days=back)
        context = features.prepare(as_of=cut)
        learned = yardsticks._cold(context, len(persons))
        asked = features.build(as_of=cut, context=context)
        asked = asked.only((asked.column("orders") == 0) & np.isfinite(asked.column("known_days")))
        assert learned is not None
        told = learned.forecast(asked)
        bought = dict(
            rows.query("SELECT customer_id, count(*) FROM customers_order WHERE placed_at > %s AND placed_at <= %s GROUP BY 1", [cut, cut + timedelta(days=30)])
        )
        later = dict(
            rows.query("SELECT customer_id, count(*) FROM customers_order WHERE placed_at > %s AND placed_at <= %s GROUP BY 1", [cut, cut + timedelta(days=90)])
        )
        happened = np.array([customer in bought for customer in asked.customer.tolist()], dtype=float)
        orders = np.array([later.get(customer, 0) for customer in asked.customer.tolist()], dtype=float)
        inside = (orders >= np.floor(told.orders_90_low)) & (orders <= told.orders_90_high)
        base = np.full(len(happened), (learned.orders_30 > 0).mean())
        columns.append(np.column_stack([happened, told.p_30, base, -asked.column("known_days"), inside, np.full(len(happened), back)]))
        public_data.show(
            capsys,
            f"cut {back} days ago: learned from {len(learned.points)}, asked {len(happened)}, bought {happened.mean():.3f}; AUC {auroc(happened, told.p_30):.3f}",
        )
    happened, said, base, newest, inside, _back = np.vstack(columns).T
    ranking = bootstrap(auroc, happened, said)
    gain: Figure = bootstrap(lambda y, p, b: log_loss(y, b) - log_loss(y, p), happened, said, base)
    public_data.show(
        capsys,
        f"{len(happened)} asked: AUC {ranking.value:.3f} [{ranking.low:.3f}, {ranking.high:.3f}], newest first {auroc(happened, newest):.3f}; "
        f"log-loss {log_loss(happened, said):.3f}, base rate {log_loss(happened, base):.3f}, gain [{gain.low:.3f}, {gain.high:.3f}]; "
        f"orders in 90 days inside their interval: {inside.mean():.3f}",
    )
    assert ranking.low > 0.9
    assert gain.low > 0
