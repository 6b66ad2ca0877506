"""Rules in short, and the names of whom they match."""

from datetime import datetime
from typing import Any

from customers.segmentation import tree
from customers.segmentation.compile import queryset
from tests.world import NOW


def rule(field: str, operator: str, value: object = None) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def matching(data: object, at: datetime = NOW) -> list[str]:
    return sorted(queryset(tree.parse(data), at=at).values_list("name", flat=True))
