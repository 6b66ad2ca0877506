"""A rule tree as one readable sentence in the reader's language."""

from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.core import formats
from customers.segmentation import fields
from customers.segmentation.fields import Field
from customers.segmentation.operators import BY_KIND
from customers.segmentation.tree import Group, Rule


def sentence(rule: Group) -> str:
    """Return "Customers for whom …". May query once per field with open choices (category names)."""
    if not rule.rules:
        return _("Every customer.")
    return _("Customers for whom %(conditions)s.") % {"conditions": _joined(rule)}


def condition(rule: Rule) -> str:
    """Return one condition in words."""
    field = fields.find(rule.field)
    if field is None:
        return _("“%(field)s” is no longer available") % {"field": rule.field}
    operator = BY_KIND[field.kind][rule.operator]
    if operator.takes == "window":
        return str(operator.phrase) % {"field": _behaviour(field, rule.value), "times": formats.number(rule.value["times"]), "window": _window(rule.value)}
    return str(operator.phrase) % {"field": str(field.label), "value": _value(field, operator.takes, rule.value)}


def _joined(group: Group) -> str:
    parts = [
        _("(%(group)s)") % {"group": _joined(node)} if isinstance(node, Group) else condition(node)
        for node in group.rules
        if not (isinstance(node, Group) and not node.rules)
    ]
    return (_(", and ") if group.op == "all" else _(", or ")).join(parts)


def _behaviour(field: Field, value: dict[str, Any]) -> str:
    if not value["what"]:
        return str(field.label)
    return _("%(field)s “%(what)s”") % {"field": field.label, "what": _name(field, value["what"])}


def _window(value: dict[str, Any]) -> str:
    if value["days"] is None:
        return _("ever")
    return ngettext("in the last %(days)s day", "in the last %(days)s days", value["days"]) % {"days": formats.number(value["days"])}


def _value(field: Field, takes: str, value: Any) -> str:
    if takes in {"choice", "choices"}:
        codes = [value] if takes == "choice" else value
        return _(", ").join(_name(field, code) for code in codes)
    if takes == "boolean":
        return _("yes") if value else _("no")
    if takes == "date":
        return formats.day(date.fromisoformat(value))
    if takes == "text":
        return _("“%(text)s”") % {"text": value}
    if field.kind == "money":
        return formats.money(value)
    if field.kind == "share":
        return formats.percent(value)
    return formats.number(value) if value is not None else ""


def _name(field: Field, code: str) -> str:
    if field.choices is None:
        return code
    return str(next((label for known, label in field.choices() if str(known) == code), code))
