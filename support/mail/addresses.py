"""The address a visitor's answer goes to: it names the conversation and proves that we wrote it.

    reply+2s-k3jhq5vz7m4w2c6d3fga@shop.example

The part after '+' is the conversation's number in base 36 and an HMAC over it, in an alphabet that survives servers which
change the case of addresses. Whoever holds the address may write into that one conversation and learns nothing from it.
"""

import base64
import re
from email.utils import parseaddr

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.http import base36_to_int, int_to_base36

from crm.core.errors import NotFound
from support.models import Conversation

_SALT = "support.mail.address"
# Base32 characters of the HMAC that are used: 100 bits, and the part before @ stays below its limit of 64.
_MAC_LENGTH = 20
_TOKEN = re.compile(r"(?P<number>[0-9a-z]{1,12})-(?P<mac>[a-z2-7]{20})")


class AddressUnknown(NotFound):
    code = "address_unknown"
    message = "No conversation has this address."


def is_on() -> bool:
    """Return whether answers by mail can come in; without that nothing is mailed."""
    return bool(settings.CRM_INBOUND_MAIL_ADDRESS)


def reply_address(conversation: Conversation) -> str:
    """Return the address at which the conversation can be answered."""
    local, domain = base()
    return f"{local}+{int_to_base36(conversation.pk)}-{_mac(conversation)}@{domain}"


def base() -> tuple[str, str]:
    """Return what stands before the token and the domain, both in lower case."""
    local, _, domain = settings.CRM_INBOUND_MAIL_ADDRESS.lower().rpartition("@")
    return local, domain


def is_ours(address: str) -> bool:
    """Return whether an address could be one of a conversation, or is the plain one. Runs no query."""
    local, domain = _parts(address)
    wanted, own = base()
    return bool(own) and domain == own and (local == wanted or local.startswith(f"{wanted}+"))


def is_plain(address: str) -> bool:
    """Return whether it is the address without a token, as some mail programs answer; then the thread's ids decide."""
    return is_on() and _parts(address) == base()


def conversation_at(address: str) -> Conversation:
    """Return the conversation an address stands for. Raises AddressUnknown. At most one query."""
    local, domain = _parts(address)
    wanted, own = base()
    found = _TOKEN.fullmatch(local.removeprefix(f"{wanted}+")) if own and domain == own and local.startswith(f"{wanted}+") else None
    conversation = None
    if found is not None:
        number = base36_to_int(found["number"])
        conversation = Conversation.objects.select_related("customer", "source").filter(pk=number).first() if number < 2**63 else None
    if found is None or conversation is None or not constant_time_compare(_mac(conversation), found["mac"]):
        raise AddressUnknown
    return conversation


def contact_of(conversation: Conversation) -> str:
    """Return where the visitor can be written to: a proven customer's address, else the one given in the chat; '' for neither.

    Needs `customer`. What was typed before somebody proved who they are may be somebody else's at the same browser. A
    customer whom only staff has put beside the conversation is not written to: nobody has proven it.
    """
    proven = conversation.customer.email if conversation.is_verified and conversation.customer is not None else ""
    return proven or conversation.visitor_email


def _mac(conversation: Conversation) -> str:
    digest = salted_hmac(_SALT, f"{conversation.pk}:{conversation.public_id}", algorithm="sha256").digest()
    return base64.b32encode(digest).decode().lower()[:_MAC_LENGTH]


def _parts(address: str) -> tuple[str, str]:
    local, _, domain = parseaddr(address)[1].strip().lower().rpartition("@")
    return local, domain
