"""The public data sets that models are measured on; they lie beside the repository and are never part of it."""

import csv
import gzip
import io
import os
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest

# For measurements of minutes that would eat the test run's budget: MEASURE=1 make test ARGS="-m data".
minutes_long = pytest.mark.skipif(os.environ.get("MEASURE") != "1", reason="takes minutes; set MEASURE=1 to measure")
FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data"


def need(*parts: str) -> Path:
    """Return the file's path, or skip the test where the data are not on this machine."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} is not in {FOLDER}")
    return path


def rows(*parts: str) -> list[dict[str, str]]:
    path = need(*parts)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def cdnow(name: str, customer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (customer, day, amount) of a CDNOW file; `customer` is the name of its customer column."""
    found = rows("cdnow", f"{name}.csv.gz")
    days = [date(int(row["date"][:4]), int(row["date"][4:6]), int(row["date"][6:])).toordinal() for row in found]
    return np.array([int(row[customer]) for row in found]), np.array(days), np.array([float(row["dollars"]) for row in found])


def online_retail() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (customer, day, amount) of the gift shop's invoices, cancellations and anonymous ones left out."""
    totals: dict[tuple[int, str], float] = {}
    for row in rows("online_retail", "transactions_20101201_20110831.csv.gz"):
        if row["CustomerID"] and not row["InvoiceNo"].startswith("C"):
            key = int(float(row["CustomerID"])), row["InvoiceDate"][:10]
            totals[key] = totals.get(key, 0.0) + float(row["UnitPrice"]) * int(row["Quantity"])
    days = [date.fromisoformat(day).toordinal() for _, day in totals]
    return np.array([customer for customer, _ in totals]), np.array(days), np.array(list(totals.values()))


def sequences(name: str) -> list[list[int]]:
    """Return each user's items, oldest first; the last item is the validation target."""
    with gzip.open(need(name, "train_valid_sequences.txt.gz"), "rt", encoding="utf-8") as stream:
        return [[int(item) for item in line.split()[1:]] for line in stream]


def show(capsys: pytest.CaptureFixture[str], figures: str) -> None:
    """Print the measured figures past pytest's capture: they are what a `data` test is run for."""
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
