"""One seam per outside world. A channel opens a session, hands messages over one by one, and tells three endings apart.

Accepted: hand_over returns.  Deferred or ServerUnavailable: nothing was sent, try again later.  Refused: never will be.
Lost: the connection broke after the message went out and before the answer came; nobody may send it again.
"""

from types import TracebackType
from typing import Protocol, Self

from django.utils.translation import gettext_noop

from campaigns.messages import Message
from crm.core.errors import CrmError


class ServerUnavailable(CrmError):
    """The channel cannot be reached at all; no customer's message was touched."""

    code = "server_unavailable"
    status = 503
    message = gettext_noop("The mail server cannot be reached.")


class Deferred(CrmError):
    """The other side said 'not now' for this message."""

    code = "deferred"
    status = 503
    message = gettext_noop("The mail server put the message off.")


class Refused(CrmError):
    """The other side said 'never'. reason: address_refused or message_refused."""

    code = "refused"
    status = 502
    message = gettext_noop("The mail server refused the message.")

    def __init__(self, message: str = "", *, reason: str = "message_refused", **data: object) -> None:
        super().__init__(message, **data)
        self.reason = reason


class Lost(CrmError):
    """The message went out and the answer never came: it may or may not have arrived."""

    code = "lost"
    status = 502
    message = gettext_noop("The connection broke before the mail server answered.")


class Channel(Protocol):
    """A session with the outside world, kept open for a batch."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def hand_over(self, *, to: str, message: Message, message_id: str, campaign_id: int | None) -> None:
        """Return when the other side took responsibility. Raises ServerUnavailable, Deferred, Refused or Lost."""
        ...


def open_channel(name: str) -> Channel:
    """Return a session of the named channel. Raises UnknownChannel."""
    if name == "email":
        from campaigns.channels.email import EmailSession

        return EmailSession()
    raise UnknownChannel(channel=name)


class UnknownChannel(CrmError):
    code = "unknown_channel"
    status = 400
    message = gettext_noop("There is no such channel.")
