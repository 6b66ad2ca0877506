"""What to do next about a customer, and why: one rule at a time, the first that fits. No model, so it can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.urls import reverse
from django.utils.translation import gettext as _

from crm.core import formats
from customers.models import Customer, Portrait
from customers.models.scores import Stage

RISK, HIGH_RETURN, BAD_MOOD, SOON_DAYS = 0.5, 0.35, -0.3, 14


@dataclass(frozen=True, slots=True)
class Advice:
    """code: of the rule.  text: what to do.  why: the figures the rule looked at.  url: where to do it, '' for nowhere."""

    code: str
    text: str
    why: str
    url: str = ""
    button: str = ""


def next_step(*, customer: Customer, row: Portrait, reachable: Mapping[str, bool], today: date) -> Advice:
    """Return the one thing to do.

    reachable: per channel whether marketing may be sent (the consent gate's answer); advice never asks for more.
    The order of the rules is their urgency: somebody unhappy, somebody leaving, somebody due, somebody new, nobody.
    """
    value = formats.money_compact(row.value_365, row.currency or None) if row.value_365 is not None else ""
    by_mail = reachable.get("email", False)
    if row.sentiment is not None and row.sentiment < BAD_MOOD and row.reviews_count:
        return Advice(
            "make_good",
            _("Write to them personally and make good what went wrong, before any offer."),
            _("Their reviews are negative (%(mood)s on a scale from −1 to 1).") % {"mood": formats.number(row.sentiment, 1)},
            *_mail(customer),
        )
    leaving = row.stage == Stage.AT_RISK or (row.p_churn is not None and row.p_churn >= RISK and row.stage not in {Stage.LAPSED, Stage.PROSPECT})
    if leaving:
        why = _risk_words(row, value)
        if by_mail:
            return Advice("win_back", _("Send a win-back mail now: an offer from what they usually buy."), why, reverse("campaigns:list"), _("Open campaigns"))
        return Advice("win_back_unreachable", _("Win them back without mail: consent is missing, so show the offer in the shop or in the chat."), why)
    if row.stage == Stage.LAPSED:
        if by_mail and row.value_365:
            return Advice(
                "last_try",
                _("One last mail with a strong offer, then leave them in peace."),
                _risk_words(row, value),
                reverse("campaigns:list"),
                _("Open campaigns"),
            )
        return Advice("leave", _("Spend nothing on them for now."), _risk_words(row, value))
    if row.p_return is not None and row.p_return >= HIGH_RETURN:
        return Advice(
            "fit_help",
            _("Help them choose before they buy: size advice, details, reviews. Do not push what often comes back."),
            _("They return something within 100 days with a probability of %(share)s.") % {"share": formats.percent(row.p_return)},
        )
    if row.next_order_on is not None and abs((row.next_order_on - today).days) <= SOON_DAYS:
        when = _("The next order is expected around %(day)s.") % {"day": formats.day(row.next_order_on)}
        if by_mail:
            return Advice(
                "remind", _("Remind them in good time, without a discount: they would buy anyway."), when, reverse("campaigns:list"), _("Open campaigns")
            )
        return Advice("wait", _("Nothing to do: they come by themselves."), when)
    if row.is_cold or row.stage == Stage.PROSPECT:
        return Advice("first_order", _("Make the first order easy: show what they looked at, and offer help in the chat."), _("They have not ordered yet."))
    if row.stage == Stage.NEW:
        return Advice("second_order", _("Thank them and suggest what goes with the first order."), _("They have ordered once; most who stay order again soon."))
    if row.stage in {Stage.LOYAL, Stage.REACTIVATED}:
        return Advice("reward", _("Let them be first: new goods, a thank-you, a request for a review. No discount needed."), _risk_words(row, value))
    return Advice("recommend", _("Suggest what fits their taste; see the next best products."), _risk_words(row, value))


def _risk_words(row: Portrait, value: str) -> str:
    told = [_("Stage: %(stage)s.") % {"stage": row.get_stage_display()}] if row.stage else []
    if row.p_churn is not None:
        told.append(_("Risk of losing them: %(share)s.") % {"share": formats.percent(row.p_churn)})
    elif row.p_active is not None:
        told.append(_("Still active: %(share)s.") % {"share": formats.percent(row.p_active)})
    if value:
        told.append(_("At stake in 12 months: %(value)s.") % {"value": value})
    return " ".join(told)


def _mail(customer: Customer) -> tuple[str, str]:
    return (f"mailto:{customer.email}", _("Write")) if customer.email else ("", "")
