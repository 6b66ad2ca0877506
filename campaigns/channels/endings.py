"""How handing a message over may end, and the seam every channel fills."""

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
