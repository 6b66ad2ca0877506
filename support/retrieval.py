"""Which passage of the published articles answers a question: full text and meaning together, or nothing at all.

Two looks at the same passages: how much of what the question says (rare words weigh more) stands in the passage, and how
near the two are to the encoder. Their weighted mean is the evidence; below SUPPORT_FROM nothing is quoted. The index is
kept in the process that answers and made anew when an article changes.
"""

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log
from typing import TYPE_CHECKING

from django.db.models import Count, Max, Sum

from crm.core.errors import CrmError
from support import knowledge
from support.knowledge import Quote
from support.models import ArticleText
from support.models.knowledge import ArticleState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
# Weight of meaning where the encoder understands both texts; word overlap has the rest. Share of the evidence that is
# the article's title's. Chosen, as the two below, on the shipped examples: docs/support.md, "Answers from passages".
MEANING, TITLE = 0.85, 0.4
# Strength from which a passage is quoted to a question no article is listed for: its evidence and, twice, its lead over
# the next article. Lead another passage of a listed article needs over the first to be said
# with it.
SUPPORT_FROM = 0.6
LEAD = 0.06
# Evidence below which nothing is quoted whatever its lead: of one or two published articles the first leads over next to
# nothing. Without it a single article answered 24% of the English questions that are none of its business, so it does 9%; of
# all articles' answers it costs one in fifty (`python -m tests.benchmarks passages`).
EVIDENCE_FROM = 0.32
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP = _words("""
a an and are as at be been but by can could did do does for from had has have he her hi him his how i if in is it its just me my not of on or our please
she so some than that the their them then there these they this to us was we were what when where which who will with would you your i'm it's
的 了 吗 呢 啊 我 你 您 是 就 也 都 把 吧 呀 这 那 么 我们 你们 可以 请问 一下 一个
""")


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph of a published article. whole: what is said when it is quoted (knowledge.passages). place: 0 for the first.

    intents: those its article is listed for.
    """

    text: str
    whole: str
    place: int
    text_id: int
    slug: str
    title: str
    version: int
    language: str
    intents: tuple[str, ...]

    def quote(self) -> Quote:
        return Quote(self.whole, self.text_id, self.slug, self.title, self.version, knowledge.url_of(self.slug, self.language))


@dataclass(frozen=True, slots=True)
class Hit:
    """evidence: 0..1, how much speaks for the passage and its title. meaning: its cosine, None without an encoder."""

    passage: Passage
    evidence: float
    meaning: float | None


def search(question: str, *, language: str, intent: str = "", limit: int = 5) -> list[Hit]:
    """Return the passages in the language with the most evidence, best first. Two queries, none where nothing is published.

    intent: only articles listed for it. The first call, and the first after an article changed, encodes every passage
    (about 5 ms each).
    """
    return _index().search(question, language=language, intent=intent, limit=limit)


def best(question: str, *, language: str) -> Hit | None:
    """Return the passage that supports an answer, or None: then there is none to give."""
    hits = search(question, language=language, limit=1000)
    return hits[0] if hits and hits[0].evidence >= EVIDENCE_FROM and strength(hits) >= SUPPORT_FROM else None


def strength(hits: list[Hit]) -> float:
    """Return how strongly the first of all hits answers: its evidence and twice its lead over the next article."""
    next_best = next((hit.evidence for hit in hits if hit.passage.slug != hits[0].passage.slug), 0.0)
    return hits[0].evidence + 2 * (hits[0].evidence - next_best)


def quote_of_article(question: str, *, intent: str, language: str) -> Quote | None:
    """Return what the articles listed for the intent say to the question; None where no article is listed.

    Their first paragraph, and below it another one that is clearly nearer to the question: what stands further down an
    article is written for readers of its beginning. In the language, else in any.
    """
    first = knowledge.quote_for(intent=intent, language=language)
    if first is None:
        return None
    hits = search(question, language=language, intent=intent, limit=50)
    opening = next((hit for hit in hits if hit.passage.text_id == first.text_id and hit.passage.place == 0), None)
    if not hits or opening is None or hits[0].evidence < opening.evidence + LEAD:
        return first
    nearer = hits[0].passage
    if nearer.text_id != first.text_id:
        # Of another article listed for the intent: one answer cites one article.
        return nearer.quote()
    return first if nearer.whole == first.text else replace(first, text=f"{first.text}\n\n{nearer.whole}")


class _Index:
    def __init__(self, passages: list[Passage]) -> None:
        self.passages = passages
        self.titles = list(dict.fromkeys(passage.title for passage in passages))
        texts = [f"{passage.title}. {passage.text}" for passage in passages] + self.titles
        # The title is weighed apart; in the words of every passage it would make them all alike.
        self.words = [set(tokens(passage.text)) for passage in passages] + [set(tokens(title)) for title in self.titles]
        seen = Counter(word for words in self.words[: len(passages)] for word in words)
        self.rarity = {word: log(1 + len(passages) / count) for word, count in seen.items()}
        self.unseen = log(1 + len(passages))
        self.vectors, self.known = _encoded(texts)

    def search(self, question: str, *, language: str, intent: str, limit: int) -> list[Hit]:
        chosen = [number for number, passage in enumerate(self.passages) if passage.language == language and (not intent or intent in passage.intents)]
        if not chosen:
            return []
        score = self._scorer(question)
        of_title = {title: score(len(self.passages) + place)[0] for place, title in enumerate(self.titles)}
        hits = []
        for number in chosen:
            own, meaning = score(number)
            hits.append(Hit(self.passages[number], (1 - TITLE) * own + TITLE * of_title[self.passages[number].title], meaning))
        return sorted(hits, key=lambda hit: (-hit.evidence, hit.passage.text_id, hit.passage.place))[:limit]

    def _scorer(self, question: str) -> "Callable[[int], tuple[float, float | None]]":
        """Return a function from the number of a text to its evidence and meaning."""
        asked = {word: self.rarity.get(word, self.unseen) for word in set(tokens(question))}
        whole = sum(asked.values())
        vectors, known = _encoded([question]) if self.vectors is not None else (None, None)

        def score(number: int) -> tuple[float, float | None]:
            overlap = sum(weight for word, weight in asked.items() if word in self.words[number]) / whole if whole else 0.0
            if vectors is None or known is None or self.vectors is None or self.known is None:
                return overlap, None
            meaning = float(max(0.0, vectors[0] @ self.vectors[number]))
            weight = MEANING * float(known[0] * self.known[number])
            return weight * meaning + (1 - weight) * overlap, meaning

        return score


def tokens(text: str) -> list[str]:
    """Return what full text looks at: English words without their commonest endings, and pairs of Han characters."""
    lowered = text.lower()
    found = [_stem(word) for word in _WORD.findall(lowered) if word not in _STOP]
    for run in _HAN.findall(lowered):
        found.extend(run[at : at + 2] for at in range(len(run) - 1) if run[at : at + 2] not in _STOP and run[at] not in _STOP and run[at + 1] not in _STOP)
        if len(run) == 1 and run not in _STOP:
            found.append(run)
    return found


@lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    for ending, least in (("ies", 3), ("ing", 4), ("ed", 4), ("es", 4), ("s", 3), ("'s", 2)):
        if word.endswith(ending) and len(word) - len(ending) >= least and not word.endswith("ss"):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _encoded(texts: list[str]) -> "tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]":
    if not texts:
        return None, None
    from crm.core.text import encoder

    try:
        return encoder.encode_with_knowledge(texts)
    except CrmError as error:
        logger.info("passages are found by their words alone", extra={"code": error.code})
        return None, None


_lock = threading.Lock()
_made: tuple[object, _Index] | None = None


def _index() -> _Index:
    global _made
    published = ArticleText.objects.filter(article__state=ArticleState.PUBLISHED)
    # Versions only grow and texts have ids of their own, so no change of what is published leaves this as it was.
    state = tuple(published.aggregate(Count("pk"), Sum("version"), Sum("pk"), Max("article__updated_at")).values())
    with _lock:
        if _made is None or _made[0] != state:
            _made = (state, _Index(_passages()))
        return _made[1]


def forget() -> None:
    """Drop the index (tests)."""
    global _made
    with _lock:
        _made = None


def _passages() -> list[Passage]:
    texts = ArticleText.objects.filter(article__state=ArticleState.PUBLISHED).select_related("article").order_by("article__slug", "pk")
    return [
        Passage(said, whole, place, text.pk, text.article.slug, text.title, text.version, text.language, tuple(text.article.intents))
        for text in texts
        for place, (said, whole) in enumerate(knowledge.passages(text.body))
    ]
