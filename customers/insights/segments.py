"""Segments made from a figure: the rule behind a cell, a stage, a cohort, a tenth."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from crm.core import audit, formats
from crm.core.errors import CrmError
from crm.core.models import User
from customers.models import Category, Segment
from customers.models.scores import Stage
from customers.review_aspects import LABELS
from customers.segmentation import membership, tree

Rule = dict[str, Any]


class OfferUnknown(CrmError):
    code = "segment_offer_unknown"
    status = 400
    message = gettext_noop("No segment can be made of this.")


def make(*, key: str, actor: User, at: datetime) -> Segment:
    """Create the segment, count its members, and return it. Raises OfferUnknown."""
    name, rule = rule_of(key)
    settled = tree.parse(rule).as_data()
    for number in range(1, 100):
        numbered = name[:100] if number == 1 else f"{name[:94]} ({number})"
        if Segment.objects.filter(name=numbered).exists():
            continue
        try:
            with transaction.atomic():
                segment = Segment.objects.create(name=numbered, description=_("Made from Insights."), rule=settled, created_by=actor)
                audit.record(actor=actor, action="segment.create", target=segment, data={"rule": settled, "from": key[:80]})
                membership.refresh(segment_id=segment.pk, at=at, cause="staff")
        except IntegrityError:
            continue
        segment.refresh_from_db()
        return segment
    raise OfferUnknown


def rule_of(key: str) -> tuple[str, Rule]:
    """Return name and rule for a key: rfm:R:F, stage:CODE, cohort:UNIT:DAY, value:AT_LEAST, churn:AT_LEAST, returned:SLUG, unhappy,
    blamed:ASPECT, praised:ASPECT.

    Raises OfferUnknown for anything else.
    """
    kind, *rest = key.split(":")
    try:
        made = _MAKERS[kind](*rest)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise OfferUnknown from None
    name, conditions = made
    return name, {"op": "all", "rules": [{"field": field, "operator": operator, "value": value} for field, operator, value in conditions]}


Made = tuple[str, list[tuple[str, str, Any]]]


def _rfm(recency: str, frequency: str) -> Made:
    r, f = int(recency), int(frequency)
    if not (1 <= r <= 5 and 1 <= f <= 5):
        raise ValueError(r, f)
    return _("Recency %(r)s, frequency %(f)s") % {"r": r, "f": f}, [("recency_score", "equals", r), ("frequency_score", "equals", f)]


def _stage(code: str) -> Made:
    return _("Stage: %(stage)s") % {"stage": Stage(code).label}, [("stage", "is", code)]


def _cohort(unit: str, day: str) -> Made:
    first = date.fromisoformat(day)
    after = first + timedelta(days=7) if unit == "week" else (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    named = formats.month(first) if unit == "month" else formats.day(first)
    return _("First order: %(period)s") % {"period": named}, [
        ("first_order_at", "on_or_after", first.isoformat()),
        ("first_order_at", "before", after.isoformat()),
    ]


def _value(least: str) -> Made:
    amount = float(least)
    if not 0 <= amount < 1e12:
        raise ValueError(least)
    return _("12-month value from %(amount)s") % {"amount": formats.number(round(amount, 2))}, [("value_365", "at_least", round(amount, 2))]


def _churn(least: str) -> Made:
    share = float(least)
    if not 0 <= share <= 1:
        raise ValueError(least)
    return _("Risk of losing them from %(share)s") % {"share": formats.percent(share)}, [("p_churn", "at_least", round(share, 4))]


def _returned(slug: str) -> Made:
    category = Category.objects.filter(slug=slug).first()
    if category is None:
        raise ValueError(slug)
    return _("Returned something, bought %(category)s") % {"category": category.slug}, [
        ("returned", "at_least", {"times": 1, "days": 365, "what": None}),
        ("bought", "at_least", {"times": 1, "days": 365, "what": slug}),
    ]


def _unhappy() -> Made:
    return _("Negative reviews"), [("sentiment", "less_than", -0.3)]


def _blamed(aspect: str) -> Made:
    return _("Complained in reviews: %(side)s") % {"side": LABELS[aspect]}, [("blamed", "at_least", {"times": 1, "days": 365, "what": aspect})]


def _praised(aspect: str) -> Made:
    return _("Praised in reviews: %(side)s") % {"side": LABELS[aspect]}, [("praised", "at_least", {"times": 1, "days": 365, "what": aspect})]


_MAKERS: dict[str, Any] = {
    "rfm": _rfm,
    "stage": _stage,
    "cohort": _cohort,
    "value": _value,
    "churn": _churn,
    "returned": _returned,
    "unhappy": _unhappy,
    "blamed": _blamed,
    "praised": _praised,
}
