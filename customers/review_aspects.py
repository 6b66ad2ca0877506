"""What reviews say of each side of a purchase: read once into `Review.aspects`, told by person on the portrait and by product in Insights.

Reading 1,000 reviews takes a quarter of a second on one core, so a refresh reads the new ones and pages only count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.core import rows
from customers.ml.aspects import ASPECTS, POSITIVE, aspects_of

# Raise when the list of words changes: every review is then read anew.
RECIPE = 1
# Read per refresh, newest first; the rest follow with the next one.
MOST_READ, BATCH = 20_000, 1_000
# Newest reviews of a person that are told of, and quotes kept of each side.
MOST_REVIEWS = 500
QUOTES = 3
PRAISE, BLAME = "praise", "blame"
LABELS: Mapping[str, str | Promise] = {
    "quality": _("Quality"),
    "size": _("Size"),
    "delivery": _("Delivery"),
    "price": _("Price"),
    "service": _("Service"),
}
# {"praise": {"quality": ["the clause as written", 0.8]}, "blame": {}}; sides without a word are left out.
Said = dict[str, dict[str, list[Any]]]

_UNREAD = """
    SELECT v.id, v.body FROM customers_review v LEFT JOIN customers_customer c ON c.id = v.customer_id
    WHERE v.written_at <= %s AND v.aspects_version IS DISTINCT FROM %s AND v.body <> '' AND NOT coalesce(c.profiling_refused, false)
    ORDER BY v.written_at DESC, v.id DESC LIMIT %s
"""
_KEEP = """
    UPDATE customers_review SET aspects = said.aspects, aspects_version = %s
    FROM json_to_recordset(%s::json) AS said(id bigint, aspects jsonb) WHERE customers_review.id = said.id RETURNING customers_review.id
"""


@dataclass(frozen=True, slots=True)
class AspectSummary:
    """aspect: quality, size, delivery, price or service.  praise, blame: reviews that say so.

    praise_quotes, blame_quotes: clauses of reviews as written, the surest first, at most three of each.
    """

    aspect: str
    praise: int
    blame: int
    praise_quotes: tuple[str, ...]
    blame_quotes: tuple[str, ...]

    @property
    def label(self) -> str:
        return str(LABELS.get(self.aspect, self.aspect))

    @property
    def tone(self) -> str:
        """success where praise prevails, danger where blame does, neutral between."""
        return "neutral" if self.praise == self.blame else "success" if self.praise > self.blame else "danger"


def read(*, as_of: datetime, most: int = MOST_READ) -> int:
    """Read the reviews not read yet with this list of words, newest first; return how many. Refused profiles are left alone."""
    unread = rows.query(_UNREAD, [as_of, RECIPE, most])
    for begin in range(0, len(unread), BATCH):
        part = unread[begin : begin + BATCH]
        said = said_in([body for _pk, body in part])
        rows.query(_KEEP, [RECIPE, rows.dumps([{"id": pk, "aspects": each} for (pk, _body), each in zip(part, said, strict=True)]).decode()])
    return len(unread)


def said_in(texts: list[str]) -> list[Said]:
    """Return what each text praises and blames, as `Review.aspects` keeps it."""
    told: list[Said] = []
    for mentions in aspects_of(texts):
        said: Said = {}
        for mention in mentions:
            side = said.setdefault(PRAISE if mention.polarity == POSITIVE else BLAME, {})
            # PostgreSQL stores no NUL in a JSON text.
            side[mention.aspect] = [mention.quote.replace("\x00", ""), mention.confidence]
        told.append(said)
    return told


def summarised(texts: list[str]) -> list[AspectSummary]:
    """Return what the texts speak of, most spoken of first, aspects nobody mentions left out."""
    return counted(said_in(texts))


def counted(said: Iterable[Said]) -> list[AspectSummary]:
    """Return the readings of several reviews together, most spoken of first."""
    found: dict[str, dict[str, list[list[Any]]]] = {aspect: {PRAISE: [], BLAME: []} for aspect in ASPECTS}
    for review in said:
        for side in (PRAISE, BLAME):
            for aspect, mention in review.get(side, {}).items():
                if aspect in found:
                    found[aspect][side].append(mention)
    summaries = [
        AspectSummary(aspect, len(each[PRAISE]), len(each[BLAME]), _quotes(each[PRAISE]), _quotes(each[BLAME]))
        for aspect, each in found.items()
        if each[PRAISE] or each[BLAME]
    ]
    return sorted(summaries, key=lambda each: -(each.praise + each.blame))


def _quotes(mentions: list[list[Any]]) -> tuple[str, ...]:
    ordered = sorted(mentions, key=lambda mention: -float(mention[1]))
    return tuple(dict.fromkeys(str(mention[0]) for mention in ordered))[:QUOTES]
