"""Until when a conversation sleeps: the moments people choose from, in their own zone."""

from datetime import datetime, time, timedelta

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from crm.core.errors import CrmError

MORNING = time(9, 0)
LONGEST = timedelta(days=366)
CHOICES: dict[str, str | Promise] = {
    "1h": _("In one hour"),
    "3h": _("In three hours"),
    "tomorrow": _("Tomorrow morning"),
    "monday": _("Next Monday morning"),
}


class MomentBad(CrmError):
    code = "moment_bad"
    status = 422
    message = gettext_noop("Choose a moment that is still to come, within a year.")


def until(choice: str, *, now: datetime) -> datetime:
    """Return the moment a choice means, or an ISO date and time in the current zone. Raises MomentBad.

    '' means three hours. Mornings are at nine by the clock of the current time zone, also after a change of the clocks.
    """
    local = timezone.localtime(now)
    match choice:
        case "1h":
            return now + timedelta(hours=1)
        case "" | "3h":
            return now + timedelta(hours=3)
        case "tomorrow":
            return _morning(local, 1)
        case "monday":
            return _morning(local, 7 - local.weekday())
    try:
        moment = parse_datetime(choice)
        if moment is None:
            raise MomentBad
        if timezone.is_naive(moment):
            moment = timezone.make_aware(moment)
    except (ValueError, OverflowError):
        raise MomentBad from None
    if not now < moment <= now + LONGEST:
        raise MomentBad
    return moment


def _morning(local: datetime, days: int) -> datetime:
    return datetime.combine(local.date() + timedelta(days=days), MORNING, tzinfo=local.tzinfo)
