"""The files the text figures in docs/algorithms are measured on, made from the public data beside the repository.

    python -m tests.public_splits FOLDER

writes banking77_a.csv and _b.csv, cr_a.csv and _b.csv (the rows shuffled by `random.Random(0)`, the first fifth is b), and
clinc150_a.csv and _b.csv (training and validation part, the out-of-scope ones under the label `oos`).  Official test parts
are not read.
"""

import csv
import random
import sys
from pathlib import Path

import pytest

from tests import public_data

HELD_OUT = 5


def write(folder: Path) -> None:
    """Write the six files. Raises pytest's Skipped, as the tests do, where the public data are absent."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, parts in (("banking77", ("banking77", "train.csv")), ("cr", ("english_sentiment", "cr_train.csv"))):
        rows = [tuple(row.values())[:2] for row in public_data.rows(*parts)]
        random.Random(0).shuffle(rows)
        cut = round(len(rows) / HELD_OUT)
        _write(folder / f"{name}_a.csv", rows[cut:])
        _write(folder / f"{name}_b.csv", rows[:cut])
    for part, inside, outside in (("a", "train.csv", "oos_train.csv"), ("b", "val.csv", "oos_val.csv")):
        rows = [(row["text"], row["intent"]) for row in public_data.rows("clinc150", inside)]
        rows += [(row["text"], "oos") for row in public_data.rows("clinc150", outside)]
        _write(folder / f"clinc150_{part}.csv", rows)


def _write(path: Path, rows: list[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("text", "label"))
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m tests.public_splits FOLDER")
    try:
        write(Path(sys.argv[1]))
    except pytest.skip.Exception as absent:
        sys.exit(str(absent))
