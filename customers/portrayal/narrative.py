"""The portrait as one paragraph, through the generator door; every number in it is a number of the portrait's rows.

A page never waits for a language model: it shows what a task has written before, else what the composer says now. A written
text whose numbers are not all among the facts is thrown away.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from crm.core import formats
from crm.core.llm import client
from crm.core.llm.backends import Backend
from crm.core.llm.schemas import Field, Schema
from customers.models import Customer
from customers.portrayal.advice import Advice
from customers.portrayal.changes import Changes
from customers.portrayal.risk import Explanation
from customers.portrayal.statements import Statement

PROMPT = "customers/portrait"
FORM = Schema("portrait_paragraph", (Field("text", "One paragraph of at most 90 words about this customer, for a colleague", 900),))
LANGUAGES = {"en": "English", "zh-hans": "Simplified Chinese"}
# A written paragraph is kept as long as its facts are the same, at most a week.
KEEP_SECONDS, ASKED_SECONDS = 7 * 86_400, 600
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Facts:
    """What may be said: name -> words, as shown on the page, in the reader's language."""

    rows: Mapping[str, str]
    language: str

    @property
    def numbers(self) -> frozenset[str]:
        """Every number that occurs in a fact."""
        return frozenset(number for words in self.rows.values() for number in numbers_in(words))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.language, sorted(self.rows.items())], ensure_ascii=False).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """text: ready to print.  is_written: a language model wrote it, so it is marked as such."""

    text: str
    is_written: bool


def facts_of(
    *,
    customer: Customer,
    claims: Sequence[Statement],
    risk: Explanation | None,
    tastes: Sequence[tuple[str, str]],
    changes: Changes,
    advice: Advice,
) -> Facts:
    """Return the facts a paragraph about this portrait may use, in the active language. No query."""
    facts: dict[str, str] = {"name": str(customer)}
    if customer.orders_count:
        facts["orders"] = ngettext("%(count)s order", "%(count)s orders", customer.orders_count) % {"count": formats.number(customer.orders_count)}
        facts["spent"] = formats.money(customer.spent_amount, customer.currency or None)
    for claim in claims:
        facts[claim.code] = (
            _("%(word)s, %(number)s") % {"word": claim.word, "number": claim.number} if claim.word and claim.number else claim.word or claim.number
        )
        if claim.interval:
            facts[f"{claim.code}_interval"] = claim.interval
    if risk and risk.steps:
        facts["churn_reason"] = risk.steps[0].text
    for code, words in tastes[:2]:
        facts[f"taste_{code}"] = words
    if changes.lines:
        facts["change"] = changes.lines[0].text
    facts["advice"] = advice.text
    return Facts(facts, get_language() or "en")


def paragraph(facts: Facts, *, ask: Callable[[], None] | None = None) -> Paragraph:
    """Return the paragraph to show now. ask: has one written in the background; called at most once in ten minutes."""
    if client.configured() is None:
        return Paragraph(compose(facts), is_written=False)
    written = cache.get(_key(facts))
    if isinstance(written, str):
        return Paragraph(written, is_written=True)
    if ask is not None and cache.add(f"{_key(facts)}:asked", 1, ASKED_SECONDS):
        ask()
    return Paragraph(compose(facts), is_written=False)


def write(facts: Facts, *, backend: Backend | None = None) -> Paragraph:
    """Have the configured generator write the paragraph and keep it, if its numbers hold; for tasks, it may take a minute."""
    made = client.generate(
        prompt=PROMPT,
        facts={**facts.rows, "language": LANGUAGES.get(facts.language, "English")},
        schema=FORM,
        compose=lambda: {"text": compose(facts)},
        backend=backend,
    )
    text = made.text("text")
    if made.is_composed or foreign_numbers(text, facts):
        return Paragraph(compose(facts), is_written=False)
    cache.set(_key(facts), text, KEEP_SECONDS)
    return Paragraph(text, is_written=True)


def compose(facts: Facts) -> str:
    """Return the paragraph put together from the facts alone, in the active language."""
    known = facts.rows
    told: list[str] = []

    def say(template: str, *names: str) -> None:
        if all(name in known for name in names):
            told.append(template % known)

    if "orders" in known:
        say(_("%(name)s has placed %(orders)s and spent %(spent)s."), "name", "orders", "spent")
    else:
        say(_("%(name)s has not ordered yet."), "name")
    say(_("Stage: %(stage)s."), "stage")
    if "value_365_interval" in known:
        say(_("Over the next 12 months we expect %(value_365)s (%(value_365_interval)s)."), "value_365")
    else:
        say(_("Over the next 12 months we expect %(value_365)s."), "value_365")
    if "churn_reason" in known:
        say(_("Risk of losing them: %(churn)s; what weighs most: %(churn_reason)s."), "churn", "churn_reason")
    elif "churn" in known:
        say(_("Risk of losing them: %(churn)s."), "churn")
    else:
        say(_("Still active: %(active)s."), "active")
    likes = [words for name, words in known.items() if name.startswith("taste_")]
    if likes:
        told.append(_("Likes: %(tastes)s.") % {"tastes": _("; ").join(likes)})
    say(_("Mood of their reviews: %(mood)s."), "mood")
    say(_("Since last month: %(change)s."), "change")
    return ("" if facts.language.startswith("zh") else " ").join(told)


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a text without grouping, 1,234.50 as 1234.5, so that 1234.5 and 1,234.50 are the same."""
    found = []
    for number in _NUMBER.findall(text):
        plain = number.replace(",", "")
        found.append(plain.rstrip("0").rstrip(".") if "." in plain else plain)
    return found


def foreign_numbers(text: str, facts: Facts) -> list[str]:
    """Return the numbers of a text that no fact has."""
    return [number for number in numbers_in(text) if number not in facts.numbers]


def _key(facts: Facts) -> str:
    return f"portrait:paragraph:{facts.fingerprint}"
