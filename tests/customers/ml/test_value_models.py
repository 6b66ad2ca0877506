"""Pareto/NBD, seasons, amounts, horizons: against closed forms, draws from the posterior, and simulated shops."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from scipy.special import gammaln, hyp2f1

from customers.ml import bgnbd, nbd, pareto
from customers.ml.amounts import total_interval
from customers.ml.counts import CountForecast
from customers.ml.histories import Grouped
from customers.ml.horizons import forecast_horizons
from customers.ml.rates import DegenerateFit, ParetoNBD
from customers.ml.season import Season
from customers.ml.value import GammaGamma, ValueModel, fit_value, summarise_orders
from tests import public_data

PARETO = {"unit_days": 7, "r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669, "log_likelihood": 0, "customers": 0}


def published_log_likelihood(x: float, recency: float, age: float, r: float, alpha: float, s: float, beta: float) -> float:
    """Return Fader & Hardie's (2005) form with two 2F1, for alpha < beta."""

    def term(moment: float) -> float:
        return float(hyp2f1(r + s + x, r + x, r + s + x + 1, (beta - alpha) / (beta + moment)) / (beta + moment) ** (r + s + x))

    stopped = s / (r + s + x) * (term(recency) - term(age))
    alive = (alpha + age) ** -(r + x) * (beta + age) ** -s
    return float(gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + np.log(alive + stopped))


class TestParetoNBD:
    def test_sample_gives_the_published_parameters(self):
        sample = summarise_orders(*public_data.cdnow("sample_calibration", "master_id"), as_of_day=date(1997, 9, 30).toordinal())

        model = ParetoNBD().fit(*sample.columns)

        assert model.parameters() == pytest.approx([0.553, 10.578, 0.606, 11.670], rel=0.01)
        assert model.log_likelihood_ == pytest.approx(-9595.0, abs=0.1)

    @pytest.mark.parametrize(("x", "recency", "age"), [(0, 0, 30), (1, 2, 38), (7, 30, 38.9), (26, 31, 31), (3, 3, 38)])
    def test_likelihood_agrees_with_the_closed_form(self, x, recency, age):
        model = ParetoNBD.from_config(PARETO)

        ours = model.log_likelihood([x], [recency * 7], [age * 7])[0]

        assert ours == pytest.approx(published_log_likelihood(x, recency, age, *model.parameters()), abs=1e-6)

    def test_likelihood_of_a_heavy_buyer_of_ten_years_is_finite(self):
        model = ParetoNBD.from_config(PARETO)

        assert np.isfinite(model.log_likelihood([2000.0, 0.0], [3600.0, 0.0], [3650.0, 3650.0])).all()
        assert 0 <= model.p_active([2000.0], [1800.0], [3650.0])[0] < 1e-6

    def test_expectation_and_interval_agree_with_drawing_from_the_posterior(self):
        model = ParetoNBD.from_config(PARETO)
        x, recency, age = np.array([0.0, 2, 12]), np.array([0.0, 180, 250]), np.array([100.0, 270, 270])
        generator, size, weeks = np.random.default_rng(1), (60_000, 3), 39
        rate = generator.gamma(model.r_ + x, size=size) / (model.alpha_ + age / 7)
        left = generator.exponential(1 / (generator.gamma(model.s_, size=size) / (model.beta_ + age / 7)))
        drawn = generator.poisson(rate * np.minimum(left, weeks))
        drawn[generator.random(size) >= model.p_active(x, recency, age)] = 0

        found = model.forecast(x, recency, age, weeks * 7)

        assert found.mean == pytest.approx(drawn.mean(0), rel=0.03)
        assert found.any == pytest.approx((drawn > 0).mean(0), abs=0.01)
        assert found.squared == pytest.approx((drawn.astype(float) ** 2).mean(0), rel=0.06)
        assert (((drawn >= found.low) & (drawn <= found.high)).mean(0) >= 0.795).all()
        assert ((found.low <= found.mean) & (found.mean <= found.high)).all()

    def test_too_few_buyers_are_noticed(self):
        with pytest.raises(DegenerateFit, match="too few"):
            ParetoNBD().fit([1.0], [3.0], [9.0])


@pytest.mark.parametrize(("module", "parameters"), [(bgnbd, [0.2, 4.0, 0.8, 2.4]), (pareto, [0.5, 10.0, 0.6, 11.0]), (nbd, [0.4, 12.0])])
def test_gradients_are_those_of_the_likelihood(module, parameters):
    generator = np.random.default_rng(0)
    x = generator.poisson(1.5, 200).astype(float)
    age = generator.integers(20, 40, 200).astype(float)
    rows = Grouped.of(x, np.where(x > 0, np.floor(age * generator.random(200)), 0.0), age)

    error = check_grad(lambda logs: module._objective(logs, rows)[0], lambda logs: module._objective(logs, rows)[1], np.log(parameters))

    assert error < 1e-5


def test_a_sample_and_a_few_steps_reach_the_same_optimum(monkeypatch):
    sample = summarise_orders(*public_data.cdnow("sample_calibration", "master_id"), as_of_day=date(1997, 9, 30).toordinal())
    whole = bgnbd.BetaGeometricNBD().fit(*sample.columns)
    monkeypatch.setattr("customers.ml.maximise.SAMPLE", 400)

    stepped = bgnbd.BetaGeometricNBD().fit(*sample.columns)

    assert stepped.parameters() == pytest.approx(whole.parameters(), rel=2e-3)
    assert stepped.log_likelihood_ == pytest.approx(whole.log_likelihood_, abs=0.01)


def test_interval_of_spend_agrees_with_drawing_orders_and_amounts():
    spend = GammaGamma.from_config({"p": 6.25, "q": 3.74, "gamma": 15.44, "log_likelihood": 0, "customers": 0})
    orders, mean, generator = np.array([2.0, 8.0]), np.array([30.0, 60.0]), np.random.default_rng(2)
    size = (80_000, 2)
    count = generator.poisson([0.8, 3.0], size=size)
    scale = generator.gamma(spend.q_ + spend.p_ * orders, size=size) / (spend.gamma_ + orders * mean)
    drawn = np.where(count > 0, generator.gamma(np.maximum(spend.p_ * count, 1e-9)) / scale, 0.0)
    counts = CountForecast(count.mean(0), (count.astype(float) ** 2).mean(0), (count > 0).mean(0), np.zeros(2), np.zeros(2))

    low, high = total_interval(counts, spend.expected_amount(orders, mean), *spend.relative_spread(orders), level=0.8)

    assert low[0] == 0
    assert ((drawn >= low) & (drawn <= high)).mean(0) == pytest.approx([0.8, 0.8], abs=0.025)


@settings(max_examples=60, deadline=None)
@given(
    chance=st.floats(0, 1), orders=st.floats(0, 30), scatter=st.floats(1, 9), amount=st.floats(0, 1e6),
    within=st.floats(0, 10), between=st.floats(0, 10), level=st.floats(0.05, 0.999),
)  # fmt: skip
def test_interval_of_spend_holds_its_expectation_whatever_the_counts(chance, orders, scatter, amount, within, between, level):
    """chance: of any order.  orders: mean if there is any, beyond the first.  scatter: of their number about the mean."""
    mean = chance * (1 + orders)
    counts = CountForecast(*(np.array([number]) for number in (mean, chance * (1 + orders) ** 2 * scatter, chance, 0.0, 0.0)))

    low, high = total_interval(counts, np.array([amount]), np.array([within]), np.array([between]), level=level)

    assert 0 <= low[0] <= mean * amount <= high[0] < np.inf


@settings(max_examples=80, deadline=None)
@given(
    x=st.integers(0, 500), more=st.floats(0, 4000), heard=st.floats(0, 1), horizon=st.floats(1, 3650), level=st.floats(0.05, 0.999),
    kind=st.sampled_from([bgnbd.BetaGeometricNBD, ParetoNBD, nbd.EmpiricalRate]), logs=st.tuples(*[st.floats(-4, 6)] * 4),
)  # fmt: skip
def test_any_history_under_any_parameters_gets_an_ordered_forecast(x, more, heard, horizon, level, kind, logs):
    """Histories that can be: at most one order a day, of people who order no oftener than daily."""
    r, alpha, a, b = np.exp(logs)
    alpha = max(alpha, r / 7)
    model = kind.from_config({"unit_days": 7, "log_likelihood": 0, "customers": 0, "r": r, "alpha": alpha, "a": a, "b": b, "s": a, "beta": b})
    history = ([float(x)], [x + more * heard if x else 0.0], [x + more])

    found = model.forecast(*history, horizon, level=level)

    assert 0 <= model.p_active(*history)[0] <= 1
    assert 0 <= found.any[0] <= 1 + 1e-9
    assert 0 <= found.low[0] <= found.high[0]
    assert found.low[0] <= found.mean[0] <= found.high[0] + 1e-6
    assert found.squared[0] >= found.mean[0] ** 2
    assert np.isfinite(model.log_likelihood(*history)).all()


class TestSeason:
    def test_clock_runs_faster_in_busy_months_and_a_year_keeps_its_length(self):
        season = Season((0.5,) * 6 + (1.5,) * 6, 2)
        day = (date(2023, 1, 1) - date(1970, 1, 1)).days

        assert season.between([day], day + 31)[0] == pytest.approx(15.5)
        assert season.between([day + 334], day + 365)[0] == pytest.approx(46.5)
        assert Season.from_config(season.to_config()) == season

    def test_months_that_are_not_positive_are_refused(self):
        with pytest.raises(ValueError, match="positive"):
            Season.from_config({"index": [0.0] * 12, "years": 2})


def test_horizons_are_finite_and_grow_with_the_days():
    generator = np.random.default_rng(4)
    who, when = np.repeat(np.arange(300), 4), generator.integers(0, 500, 1200)
    history = summarise_orders(who, when, generator.gamma(3, 10, 1200), as_of_day=510)

    told = forecast_horizons(fit_value(history), history)

    for name in told.__dataclass_fields__:
        assert np.isfinite(getattr(told, name)).all(), name
    assert (told.orders_30 <= told.orders_90).all()
    assert (told.orders_90 <= told.orders_365).all()
    assert (told.value_365_low <= told.value_365_high).all()
    assert told.value_365 == pytest.approx(told.orders_365 * told.order_amount)
    assert (told.next_order_day > 510).all()


def test_shards_are_answered_as_the_whole_is():
    generator = np.random.default_rng(5)
    who, when, money = np.repeat(np.arange(200), 3), generator.integers(0, 300, 600), generator.gamma(3, 10, 600)
    history = summarise_orders(who, when, money, as_of_day=300)
    model, part = fit_value(history), who < 80

    shard = forecast_horizons(model, summarise_orders(who[part], when[part], money[part], as_of_day=300))

    assert shard.value_365 == pytest.approx(forecast_horizons(model, history).value_365[:80])


def test_a_configuration_from_before_seasons_and_rankings_still_loads():
    old = {
        "rate": {"kind": "bg_nbd", "unit_days": 7.0, "penalty": 0.0, "r": 0.24, "alpha": 4.4, "a": 0.8, "b": 2.4, "log_likelihood": -1.0, "customers": 9},
        "spend": {"kind": "shrunken_mean", "mean": 30.0, "k": 2.0, "customers": 9},
        "notes": ["Gamma-gamma not used: too few"],
    }
    history = summarise_orders([1, 1], [0, 20], [10.0, 30.0], as_of_day=30)

    forecast = ValueModel.from_config(old).forecast(history, horizon_days=90)

    assert forecast.value[0] > 0
    assert np.isfinite([forecast.value_low[0], forecast.value_high[0]]).all()


def test_refunds_lower_what_was_spent_and_are_no_orders():
    history = summarise_orders([1, 1, 2, 2, 3], [0, 5, 0, 9, 4], [100.0, -25.0, 10.0, -50.0, -5.0], as_of_day=10)

    assert history.customer.tolist() == [1, 2]
    assert history.orders.tolist() == [1, 1]
    assert history.total_amount.tolist() == [75.0, 0.0]
