"""How often customers order: the three order models and what they are asked. Pure numpy and SciPy; time enters in days."""

from customers.ml.bgnbd import BetaGeometricNBD, jacobi_beta
from customers.ml.histories import GREATEST_PARAMETER, DegenerateFit, InconsistentHistory, checked_history
from customers.ml.nbd import EmpiricalRate
from customers.ml.ordermodel import OrderModel
from customers.ml.pareto import ParetoNBD

__all__ = [
    "GREATEST_PARAMETER",
    "ORDER_MODELS",
    "BetaGeometricNBD",
    "DegenerateFit",
    "EmpiricalRate",
    "InconsistentHistory",
    "OrderModel",
    "ParetoNBD",
    "checked_history",
    "jacobi_beta",
]

# Every kind that a saved model may name, the fallback last.
ORDER_MODELS: dict[str, type[OrderModel]] = {kind.kind: kind for kind in (BetaGeometricNBD, ParetoNBD, EmpiricalRate)}
