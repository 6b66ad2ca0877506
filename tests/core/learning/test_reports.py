import json

import numpy as np

from crm.core.learning.evaluation import Figure
from crm.core.learning.reports import ModelReport, ReportedFigure, calibration_bins, confusions, per_class


def test_report_survives_the_database():
    report = ModelReport(
        method="Time split.",
        baseline="last month again",
        figures=(ReportedFigure.of("mae", Figure(1.0, 0.9, 1.1, 50), baseline=1.3, style="number", higher_is_better=False),),
        calibration=calibration_bins([1, 0, 1, 1], [0.9, 0.2, 0.7, 0.8], bins=2),
        tables=(per_class([0, 0, 1], [0, 1, 1], ["a", "b"]),),
        notes=("small sample",),
    )

    assert ModelReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report
    assert ModelReport.from_dict({}).figures == ()


def test_per_class_by_hand_hardest_first():
    table = per_class([0, 0, 0, 1, 2], [0, 0, 1, 1, 0], ["a", "b", "c"])

    assert table.rows == (("c", None, 0.0, 0.0, 1), ("a", 2 / 3, 2 / 3, 2 / 3, 3), ("b", 0.5, 1.0, 2 / 3, 1))


def test_confusions_name_the_commonest_mistake_first():
    table = confusions([0, 0, 1, 1, 1], [1, 1, 0, 1, 1], ["a", "b"])

    assert table.rows == (("a", "b", 2), ("b", "a", 1))
    assert confusions([0, 1], [0, 1], ["a", "b"]).rows == ()


def test_calibration_bins_hold_equal_rows_in_order():
    bins = calibration_bins(np.ones(10), np.linspace(1, 0, 10), bins=5)

    assert [part.rows for part in bins] == [2] * 5
    assert [part.stated for part in bins] == sorted(part.stated for part in bins)
