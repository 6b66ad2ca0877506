"""A checked rule tree becomes one ORM condition. Values travel as bound parameters; no text of a rule becomes SQL.

Unknown values (NULL, or an empty text) satisfy no comparison; `is_not` and `none_of` are the plain opposites of `is`
and `any_of`, so they include the unknown. tests/customers/segmentation/test_plain_reading.py holds the
same meaning in Python and compares both on random trees.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, CharField, Count, DateTimeField, DecimalField, Expression, FloatField, Q, QuerySet, Value
from django.db.models.functions import Cast, Coalesce
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, IContains, IExact, IsNull, IStartsWith, LessThan, LessThanOrEqual
from django.utils import timezone

from customers.models import Customer
from customers.segmentation import fields
from customers.segmentation.fields import Field
from customers.segmentation.tree import Group, Rule


def queryset(rule: Group, *, at: datetime) -> "QuerySet[Customer]":
    """Return the people who match the rule as of `at`; runs nothing."""
    return Customer.objects.people().filter(condition(rule, at=at))


def condition(rule: Group | Rule, *, at: datetime) -> Q:
    """Return the rule as a condition on Customer rows. A group without rules is true for everybody."""
    if isinstance(rule, Rule):
        return _leaf(rule, at)
    joined = Q()
    for node in rule.rules:
        part = condition(node, at=at)
        joined = joined & part if rule.op == "all" else joined | part
    return joined


def _leaf(rule: Rule, at: datetime) -> Q:
    field = fields.find(rule.field)
    if field is None:  # An app that contributed the field was removed after the segment was saved.
        return Q(pk__in=[])
    if field.kind == "behaviour":
        return _behaviour(field, rule, at)
    assert field.expression is not None  # noqa: S101 - every other kind has one, see fields._FIELDS
    return _BY_KIND[field.kind](field.expression(at), rule, at)


def _behaviour(field: Field, rule: Rule, at: datetime) -> Q:
    assert field.events is not None  # noqa: S101
    window = rule.value
    since = at - timedelta(days=window["days"]) if window["days"] else None
    events = field.events(at, since, window["what"]).order_by()
    times = 1 if rule.operator == "never" else window["times"]
    if times > 1:
        # IN over a grouped set: hashed once, where a correlated count would run once per customer.
        members = events.values("customer_id").annotate(happened=Count("*")).filter(happened__gte=times).values("customer_id")
    else:
        members = events.values("customer_id")
    enough = Q(pk__in=members)
    return enough if rule.operator == "at_least" else ~enough


def _text(expression: Any, rule: Rule, _at: datetime) -> Q:
    known = Coalesce(expression, Value(""), output_field=CharField())
    lookups: dict[str, Callable[[], Q]] = {
        "is": lambda: Q(IExact(known, rule.value)),
        "is_not": lambda: ~Q(IExact(known, rule.value)),
        "contains": lambda: Q(IContains(known, rule.value)),
        "starts_with": lambda: Q(IStartsWith(known, rule.value)),
        "is_known": lambda: ~Q(Exact(known, "")),
        "is_unknown": lambda: Q(Exact(known, "")),
    }
    return lookups[rule.operator]()


_COMPARISONS: dict[str, type[Expression]] = {
    "at_least": GreaterThanOrEqual,
    "at_most": LessThanOrEqual,
    "more_than": GreaterThan,
    "less_than": LessThan,
    "equals": Exact,
}  # type: ignore[assignment]


def _number(output: Any, convert: Callable[[Any], Any]) -> Callable[[Any, Rule, datetime], Q]:
    def compare(expression: Any, rule: Rule, _at: datetime) -> Q:
        if rule.operator in {"is_known", "is_unknown"}:
            return Q(IsNull(expression, rule.operator == "is_unknown"))
        number = Cast(expression, output)
        # Coalesce keeps the comparison two-valued, so that a NOT around it means the opposite.
        return Q(
            Exact(
                Coalesce(_COMPARISONS[rule.operator](number, Value(convert(rule.value), output_field=output)), Value(False), output_field=BooleanField()), True
            )
        )

    return compare


def _date(expression: Any, rule: Rule, at: datetime) -> Q:
    moment = Cast(expression, DateTimeField())
    if rule.operator in {"ever", "never"}:
        return Q(IsNull(moment, rule.operator == "never"))
    if rule.operator in {"in_last_days", "before_last_days"}:
        edge = at - timedelta(days=rule.value)
    else:
        # A day begins at midnight in the team's zone.
        edge = datetime.combine(date.fromisoformat(rule.value), time.min, tzinfo=timezone.get_default_timezone())
    later = rule.operator in {"in_last_days", "on_or_after"}
    compared = (GreaterThanOrEqual if later else LessThan)(moment, Value(edge, output_field=DateTimeField()))
    return Q(Exact(Coalesce(compared, Value(False), output_field=BooleanField()), True))


def _boolean(expression: Any, rule: Rule, _at: datetime) -> Q:
    return Q(Exact(Coalesce(expression, Value(False), output_field=BooleanField()), rule.value))


def _choice(expression: Any, rule: Rule, _at: datetime) -> Q:
    known = Coalesce(Cast(expression, CharField()), Value(""), output_field=CharField())
    wanted = [rule.value] if rule.operator in {"is", "is_not"} else rule.value
    matches = Q()
    for value in wanted:
        matches |= Q(Exact(known, Value(value)))
    return matches if rule.operator in {"is", "any_of"} else ~matches


def _tags(_expression: Any, rule: Rule, _at: datetime) -> Q:
    if rule.operator == "all_of":
        return Q(tags__contains=rule.value)
    overlapping = Q(tags__overlap=rule.value)
    return overlapping if rule.operator == "any_of" else ~overlapping


_BY_KIND: dict[str, Callable[[Any, Rule, datetime], Q]] = {
    "text": _text,
    "number": _number(FloatField(), float),
    "share": _number(FloatField(), float),
    "money": _number(DecimalField(max_digits=20, decimal_places=4), lambda value: Decimal(str(value))),
    "date": _date,
    "boolean": _boolean,
    "choice": _choice,
    "tags": _tags,
}
