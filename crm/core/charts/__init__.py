"""Charts drawn on the server: data in, SVG or an HTML table out, with a sentence and a table behind each.

Colours come only from classes in static/css/data.css, so both themes and the strict CSP hold. Each function takes a
`title`, an optional one-sentence `summary` and, where values are told, `show` (a float -> str). None and NaN are gaps.
"""

from crm.core.charts.chart import Chart, as_money, as_number, as_percent, as_points
from crm.core.charts.fit import CalibrationBin, calibration
from crm.core.charts.grids import heat
from crm.core.charts.pairs import grouped
from crm.core.charts.ranks import Interval, bars, funnel, lift_interval, waterfall
from crm.core.charts.trends import columns, histogram, line, sparkline

__all__ = [
    "CalibrationBin",
    "Chart",
    "Interval",
    "as_money",
    "as_number",
    "as_percent",
    "as_points",
    "bars",
    "calibration",
    "columns",
    "funnel",
    "grouped",
    "heat",
    "histogram",
    "lift_interval",
    "line",
    "sparkline",
    "waterfall",
]
