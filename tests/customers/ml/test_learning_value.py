"""Choosing, refining and evaluating a shop's value model; and every shop that has next to nothing to learn from."""

import csv
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from customers.ml.errors_value import curve_error, normalised_gini, rank_agreement, top_share
from customers.ml.evaluate_value import COLUMNS
from customers.ml.learning_value import Rows, learn_value
from customers.ml.tilt import GREATEST_FACTOR
from customers.ml.value import ValueModel, summarise_orders
from tests import public_data

DAY = (date(2024, 1, 1) - date(1970, 1, 1)).days


def answered(who, when, money, *, end=DAY + 400, horizon=90):
    """Learn, forecast, and return both once every number is finite and ordered."""
    who, when, money = np.asarray(who), np.asarray(when), np.asarray(money, dtype=float)
    learned = learn_value(who, when, money, as_of_day=end, horizon_days=horizon)
    history = summarise_orders(who, when, money, as_of_day=end)
    forecast = learned.model.forecast(history, horizon_days=horizon)
    for name in ("p_active", "orders", "orders_low", "orders_high", "order_amount", "value", "value_low", "value_high"):
        column = getattr(forecast, name)
        assert len(column) == len(history)
        assert np.isfinite(column).all(), name
        assert (column >= 0).all(), name
    assert (forecast.value_low <= forecast.value_high).all()
    assert (forecast.p_active <= 1).all()
    return learned, forecast


@pytest.mark.parametrize(
    ("who", "when", "money"),
    [
        ([], [], []),
        ([1], [DAY], [20.0]),
        (np.arange(80), np.full(80, DAY + 400), np.full(80, 10.0)),
        (np.r_[np.arange(50), 7], np.r_[np.arange(50) + DAY, DAY + 90], np.r_[np.full(50, 9.0), 4e9]),
        (np.arange(60), DAY + np.arange(60), np.zeros(60)),
        (np.arange(60), DAY + np.arange(60), np.full(60, -5.0)),
        (np.tile(np.arange(40), 2), np.r_[np.full(40, DAY - 3650), np.full(40, DAY + 399)], np.full(80, 12.0)),
        (np.repeat(np.arange(40), 5), np.full(200, DAY), np.full(200, 5.0)),
        (np.zeros(400, dtype=int), DAY + np.arange(400), np.full(400, 3.0)),
        (np.arange(30), DAY + np.arange(30), np.full(30, np.nan)),
    ],
    ids=["empty", "one customer", "one day", "giant", "free", "only refunds", "ten years apart", "duplicates", "one daily buyer", "no numbers"],
)
def test_shops_with_next_to_nothing_get_a_named_baseline(who, when, money):
    learned, _forecast = answered(who, when, money)

    assert learned.model.notes


def wholesale_shop(seed=1):
    """Nobody stops; how much one orders goes with how often: what the order models assume away."""
    generator = np.random.default_rng(seed)
    rows = []
    for customer in range(700):
        rate = generator.gamma(0.8, 1 / 40)
        drift = generator.choice([0.3, 1.0, 2.5])
        days = np.flatnonzero(generator.random(400) < rate * np.where(np.arange(400) > 200, drift, 1.0))
        rows += [(customer, DAY + day, (20 + 4000 * rate) * generator.gamma(4, 0.25)) for day in days]
    return (np.array(column) for column in zip(*rows, strict=True))


def test_ranking_learned_from_the_past_beats_the_model_alone_later():
    who, when, money = wholesale_shop()
    cut = DAY + 310
    known = when <= cut

    learned, forecast = answered(who[known], when[known], money[known], end=cut)

    history = summarise_orders(who[known], when[known], money[known], as_of_day=cut)
    spend = np.bincount(who[~known], weights=money[~known], minlength=700)[history.customer]
    alone = learned.model.means(history, 90).value
    assert learned.model.tilt is not None
    assert normalised_gini(forecast.value, spend) > normalised_gini(alone, spend)
    assert (np.abs(np.log(learned.model.factor(history))) <= np.log(GREATEST_FACTOR) + 1e-9).all()
    again = ValueModel.from_config(json.loads(json.dumps(learned.model.to_config())))
    assert again.forecast(history, horizon_days=90).value == pytest.approx(forecast.value, rel=1e-4)


def test_a_season_repeated_in_three_years_is_found():
    generator = np.random.default_rng(3)
    busy = np.array([0.6, 0.6, 0.8, 0.8, 1, 1, 1, 1, 1, 1, 1.4, 1.8])
    days = np.arange(365 * 3)
    pace = busy[[(date(2021, 1, 1) + timedelta(int(day))).month - 1 for day in days]] / busy.mean()
    start = (date(2021, 1, 1) - date(1970, 1, 1)).days
    rows = [
        (customer, start + day)
        for customer in range(400)
        for day in np.flatnonzero(generator.random(len(days)) < generator.gamma(1.5, 1 / 60) * pace)
        if day >= customer % 200
    ]
    who, when = (np.array(column) for column in zip(*rows, strict=True))

    learned, _forecast = answered(who, when, np.full(len(who), 20.0), end=start + len(days) - 1)

    season = learned.model.season
    assert season is not None
    assert np.corrcoef(season.index, busy)[0, 1] > 0.9
    history = summarise_orders(who, when, np.full(len(who), 20.0), as_of_day=start + len(days) - 1)
    assert learned.model.horizon(history, 90) < 80  # January to March are quiet


def test_errors_of_a_forecast_by_hand():
    actual = np.array([0.0, 10.0, 30.0, 0.0, 60.0])

    assert normalised_gini(actual, actual) == pytest.approx(1.0)
    assert normalised_gini(-actual, actual) < 0
    assert top_share(actual, actual, share=0.2) == pytest.approx(0.6)
    assert curve_error(np.array([1.0, 9.0]), np.array([0.0, 10.0])) == pytest.approx(0.1)


def write(path: Path, rows: list[tuple[object, ...]], header=("customer_id", "date", "amount")) -> str:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return str(path)


def shop_rows() -> list[tuple[object, ...]]:
    generator = np.random.default_rng(8)
    start = date(2023, 1, 1)
    return [
        (f"c{customer}", (start + timedelta(days=int(day))).isoformat(), round(float(generator.gamma(3, 12)), 2))
        for customer in range(120)
        for day in np.unique(generator.integers(0, 400, 1 + generator.poisson(3)))
    ]


def evaluate(tmp_path: Path, rows: list[tuple[object, ...]], **options):
    call_command(
        "evaluate",
        "value",
        transactions=write(tmp_path / "t.csv", rows),
        calibration_end="2023-10-31",
        horizon_days=60,
        out=str(tmp_path / "p.csv"),
        json=str(tmp_path / "r.json"),
        **options,
    )
    return list(csv.reader((tmp_path / "p.csv").read_text(encoding="utf-8").splitlines())), json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


def test_evaluation_writes_a_line_per_customer_and_reports_each_model(tmp_path):
    lines, report = evaluate(tmp_path, shop_rows())

    assert tuple(lines[0]) == COLUMNS
    assert len(lines) - 1 == report["rows"]["customers"]
    assert all(np.isfinite(float(cell)) for line in lines[1:] for cell in line[1:])
    assert abs(report["figures"]["orders_total_error"]) < 0.5
    assert {"BG/NBD", "Pareto/NBD", "NBD"} <= set(report["candidates"])
    assert set(report["figures"]) >= {"orders_mae", "orders_weekly_mape", "spend_spearman", "spend_normalised_gini", "spend_top_tenth"}


def test_a_customer_with_refunds_only_gets_a_line_of_zeros(tmp_path):
    lines, report = evaluate(tmp_path, [("returns", "2023-03-01", "-20"), *shop_rows()])

    assert lines[1] == ["returns", *["0"] * 7]
    assert len(lines) == report["rows"]["customers"] + 2
    assert any("refunds and no order" in note for note in report["notes"])


def test_later_rows_change_no_forecast(tmp_path):
    rows = shop_rows()
    whole, report = evaluate(tmp_path, rows)
    early, blind = evaluate(tmp_path, [row for row in rows if str(row[1]) <= "2023-10-31"])

    assert whole == early
    assert blind["figures"] == {}
    assert report["parameters"] == blind["parameters"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("a", "soon", "3"), "is no date"),
        (("a", "2023-02-30", "3"), "is no date"),
        (("a", "2023-02-03", "£3"), "is no number"),
        (("", "2023-02-03", "3"), "no row with a customer"),
        (("a", "2024-02-03", "3"), "nothing to learn from"),
        (("a", "0001-01-01", "3"), "a date between 1900 and 2199"),
        (("a", "2023-02-03", "1e300"), "larger than any order"),
    ],
)
def test_wrong_files_get_one_clear_sentence(tmp_path, row, said):
    with pytest.raises(CommandError, match=said):
        call_command("evaluate", "value", transactions=write(tmp_path / "t.csv", [row]), calibration_end="2023-10-31", horizon_days=60)


def test_a_column_of_several_currencies_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("customer_id,date,amount,currency\na,2023-02-03,3,EUR\nb,2023-02-03,300,jpy\n", encoding="utf-8")

    with pytest.raises(CommandError, match=r"2 currencies \(EUR, JPY\)"):
        call_command("evaluate", "value", transactions=str(tmp_path / "t.csv"), calibration_end="2023-10-31", horizon_days=60)


def test_dates_that_stand_for_unknown_ones_are_left_out_and_counted(tmp_path):
    rows = shop_rows()
    lines, report = evaluate(tmp_path, [*rows, ("null", "0001-01-01", "5"), (rows[0][0], "9999-12-31", "5")])
    without, _report = evaluate(tmp_path, rows)

    assert lines == without
    assert any(note.startswith("2 rows dated before 1900 or after 2199") for note in report["notes"])


def test_a_life_of_many_centuries_is_no_error():
    """The days of one customer must not run into the next one's number."""
    customer = np.array([0, 1, 1, 2, 2, 2] * 10) + 3 * np.repeat(np.arange(10), 6)
    day = np.tile([100, 0, 400_000, 300_000, 350_000, 400_000], 10)

    learned = learn_value(customer, day, np.full(len(day), 10.0), as_of_day=400_001)

    forecast = learned.model.forecast(Rows(customer, day, np.full(len(day), 10.0)).history(400_001), horizon_days=30)
    assert np.isfinite(forecast.value_high).all()


@pytest.mark.data
@pytest.mark.parametrize(
    ("shop", "cut", "days"),
    [(lambda: public_data.cdnow("master_calibration", "customer_id"), date(1997, 7, 1), 91), (public_data.online_retail, date(2011, 5, 23), 100)],
    ids=["music shop", "gift shop"],
)
def test_intervals_hold_about_the_share_they_say(capsys, shop, cut, days):
    who, when, money = shop()
    rows, end = Rows(who, when - date(1970, 1, 1).toordinal(), money), (cut - date(1970, 1, 1)).days
    known = rows.until(end)
    model = learn_value(known.customer, known.day, known.amount, as_of_day=end, horizon_days=days).model
    history = known.history(end)
    spend = rows.spend(history, end, end + days)
    inside = {}
    for level in (0.8, 0.9, 0.95):
        forecast = model.forecast(history, horizon_days=days, level=level)
        inside[level] = float(((spend >= forecast.value_low) & (spend <= forecast.value_high)).mean())

    public_data.show(capsys, f"{cut}, {days} days: spend inside " + ", ".join(f"{share:.3f} of {level:.0%}" for level, share in inside.items()))
    assert inside == pytest.approx({0.8: 0.85, 0.9: 0.92, 0.95: 0.965}, abs=0.04)


@pytest.mark.data
def test_figures_on_the_gift_shop_through_the_whole_choice(capsys):
    who, when, money = public_data.online_retail()
    when = when - date(1970, 1, 1).toordinal()
    cut = (date(2011, 5, 23) - date(1970, 1, 1)).days
    known, later = when <= cut, (when > cut) & (when <= cut + 100)

    _learned, forecast = answered(who[known], when[known], money[known], end=cut, horizon=100)

    history = summarise_orders(who[known], when[known], money[known], as_of_day=cut)
    spend = np.bincount(who[later], weights=money[later], minlength=who.max() + 1)[history.customer]
    figures = rank_agreement(forecast.value, spend), normalised_gini(forecast.value, spend)
    public_data.show(capsys, f"online_retail, 100 days, refined: Spearman {figures[0]:.3f}, normalised Gini {figures[1]:.3f}")
    assert figures[0] > 0.54
    assert figures[1] > 0.80
