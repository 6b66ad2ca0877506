"""Two or three values side by side per place: predicted against realised, model against baseline."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext

from crm.core.charts import drawing
from crm.core.charts.chart import Chart, Show, Value, as_number, empty, known, plottable
from crm.core.charts.drawing import PLOT_HEIGHT, TOP, across, join, tag, tooltip
from crm.core.charts.trends import _Axis, _labels_below, _legend

MAX_SERIES = 3


def grouped(
    series: Mapping[str, Sequence[Value]],
    *,
    labels: Sequence[str],
    title: str,
    label_title: str | None = None,
    show: Show = as_number,
    summary: str | None = None,
) -> Chart:
    """Return groups of upright columns, one group per label; raises ValueError beyond three series."""
    if len(series) > MAX_SERIES:
        raise ValueError(f"A grouped chart tells at most {MAX_SERIES} series apart, not {len(series)}.")
    labels, names = [str(label) for label in labels], [str(name) for name in series]
    head = (str(label_title or gettext("Period")), *names)
    every = known(value for values in series.values() for value in values)
    if not every:
        return empty("grouped", title, head)
    axis, slot = _Axis(every, show), 1 / len(labels)
    width = min(slot * 0.8, 0.16) / len(series)
    drawn = []
    for index, label in enumerate(labels):
        values = [column[index] for column in series.values()]
        bars = []
        for order, value in enumerate(values):
            number = plottable(value)
            if number is None:
                continue
            top, bottom = sorted((axis.y(number), axis.y(0)))
            left = (index + 0.5) * slot + (order - len(series) / 2) * width
            bar = tag("rect", x=across(left), y=top, width=across(width * 0.94), height=max(bottom - top, 1.0), rx=2, class_="plot-bar")
            bars.append(tag("g", bar, data_series=order + 1))
        told = "\n".join([label, *(f"{name}: {show(value)}" for name, value in zip(names, values, strict=True))])
        hit = tag("rect", x=across(index * slot), y=TOP, width=across(slot), height=axis.height, class_="plot-hit")
        drawn.append(tag("g", tooltip(told) + join(bars) + hit, class_="plot-group"))
    summary = summary or gettext("%(title)s: %(first)s, then %(last)s.") % {
        "title": title,
        "first": _one(labels[0], names, series, 0, show),
        "last": _one(labels[-1], names, series, -1, show),
    }
    inside = axis.lines() + join(drawn) + _labels_below(labels, [(index + 0.5) * slot for index in range(len(labels))])
    svg = drawing.plot("grouped", summary, PLOT_HEIGHT, axis.numbers() + inside, gutter=axis.gutter)
    legend = _legend(names) if len(names) > 1 else ""
    rows = tuple((label, *(show(values[index]) for values in series.values())) for index, label in enumerate(labels))
    return Chart("grouped", str(title), join([svg, legend]), summary, head, rows)


def _one(label: str, names: Sequence[str], series: Mapping[str, Sequence[Value]], index: int, show: Show) -> str:
    told = gettext(", ").join(f"{name} {show(values[index])}" for name, values in zip(names, series.values(), strict=True))
    return f"{label}: {told}"
