"""One seam per outside world. A channel opens a session, hands messages over one by one, and tells three endings apart.

Accepted: hand_over returns.  Deferred or ServerUnavailable: nothing was sent, try again later.  Refused: never will be.
Lost: the connection broke after the message went out and before the answer came; nobody may send it again.
"""

from django.utils.translation import gettext_noop

from campaigns.channels.email import EmailSession
from campaigns.channels.endings import Channel, Deferred, Lost, Refused, ServerUnavailable
from crm.core.errors import CrmError

__all__ = ["Channel", "Deferred", "Lost", "Refused", "ServerUnavailable", "UnknownChannel", "open_channel"]


class UnknownChannel(CrmError):
    code = "unknown_channel"
    status = 400
    message = gettext_noop("There is no such channel.")


def open_channel(name: str) -> Channel:
    """Return a session of the named channel. Raises UnknownChannel."""
    if name == "email":
        return EmailSession()
    raise UnknownChannel(channel=name)
