"""Names, e-mail addresses and phone numbers by their pieces, so that "contains" is answered by an index.

A piece is any three characters in a row, or two with one beyond ASCII, in lower case.  Migration 0009 makes the table
and the triggers that write it, whoever writes a customer, and only when one of the texts changes: an index on the
customer's own row would be touched by every visit.  Nameless browsers have none.
"""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, F, Func, Q, TextField, Value

SHORT = 3


class _HasPieces(Func):
    """Whether a customer's texts have all these pieces."""

    output_field = BooleanField()
    template = "EXISTS (SELECT 1 FROM customers_pieces piece WHERE piece.customer_id = %(expressions)s)"
    arg_joiner = " AND piece.pieces @> "


def containing(text: str) -> Q:
    """Return the condition that a customer's name, e-mail or phone contains the text, capital or small letters alike.

    A text without any piece (one character, or two plain ones) is looked for row by row; so many people have it that a
    page of them is soon found.
    """
    pieces = of(text)
    if not pieces:
        return said(text)
    array: Any = ArrayField(TextField())
    return Q(_HasPieces(F("pk"), Value(pieces, output_field=array))) & said(text)


def said(text: str) -> Q:
    """Return the same without the index: for a walk along people of whom many match."""
    return Q(name__icontains=text) | Q(email__icontains=text) | Q(phone__contains=text)


def of(text: str) -> list[str]:
    """Return the pieces that every text has which contains this one, in order; the migration's SQL makes the same."""
    said = text.lower()
    threes = {said[place : place + SHORT] for place in range(len(said) - SHORT + 1)}
    twos = {said[place : place + 2] for place in range(len(said) - 1)}
    return sorted(threes | {two for two in twos if not two.isascii()})
