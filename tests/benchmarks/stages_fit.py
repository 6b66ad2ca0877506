"""Hidden states on a panel of CDNOW's size: seconds to choose and fit them, and the rate of scoring a million customers.

The bare side is hmmlearn's PoissonHMM where that is importable (it is no dependency; value_fit.py says how): both sides take the same steps of
expectation maximisation, ours on distinct stories with weights, theirs on every customer.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from customers.ml.hmm import fitting
from customers.ml.hmm.panel import panel_of_counts
from customers.ml.hmm.stages import StageModel, names_stages, stage_probabilities
from customers.ml.lifecycle import Lifecycle
from tests import public_data

CUSTOMERS, PERIODS, STEPS, STATES = 23_570, 10, 20, 4
SCORED = 1_000_000
TARGET = "under 30 s; 10x hmmlearn"


def run() -> Iterator[str]:
    counts, source = _counts()
    first = (counts > 0).argmax(axis=1)
    began = time.perf_counter()
    panel = panel_of_counts(counts, start=first, entry=True)
    fitted = fitting.choose(panel)
    seconds = time.perf_counter() - began
    yield f"{'stages chosen and fitted':<34} {seconds:>10.1f} s              {len(fitted.attempts)} candidates, {fitted.model.states} states, {source}   target under 30 s"
    # From the first period on, zeros before the first order included: what hmmlearn can be given too.
    whole = panel_of_counts(counts)
    ours = _seconds(lambda: _steps(whole))
    if find_spec("hmmlearn"):
        theirs = _seconds(lambda: _hmmlearn(counts))
        yield f"{'one fit, ' + str(STEPS) + ' steps':<34} {ours:>10.2f} s              hmmlearn {theirs:>8.1f} s   ratio {theirs / ours:5.1f}   target {TARGET}"
    else:
        yield f"{'one fit, ' + str(STEPS) + ' steps':<34} {ours:>10.2f} s              hmmlearn is not installed: no ratio   target {TARGET}"
    yield _scoring(fitted.model)


def _counts() -> tuple[np.ndarray, str]:
    """Return orders per four weeks, of CDNOW where it lies beside the repository, else of as many simulated buyers."""
    if (public_data.FOLDER / "cdnow" / "master_calibration.csv.gz").exists():
        customer, day, _amount = public_data.cdnow("master_calibration", "customer_id")
        pairs = np.unique(np.column_stack([customer, day - day.min()]), axis=0)
        ids, row = np.unique(pairs[:, 0], return_inverse=True)
        counts = np.zeros((len(ids), int(pairs[:, 1].max()) // 28 + 1), dtype=int)
        np.add.at(counts, (row.reshape(-1), pairs[:, 1] // 28), 1)
        return counts, "CDNOW master"
    random = np.random.default_rng(0)
    rate = random.gamma(0.5, 0.6, (CUSTOMERS, 1)) * (np.arange(PERIODS)[None, :] < random.geometric(0.2, (CUSTOMERS, 1)))
    counts = random.poisson(rate)
    counts[:, 0] += 1
    return counts, "simulated buyers"


def _steps(panel: object) -> None:
    model = fitting._start(panel, STATES, "poisson", np.random.default_rng(0), spread=0.0)  # type: ignore[arg-type]
    for _step in range(STEPS):
        model, _likelihood = fitting._step(panel, model)  # type: ignore[arg-type]


def _hmmlearn(counts: np.ndarray) -> None:
    from hmmlearn.hmm import PoissonHMM

    PoissonHMM(n_components=STATES, n_iter=STEPS, tol=-np.inf, random_state=0).fit(counts.reshape(-1, 1), lengths=[counts.shape[1]] * len(counts))


def _scoring(states: object) -> str:
    """Score a million customers with four million orders over two years."""
    random = np.random.default_rng(0)
    orders = random.geometric(0.25, SCORED)
    customer = np.repeat(np.arange(SCORED), orders)
    day = np.minimum(random.integers(0, 700, SCORED)[customer] + random.integers(0, 700, len(customer)), 719)
    assert names_stages(states)  # type: ignore[arg-type]
    model = StageModel(Lifecycle().fit(customer[:100_000], day[:100_000]), states)  # type: ignore[arg-type]
    began = time.perf_counter()
    found = stage_probabilities(model, customer=customer, day=day, customers=np.arange(SCORED), as_of_day=719)
    seconds = time.perf_counter() - began
    assert np.isfinite(found.probability).all()
    return f"{'stages of 1,000,000 customers':<34} {SCORED / seconds:>10,.0f} customers/s   {seconds:.1f} s, {len(customer):,} orders"


def _seconds(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began
