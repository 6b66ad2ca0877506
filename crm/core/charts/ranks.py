"""One row per thing: bars, funnel, lift intervals and the waterfall of a score's reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext

from crm.core import formats
from crm.core.charts import drawing
from crm.core.charts.chart import Chart, Show, Value, as_number, as_percent, as_points, empty, known, plottable, signed
from crm.core.charts.drawing import across, clipped_label, join, tag, text, tooltip

ROW, BAR = 44, 8
# Columns of a value, such as 24.7%, beside which a label may grow longer; 18% of the narrowest card hold it.
SHORT_VALUE = 5
SECOND_LINE = 18
# A visible sliver for values that are small but not nothing.
SLIVER = 0.004


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95% interval; all three in the same unit (a rate in 0–1 for lift). is_gain: more of it is good news."""

    label: str
    estimate: float | None
    low: float | None
    high: float | None
    is_gain: bool = True

    @property
    def is_clear(self) -> bool:
        """Whether the interval stays on one side of zero."""
        low, high = plottable(self.low), plottable(self.high)
        return low is not None and high is not None and (low > 0 or high < 0)


class _Scale:
    """Places values between 0 (left) and 1 (right) of the row."""

    def __init__(self, values: Sequence[float]) -> None:
        self.low, self.high = min(values), max(values)
        self.span = (self.high - self.low) or 1.0

    def __call__(self, value: float) -> float:
        return (value - self.low) / self.span


def _row(top: float, height: float, label: str, value: str, drawn: str, told: str, *, two_lines: bool = False) -> str:
    """Return one row. two_lines: reasons are sentences, so the value stands below its label instead of beside it."""
    if two_lines:
        drawn = tag("svg", drawn, y=SECOND_LINE, width="100%", height=height - SECOND_LINE, overflow="visible")
    return tag(
        "svg",
        tag(
            "g",
            tooltip(told)
            + tag("rect", width="100%", height=height, class_="plot-hit")
            + clipped_label(label, y=0, share=1.0 if two_lines else 0.82 if drawing.columns_of(value) <= SHORT_VALUE else 0.7)
            + text(value, x="100%", y=14 + (SECOND_LINE if two_lines else 0), role="value", anchor="end")
            + drawn,
            class_="plot-group",
        ),
        y=top,
        width="100%",
        height=height,
        overflow="visible",
    )


def _bar(start: float, end: float, *, kind: str = "plot-bar") -> str:
    left, right = sorted((start, end))
    return tag("rect", x=across(left), y=24, width=across(max(right - left, SLIVER)), height=BAR, rx=3, class_=kind)


TRACK = tag("rect", y=24, width="100%", height=BAR, rx=3, class_="plot-track")


def bars(
    points: Sequence[tuple[str, Value]],
    *,
    title: str,
    label_title: str | None = None,
    value_title: str | None = None,
    show: Show = as_number,
    summary: str | None = None,
) -> Chart:
    """Return horizontal bars in the order given, label and value written above each."""
    head = (str(label_title or gettext("Name")), str(value_title or title))
    numbers = known(value for _, value in points)
    if not numbers:
        return empty("bars", title, head)
    scale = _Scale([0.0, *numbers])
    drawn = []
    for index, (label, value) in enumerate(points):
        number, label = plottable(value), str(label)
        bar = TRACK + (_bar(scale(0), scale(number)) if number is not None else "")
        drawn.append(_row(index * ROW, ROW, label, show(value), bar, f"{label}: {show(value)}"))
    best, total = max((number, str(label)) for label, value in points if (number := plottable(value)) is not None), len(points)
    summary = summary or gettext("%(title)s: %(best)s is highest of %(total)s with %(value)s.") % {
        "title": title,
        "best": best[1],
        "total": total,
        "value": show(best[0]),
    }
    svg = drawing.plot("bars", summary, ROW * total, join(drawn))
    return Chart("bars", str(title), svg, summary, head, tuple((str(label), show(value)) for label, value in points))


def funnel(stages: Sequence[tuple[str, int]], *, title: str, label_title: str | None = None, summary: str | None = None) -> Chart:
    """Return one bar per stage, widest first, each saying in words how many of the stage before went on."""
    head = (str(label_title or gettext("Stage")), gettext("Count"), gettext("Of the first"), gettext("Of the one before"))
    if not stages or not stages[0][1]:
        return empty("funnel", title, head)
    first, height, short_by = stages[0][1], 60, 60 - ROW
    drawn, rows, before = [], [], first
    for index, (label, count) in enumerate(stages):
        label, share, step = str(label), count / first, count / before if before else None
        value = f"{formats.number(count)} · {formats.percent(share, 1 if share < 0.1 else 0)}"
        words = "" if index == 0 else gettext("%(share)s of the stage before went on") % {"share": formats.percent(step, 1)}
        bar = TRACK + _bar(0, min(share, 1.0)) + (text(words, x=0, y=48) if words else "")
        # The first stage has no line about a stage before, so it is shorter.
        drawn.append(_row(index and index * height - short_by, height, label, value, bar, f"{label}: {value}"))
        rows.append((label, formats.number(count), formats.percent(share, 1), formats.MISSING if index == 0 else formats.percent(step, 1)))
        before = count
    last = stages[-1]
    summary = summary or gettext("%(title)s: %(last)s of %(first)s reached “%(label)s” (%(share)s).") % {
        "title": title,
        "last": formats.number(last[1]),
        "first": formats.number(first),
        "label": last[0],
        "share": formats.percent(last[1] / first, 1),
    }
    return Chart("funnel", str(title), drawing.plot("funnel", summary, height * len(stages) - short_by, join(drawn)), summary, head, tuple(rows))


def lift_interval(rows: Sequence[Interval], *, title: str, show: Show = as_percent, summary: str | None = None) -> Chart:
    """Return a dot and its 95% bar per row against a zero line, with the verdict in words beside it."""
    head = (gettext("Measure"), gettext("Difference"), gettext("From"), gettext("To"), gettext("Verdict"))
    numbers = known(value for row in rows for value in (row.estimate, row.low, row.high))
    if not numbers:
        return empty("lift", title, head)
    reach = max(abs(number) for number in numbers) * 1.05 or 1.0
    scale, height = _Scale([-reach, reach]), 82
    drawn, table, sentences = [], [], []
    for index, row in enumerate(rows):
        label, verdict, value = str(row.label), _verdict(row), signed(show, row.estimate)
        estimate, low, high = plottable(row.estimate), plottable(row.low), plottable(row.high)
        mark = tag("line", x1="50%", x2="50%", y1=22, y2=40, class_="plot-zero")
        if low is not None and high is not None:
            mark += tag("line", x1=across(scale(low)), x2=across(scale(high)), y1=31, y2=31, class_="plot-interval")
        if estimate is not None:
            mark += tag("circle", cx=across(scale(estimate)), cy=31, r=5, class_="plot-dot")
        # The unit stands with the estimate, and the verdict on a line of its own: all in one would not fit a phone.
        ends = show.short if show is as_points else show
        reach_words = gettext("95%% between %(low)s and %(high)s") % {"low": signed(ends, row.low), "high": signed(ends, row.high)}
        marked = tag("g", mark, class_="plot-unclear" if not row.is_clear else "plot-up" if ((estimate or 0) > 0) is row.is_gain else "plot-down")
        drawn.append(
            _row(index * height, height, label, value, marked + text(verdict, x=0, y=54) + text(reach_words, x=0, y=72), f"{label}: {value}, {reach_words}")
        )
        table.append((label, value, signed(show, row.low), signed(show, row.high), verdict))
        sentences.append(f"{label}: {value}, {reach_words}; {verdict}.")
    summary = summary or " ".join(sentences)
    return Chart("lift", str(title), drawing.plot("lift", summary, height * len(rows), join(drawn)), summary, head, tuple(table))


def _verdict(row: Interval) -> str:
    if not row.is_clear:
        return gettext("not clear yet")
    if not row.is_gain:
        return gettext("clearly higher, which is worse") if (plottable(row.estimate) or 0) > 0 else gettext("clearly lower, which is better")
    return gettext("clearly higher") if (plottable(row.estimate) or 0) > 0 else gettext("clearly lower")


def waterfall(
    *,
    base: float,
    reasons: Sequence[tuple[str, float]],
    total: float,
    title: str,
    base_label: str | None = None,
    total_label: str | None = None,
    better: Literal["up", "down"] | None = None,
    show: Show = as_percent,
    summary: str | None = None,
) -> Chart:
    """Return how a score came about: the base, each reason as a step up or down, and the score.

    better says which direction is good news (green); left out, up is blue and down is orange, without judgement.
    """
    head = (gettext("Reason"), gettext("Effect"))
    if known([base, total]) != [base, total]:
        return empty("waterfall", title, head)
    steps, level = [], float(base)
    for label, effect in reasons:
        size = plottable(effect) or 0.0
        steps.append((str(label), effect, level, level + size))
        level += size
    scale = _Scale([0.0, float(base), float(total), *(end for *_, end in steps)])
    base_words, total_words = str(base_label or gettext("Average")), str(total_label or gettext("Score"))
    height = ROW + SECOND_LINE
    drawn = [_row(0, ROW, base_words, show(base), TRACK + _step(scale(0), scale(float(base)), None, None), f"{base_words}: {show(base)}")]
    for index, (label, effect, start, end) in enumerate(steps):
        value = ("▲ " if end > start else "▼ " if end < start else "") + signed(show, effect)
        bar = TRACK + _step(scale(start), scale(end), end >= start, better)
        drawn.append(_row(ROW + index * height, height, label, value, bar, f"{label}: {value}", two_lines=True))
    total_bar = TRACK + _step(scale(0), scale(float(total)), None, None)
    drawn.append(_row(ROW + len(steps) * height, ROW, total_words, show(total), total_bar, f"{total_words}: {show(total)}"))
    strongest = max(steps, key=lambda step: abs(step[3] - step[2]), default=None)
    summary = summary or (
        gettext("%(title)s: %(total)s, starting from %(base)s; the strongest reason is “%(reason)s” (%(effect)s).")
        % {"title": title, "total": show(total), "base": show(base), "reason": strongest[0], "effect": signed(show, strongest[1])}
        if strongest
        else gettext("%(title)s: %(total)s.") % {"title": title, "total": show(total)}
    )
    rows = ((base_words, show(base)), *((label, signed(show, effect)) for label, effect, *_ in steps), (total_words, show(total)))
    return Chart("waterfall", str(title), drawing.plot("waterfall", summary, 2 * ROW + len(steps) * height, join(drawn)), summary, head, rows)


def _step(start: float, end: float, up: bool | None, better: Literal["up", "down"] | None) -> str:
    bar = _bar(start, end)
    if up is None:
        return tag("g", bar, data_series=5)
    if better is None:
        return tag("g", bar, data_series=1 if up else 2)
    return tag("g", bar, class_="plot-up" if up == (better == "up") else "plot-down")
