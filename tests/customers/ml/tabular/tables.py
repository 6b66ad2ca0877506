"""A table whose truth is known: numbers, gaps, categories, a product of two columns, and a label drawn from their log-odds."""

import numpy as np

from customers.ml.tabular.columns import Matrix

LEVELS = ("north", "south", "east", "west")


def known_table(*, rows: int = 1500, seed: int = 0) -> tuple[Matrix, np.ndarray, np.ndarray]:
    """Return (matrix, label, true log-odds): age bends, place shifts, a gap in `visits` raises, the last column is noise."""
    random = np.random.default_rng(seed)
    age, place, visits, noise = random.uniform(18, 80, rows), random.integers(0, 4, rows), random.poisson(3, rows).astype(float), random.normal(size=rows)
    gap = random.random(rows) < 0.2
    truth = -1 + 2 * np.sin(age / 12) + np.array([1.0, -1.0, 0.0, 0.5])[place] - 0.3 * visits * (place == 1) + 1.2 * gap
    visits[gap] = np.nan
    matrix = Matrix(
        np.column_stack([age, place.astype(float), visits, noise]),
        ("age", "place", "visits", "noise"),
        ("age", "place", "visits", "noise"),
        ((), LEVELS, (), ()),
    )
    return matrix, (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.int64), truth
