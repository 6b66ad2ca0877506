"""Values in an order: sparkline, columns, lines and histogram."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from crm.core import formats
from crm.core.charts import drawing
from crm.core.charts.chart import Chart, Show, Value, as_number, empty, known, plottable, short
from crm.core.charts.drawing import BOTTOM, PLOT_HEIGHT, TOP, across, join, tag, text, tooltip

SPARK_WIDTH, SPARK_HEIGHT = 80, 24
# Beyond this many points single dots merge into a thick line and say nothing.
DOTS_UP_TO = 31
MAX_SERIES = 6


class _Axis:
    """The vertical scale of a plot: round ticks, and a value's place in pixels from the top."""

    def __init__(self, values: Sequence[float], show: Show) -> None:
        self.ticks = drawing.ticks(min(0.0, *values), max(0.0, *values))
        self.low, self.high = self.ticks[0], self.ticks[-1]
        self.labels = [short(show, tick) for tick in self.ticks]
        self.gutter = drawing.gutter_for(self.labels)
        self.height = PLOT_HEIGHT - TOP - BOTTOM

    def share(self, value: float) -> float:
        """Return the value's distance from the top, 0 to 1."""
        return (self.high - value) / (self.high - self.low)

    def y(self, value: float) -> float:
        return TOP + self.share(value) * self.height

    def numbers(self) -> str:
        return join(drawing.axis_number(label, self.y(tick)) for tick, label in zip(self.ticks, self.labels, strict=True))

    def lines(self) -> str:
        return join(
            tag("line", x1=0, x2="100%", y1=round(self.y(tick)), y2=round(self.y(tick)), class_="plot-zero" if tick == 0 else "plot-grid")
            for tick in self.ticks
        )


def _labels_below(labels: Sequence[str], centres: Sequence[float]) -> str:
    """Return a few of the labels under the plot; the outermost lean inwards so that none leaves the card."""
    chosen = drawing.spread(len(labels), 5 if max(map(drawing.columns_of, labels)) <= 9 else 4)
    drawn = []
    for place, index in enumerate(reversed(chosen)):
        centre = centres[index]
        at_start, at_end = index == 0 and centre < 0.08, index == len(labels) - 1 and centre > 0.92
        x = 0.0 if at_start else 1.0 if at_end else centre
        drawn.append(
            text(
                drawing.cut(labels[index], 14), x=across(x), y=PLOT_HEIGHT - 6, anchor=None if at_start else "end" if at_end else "middle", spare=place % 2 == 1
            )
        )
    return join(drawn)


def _extremes(title: str, labels: Sequence[str], values: Sequence[Value], show: Show) -> str:
    """Return the sentence most series need: the latest value, the highest and the lowest with their labels."""
    pairs = [(number, label) for number, label in zip(map(plottable, values), labels, strict=True) if number is not None]
    high, low, last = max(pairs), min(pairs), pairs[-1]
    return gettext("%(title)s: latest %(last)s (%(last_label)s), highest %(high)s (%(high_label)s), lowest %(low)s (%(low_label)s).") % {
        "title": title,
        "last": show(last[0]),
        "last_label": last[1],
        "high": show(high[0]),
        "high_label": high[1],
        "low": show(low[0]),
        "low_label": low[1],
    }


def sparkline(values: Sequence[Value], *, title: str, labels: Sequence[str] | None = None, show: Show = as_number, summary: str | None = None) -> Chart:
    """Return an 80 by 24 line without axes, lowest and highest point marked; the summary tells the change."""
    numbers, labels = [plottable(value) for value in values], [str(label) for label in labels or range(1, len(values) + 1)]
    present = known(values)
    head = ("#", str(title))
    if not present:
        return empty("sparkline", title, head)
    low, high = min(present), max(present)
    span = (high - low) or 1.0
    places = [
        None if number is None else (2 + index * (SPARK_WIDTH - 4) / max(len(numbers) - 1, 1), 3 + (high - number) / span * (SPARK_HEIGHT - 6))
        for index, number in enumerate(numbers)
    ]
    marks = [tag("circle", cx=place[0], cy=place[1], r=2, class_="plot-dot") for place in {places[numbers.index(low)], places[numbers.index(high)]} if place]
    summary = summary or gettext("%(title)s went from %(first)s to %(last)s.") % {"title": title, "first": show(present[0]), "last": show(present[-1])}
    content = tooltip(summary) + join(_runs(places)) + join(sorted(marks))
    svg = tag("svg", content, class_="chart__plot", data_kind="sparkline", role="img", aria_label=summary, width=SPARK_WIDTH, height=SPARK_HEIGHT)
    return Chart("sparkline", str(title), svg, summary, head, tuple((label, show(value)) for label, value in zip(labels, values, strict=True)))


def _runs(places: Sequence[tuple[float, float] | None], series: int = 1) -> list[SafeString]:
    """Return one polyline per unbroken run, so a gap stays a gap."""
    lines: list[SafeString] = []
    run: list[tuple[float, float]] = []
    for place in [*places, None]:
        if place is not None:
            run.append(place)
        elif run:
            if len(run) > 1:
                lines.append(tag("polyline", points=" ".join(f"{x:.2f},{y:.2f}" for x, y in run), class_="plot-line", data_series=series))
            run = []
    return lines


def columns(
    points: Sequence[tuple[str, Value]],
    *,
    title: str,
    label_title: str | None = None,
    value_title: str | None = None,
    show: Show = as_number,
    summary: str | None = None,
) -> Chart:
    """Return upright columns over time, one per (label, value), the axis always starting at zero."""
    labels, values = [str(label) for label, _ in points], [value for _, value in points]
    head = (str(label_title or gettext("Period")), str(value_title or title))
    if not known(values):
        return empty("columns", title, head)
    axis, slot = _Axis(known(values), show), 1 / len(points)
    # Two lonely columns should not be as wide as walls.
    width = min(slot * 0.72, 0.12)
    drawn = []
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        number = plottable(value)
        bar = ""
        if number is not None:
            top, bottom = sorted((axis.y(number), axis.y(0)))
            bar = tag("rect", x=across((index + 0.5) * slot - width / 2), y=top, width=across(width), height=max(bottom - top, 1.0), rx=2, class_="plot-bar")
        hit = tag("rect", x=across(index * slot), y=TOP, width=across(slot), height=axis.height, class_="plot-hit")
        drawn.append(tag("g", tooltip(f"{label}: {show(value)}") + bar + hit, class_="plot-group"))
    summary = summary or _extremes(str(title), labels, values, show)
    inside = axis.lines() + join(drawn) + _labels_below(labels, [(index + 0.5) * slot for index in range(len(points))])
    svg = drawing.plot("columns", summary, PLOT_HEIGHT, axis.numbers() + inside, gutter=axis.gutter)
    return Chart("columns", str(title), svg, summary, head, tuple((label, show(value)) for label, value in zip(labels, values, strict=True)))


def line(
    series: Mapping[str, Sequence[Value]],
    *,
    labels: Sequence[str],
    title: str,
    label_title: str | None = None,
    show: Show = as_number,
    summary: str | None = None,
) -> Chart:
    """Return up to six lines over shared labels, each with its own colour and dash; raises ValueError beyond six."""
    if len(series) > MAX_SERIES:
        raise ValueError(f"A line chart tells at most {MAX_SERIES} series apart, not {len(series)}.")
    labels, names = [str(label) for label in labels], [str(name) for name in series]
    head = (str(label_title or gettext("Period")), *names)
    every = known(value for values in series.values() for value in values)
    if not every:
        return empty("line", title, head)
    axis = _Axis(every, show)
    centres = [index / max(len(labels) - 1, 1) for index in range(len(labels))]
    strokes, dots = [], []
    for order, values in enumerate(series.values(), start=1):
        numbers = [plottable(value) for value in values]
        places = [None if number is None else (100 * centre, 100 * axis.share(number)) for centre, number in zip(centres, numbers, strict=True)]
        if len(series) == 1 and None not in places and len(places) > 1:
            floor = 100 * axis.share(0)
            outline = [(0.0, floor), *[place for place in places if place], (100.0, floor)]
            strokes.append(tag("polygon", points=" ".join(f"{x:.2f},{y:.2f}" for x, y in outline), class_="plot-area", data_series=order))
        strokes.extend(_runs(places, order))
        for index, number in enumerate(numbers):
            alone = (index == 0 or numbers[index - 1] is None) and (index + 1 == len(numbers) or numbers[index + 1] is None)
            if number is not None and (len(labels) <= DOTS_UP_TO or alone):
                dots.append(tag("circle", cx=across(centres[index]), cy=axis.y(number), r=3, class_="plot-dot", data_series=order))
    slot = 1 / max(len(labels) - 1, 1)
    hits = [
        tag(
            "rect",
            tooltip(_told(label, names, [values[index] for values in series.values()], show)),
            x=across(centres[index] - slot / 2),
            y=TOP,
            width=across(slot),
            height=axis.height,
            class_="plot-hit",
        )
        for index, label in enumerate(labels)
    ]
    summary = summary or " ".join(_extremes(name, labels, values, show) for name, values in zip(names, series.values(), strict=True) if known(values))
    inside = axis.lines() + drawing.stretched(join(strokes), top=TOP, height=axis.height) + join(dots) + join(hits) + _labels_below(labels, centres)
    svg = drawing.plot("line", summary, PLOT_HEIGHT, axis.numbers() + inside, gutter=axis.gutter)
    rows = tuple((label, *(show(values[index]) for values in series.values())) for index, label in enumerate(labels))
    return Chart("line", str(title), join([svg, _legend(names) if len(names) > 1 else ""]), summary, head, rows)


def _told(label: str, names: Sequence[str], values: Sequence[Value], show: Show) -> str:
    return "\n".join([label, *(f"{name}: {show(value)}" for name, value in zip(names, values, strict=True))])


def _legend(names: Sequence[str]) -> str:
    sample = [
        tag("svg", tag("line", x1=0, x2=24, y1=6, y2=6, class_="plot-line", data_series=order), width=24, height=12, aria_hidden="true")
        for order in range(1, len(names) + 1)
    ]
    return tag("ul", join(tag("li", picture + tag("span", escape(name))) for picture, name in zip(sample, names, strict=True)), class_="chart__legend")


def histogram(
    *,
    edges: Sequence[float],
    counts: Sequence[int],
    title: str,
    median: float | None = None,
    show: Show = as_number,
    value_title: str | None = None,
    log: bool = False,
    summary: str | None = None,
) -> Chart:
    """Return how many fall between neighbouring edges, with the median as a dashed line.

    edges: rising floats (n + 1,) of the shown quantity.  counts: ints (n,).  log: heights on a log10(1 + n) scale.
    Raises ValueError when the lengths do not fit.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges, not {len(edges)}.")
    head = (str(value_title or title), gettext("Count"))
    if not any(counts):
        return empty("histogram", title, head)
    heights = [math.log10(1 + count) if log else float(count) for count in counts]
    axis = _Axis(heights, as_number if not log else lambda value: formats.compact(round(10 ** float(value or 0) - 1)))
    span = edges[-1] - edges[0] or 1.0
    names = [f"{show(low)} – {show(high)}" for low, high in pairwise(edges)]
    drawn = []
    for index, (name, count) in enumerate(zip(names, counts, strict=True)):
        left, right = (edges[index] - edges[0]) / span, (edges[index + 1] - edges[0]) / span
        top = axis.y(heights[index])
        bar = tag("rect", x=across(left + 0.001), y=top, width=across(max(right - left - 0.002, 0.001)), height=axis.y(0) - top, class_="plot-bar")
        hit = tag("rect", x=across(left), y=TOP, width=across(right - left), height=axis.height, class_="plot-hit")
        drawn.append(tag("g", tooltip(f"{name}: {formats.number(count)}") + bar + hit, class_="plot-group"))
    middle, words = plottable(median), ""
    if middle is not None:
        x = across(min(max((middle - edges[0]) / span, 0), 1))
        drawn.append(tag("line", x1=x, x2=x, y1=TOP, y2=axis.y(0), class_="plot-median"))
        words = gettext("Half are below %(median)s.") % {"median": show(middle)}
    busiest = max(range(len(counts)), key=counts.__getitem__)
    summary = summary or " ".join(
        filter(
            None,
            [
                gettext("%(title)s: most fall in %(range)s (%(count)s of %(total)s).")
                % {"title": title, "range": names[busiest], "count": formats.number(counts[busiest]), "total": formats.number(sum(counts))},
                words,
            ],
        )
    )
    below = _labels_below([short(show, edge) for edge in edges], [(edge - edges[0]) / span for edge in edges])
    svg = drawing.plot("histogram", summary, PLOT_HEIGHT, axis.numbers() + axis.lines() + join(drawn) + below, gutter=axis.gutter)
    return Chart("histogram", str(title), svg, summary, head, tuple((name, formats.number(count)) for name, count in zip(names, counts, strict=True)))
