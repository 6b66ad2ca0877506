"""`manage.py evaluate`, whatever the evaluation: what it refuses before any work, and with which exit code."""

import gzip
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from crm.core.learning import tables
from crm.core.learning.evaluation import auroc, bootstrap


def refused(tmp_path: Path, *options: str, rows: str = "a,2024-01-01,10\n") -> CommandError:
    panel = tmp_path / "t.csv"
    panel.write_text(f"customer_id,date,amount\n{rows}")
    with pytest.raises(CommandError) as raised:
        call_command("evaluate", "value", "--transactions", str(panel), "--calibration-end", "2024-06-01", "--horizon-days", "30", *options)
    return raised.value


def test_a_file_that_cannot_be_evaluated_ends_with_the_exit_code_of_wrong_options(tmp_path: Path) -> None:
    error = refused(tmp_path, rows="")

    assert error.returncode == 2
    assert "has a header but no rows" in str(error)


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_a_folder_that_is_not_there_is_named_before_anything_is_learned(tmp_path: Path, option: str) -> None:
    error = refused(tmp_path, option, str(tmp_path / "absent" / "file"))

    assert error.returncode == 2
    assert str(error) == f"{option}: the folder {tmp_path / 'absent'} does not exist."
    assert "is a folder" in str(refused(tmp_path, option, str(tmp_path)))


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "panel.csv").write_text("customer_id,period,count\na,1,1\n")

    with pytest.raises(CommandError, match="--seed must be 0 or more"):
        call_command("evaluate", "lifecycle", "--panel", str(tmp_path / "panel.csv"), "--seed", "-1")


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    damaged = bytearray(gzip.compress(os.urandom(300).hex().encode()))
    damaged[60:90] = b"\xff" * 30
    (tmp_path / "t.csv.gz").write_bytes(bytes(damaged))

    with pytest.raises(tables.TableUnreadable, match=r"t\.csv\.gz cannot be read"):
        tables.read(str(tmp_path / "t.csv.gz"))


def test_a_column_that_is_there_twice_is_refused_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,b,,\n1,2,3,4,5\n")
    table = tables.read(str(tmp_path / "t.csv"))

    assert table.column("a") == ["1"]
    assert table.column("") == ["4"]
    with pytest.raises(tables.TableUnreadable, match="2 columns named 'b'"):
        table.column("b")


def test_a_measure_that_exists_on_no_draw_has_no_interval() -> None:
    figure = bootstrap(auroc, [1, 1, 1], [0.1, 0.2, 0.3])

    assert all(number != number for number in (figure.value, figure.low, figure.high))


@pytest.mark.parametrize(("option", "value"), [("--rate", "nan"), ("--rate", "0"), ("--seed", "-1"), ("--frozen", "-1"), ("--epochs", "0")])
def test_fine_tuning_refuses_options_that_are_none(tmp_path: Path, option: str, value: str) -> None:
    with pytest.raises(CommandError, match=option) as raised:
        call_command("finetune", "--train", str(tmp_path / "a.csv"), "--out", str(tmp_path / "out"), option, value)

    assert raised.value.returncode == 2
