import warnings
from datetime import date

import numpy as np
import pytest
from scipy.special import hyp2f1
from scipy.stats import nbinom, spearmanr

from crm.core.learning.evaluation import auroc
from customers.ml.value import (
    BetaGeometricNBD,
    DegenerateFit,
    EmpiricalRate,
    GammaGamma,
    InconsistentHistory,
    OrderHistory,
    ShrunkenMean,
    ValueModel,
    fit_value,
    summarise_orders,
)
from tests import public_data


def simulated_shop(*, customers: int = 4000, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Customers that follow BG/NBD with r .8, alpha 9 weeks, a .8, b 2.5, over two years; amounts gamma-gamma."""
    generator = np.random.default_rng(seed)
    who, when, money = [], [], []
    for customer in range(customers):
        day, rate, stop = int(generator.integers(0, 365)), generator.gamma(0.8) / 63, generator.beta(0.8, 2.5)
        scale = generator.gamma(4.0) / 15
        first = True
        while day <= 730:
            who.append(customer)
            when.append(day)
            money.append(generator.gamma(6.0) / scale)
            if not first and generator.random() < stop:
                break
            first = False
            day += max(1, round(generator.exponential(1 / rate)))
    return np.array(who), np.array(when), np.array(money), 730


def exact_expectation(model: BetaGeometricNBD, x: np.ndarray, recency: np.ndarray, age: np.ndarray, horizon: float) -> np.ndarray:
    """Equation 10 of the paper, in weeks."""
    r, alpha, a, b = model.r_, model.alpha_, model.a_, model.b_
    shape = ((alpha + age) / (alpha + age + horizon)) ** (r + x) * hyp2f1(r + x, b + x, a + b + x - 1, horizon / (alpha + age + horizon))
    stopped = (x > 0) * a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + x)
    return (a + b + x - 1) / (a - 1) * (1 - shape) / (1 + stopped)


class TestPublishedFigures:
    """Fader, Hardie & Lee (2005) and Fader & Hardie (2013) on the CDNOW sample."""

    @pytest.fixture
    def sample(self) -> OrderHistory:
        return summarise_orders(*public_data.cdnow("sample_calibration", "master_id"), as_of_day=date(1997, 9, 30).toordinal())

    def test_repeat_orders_are_counted_as_published(self, sample):
        assert (len(sample), int(sample.frequency.sum())) == (2357, 2457)

    def test_bg_nbd_parameters_lie_within_one_percent(self, sample):
        model = BetaGeometricNBD().fit(sample.frequency, sample.recency_days, sample.age_days)

        assert [model.r_, model.alpha_, model.a_, model.b_] == pytest.approx([0.2426, 4.4136, 0.7929, 2.4259], rel=0.01)
        assert model.log_likelihood_ == pytest.approx(-9582.43, abs=0.1)

    def test_gamma_gamma_parameters_lie_within_one_percent(self, sample):
        model = GammaGamma().fit(sample.frequency, sample.repeat_amount)

        assert [model.p_, model.q_, model.gamma_] == pytest.approx([6.25, 3.74, 15.44], rel=0.01)
        assert model.customers_ == 946
        assert model.log_likelihood_ == pytest.approx(-4055.9, abs=0.1)

    def test_customer_of_the_paper_expects_1_2_orders(self):
        # Table of the paper's spreadsheet note: x = 2, t_x = 30.43, T = 38.86 weeks, 39 weeks ahead: 1.226 orders.
        model = BetaGeometricNBD.from_config(
            {"penalty": 0, "unit_days": 7, "r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426, "log_likelihood": 0, "customers": 0}
        )

        assert model.expected_orders(2, 30.43 * 7, 38.86 * 7, 39 * 7)[0] == pytest.approx(1.226, abs=0.001)
        assert model.p_active(2, 30.43 * 7, 38.86 * 7)[0] == pytest.approx(0.727, abs=0.001)


def test_parameters_of_a_simulated_shop_are_recovered():
    who, when, money, end = simulated_shop(customers=6000)
    history = summarise_orders(who, when, money, as_of_day=end)

    model = BetaGeometricNBD().fit(history.frequency, history.recency_days, history.age_days)

    assert [model.r_, model.alpha_] == pytest.approx([0.8, 9.0], rel=0.15)
    assert model.a_ / (model.a_ + model.b_) == pytest.approx(0.8 / 3.3, abs=0.04)


@pytest.mark.parametrize("a", [0.3, 0.999, 1.7])
def test_expectation_agrees_with_the_closed_form(a):
    model = BetaGeometricNBD.from_config({"penalty": 0, "unit_days": 7, "r": 0.3, "alpha": 5, "a": a, "b": 2.4, "log_likelihood": 0, "customers": 0})
    x, recency, age = np.array([0.0, 1, 2, 7]), np.array([0.0, 3, 20, 30]), np.array([10.0, 30, 21, 60])

    assert model.expected_orders(x, recency * 7, age * 7, 26 * 7) == pytest.approx(exact_expectation(model, x, recency, age, 26), rel=1e-8)


def test_expectation_stays_finite_where_the_closed_form_does_not():
    model = BetaGeometricNBD.from_config({"penalty": 0, "unit_days": 7, "r": 2.0, "alpha": 5, "a": 1.0, "b": 200.0, "log_likelihood": 0, "customers": 0})

    heavy = model.expected_orders([900.0, 0.0], [706.0, 0.0], [707.0, 0.0], 365)

    assert np.isfinite(heavy).all()
    # 900 orders in 101 weeks go on at that pace unless the customer stops: fewer than 52 weeks' worth, more than half.
    assert 200 < heavy[0] < 464


def test_interval_holds_the_later_orders_as_often_as_it_says():
    who, when, money, end = simulated_shop()
    cut = end - 180
    before = when <= cut
    history = summarise_orders(who[before], when[before], money[before], as_of_day=cut)
    later = np.bincount(who[~before], minlength=who.max() + 1)[history.customer]

    forecast = fit_value(history).forecast(history, horizon_days=180, level=0.8)

    inside = (later >= forecast.orders_low) & (later <= forecast.orders_high)
    # Counts are whole, so the interval can only be too wide; too narrow would be the fault.
    assert inside.mean() >= 0.8
    assert forecast.orders.sum() == pytest.approx(later.sum(), rel=0.1)


def test_interval_agrees_with_drawing_from_the_posterior():
    model = BetaGeometricNBD.from_config({"penalty": 0, "unit_days": 7, "r": 0.8, "alpha": 4, "a": 0.8, "b": 2.5, "log_likelihood": 0, "customers": 0})
    x, recency, age = np.array([0.0, 3, 12, 40]), np.array([0.0, 100, 350, 360]), np.array([60.0, 110, 365, 365])
    generator = np.random.default_rng(0)
    size = (40_000, 4)
    rate = generator.gamma(model.r_ + x, size=size) / (model.alpha_ + age / 7)
    drawn = np.minimum(generator.poisson(rate * 26), generator.geometric(np.maximum(generator.beta(model.a_, model.b_ + x, size=size), 1e-12)))
    drawn[generator.random(size) >= model.p_active(x, recency, age)] = 0

    low, high = model.orders_between(x, recency, age, 182)

    within = ((drawn >= low) & (drawn <= high)).mean(0)
    assert (within >= 0.8 - 0.005).all()
    expected = model.expected_orders(x, recency, age, 182)
    assert (low <= expected).all()
    assert (high >= expected).all()
    # No order fewer would do: without its upper end the interval holds too little, or leaves the expectation out.
    fewer = ((drawn >= low) & (drawn <= high - 1)).mean(0)
    assert ((fewer < 0.8 + 0.005) | (high - 1 < expected)).all()
    assert low[0] == 0
    assert low[3] > 0


def test_interval_of_a_rate_that_never_stops_agrees_with_the_negative_binomial():
    model = EmpiricalRate.from_config({"unit_days": 7, "r": 0.7, "alpha": 9, "log_likelihood": 0, "customers": 0})
    x, age = np.array([0.0, 5, 300]), np.array([30.0, 200, 365])

    low, high = model.orders_between(x, np.zeros(3) + (x > 0), age, 90)

    weeks = 90 / 7
    expected = nbinom(model.r_ + x, (9 + age / 7) / (9 + age / 7 + weeks))
    # Equal tails for the heavy buyer; from 0 up for those where a lower tail would be probability given away.
    assert np.array_equal(low, [0, 0, expected.ppf(0.1)[2]])
    assert np.array_equal(high, [expected.ppf(0.8)[0], expected.ppf(0.8)[1], expected.ppf(0.9)[2]])


def test_model_survives_its_own_configuration():
    who, when, money, end = simulated_shop(customers=500)
    history = summarise_orders(who, when, money, as_of_day=end)
    model = fit_value(history)

    again = ValueModel.from_config(model.to_config())

    assert np.array_equal(again.forecast(history, horizon_days=90).value, model.forecast(history, horizon_days=90).value)


def test_p_active_falls_with_silence_and_knows_nothing_of_one_time_buyers():
    model = BetaGeometricNBD.from_config(
        {"penalty": 0, "unit_days": 7, "r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426, "log_likelihood": 0, "customers": 0}
    )

    active = model.p_active([4, 4, 4, 0], [200, 120, 10, 0], [210, 210, 210, 210])

    assert active[0] > active[1] > active[2]
    assert active[3] == 1


class TestDegenerateFits:
    def test_gift_shop_is_noticed_and_answered_by_the_fallback(self):
        who, when, money = public_data.online_retail()
        history = summarise_orders(who, when, money, as_of_day=date(2011, 8, 31).toordinal())

        with pytest.raises(DegenerateFit, match="dropout"):
            BetaGeometricNBD().fit(history.frequency, history.recency_days, history.age_days)

        model = fit_value(history)
        forecast = model.forecast(history, horizon_days=100)

        assert isinstance(model.rate, EmpiricalRate)
        assert "BG/NBD not used" in model.notes[0]
        for column in (forecast.p_active, forecast.orders, forecast.value, forecast.orders_high):
            assert np.isfinite(column).all()
            assert (column >= 0).all()

    def test_customers_who_never_stop_are_noticed(self):
        generator = np.random.default_rng(0)
        age = generator.uniform(100, 700, 2000)
        frequency = generator.poisson(generator.gamma(2.0, 1 / 60, 2000) * age)
        # The last of n uniform moments, given n: nobody has stopped.
        recency = np.where(frequency > 0, age * generator.random(2000) ** (1 / np.maximum(frequency, 1)), 0)

        with pytest.raises(DegenerateFit):
            BetaGeometricNBD().fit(frequency, recency, age)

    @pytest.mark.parametrize("customers", [0, 1, 19])
    def test_too_few_buyers_are_noticed(self, customers):
        with pytest.raises(DegenerateFit, match="too few"):
            BetaGeometricNBD().fit(np.ones(customers), np.full(customers, 10.0), np.full(customers, 30.0))

    def test_shop_without_a_repeat_order_still_gets_a_model(self):
        history = summarise_orders(np.arange(150), np.arange(150) % 90, np.full(150, 20.0), as_of_day=100)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            forecast = fit_value(history).forecast(history, horizon_days=90)

        assert np.isfinite(forecast.value).all()
        assert 0 < forecast.orders.mean() < 0.1

    def test_amounts_all_alike_are_answered(self):
        history = summarise_orders(np.repeat(np.arange(60), 2), np.tile([1, 30], 60), np.full(120, 25.0), as_of_day=60)

        model = fit_value(history)

        assert model.spend.expected_amount([2], [25.0])[0] == pytest.approx(25.0, rel=0.05)

    def test_empty_shop(self):
        history = summarise_orders([], [], [], as_of_day=10)

        forecast = fit_value(history).forecast(history, horizon_days=90)

        assert len(forecast.value) == 0


def test_contradicting_history_is_refused():
    with pytest.raises(InconsistentHistory) as caught:
        EmpiricalRate().fit([1, 2], [50, 10], [40, 20])
    assert caught.value.data["rows"] == 1


class TestSummary:
    def test_orders_of_one_day_are_one_order_with_their_sum(self):
        history = summarise_orders([7, 7, 7, 9], [3, 3, 10, 5], [10.0, 5.0, 20.0, 8.0], as_of_day=20)

        assert history.customer.tolist() == [7, 9]
        assert history.orders.tolist() == [2, 1]
        assert history.recency_days.tolist() == [7, 0]
        assert history.age_days.tolist() == [17, 15]
        assert history.mean_amount.tolist() == [17.5, 8.0]
        assert history.repeat_amount.tolist() == [20.0, 0.0]
        assert history.silence_days.tolist() == [10, 15]

    def test_row_after_the_as_of_day_is_a_leak(self):
        with pytest.raises(ValueError, match="as-of"):
            summarise_orders([1], [11], [1.0], as_of_day=10)


def test_shrunken_mean_lies_between_own_and_shop_mean():
    generator = np.random.default_rng(5)
    orders = generator.integers(1, 8, 400).astype(float)
    own = generator.normal(50, 10, 400)
    mean = own + generator.normal(0, 20, 400) / np.sqrt(orders)
    model = ShrunkenMean().fit(orders, mean)

    few, many = model.expected_amount([1, 100], [90.0, 90.0])

    assert model.mean_ < few < many < 90
    assert model.expected_amount([0], [0])[0] == pytest.approx(model.mean_)
    # Truth: within / between = 20^2 / 10^2 = 4.
    assert 1.5 < model.k_ < 9


@pytest.mark.data
def test_figures_on_the_gift_shop_one_hundred_days_ahead(capsys):
    who, when, money = public_data.online_retail()
    cut = date(2011, 5, 23).toordinal()
    before, after = when <= cut, (when > cut) & (when <= cut + 100)
    history = summarise_orders(who[before], when[before], money[before], as_of_day=cut)
    later = np.zeros(who.max() + 1)
    np.add.at(later, who[after], money[after])
    spend = later[history.customer]

    forecast = fit_value(history).forecast(history, horizon_days=100)

    correlation, again = spearmanr(spend, forecast.value)[0], auroc(spend > 0, forecast.orders)
    public_data.show(capsys, f"online_retail, 100 days: Spearman of spend {correlation:.3f}, AUC buys again {again:.3f}")
    assert correlation > 0.50
    assert again > 0.72


@pytest.mark.data
def test_figures_on_cdnow_thirteen_weeks_ahead(capsys):
    who, when, money = public_data.cdnow("master_calibration", "customer_id")
    cut = date(1997, 9, 30).toordinal() - 91
    before = when <= cut
    history = summarise_orders(who[before], when[before], money[before], as_of_day=cut)
    pairs = np.unique(np.column_stack([who[~before], when[~before]]), axis=0)[:, 0]
    actual = np.bincount(pairs, minlength=who.max() + 1)[history.customer]

    orders = fit_value(history).forecast(history, horizon_days=91).orders

    error, correlation, bias = np.abs(orders - actual).mean(), np.corrcoef(orders, actual)[0, 1], orders.sum() / actual.sum() - 1
    public_data.show(capsys, f"cdnow master, 13 weeks: MAE {error:.3f}, correlation {correlation:.3f}, total {bias:+.1%}")
    assert correlation > 0.5
    assert abs(bias) < 0.15
