"""The values a feature build returns, and what is known of each feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from django.utils.functional import Promise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Feature:
    """One number about a customer.

    unit: count | days | share | money (in the shop's main currency) | rate | flag.  group: which facts it is made of.
    personal: it says who the person is rather than what they did.  sensitive: a trait the law protects.
    """

    name: str
    label: str | Promise
    unit: str
    group: str
    personal: bool = False
    sensitive: bool = False


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Features of n customers.

    customer: (n,) int64 ids, ascending.  names: k names.  values: (n, k) float32, NaN for what is not known.
    """

    customer: NDArray[np.int64]
    names: tuple[str, ...]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.customer)

    def column(self, name: str) -> NDArray[np.float32]:
        """Return one feature, (n,). Raises KeyError for a name the table has not."""
        if name not in self.names:
            raise KeyError(name)
        column: NDArray[np.float32] = self.values[:, self.names.index(name)]
        return column

    def only(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> FeatureTable:
        """Return the rows chosen by a mask or by ascending positions."""
        return FeatureTable(self.customer[rows], self.names, self.values[rows])

    def having(self, names: Sequence[str]) -> FeatureTable:
        """Return the columns of these names in this order; a name the table has not is a column of NaN.

        So a model trained with an extension that is switched off now still gets its columns, as missing.
        """
        place = {name: index for index, name in enumerate(self.names)}
        values = np.full((len(self), len(names)), np.nan, dtype=np.float32)
        for index, name in enumerate(names):
            if name in place:
                values[:, index] = self.values[:, place[name]]
        return FeatureTable(self.customer, tuple(names), values)
