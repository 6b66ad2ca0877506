"""The population stability index against worked numbers, and references that survive a report."""

import math

import numpy as np
import pytest

from crm.core.learning.drift import Reference, references, shares, stability, verdict
from crm.core.learning.reports import DataCard, ModelReport


def test_the_index_is_the_textbook_sum():
    reference = Reference("x", (10.0,), (0.5, 0.5, 0.0))
    now = [0.0] * 70 + [20.0] * 30

    assert stability(reference, now) == pytest.approx((0.7 - 0.5) * math.log(0.7 / 0.5) + (0.3 - 0.5) * math.log(0.3 / 0.5))


def test_the_same_values_do_not_drift_and_shifted_ones_do():
    values = np.random.default_rng(7).normal(size=5000)
    (reference,) = references({"x": values})

    assert stability(reference, values) == pytest.approx(0)
    assert verdict(stability(reference, np.random.default_rng(8).normal(size=5000))) == "steady"
    assert verdict(stability(reference, values + 1)) == "drifted"


def test_missing_values_are_a_bin_of_their_own():
    (reference,) = references({"x": [1.0, 2.0, 3.0, float("nan")]})

    assert reference.shares[-1] == 0.25
    assert sum(reference.shares) == pytest.approx(1)
    assert stability(reference, [float("nan")] * 10) > 1


@pytest.mark.parametrize("values", [[3.0] * 20, [0.0, 1.0] * 10, [float("nan")] * 5, [float("inf"), 1.0]])
def test_columns_with_few_values_have_no_impossible_bins(values):
    (reference,) = references({"x": values})

    assert len(reference.shares) == len(reference.edges) + 2
    assert shares(reference.edges, values) == reference.shares
    assert math.isfinite(stability(reference, values))


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="no value"):
        stability(Reference("x", (), (1.0, 0.0)), [])
    assert references({"x": []}) == ()


def test_card_and_references_survive_storage():
    report = ModelReport(
        "m", "b", (), data=DataCard("2026-01-01", "2026-06-01", ("a",), ("gender",), (), (("leaky", "copies the label"),), (("zh", 0.1, 0.4),)),
        references=references({"a": [1.0, 2.0]}),
    )  # fmt: skip

    assert ModelReport.from_dict(report.as_dict()) == report
    assert ModelReport.from_dict({}).data is None
