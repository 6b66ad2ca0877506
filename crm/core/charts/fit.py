"""How far predicted probabilities can be believed: the calibration plot."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext

from crm.core import formats
from crm.core.charts import drawing
from crm.core.charts.chart import Chart, empty, plottable
from crm.core.charts.drawing import across, join, tag, text, tooltip

TOP, SQUARE, COUNTS = 10, 220, 40
HEIGHT = TOP + SQUARE + 8 + COUNTS + 24


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Cases with similar predictions: the mean prediction, the share that came true with its 95% interval, and how many."""

    predicted: float
    observed: float
    low: float | None
    high: float | None
    count: int


def calibration(bins: Sequence[CalibrationBin], *, title: str, summary: str | None = None) -> Chart:
    """Return dots with intervals against the diagonal of perfect belief, and how many cases each dot stands for.

    Bins without cases or with missing rates are left out of the picture and of the summary.
    """
    head = (gettext("Predicted"), gettext("Came true"), gettext("From"), gettext("To"), gettext("Cases"))
    drawn_bins = [one for one in bins if one.count and plottable(one.predicted) is not None and plottable(one.observed) is not None]
    if not drawn_bins:
        return empty("calibration", title, head)
    most = max(one.count for one in drawn_bins)
    floor = TOP + SQUARE + 8 + COUNTS
    marks = []
    for one in drawn_bins:
        x, low, high = across(one.predicted), plottable(one.low), plottable(one.high)
        told = gettext("Predicted %(predicted)s, came true %(observed)s, %(count)s cases") % {
            "predicted": formats.percent(one.predicted, 1),
            "observed": formats.percent(one.observed, 1),
            "count": formats.number(one.count),
        }
        interval = tag("line", x1=x, x2=x, y1=_y(low), y2=_y(high), class_="plot-interval") if low is not None and high is not None else ""
        size = max(COUNTS * one.count / most, 1.0)
        bar = tag("rect", x=across(one.predicted - 0.015), width="3%", y=floor - size, height=size, class_="plot-bar", data_quiet="")
        marks.append(tag("g", tooltip(told) + interval + tag("circle", cx=x, cy=_y(one.observed), r=4, class_="plot-dot") + bar, class_="plot-group"))
    quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
    lines = join(tag("line", x1=0, x2="100%", y1=round(_y(rate)), y2=round(_y(rate)), class_="plot-grid") for rate in quarters)
    diagonal = tag("line", x1=0, y1=_y(0), x2="100%", y2=_y(1), class_="plot-dashed")
    numbers = join(drawing.axis_number(formats.percent(rate), _y(rate)) for rate in quarters)
    below = join(text(formats.percent(rate), x=across(rate), y=HEIGHT - 6, anchor=None if rate == 0 else "end" if rate == 1 else "middle") for rate in quarters)
    weight = sum(one.count for one in drawn_bins)
    error = sum(one.count * abs(one.predicted - one.observed) for one in drawn_bins) / weight
    summary = summary or gettext("%(title)s: predictions are off by %(error)s on average over %(count)s cases.") % {
        "title": title,
        "error": formats.percent(error, 1),
        "count": formats.number(weight),
    }
    svg = drawing.plot("calibration", summary, HEIGHT, numbers + lines + diagonal + join(marks) + below, gutter="m")
    rows = tuple(
        (
            formats.percent(one.predicted, 1),
            formats.percent(one.observed, 1),
            formats.percent(one.low, 1),
            formats.percent(one.high, 1),
            formats.number(one.count),
        )
        for one in bins
    )
    return Chart("calibration", str(title), svg, summary, head, rows)


def _y(rate: float) -> float:
    return TOP + (1 - min(max(rate, 0.0), 1.0)) * SQUARE
