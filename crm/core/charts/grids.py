"""Two-way grids as real HTML tables: retention cohorts, RFM, slices of a model."""

from collections.abc import Sequence

from django.utils.html import escape
from django.utils.translation import gettext

from crm.core import formats
from crm.core.charts.chart import Chart, Show, Value, as_number, empty, known, plottable
from crm.core.charts.drawing import join, tag

STEPS = 7


def heat(
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[Value]],
    title: str,
    row_title: str,
    show: Show = as_number,
    sizes: Sequence[int] | None = None,
    size_title: str | None = None,
    mean: bool = False,
    links: Sequence[Sequence[str | None]] | None = None,
    summary: str | None = None,
) -> Chart:
    """Return a table whose cells are shaded in seven steps from the lowest to the highest value.

    values: one row per entry of `rows`, one value per entry of `columns`; a short row is filled with gaps.
    sizes: people behind each row, printed as its own column.  mean: add a row of column means, weighted by `sizes`
    where they are given.  links: a URL per cell, or None.
    """
    head = (str(row_title), *([str(size_title or gettext("People"))] if sizes is not None else []), *(str(column) for column in columns))
    present = known(value for row in values for value in row)
    if not present:
        return empty("heat", title, head)
    low, span = min(present), (max(present) - min(present)) or 1.0
    grid = [[row[index] if index < len(row) else None for index in range(len(columns))] for row in values]
    body, table = [], []
    for order, (name, row) in enumerate(zip(rows, grid, strict=True)):
        cells = [tag("td", escape(formats.number(sizes[order])))] if sizes is not None else []
        for index, value in enumerate(row):
            number, words = plottable(value), show(value) if plottable(value) is not None else formats.MISSING
            link = links[order][index] if links and index < len(links[order]) else None
            step = None if number is None else 1 + min(int((number - low) / span * STEPS), STEPS - 1)
            cells.append(tag("td", tag("a", escape(words), href=link) if link else escape(words), data_heat=step))
        body.append(tag("tr", tag("th", escape(name), scope="row") + join(cells)))
        table.append(
            (
                str(name),
                *([formats.number(sizes[order])] if sizes is not None else []),
                *(show(value) if plottable(value) is not None else formats.MISSING for value in row),
            )
        )
    if mean:
        means = _means(grid, sizes)
        size_cell = [formats.number(sum(sizes))] if sizes is not None else []
        mean_words = [*size_cell, *(show(value) if value is not None else formats.MISSING for value in means)]
        body.append(tag("tr", tag("th", escape(gettext("Mean")), scope="row") + join(tag("td", escape(word)) for word in mean_words), class_="heat__mean"))
        table.append((gettext("Mean"), *mean_words))
    summary = summary or gettext("%(title)s: from %(low)s to %(high)s.") % {"title": title, "low": show(low), "high": show(max(present))}
    heading = tag("thead", tag("tr", join(tag("th", escape(word), scope="col") for word in head)))
    picture = tag("table", tag("caption", escape(summary), class_="visually-hidden") + heading + tag("tbody", join(body)), class_="heat")
    wrapped = tag("div", picture, class_="table-wrap", role="region", tabindex=0, aria_label=title)
    return Chart("heat", str(title), wrapped, summary, head, tuple(table))


def _means(grid: Sequence[Sequence[Value]], sizes: Sequence[int] | None) -> list[float | None]:
    """Return each column's mean over its present cells, weighted by the rows' sizes."""
    means: list[float | None] = []
    for column in zip(*grid, strict=True):
        pairs = [(number, sizes[index] if sizes is not None else 1) for index, value in enumerate(column) if (number := plottable(value)) is not None]
        weight = sum(size for _, size in pairs)
        means.append(sum(number * size for number, size in pairs) / weight if weight else None)
    return means
