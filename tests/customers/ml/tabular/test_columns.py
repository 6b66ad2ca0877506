"""What columns of any table are taken for, and what is refused, in words."""

import numpy as np
import pytest

from customers.ml.tabular.columns import OTHER, ColumnMissing, ColumnPlan, NothingToLearnFrom, moment, number


def test_a_mixed_table_becomes_numbers_with_gaps() -> None:
    cells = {
        "spent": ["1,234.5", "$30", "", "12"],
        "plan": ["gold", "silver", "", "gold"],
        "since": ["2024-01-31", "2024-02-01", "n/a", "2024-03-01"],
    }

    plan = ColumnPlan.learn({**cells, "plan": ["gold", "silver", "", "gold"]})
    matrix = plan.encode(cells)

    assert [(column.name, column.kind) for column in plan.columns] == [("spent", "number"), ("plan", "category"), ("since", "date")]
    np.testing.assert_array_equal(matrix.values[:, 0], [1234.5, 30, np.nan, 12])
    assert matrix.names == ("spent", "plan", "since", "since: month", "since: weekday")
    assert matrix.columns == ("spent", "plan", "since", "since", "since")
    np.testing.assert_array_equal(matrix.values[:2, 3:], [[1, 2], [2, 3]])
    assert np.isnan(matrix.values[2]).all()


def test_useless_columns_are_left_out_with_their_reason() -> None:
    rows = 60
    plan = ColumnPlan.learn(
        {
            "id": [f"c{row}" for row in range(rows)],
            "row_id": [str(row) for row in range(rows)],
            "empty": [""] * rows,
            "same": ["x"] * rows,
            "good": [str(row % 7) for row in range(rows)],
            "copy": [str(row % 7) for row in range(rows)],
            "note": ["long words " * 10 + str(row) for row in range(rows)],
        }
    )

    assert [column.name for column in plan.columns] == ["good", "note"]
    assert plan.columns[1].kind == "text"
    assert plan.left_out == {
        "id": "it names the row and differs in nearly every one",
        "row_id": "it names the row and differs in nearly every one",
        "empty": "every cell is missing",
        "same": "every row has the same value",
        "copy": "it repeats the column 'good'",
    }


def test_an_amount_that_differs_in_every_row_is_no_identifier() -> None:
    plan = ColumnPlan.learn({"amount": [f"{row}.25" for row in range(100)]})

    assert plan.columns[0].kind == "number"


def test_rare_and_unknown_levels_become_other() -> None:
    plan = ColumnPlan.learn({"city": ["a"] * 10 + ["b"] * 5 + ["c", "d"]})

    assert plan.columns[0].levels == ("a", "b", OTHER)
    np.testing.assert_array_equal(plan.encode({"city": ["b", "never seen", ""]}).values[:, 0], [1, 2, np.nan])


def test_a_cell_of_a_hundred_thousand_characters_reads() -> None:
    page = "x" * 100_000

    plan = ColumnPlan.learn({"note": [page, "short", page + "y", "other"] * 10, "n": ["1", "2", "3", page] * 10})

    assert np.isfinite(plan.encode({"note": [page], "n": [page]}).values[0, 0])
    assert np.isnan(number(page))
    assert moment(page) is None


def test_nothing_to_learn_from_says_why() -> None:
    with pytest.raises(NothingToLearnFrom, match="same: every row has the same value"):
        ColumnPlan.learn({"same": ["1", "1"]})


def test_a_table_without_a_learned_column_is_refused_by_name() -> None:
    plan = ColumnPlan.learn({"a": ["1", "2"], "b": ["x", "y"]})

    with pytest.raises(ColumnMissing, match="lacks 'b'"):
        plan.encode({"a": ["1"]})
