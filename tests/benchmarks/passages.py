"""How often a passage answers where no article is listed for the intent, and how often the right one: docs/support.md has the tables."""

from collections.abc import Iterator, Sequence

from crm.core import clock
from support import knowledge, retrieval
from support.language import LANGUAGES
from support.models import Article, IntentExample
from support.models.knowledge import ArticleState
from support.models.labels import OUT_OF_SCOPE

# Questions asked in each language, spread evenly over the shipped ones an article exists for.
ASKED = 500
# What a shop begins with, drawn by their order: questions whose own article is not published ought to have no answer.
FEW = (1, 2, 3)


def run() -> Iterator[str]:
    """Yield a line per language and number of published articles. The weights were chosen on these examples."""
    knowledge.load_shipped(now=clock.now())
    for language in LANGUAGES:
        examples = IntentExample.objects.filter(language=language).order_by("pk")
        outside = list(examples.filter(label=OUT_OF_SCOPE).values_list("text", flat=True))
        labels = {label for intents in Article.objects.values_list("intents", flat=True) for label in intents}
        inside = _spread(list(examples.filter(label__in=labels).values_list("text", "label")))
        yield _all_published(language, inside, outside)
        for count in FEW:
            yield _few_published(language, inside, count)


def _all_published(language: str, inside: Sequence[tuple[str, str]], outside: Sequence[str]) -> str:
    found = [(retrieval.best(text, language=language), label) for text, label in inside]
    answered = [label in hit.passage.intents for hit, label in found if hit is not None]
    wrongly = sum(retrieval.best(text, language=language) is not None for text in outside)
    return (
        f"{f'passages, {language}':<34} answered {len(answered) / len(found):.1%} of {len(found)}   from the right article {sum(answered) / len(answered):.1%}   "
        f"out of scope, answered {wrongly / len(outside):.1%} of {len(outside)}"
    )


def _few_published(language: str, inside: Sequence[tuple[str, str]], count: int) -> str:
    """Average over four draws of the articles."""
    articles = list(Article.objects.order_by("slug"))
    asked = answered = 0
    for first in range(4):
        shown = [articles[(first * 7 + place * 11) % len(articles)] for place in range(count)]
        Article.objects.update(state=ArticleState.DRAFT)
        Article.objects.filter(pk__in=[article.pk for article in shown]).update(state=ArticleState.PUBLISHED)
        retrieval.forget()
        foreign = [text for text, label in inside[::5] if not any(label in article.intents for article in shown)]
        asked += len(foreign)
        answered += sum(retrieval.best(text, language=language) is not None for text in foreign)
    Article.objects.update(state=ArticleState.PUBLISHED)
    retrieval.forget()
    return f"{'':<34} {count} published: {answered / asked:.1%} of {asked} questions that no published article is for are answered"


def _spread(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [rows[place * len(rows) // ASKED] for place in range(ASKED)] if len(rows) > ASKED else rows
