"""Merge fields: {{ first_name }} and a few others, replaced by our own small reader and never by a template engine.

    {{ first_name }}            the customer's first name
    {{ first_name|friend }}     with the words to use where it is not known
    {{ recommendations }}       a block of products; only in the body

What is not on the list is an error before anything is sent, not an empty gap in someone's mail.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.core.errors import CrmError

_TAG = re.compile(r"\{\{(?P<inside>[^{}]*)\}\}")
_INSIDE = re.compile(r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*(?:\|\s*(?P<fallback>[^|]*?)\s*)?")
# Left over after all tags are taken out, these mean a typing error or another template language.
_STRAY = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")


class UnknownField(CrmError):
    code = "unknown_field"
    status = 422
    message = _("The text uses a field that does not exist.")  # type: ignore[assignment]


class MalformedField(CrmError):
    code = "malformed_field"
    status = 422
    message = _("The text has curly brackets that are not a field. Fields look like {{ first_name }}.")  # type: ignore[assignment]


class FieldEmpty(CrmError):
    """A customer has no value for a field and the text gives no words to use instead."""

    code = "field_empty"
    status = 422
    message = _("The customer has no value for a field the text uses.")  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class MergeField:
    """is_block: stands for more than words (products, a link) and may not be used in a subject."""

    name: str
    label: str | Promise
    is_block: bool = False


FIELDS: dict[str, MergeField] = {
    field.name: field
    for field in (
        MergeField("first_name", _("First name")),
        MergeField("name", _("Full name")),
        MergeField("shop_name", _("Name of the shop")),
        MergeField("last_product", _("Product bought last")),
        MergeField("favourite_category", _("Category bought most")),
        MergeField("recommendations", _("The customer's recommended products"), is_block=True),
        MergeField("shop_link", _("Link to the shop"), is_block=True),
        MergeField("unsubscribe_link", _("Link to unsubscribe"), is_block=True),
    )
}


@dataclass(frozen=True, slots=True)
class Tag:
    """One merge field in a text; fallback None: the text gives no words to use instead."""

    name: str
    fallback: str | None = None

    @property
    def is_block(self) -> bool:
        return FIELDS[self.name].is_block


Piece = str | Tag


def parse(text: str, *, subject: bool = False) -> tuple[Piece, ...]:
    """Return the text cut into words and tags. Raises UnknownField or MalformedField naming the place.

    subject: also refuses fields that stand for more than words, and line breaks.
    """
    pieces: list[Piece] = []
    position = 0
    for found in _TAG.finditer(text):
        pieces.append(_words(text[position : found.start()]))
        pieces.append(_tag(found, subject=subject))
        position = found.end()
    pieces.append(_words(text[position:]))
    if subject and re.search(r"[\r\n]", text):
        raise MalformedField(str(_("A subject is one line.")))
    return tuple(piece for piece in pieces if piece != "")


def names(text: str) -> frozenset[str]:
    """Return the fields a text uses. Raises as parse does."""
    return frozenset(piece.name for piece in parse(text) if isinstance(piece, Tag))


def without_fallback(text: str) -> tuple[str, ...]:
    """Return the personal fields that would leave out customers for whom nothing is known, in order of appearance."""
    bare = (piece.name for piece in parse(text) if isinstance(piece, Tag) and not piece.is_block and piece.fallback is None and piece.name != "shop_name")
    return tuple(dict.fromkeys(bare))


def fill(pieces: tuple[Piece, ...], values: Mapping[str, str]) -> str:
    """Return the words with every field replaced. Raises FieldEmpty where a value and its fallback are both missing."""
    return "".join(piece if isinstance(piece, str) else value_of(piece, values) for piece in pieces)


def value_of(tag: Tag, values: Mapping[str, str]) -> str:
    """Return what the tag stands for. Raises FieldEmpty."""
    value = values.get(tag.name) or tag.fallback
    if not value:
        raise FieldEmpty(field=tag.name)
    return value


def _words(text: str) -> str:
    stray = _STRAY.search(text)
    if stray:
        raise MalformedField(place=text[max(0, stray.start() - 20) : stray.end() + 20])
    return text


def _tag(found: re.Match[str], *, subject: bool) -> Tag:
    inside = _INSIDE.fullmatch(found["inside"])
    if inside is None:
        raise MalformedField(place=found.group()[:60])
    name = inside["name"]
    if name not in FIELDS:
        raise UnknownField(_("There is no field {{ %(name)s }}. Known fields: %(known)s.") % {"name": name, "known": ", ".join(FIELDS)}, field=name)
    if subject and FIELDS[name].is_block:
        raise UnknownField(_("{{ %(name)s }} cannot stand in a subject.") % {"name": name}, field=name)
    return Tag(name, inside["fallback"] or None)
