"""Groups of questions nobody could answer automatically: suggestions of new intents and of missing articles.

Messages are joined by average linkage of their cosine distances; Chinese and English meet through the encoder's glosses.
Without an encoder, character n-grams alone. Runs in a worker, never in a page.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_noop

from crm.core import audit
from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from support import intents, labels, teams
from support.models import Article, Message, QuestionCluster
from support.models.cluster import ClusterKind, ClusterState
from support.models.conversation import Author
from support.models.knowledge import ArticleState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOOKED_BACK = timedelta(days=60)
# The newest so many; the distances of n messages are n² numbers.
MOST_MESSAGES = 2000
# A group needs this many messages of this many visitors to be worth a person's look.
FEWEST = 3
# Mean cosine distance up to which two groups are joined. Of 500 shipped examples of 31 intents in two languages, 0.6 puts
# 23% into 31 groups, in which 81% share one intent; 0.5 puts 6% into 8 groups (97%), 0.65 puts 31% into 38 (78%).
JOINED_BELOW = 0.6
# Groups kept; a longer list is not read.
MOST_GROUPS = 40


class ClusterMissing(NotFound):
    code = "cluster_missing"
    message = gettext_noop("There is no such group of questions.")


class ClusterSettled(CrmError):
    code = "cluster_settled"
    status = 409
    message = gettext_noop("Somebody has already dealt with this group.")


@dataclass(frozen=True, slots=True)
class Question:
    pk: int
    visitor: str
    text: str
    intent: str
    in_scope: bool
    language: str


def find(*, now: datetime) -> int:
    """Look for groups among the questions of the last weeks that got no answer; return how many are open.

    Open groups are replaced; messages of groups that somebody took up or dismissed are not grouped again.
    """
    questions = unanswered(now=now)
    groups = grouped([question.text for question in questions]) if len(questions) >= FEWEST else []
    rows = [row for numbers in groups if (row := _row([questions[number] for number in numbers], now))]
    rows = sorted(rows, key=lambda row: -row.size)[:MOST_GROUPS]
    with transaction.atomic():
        QuestionCluster.objects.filter(state=ClusterState.OPEN).delete()
        QuestionCluster.objects.bulk_create(rows)
    return len(rows)


def unanswered(*, now: datetime) -> list[Question]:
    """Return visitors' questions that were refused, not understood, or had no article, oldest first. Two queries."""
    settled = {pk for numbers in QuestionCluster.objects.exclude(state=ClusterState.OPEN).values_list("message_ids", flat=True) for pk in numbers}
    asked = Message.objects.filter(author=Author.VISITOR, kind="text", sent_at__gte=now - LOOKED_BACK, example=None)
    no_answer = Q(in_scope=False) | Q(conversation__handover_reason__in=["no_article", "unsure", "out_of_scope"], intent_version__isnull=False)
    rows = asked.filter(no_answer).exclude(intent__in=intents.NOT_A_CHOICE, in_scope=True).order_by("-sent_at", "-pk")
    values = rows.values_list("pk", "conversation__visitor_id", "text", "intent", "in_scope", "language")[:MOST_MESSAGES]
    found = [Question(pk, visitor, text, intent, bool(inside), language) for pk, visitor, text, intent, inside, language in values if pk not in settled]
    return [question for question in reversed(found) if len(question.text.strip()) > 3]


def grouped(texts: list[str], *, joined_below: float = JOINED_BELOW) -> list[list[int]]:
    """Return groups of at least FEWEST places in `texts`, each with its most central text first, the largest group first."""
    import numpy as np
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    likeness = _likeness(texts)
    distance = np.clip(1.0 - likeness, 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    numbers = fcluster(linkage(squareform(distance, checks=False), method="average"), t=joined_below, criterion="distance")
    groups = []
    for number in np.unique(numbers):
        places = np.flatnonzero(numbers == number)
        if len(places) >= FEWEST:
            central = likeness[np.ix_(places, places)].mean(1)
            groups.append([int(place) for place in places[np.argsort(-central, kind="stable")]])
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def _likeness(texts: list[str]) -> "NDArray[np.float64]":
    """Return the cosines (n, n) of the texts: the encoder's, weighed by how well it understands both, and n-grams'."""
    import numpy as np

    from crm.core.text import encoder
    from crm.core.text.ngrams import NgramFeatures

    grams = NgramFeatures().fit_transform(texts)
    by_letters = np.asarray((grams @ grams.T).todense(), dtype=np.float64)
    try:
        vectors, known = encoder.encode_with_knowledge(texts)
    except CrmError:
        return by_letters
    weight = 0.85 * np.outer(known, known)
    likeness: NDArray[np.float64] = weight * (vectors @ vectors.T) + (1 - weight) * by_letters
    return likeness


def _row(questions: list[Question], now: datetime) -> QuestionCluster | None:
    if len({question.visitor for question in questions}) < FEWEST:
        return None
    fits = [question for question in questions if question.in_scope]
    named = [question.intent for question in fits]
    usual = max(set(named), key=named.count) if named else ""
    is_article = named.count(usual) * 2 > len(questions) if named else False
    if is_article and Article.objects.filter(state=ArticleState.PUBLISHED, intents__contains=[usual]).exists():
        # There is an article; the model was unsure. Labelling helps, another article does not.
        return None
    languages = [question.language for question in questions]
    return QuestionCluster(
        kind=ClusterKind.ARTICLE if is_article else ClusterKind.INTENT,
        title=questions[0].text[:200],
        intent=usual if is_article else "",
        language=max(set(languages), key=languages.count),
        size=len(questions),
        message_ids=[question.pk for question in questions],
        found_at=now,
    )


def take_up(*, cluster_id: int, intent: str, by: User, now: datetime) -> int:
    """Make the group's messages that `by` may read examples of an intent, which may be new; return how many.

    Raises ClusterMissing, ClusterSettled, or IntentNameBad.
    """
    with transaction.atomic():
        row, readable = _open(cluster_id, by)
        # What somebody said of a single message since the groups were found stands over a word on the whole group.
        unlabelled = list(Message.objects.filter(pk__in=readable, example=None).values_list("pk", flat=True))
        made = labels.begin_intent(name=intent, message_ids=unlabelled, by=by, now=now)
        row.state, row.intent = ClusterState.ACCEPTED, intent[:60]
        row.save(update_fields=["state", "intent"])
        return made


def dismiss(*, cluster_id: int, by: User) -> None:
    """Say that the group is of no use. Raises ClusterMissing or ClusterSettled."""
    with transaction.atomic():
        row, _readable = _open(cluster_id, by)
        row.state = ClusterState.DISMISSED
        row.save(update_fields=["state"])
        audit.record(actor=by, action="cluster.dismiss", target=row)


def _open(cluster_id: int, by: User) -> tuple[QuestionCluster, list[int]]:
    """Return the open group, locked, and which of its messages `by` may read: a group of others' messages is not there."""
    row = QuestionCluster.objects.select_for_update().filter(pk=cluster_id).first()
    readable = list(Message.objects.filter(pk__in=row.message_ids, conversation__in=teams.conversations_for(by)).values_list("pk", flat=True)) if row else []
    if row is None or not readable:
        raise ClusterMissing
    if row.state != ClusterState.OPEN:
        raise ClusterSettled
    return row, readable
