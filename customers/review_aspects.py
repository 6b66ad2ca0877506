"""What reviews say of each side of a purchase, by product or customer: counted from the newest reviews when asked.

Nothing is stored: reading 500 reviews takes a few hundredths of a second, and the words of the list may change.
"""

from __future__ import annotations

from dataclasses import dataclass

from customers.ml.aspects import ASPECTS, POSITIVE, AspectMention, aspects_of
from customers.models import Review

# Newest reviews that are read, and quotes kept of each side.
MOST_REVIEWS = 500
QUOTES = 3


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


def of_product(product_id: int, *, most: int = MOST_REVIEWS) -> list[AspectSummary]:
    """Return the sides that the product's newest reviews speak of, most spoken of first; one query."""
    return summarised(list(Review.objects.filter(product_id=product_id).exclude(body="").order_by("-written_at", "-id").values_list("body", flat=True)[:most]))


def of_customer(customer_id: int, *, most: int = MOST_REVIEWS) -> list[AspectSummary]:
    """Return the sides that the customer's newest reviews speak of, most spoken of first; one query."""
    return summarised(
        list(Review.objects.filter(customer_id=customer_id).exclude(body="").order_by("-written_at", "-id").values_list("body", flat=True)[:most])
    )


def summarised(texts: list[str]) -> list[AspectSummary]:
    """Return what the texts speak of, most spoken of first, aspects nobody mentions left out."""
    mentions: dict[str, dict[bool, list[AspectMention]]] = {aspect: {True: [], False: []} for aspect in ASPECTS}
    for found in aspects_of(texts):
        for mention in found:
            mentions[mention.aspect][mention.polarity == POSITIVE].append(mention)
    summaries = [
        AspectSummary(aspect, praise=len(said[True]), blame=len(said[False]), praise_quotes=_quotes(said[True]), blame_quotes=_quotes(said[False]))
        for aspect, said in mentions.items()
        if said[True] or said[False]
    ]
    return sorted(summaries, key=lambda each: -(each.praise + each.blame))


def _quotes(mentions: list[AspectMention]) -> tuple[str, ...]:
    ordered = sorted(mentions, key=lambda mention: -mention.confidence)
    return tuple(dict.fromkeys(mention.quote for mention in ordered))[:QUOTES]
