"""Six ready segments a shop usually wants first; each is an ordinary rule to start from."""

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Template:
    key: str
    name: str | Promise
    description: str | Promise
    icon: str
    rule: dict[str, Any]


def _rule(field: str, operator: str, value: object = None) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


TEMPLATES: tuple[Template, ...] = (
    Template(
        "vip",
        _("VIP customers"),
        _("Champions and loyal customers who are still active"),
        "star",
        {"op": "all", "rules": [_rule("rfm_group", "any_of", ["champions", "loyal"]), _rule("p_active", "at_least", 0.5)]},
    ),
    Template(
        "at-risk",
        _("Good customers at risk"),
        _("Silent for longer than their own rhythm, and worth keeping"),
        "exclamation-triangle",
        {"op": "all", "rules": [_rule("stage", "is", "at_risk"), _rule("orders_count", "at_least", 3)]},
    ),
    Template(
        "one-time",
        _("One-time buyers"),
        _("Bought once, at least a month ago, and never again"),
        "arrow-path",
        {"op": "all", "rules": [_rule("orders_count", "equals", 1), _rule("last_order_at", "before_last_days", 30)]},
    ),
    Template(
        "new",
        _("New this month"),
        _("First order in the last 30 days"),
        "sparkles",
        {"op": "all", "rules": [_rule("first_order_at", "in_last_days", 30)]},
    ),
    Template(
        "win-back",
        _("Lapsed but reachable"),
        _("Lapsed customers who may still be e-mailed"),
        "envelope",
        {"op": "all", "rules": [_rule("stage", "is", "lapsed"), _rule("email_allowed", "is", True)]},
    ),
    Template(
        "window-shoppers",
        _("Window shoppers"),
        _("Looked at products three times in 30 days without ordering"),
        "eye",
        {
            "op": "all",
            "rules": [
                _rule("viewed", "at_least", {"times": 3, "days": 30, "what": None}),
                _rule("ordered", "never", {"times": 1, "days": 30, "what": None}),
            ],
        },
    ),
)


def find(key: str) -> Template | None:
    return next((template for template in TEMPLATES if template.key == key), None)
