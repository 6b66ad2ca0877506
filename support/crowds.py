"""Flood limits over what visitors do at both doors, sockets and requests: by visitor, by address and by widget.

One budget for both doors, so that a script that is slowed down on one gains nothing on the other; over all web
processes together (support.sharing), but for a visitor's requests, which one process answers as a rule.
"""

from django.conf import settings

from support import limits, sharing
from support.limits import Buckets, OpenSockets

open_sockets = OpenSockets()
address_frames = Buckets(per_second=settings.CRM_CHAT_ADDRESS_RATE * limits.FRAMES_PER_MESSAGE)
address_sends = Buckets(per_second=settings.CRM_CHAT_ADDRESS_RATE)
widget_frames = Buckets(per_second=settings.CRM_CHAT_WIDGET_RATE * limits.FRAMES_PER_MESSAGE)
widget_sends = Buckets(per_second=settings.CRM_CHAT_WIDGET_RATE)
# A socket has buckets of its own; who asks by request is known by the token alone.
visitor_requests = Buckets(per_second=limits.FRAMES_PER_SECOND)
shared = sharing.Sharing(
    buckets={"frames": address_frames, "sends": address_sends, "widget": widget_sends, "widget-frames": widget_frames}, sockets=open_sockets
)


def may_ask(*, address: str, source_id: int, visitor_id: str) -> bool:
    """Count one request of a visitor, of whatever kind, and return whether it may be heard."""
    return address_frames.take(address) and widget_frames.take(str(source_id)) and visitor_requests.take(f"{source_id}:{visitor_id}")


def may_write(*, address: str, source_id: int) -> bool:
    """Count one thing a visitor leaves (a line, a rating, an address, the wish for a person) and return whether it may be kept."""
    return address_sends.take(address) and widget_sends.take(str(source_id))
