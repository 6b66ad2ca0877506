"""Drift as it was measured week by week: written by the apps that own a model's inputs, read by its page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from crm.core.learning.drift import stability
from crm.core.learning.reports import ModelReport
from crm.core.models import DriftReading, ModelVersion

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def record(*, version: ModelVersion, columns: Mapping[str, ArrayLike], at: datetime) -> dict[str, float]:
    """Compare today's columns with the version's references, keep the week's readings, and return them by name.

    columns: name -> (n,) numbers, NaN for missing, as given to `references` at training; others are left out.  Measuring again
    in the same week replaces.
    """
    found = {
        reference.name: (stability(reference, columns[reference.name]), len(columns[reference.name]))  # type: ignore[arg-type]
        for reference in ModelReport.from_dict(version.report).references
        if reference.name in columns and len(columns[reference.name])  # type: ignore[arg-type]
    }
    DriftReading.objects.bulk_create(
        [
            DriftReading(task=version.task, version=version.version, name=name, week=monday(at), index=index, rows=rows, measured_at=at)
            for name, (index, rows) in found.items()
        ],
        update_conflicts=True,
        unique_fields=["task", "version", "name", "week"],
        update_fields=["index", "rows", "measured_at"],
    )
    return {name: index for name, (index, _rows) in found.items()}


def monday(at: datetime) -> date:
    """Return the first day of the week in the team's zone."""
    day = timezone.localtime(at).date()
    return day - timedelta(days=day.weekday())
