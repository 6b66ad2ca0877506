"""What models read of a customer: numbers computed set-wise from the facts up to a moment.

    table = build(as_of=moment)                            everyone
    table = build(as_of=moment, customer_range=(1, 5001))  ids 1 to 5000
    table.column("silence_days")                           (n,) float32, NaN where unknown

The same code serves training and refresh.  What each feature means: `catalogue()`; docs/algorithms/features.md.
"""

from customers.features.builder import Context, Parts, build, build_parts, catalogue, prepare
from customers.features.kept import pack, recipe_of, stored
from customers.features.table import Feature, FeatureTable

__all__ = ["Context", "Feature", "FeatureTable", "Parts", "build", "build_parts", "catalogue", "pack", "prepare", "recipe_of", "stored"]
