"""Fitting BG/NBD to a million customers' histories, and forecasting three horizons for them, in customers per second.

The other side of the fit is `lifetimes` (archived, and no dependency of ours) on the same summaries; its line appears only
where it can be imported.  Beside the project's own packages, which come first:

    pip install --target /tmp/others lifetimes hmmlearn
    .venv/bin/python -c "import sys; sys.path.append('/tmp/others'); from tests.benchmarks.value_fit import run; print(*run(), sep='\\n')"
"""

import time
from collections.abc import Iterator
from importlib import util
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from customers.ml.orders import OrderHistory

CUSTOMERS = 1_000_000
LIFE_DAYS = 720
TRUTH = {"r": 0.8, "alpha": 9.0, "a": 0.8, "b": 2.5}  # weeks


def run(customers: int = CUSTOMERS) -> Iterator[str]:
    """Yield a line for the fit, one for the forecast, and one for `lifetimes` where it is installed."""
    from customers.ml.rates import BetaGeometricNBD

    x, recency, age = simulated(customers)
    began = time.perf_counter()
    model = BetaGeometricNBD().fit(x, recency, age)
    ours = time.perf_counter() - began
    found = ", ".join(f"{name} {value:.3f}" for name, value in zip(model.names, model.parameters(), strict=True))
    yield f"{f'value fit, {customers:,} customers':<34} {customers / ours:>10,.0f} {'customers/s':<14} {ours:.1f} s   {found}"
    yield _forecast(x, recency, age)
    if util.find_spec("lifetimes") is None:
        yield f"{'lifetimes, the same summaries':<34} not installed here, nothing to compare with"
        return
    theirs, other = _lifetimes(x, recency, age)
    yield (
        f"{'lifetimes, the same summaries':<34} {customers / theirs:>10,.0f} {'customers/s':<14} {theirs:.1f} s   {other}   ratio {theirs / ours:.0f}   target 20"
    )


def simulated(customers: int, *, seed: int = 0) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Return (frequency, recency, age) in whole days of customers who follow BG/NBD with TRUTH."""
    generator = np.random.default_rng(seed)
    age = generator.integers(1, LIFE_DAYS + 1, customers).astype(float)
    rate = generator.gamma(TRUTH["r"], size=customers) / (TRUTH["alpha"] * 7)
    stop = generator.beta(TRUTH["a"], TRUTH["b"], customers)
    x, recency, moment = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    going = np.arange(customers)
    while len(going):
        moment[going] += np.maximum(generator.exponential(size=len(going)) / rate[going], 1.0)
        going = going[moment[going] <= age[going]]
        x[going] += 1
        recency[going] = np.floor(moment[going])
        going = going[generator.random(len(going)) >= stop[going]]
    return x, recency, age


def _forecast(x: np.ndarray, recency: np.ndarray, age: np.ndarray) -> str:
    from customers.ml.horizons import forecast_horizons
    from customers.ml.value import fit_value

    history = _history(x, recency, age)
    model = fit_value(history)
    began = time.perf_counter()
    told = forecast_horizons(model, history)
    seconds = time.perf_counter() - began
    assert np.isfinite(told.value_365).all()
    return f"{f'value forecasts, {len(x):,} customers':<34} {len(x) / seconds:>10,.0f} {'customers/s':<14} {seconds:.1f} s   30, 90 and 365 days with intervals and next order"


def _history(x: np.ndarray, recency: np.ndarray, age: np.ndarray) -> "OrderHistory":
    from customers.ml.orders import RECENT_DAYS, OrderHistory

    mean = np.random.default_rng(1).gamma(3, 15, len(x))
    nothing = np.zeros((len(x), len(RECENT_DAYS)))
    return OrderHistory(np.arange(len(x)), x + 1, recency, age, mean * (x + 1), mean, np.where(x > 0, mean, 0), mean, mean, nothing, nothing, float(LIFE_DAYS))


def _lifetimes(x: np.ndarray, recency: np.ndarray, age: np.ndarray) -> tuple[float, str]:
    import lifetimes

    fitter = lifetimes.BetaGeoFitter()
    began = time.perf_counter()
    fitter.fit(x, recency / 7, age / 7)
    return time.perf_counter() - began, ", ".join(f"{name} {value:.3f}" for name, value in fitter.params_.items())
