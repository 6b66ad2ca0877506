"""A segment's rule as data, checked once on the way in.

    {"op": "all", "rules": [
        {"field": "spent_amount", "operator": "at_least", "value": 500},
        {"field": "last_order_at", "operator": "before_last_days", "value": 60},
        {"op": "any", "rules": [{"field": "stage", "operator": "is", "value": "at_risk"}, …]},
    ]}

Groups nest three deep. Everything that leaves `parse` is known: an existing field, an operator of its kind, a value of
the operator's type. So compile, phrases and membership never meet bad input.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from crm.core.errors import CrmError
from customers.segmentation import fields
from customers.segmentation.operators import BY_KIND, ValueRefused, check

GREATEST_DEPTH = 3
MOST_RULES = 50
JOINS = ("all", "any")


class RuleInvalid(CrmError):
    """A node of the rule cannot be understood. data: node (such as 'rules[0].rules[2].value') and reason."""

    code = "rule_invalid"
    status = 400

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(_("Rule error at %(node)s: %(reason)s.") % {"node": node or "rule", "reason": reason}, node=node or "rule", reason=reason)
        self.node = node or "rule"
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. value: as operators.check returns it."""

    field: str
    operator: str
    value: Any

    def as_data(self) -> dict[str, Any]:
        return {"field": self.field, "operator": self.operator, "value": self.value}


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions joined by all or any. A group without rules matches everybody."""

    op: str
    rules: tuple["Rule | Group", ...]

    def as_data(self) -> dict[str, Any]:
        return {"op": self.op, "rules": [node.as_data() for node in self.rules]}

    def leaves(self) -> Iterator[Rule]:
        for node in self.rules:
            if isinstance(node, Rule):
                yield node
            else:
                yield from node.leaves()


def parse(data: object) -> Group:
    """Return the checked rule tree. Raises RuleInvalid naming the node; an empty object matches everybody."""
    if data == {}:
        return Group("all", ())
    if isinstance(data, Mapping) and "op" not in data and "field" in data:
        data = {"op": "all", "rules": [data]}
    group = _group(data, "", 1)
    if sum(1 for _leaf in group.leaves()) > MOST_RULES:
        raise RuleInvalid("rule", _("more than %(most)s conditions") % {"most": MOST_RULES})
    return group


def fingerprint(rule: Group) -> str:
    """Return a short hash of the rule; equal rules have equal ones."""
    return hashlib.sha256(json.dumps(rule.as_data(), sort_keys=True).encode()).hexdigest()[:24]


def _group(data: object, path: str, depth: int) -> Group:
    if not isinstance(data, Mapping):
        raise RuleInvalid(path, _("an object with op and rules is needed"))
    if depth > GREATEST_DEPTH:
        raise RuleInvalid(path, _("groups nest at most %(most)s deep") % {"most": GREATEST_DEPTH})
    if unknown := set(data) - {"op", "rules"}:
        raise RuleInvalid(path, _("unknown key “%(key)s”") % {"key": _shown(min(unknown, key=str))})
    if data.get("op") not in JOINS:
        raise RuleInvalid(_at(path, "op"), _("all or any is needed"))
    rules = data.get("rules")
    if not isinstance(rules, list):
        raise RuleInvalid(_at(path, "rules"), _("a list is needed"))
    if len(rules) > MOST_RULES:
        raise RuleInvalid(_at(path, "rules"), _("more than %(most)s conditions") % {"most": MOST_RULES})
    return Group(str(data["op"]), tuple(_node(each, _at(path, f"rules[{index}]"), depth) for index, each in enumerate(rules)))


def _node(data: object, path: str, depth: int) -> Rule | Group:
    if isinstance(data, Mapping) and ("op" in data or "rules" in data):
        return _group(data, path, depth + 1)
    if not isinstance(data, Mapping):
        raise RuleInvalid(path, _("an object with field, operator and value is needed"))
    if unknown := set(data) - {"field", "operator", "value"}:
        raise RuleInvalid(path, _("unknown key “%(key)s”") % {"key": _shown(min(unknown, key=str))})
    name = data.get("field")
    field = fields.find(name) if isinstance(name, str) else None
    if field is None:
        raise RuleInvalid(_at(path, "field"), _("there is no field “%(field)s”") % {"field": _shown(name)})
    operator_name = data.get("operator")
    operator = BY_KIND[field.kind].get(operator_name) if isinstance(operator_name, str) else None
    if operator is None:
        raise RuleInvalid(_at(path, "operator"), _("“%(operator)s” cannot be asked of %(field)s") % {"operator": _shown(operator_name), "field": field.label})
    try:
        value = check(operator.takes, data.get("value"), field.allowed())
    except ValueRefused as refused:
        raise RuleInvalid(_at(path, "value"), str(refused)) from refused
    return Rule(field.name, operator.name, value)


def _at(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _shown(value: object) -> str:
    """Return what was sent, short enough for a message."""
    return str(value)[:60]
