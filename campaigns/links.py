"""Signed addresses in a message: open pixel, clicks, unsubscribe. A token names one delivery and nothing about the person.

The key is the project's secret key (old ones in SECRET_KEY_FALLBACKS stay valid). A token for one purpose is useless for
another, because each has its own salt. Tokens of previews and test sends carry the word `preview` and change nothing.
"""

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

PREVIEW = "preview"
_SHOP = "s"


@dataclass(frozen=True, slots=True)
class Click:
    """Where a click leads: one product, or the shop when product_id is None. public_id None: a preview."""

    public_id: uuid.UUID | None
    product_id: int | None


def open_url(public_id: uuid.UUID | None) -> str:
    return _address("campaigns-public:open", _sign("open", _name(public_id)))


def click_url(public_id: uuid.UUID | None, product_id: int | None) -> str:
    target = _SHOP if product_id is None else f"p{product_id}"
    return _address("campaigns-public:click", _sign("click", f"{_name(public_id)}-{target}"))


def unsubscribe_url(public_id: uuid.UUID | None) -> str:
    return _address("campaigns-public:unsubscribe", _sign("unsubscribe", _name(public_id)))


def read_open(token: str) -> uuid.UUID | None:
    """Return the delivery's public id, None for a preview. Raises BadSignature for anything we did not sign."""
    return _id(_signer("open").unsign(token))


def read_unsubscribe(token: str) -> uuid.UUID | None:
    """Return the delivery's public id, None for a preview. Raises BadSignature for anything we did not sign."""
    return _id(_signer("unsubscribe").unsign(token))


def read_click(token: str) -> Click:
    """Return where the click leads. Raises BadSignature for anything we did not sign."""
    name, _, target = _signer("click").unsign(token).partition("-")
    if target == _SHOP:
        return Click(_id(name), None)
    if target.startswith("p") and target[1:].isdecimal():
        return Click(_id(name), int(target[1:]))
    raise BadSignature("no such target")


def _name(public_id: uuid.UUID | None) -> str:
    return PREVIEW if public_id is None else public_id.hex


def _id(name: str) -> uuid.UUID | None:
    if name == PREVIEW:
        return None
    try:
        return uuid.UUID(hex=name)
    except ValueError:
        raise BadSignature("no such delivery") from None


def _signer(purpose: str) -> Signer:
    # A dot needs no escaping in a path and is outside the signature's alphabet.
    return Signer(salt=f"campaigns.{purpose}", sep=".")


def _sign(purpose: str, value: str) -> str:
    return _signer(purpose).sign(value)


def _address(name: str, token: str) -> str:
    return f"{settings.CRM_PUBLIC_URL}{reverse(name, args=[token])}"
