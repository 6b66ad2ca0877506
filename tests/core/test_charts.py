"""Charts: exact geometry of small data, gaps, escaping, and one table row for every drawn value."""

import math
from xml.etree import ElementTree

import pytest

from crm.core import charts

NAN = float("nan")


def parsed(chart: charts.Chart) -> ElementTree.Element:
    """Return the drawing as a tree; raises ParseError where it is not well formed."""
    return ElementTree.fromstring(f"<x>{chart.svg}</x>")  # noqa: S314 - our own drawing, not a stranger's document


def every_chart(label: str) -> list[charts.Chart]:
    """One chart of each kind, with `label` wherever a caller's words go and a gap wherever a value may be missing."""
    return [
        charts.sparkline([1, None, 3, NAN], title=label),
        charts.columns([(label, 1), ("b", NAN), ("c", None)], title=label),
        charts.line({label: [1, None, 3], "other": [NAN, 2, -1]}, labels=[label, "b", "c"], title=label),
        charts.bars([(label, 4), ("b", None), ("c", -2)], title=label),
        charts.funnel([(label, 900), ("b", 0)], title=label),
        charts.heat(rows=[label, "b"], columns=[label, "d"], values=[[1, NAN], [None]], title=label, row_title=label, sizes=[3, 5], mean=True),
        charts.histogram(edges=[0, 10, 20], counts=[4, 0], title=label, median=NAN),
        charts.calibration([charts.CalibrationBin(0.1, 0.12, None, 0.2, 90), charts.CalibrationBin(0.9, NAN, 0.8, 1, 0)], title=label),
        charts.lift_interval([charts.Interval(label, 0.02, None, NAN)], title=label),
        charts.waterfall(base=0.3, reasons=[(label, 0.1), ("b", NAN)], total=0.4, title=label),
    ]


@pytest.mark.parametrize("chart", every_chart("plain"), ids=lambda chart: chart.kind)
def test_every_chart_with_gaps_is_well_formed_and_has_a_sentence_and_a_full_table(chart: charts.Chart) -> None:
    parsed(chart)
    assert chart.summary.endswith(".")
    assert "nan" not in (chart.svg + chart.summary + str(chart.rows)).lower()
    assert chart.rows
    assert {len(row) for row in chart.rows} == {len(chart.columns)}


@pytest.mark.parametrize("chart", every_chart("<script>alert('x')</script>&\""), ids=lambda chart: chart.kind)
def test_words_from_outside_cannot_become_markup(chart: charts.Chart) -> None:
    tags = {element.tag for element in parsed(chart).iter()}

    assert "script" not in tags
    assert "style=" not in chart.svg


@pytest.mark.parametrize("chart", every_chart("plain"), ids=lambda chart: chart.kind)
def test_pictures_are_read_out_as_their_summary(chart: charts.Chart) -> None:
    if chart.is_table:
        assert f'<caption class="visually-hidden">{chart.summary}</caption>' in chart.svg
    else:
        picture = next(parsed(chart).iter("svg"))
        assert (picture.get("role"), picture.get("aria-label")) == ("img", chart.summary)


@pytest.mark.parametrize(
    "chart",
    [
        charts.sparkline([], title="t"),
        charts.columns([("a", None)], title="t"),
        charts.line({"a": [NAN]}, labels=["x"], title="t"),
        charts.bars([], title="t"),
        charts.funnel([("Sent", 0)], title="t"),
        charts.heat(rows=[], columns=[], values=[], title="t", row_title="r"),
        charts.histogram(edges=[0, 1], counts=[0], title="t"),
        charts.calibration([], title="t"),
        charts.lift_interval([], title="t"),
        charts.waterfall(base=NAN, reasons=[], total=0.1, title="t"),
    ],
    ids=lambda chart: chart.kind,
)
def test_no_data_draws_nothing_and_says_so(chart: charts.Chart) -> None:
    assert chart.is_empty
    assert chart.summary == "No data yet."


def shapes(chart: charts.Chart, tag: str, **attributes: str) -> list[ElementTree.Element]:
    """Return the chart's elements of one tag whose attributes are as given (`class_` stands for class)."""
    wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return [element for element in parsed(chart).iter(tag) if all(element.get(name) == value for name, value in wanted.items())]


def test_bar_widths_are_proportional_to_their_values() -> None:
    chart = charts.bars([("Tea", 40), ("Linen", 10)], title="Sold")

    assert [bar.get("width") for bar in shapes(chart, "rect", class_="plot-bar")] == ["100%", "25%"]
    assert chart.rows == (("Tea", "40"), ("Linen", "10"))
    assert chart.summary == "Sold: Tea is highest of 2 with 40."


def test_columns_start_at_zero_and_share_one_scale() -> None:
    chart = charts.columns([("Jan", 50), ("Feb", 100)], title="Orders")

    heights = [float(bar.get("height", "")) for bar in shapes(chart, "rect", class_="plot-bar")]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.02)
    assert chart.summary == "Orders: latest 100 (Feb), highest 100 (Feb), lowest 50 (Jan)."


def test_a_gap_breaks_the_line_instead_of_bridging_it() -> None:
    chart = charts.line({"a": [1, 2, None, 3, 4]}, labels=list("vwxyz"), title="t")

    assert len(shapes(chart, "polyline", class_="plot-line")) == 2
    assert [row[1] for row in chart.rows] == ["1", "2", "–", "3", "4"]


def test_a_seventh_line_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 6"):
        charts.line({str(name): [1] for name in range(7)}, labels=["x"], title="t")


def test_funnel_tells_the_share_of_the_first_and_of_the_stage_before() -> None:
    chart = charts.funnel([("Sent", 200), ("Opened", 50), ("Ordered", 5)], title="Mail")

    assert chart.rows[2] == ("Ordered", "5", "2.5%", "10.0%")
    assert "25.0% of the stage before went on" in chart.svg
    assert chart.summary == "Mail: 5 of 200 reached “Ordered” (2.5%)."


def test_funnel_survives_a_stage_nobody_reached() -> None:
    chart = charts.funnel([("Sent", 10), ("Opened", 0), ("Ordered", 0)], title="Mail")

    assert chart.rows[2] == ("Ordered", "0", "0.0%", "–")


@pytest.mark.parametrize(
    ("low", "high", "verdict", "colour"),
    [
        (0.01, 0.03, "clearly higher", "plot-up"),
        (-0.01, 0.03, "not clear yet", "plot-unclear"),
        (0.0, 0.03, "not clear yet", "plot-unclear"),
        (-0.03, -0.01, "clearly lower", "plot-down"),
    ],
)
def test_lift_is_only_called_clear_when_its_interval_leaves_zero_out(low: float, high: float, verdict: str, colour: str) -> None:
    chart = charts.lift_interval([charts.Interval("Orders", (low + high) / 2, low, high)], title="Lift")

    assert chart.rows[0][4] == verdict
    assert f'class="{colour}"' in chart.svg


@pytest.mark.parametrize(
    ("low", "high", "verdict", "colour"),
    [
        (0.01, 0.03, "clearly higher, which is worse", "plot-down"),
        (-0.03, -0.01, "clearly lower, which is better", "plot-up"),
        (-0.01, 0.01, "not clear yet", "plot-unclear"),
    ],
)
def test_more_of_a_loss_is_not_drawn_as_good_news(low: float, high: float, verdict: str, colour: str) -> None:
    chart = charts.lift_interval([charts.Interval("Error", (low + high) / 2, low, high, is_gain=False)], title="Lift", show=charts.as_points)

    assert chart.rows[0][4] == verdict
    assert f'class="{colour}"' in chart.svg
    # The unit once: a line with three would not fit a phone.
    assert "points" in chart.rows[0][1]
    assert chart.svg.split("between")[1].split("<")[0].count("points") == 0


def test_the_sentence_under_a_picture_of_many_lines_is_for_screen_readers() -> None:
    few, many = (charts.line({str(number): [1, 2] for number in range(count)}, labels=["a", "b"], title="Stages") for count in (3, 4))

    assert (few.says_more, many.says_more) == (True, False)
    assert many.summary in many.svg


def test_waterfall_steps_start_where_the_one_before_ended() -> None:
    chart = charts.waterfall(base=0.5, reasons=[("a", 0.5), ("b", -0.25)], total=0.75, title="Risk", better="down")

    places = [(bar.get("x"), bar.get("width")) for bar in shapes(chart, "rect", class_="plot-bar")]
    assert places == [("0%", "50%"), ("50%", "50%"), ("75%", "25%"), ("0%", "75%")]
    assert chart.rows[1:3] == (("a", "+50.0%"), ("b", "−25.0%"))
    assert chart.summary == "Risk: 75.0%, starting from 50.0%; the strongest reason is “a” (+50.0%)."
    # A reason that raises a risk is bad news, one that lowers it is good.
    assert (chart.svg.count("plot-down"), chart.svg.count("plot-up")) == (1, 1)


def test_heat_uses_all_seven_steps_and_weights_the_mean_by_people() -> None:
    chart = charts.heat(
        rows=["a", "b"], columns=["x"], values=[[0.2], [0.8]], title="t", row_title="Month", sizes=[300, 100], mean=True, show=charts.as_percent
    )

    assert 'data-heat="1"' in chart.svg
    assert 'data-heat="7"' in chart.svg
    assert chart.rows[-1] == ("Mean", "400", "35.0%")


def test_heat_of_equal_values_does_not_divide_by_zero() -> None:
    chart = charts.heat(rows=["a"], columns=["x", "y"], values=[[2, 2]], title="t", row_title="r")

    assert chart.svg.count('data-heat="1"') == 2


def test_heat_links_are_attributes_and_nothing_else() -> None:
    chart = charts.heat(rows=["a"], columns=["x"], values=[[1]], title="t", row_title="r", links=[['/c/?q="><b>']])

    assert 'href="/c/?q=&quot;&gt;&lt;b&gt;"' in chart.svg


def test_histogram_needs_one_edge_more_than_counts() -> None:
    with pytest.raises(ValueError, match="2 counts need 3 edges"):
        charts.histogram(edges=[0, 1], counts=[1, 2], title="t")


def test_histogram_tells_the_busiest_range_and_the_median() -> None:
    chart = charts.histogram(edges=[0, 10, 20], counts=[3, 9], title="Value", median=12.5)

    assert chart.summary == "Value: most fall in 10 – 20 (9 of 12). Half are below 12.5."
    assert shapes(chart, "line", class_="plot-median")[0].get("x1") == "62.5%"


def test_logarithmic_heights_follow_log_of_one_more() -> None:
    chart = charts.histogram(edges=[0, 1, 2], counts=[9, 99], title="t", log=True)

    heights = [float(bar.get("height", "")) for bar in shapes(chart, "rect", class_="plot-bar")]
    assert heights[1] / heights[0] == pytest.approx(math.log10(100) / math.log10(10), abs=0.01)


def test_calibration_error_is_weighted_by_cases() -> None:
    bins = [charts.CalibrationBin(0.1, 0.2, 0.1, 0.3, 300), charts.CalibrationBin(0.9, 0.9, 0.8, 1.0, 100)]

    chart = charts.calibration(bins, title="Churn")

    assert chart.summary == "Churn: predictions are off by 7.5% on average over 400 cases."
    assert [dot.get("cx") for dot in shapes(chart, "circle", class_="plot-dot")] == ["10%", "90%"]


def test_sparkline_marks_the_lowest_and_the_highest_point() -> None:
    chart = charts.sparkline([5, 1, 9], title="Orders")

    assert {(dot.get("cx"), dot.get("cy")) for dot in shapes(chart, "circle", class_="plot-dot")} == {("40", "21"), ("78", "3")}
    assert chart.summary == "Orders went from 5 to 9."
