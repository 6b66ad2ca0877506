"""Pages about the assistant: thresholds, one-key labelling, how it does, and knowledge."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from django.test import Client

from crm.core import clock
from crm.core.models import AuditEntry, ModelVersion, User
from support import clusters, conversations, knowledge, labelling, learning_report, policy, writing
from support.models import Article, ArticleText, Conversation, IntentExample, Message, PolicyChoice, QuestionCluster
from tests.factories import UserFactory
from tests.support.conftest import VISITOR
from tests.support.test_policy import TRAINED

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(db: None) -> User:
    return UserFactory(username="boss", role="admin")


@pytest.fixture
def sign_on(client: Client) -> Callable[[User], Client]:
    def on(user: User) -> Client:
        client.force_login(user)
        return client

    return on


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """A version that serves and whose held-out judgements are two hundred made-up rows."""
    now = clock.now()
    version = ModelVersion.objects.create(task="intents", version=3, state="champion", data_hash="x", as_of=now, trained_at=now, algorithm="a")
    chance = np.random.default_rng(5)
    sure = chance.random(200)
    rows = policy.HeldOut(
        confidence=sure,
        together=np.minimum(1, sure + 0.2),
        scope=chance.random(200),
        right=chance.random(200) < sure,
        holds=chance.random(200) < sure + 0.1,
        outside=np.arange(200) >= 160,
        language=(np.arange(200) % 2).astype(np.uint8),
    )
    monkeypatch.setattr(policy, "held_out", lambda _version: (rows, TRAINED))
    return version


def said(talk: Conversation, text: str, **more: object) -> Message:
    row = conversations.post(conversation_id=talk.pk, author="visitor", text=text, now=clock.now(), cause="demo").message
    Message.objects.filter(pk=row.pk).update(**{"intent": "delivery_time", "confidence": 0.5, "in_scope": True, "intent_version": 3, **more})
    row.refresh_from_db()
    return row


@pytest.fixture
def talk(shop: object) -> Conversation:
    return conversations.open(source_id=shop.pk, visitor_id=VISITOR, now=clock.now())  # type: ignore[attr-defined]


# ---- Thresholds ----------------------------------------------------------------------------------------------------


def test_thresholds_page_compares_and_an_administrator_lets_a_setting_decide(sign_on: Callable[[User], Client], admin: User, served: ModelVersion) -> None:
    client = sign_on(admin)
    plain = client.get("/assistant/")
    tried = client.get("/assistant/", {"answer": "0.95"}, headers={"HX-Request": "true"})

    assert plain.status_code == 200
    assert b"Tried here" not in plain.content
    assert b"Tried here" in tried.content
    assert b"<html" not in tried.content
    client.post("/assistant/choose/", {"version": "3", "answer": "0.95", "clarify": "0.5", "scope": "0.4"})
    assert PolicyChoice.objects.get().answer_from == 0.95
    assert policy.in_force(version=3, trained=TRAINED).answer_from == 0.95
    assert b"95" in client.get("/assistant/").content


@pytest.mark.parametrize("given", [{"answer": "2"}, {"answer": "x"}, {"answer": "nan"}, {"version": "2"}, {"version": ""}])
def test_a_bad_setting_or_another_version_changes_nothing(sign_on: Callable[[User], Client], admin: User, served: ModelVersion, given: dict[str, str]) -> None:
    client = sign_on(admin)

    client.post("/assistant/choose/", {"version": "3", "answer": "0.9", "clarify": "0.5", "scope": "0.4", **given})

    assert not PolicyChoice.objects.exists()
    assert client.get("/assistant/", given).status_code == 200


def test_agents_see_the_thresholds_and_may_not_set_them(sign_on: Callable[[User], Client], agent: User, served: ModelVersion) -> None:
    client = sign_on(agent)

    assert b"Let this setting decide" not in client.get("/assistant/").content
    assert client.post("/assistant/choose/", {"version": "3"}).status_code == 403


def test_without_a_model_the_page_says_so(sign_on: Callable[[User], Client], agent: User) -> None:
    assert b"No intent model serves yet" in sign_on(agent).get("/assistant/").content


# ---- Labelling -----------------------------------------------------------------------------------------------------


def test_the_most_instructive_message_comes_first(talk: Conversation, agent: User) -> None:
    unsure = said(talk, "hm delivery perhaps", confidence=0.45)
    answered = said(talk, "and what of the lid", confidence=0.97)
    conversations.post(conversation_id=talk.pk, author="bot", kind="answer", text="Two days.", now=clock.now(), cause="demo")
    conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="It is iron.", now=clock.now())
    refused = said(talk, "who won the match", in_scope=False, confidence=0.9)
    said(talk, "perfectly clear", confidence=0.99)

    queue = list(labelling.waiting(viewer=agent, now=clock.now()))

    assert [(row.pk, row.reason) for row in queue] == [(unsure.pk, "disagreed"), (answered.pk, "disagreed"), (refused.pk, "refused")]


def test_one_key_labels_and_the_next_message_comes(sign_on: Callable[[User], Client], talk: Conversation, agent: User) -> None:
    said(talk, "first unclear line", understood={"choices": [["delivery_time", 0.5], ["delivery_cost", 0.3]]})
    second = said(talk, "second unclear line", confidence=0.2)
    client = sign_on(agent)

    page = client.get("/assistant/label/").content.decode()
    assert "first unclear line" in page
    assert page.index('data-key="1"') < page.index('data-key="2"') < page.index('data-key="0"')
    assert page.index("How long delivery takes") < page.index("What delivery costs")
    first = Message.objects.get(text="first unclear line")
    card = client.post(f"/assistant/label/{first.pk}/", {"label": "delivery_cost"}, headers={"HX-Request": "true"}).content.decode()

    assert "second unclear line" in card
    assert "<html" not in card
    example = IntentExample.objects.get()
    assert (example.label, example.origin, example.message_id) == ("delivery_cost", "correction", first.pk)
    client.post(f"/assistant/label/{second.pk}/", {"label": "skip"})
    assert "Nothing to label" in client.get("/assistant/label/").content.decode()
    assert {"message.label", "message.skip_label"} <= set(AuditEntry.objects.values_list("action", flat=True))


def test_another_teams_messages_are_not_in_the_queue_and_cannot_be_labelled(sign_on: Callable[[User], Client], talk: Conversation, agent: User) -> None:
    from support.models import Team

    row = said(talk, "secret unclear line")
    team = Team.objects.create(name="Others")
    Conversation.objects.update(team=team)
    client = sign_on(agent)

    assert "secret unclear line" not in client.get("/assistant/label/").content.decode()
    for value in ("delivery_cost", "skip"):
        client.post(f"/assistant/label/{row.pk}/", {"label": value})
    row.refresh_from_db()
    assert row.label_skipped_at is None
    assert not IntentExample.objects.exists()


# ---- How it does ---------------------------------------------------------------------------------------------------


def test_weeks_and_slices_count_what_happened(talk: Conversation, agent: User, sign_on: Callable[[User], Client]) -> None:
    said(talk, "how long does delivery take")
    said(talk, "多久能到", intent="order_status", language="zh-hans")
    said(talk, "zxqv", in_scope=False)
    conversations.post(conversation_id=talk.pk, author="bot", kind="answer", text="Two days.", now=clock.now(), cause="demo")

    (week,) = learning_report.weeks(now=clock.now())
    slices = learning_report.slices(now=clock.now())

    assert (week.judged, week.answers, week.refused, week.drift) == (3, 1, pytest.approx(1 / 3), None)
    assert {(each.language, each.length, each.judged) for each in slices} == {("en", "medium", 1), ("en", "short", 1), ("zh-hans", "short", 1)}
    page = sign_on(agent).get("/assistant/learning/")
    assert page.status_code == 200
    assert "33" in page.content.decode()


def test_drift_is_told_from_noise() -> None:
    from collections import Counter

    before = Counter(a=100, b=50)

    assert learning_report.stability(before, Counter(a=10)) is None
    assert learning_report.stability(before, Counter(a=66, b=34)) == pytest.approx(0, abs=0.02)
    assert (learning_report.stability(before, Counter(a=5, c=60)) or 0) > learning_report.SHIFTED


def test_groups_of_unanswered_questions_become_an_intent(sign_on: Callable[[User], Client], shop: object, agent: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm.core.text.encoder.encode_with_knowledge", broken)
    texts = [
        "can you gift wrap it please",
        "gift wrap it please",
        "please gift wrap it",
        "could you gift wrap it please",
        "who won the match",
        "colourless ideas",
    ]
    for number, text in enumerate(texts):
        talk = conversations.open(source_id=shop.pk, visitor_id=f"{number:032x}", now=clock.now())  # type: ignore[attr-defined]
        said(talk, text, in_scope=False)

    assert clusters.find(now=clock.now()) == 1
    group = QuestionCluster.objects.get()
    client = sign_on(agent)
    assert "gift wrap" in client.get("/assistant/learning/").content.decode()
    assert (group.kind, group.size >= 3) == ("intent", True)
    client.post(f"/assistant/learning/groups/{group.pk}/", {"intent": "Gift wrapping"})

    assert set(IntentExample.objects.values_list("label", flat=True)) == {"gift_wrapping"}
    assert IntentExample.objects.count() == group.size
    assert clusters.find(now=clock.now()) == 0
    with pytest.raises(clusters.ClusterSettled):
        clusters.dismiss(cluster_id=group.pk, by=agent)


def test_a_single_messages_label_outlives_a_word_on_its_group(shop: object, agent: User) -> None:
    from support import labels

    talks = [conversations.open(source_id=shop.pk, visitor_id=f"{number:032x}", now=clock.now()) for number in range(3)]  # type: ignore[attr-defined]
    rows = [said(talk, "wrap it", in_scope=False) for talk in talks]
    group = QuestionCluster.objects.create(kind="intent", title="wrap it", language="en", size=3, message_ids=[row.pk for row in rows], found_at=clock.now())
    labels.label(message_id=rows[0].pk, label="product_question", by=agent, now=clock.now())

    assert clusters.take_up(cluster_id=group.pk, intent="gift_wrapping", by=agent, now=clock.now()) == 2

    found = {example.message_id: example.label for example in IntentExample.objects.all()}
    assert [found[row.pk] for row in rows] == ["product_question", "gift_wrapping", "gift_wrapping"]


def broken(_texts: object) -> None:
    from crm.core.text.encoder import EncoderMissing

    raise EncoderMissing


def test_one_visitor_who_repeats_a_question_is_no_group(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm.core.text.encoder.encode_with_knowledge", broken)
    for number in range(5):
        said(talk, f"can you gift wrap the teapot {'!' * number}", in_scope=False)

    assert clusters.find(now=clock.now()) == 0


# ---- Knowledge -----------------------------------------------------------------------------------------------------


def test_an_article_is_written_published_and_changed(sign_on: Callable[[User], Client], agent: User) -> None:
    client = sign_on(agent)
    client.post("/knowledge/new/", {"title": "Do you wrap gifts?", "intents": ["product_question"]})
    article = Article.objects.get()
    for body in ("We wrap for ¥15.", "We wrap for ¥18."):
        client.post(f"/knowledge/{article.slug}/save/", {"part": "text", "language": "en", "title": "Do you wrap gifts?", "body": body})
    client.post(f"/knowledge/{article.slug}/save/", {"part": "text", "language": "zh-hans", "title": "能包装吗？", "body": "包装费 18 元。"})
    assert knowledge.quote_for(intent="product_question", language="en") is None
    client.post(f"/knowledge/{article.slug}/save/", {"part": "state", "state": "published"})

    quoted = knowledge.quote_for(intent="product_question", language="en")
    assert (article.slug, quoted.text, quoted.version) == ("do-you-wrap-gifts", "We wrap for ¥18.", 2)
    page = client.get(f"/knowledge/{article.slug}/").content.decode()
    assert "包装费 18 元。" in page
    assert "Do you wrap gifts?" in client.get("/knowledge/", {"q": "wrap"}).content.decode()
    assert "No articles" in client.get("/knowledge/", {"q": "zebra"}).content.decode()


@pytest.mark.parametrize(
    "given", [{"title": ""}, {"body": ""}, {"body": "# only a heading"}, {"title": "x" * 201}, {"language": "tlh"}, {"body": "y" * 20_001}]
)
def test_a_text_that_cannot_be_quoted_is_refused(agent: User, given: dict[str, str]) -> None:
    article = writing.create(title="会员日", intents=["loyalty_points"], by=agent)
    assert article.slug == "loyalty_points"

    with pytest.raises(writing.ArticleBad):
        writing.write(slug=article.slug, by=agent, **{"language": "en", "title": "t", "body": "b", **given})
    with pytest.raises(writing.ArticleStateBad):
        writing.set_state(slug=article.slug, state="published", by=agent)


def test_drafts_that_came_with_the_product_are_published_at_once(sign_on: Callable[[User], Client], agent: User, settings: object) -> None:
    article = Article.objects.create(slug="delivery_time", intents=["delivery_time"], state="draft")
    ArticleText.objects.create(article=article, language="en", title="How long?", body="Two days.")
    Article.objects.create(slug="empty", state="draft")
    client = sign_on(agent)

    assert b"Publish all" in client.get("/knowledge/").content
    client.post("/knowledge/publish/")

    assert set(Article.objects.values_list("slug", "state")) == {("delivery_time", "published"), ("empty", "draft")}


def test_hostile_markdown_stays_text(sign_on: Callable[[User], Client], agent: User) -> None:
    hostile = "<script>alert(1)</script> [x](javascript:alert(1)) **<img src=x onerror=alert(1)>**"
    article = writing.create(title=hostile[:100], intents=[], by=agent)
    writing.write(slug=article.slug, language="en", title=hostile[:100], body=hostile, by=agent)
    writing.set_state(slug=article.slug, state="published", by=agent)
    client = sign_on(agent)

    for path in ("/knowledge/", f"/knowledge/{article.slug}/", f"/help/{article.slug}/?lang=en"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert 'href="javascript' not in page


@pytest.mark.parametrize("table", ["|---|---|", "|", "| a | b |\n|---|---|"])
def test_a_table_without_a_row_breaks_no_page(sign_on: Callable[[User], Client], agent: User, table: str) -> None:
    article = writing.create(title="Sizes", intents=[], by=agent)
    writing.write(slug=article.slug, language="en", title="Sizes", body=f"All sizes.\n\n{table}\n\nThat is all.", by=agent)
    writing.set_state(slug=article.slug, state="published", by=agent)
    client = sign_on(agent)

    for path in (f"/knowledge/{article.slug}/", f"/help/{article.slug}/?lang=en"):
        assert "That is all." in client.get(path).content.decode()


def test_old_messages_are_not_queued(talk: Conversation, agent: User) -> None:
    said(talk, "unclear", sent_at=clock.now() - timedelta(days=90))
    assert not labelling.waiting(viewer=agent, now=clock.now()).exists()


def test_messages_nobody_judged_are_judged_later_and_labelled_ones_are_left(talk: Conversation, agent: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import judging, labels, triage
    from support.triage import Decision, Triage

    def judged(pairs: list[tuple[str, str]]) -> list[Triage]:
        return [Triage("delivery_time", 0.8, True, language, Decision.ANSWER, version=5, weighed=(("delivery_time", 0.8),)) for _, language in pairs]

    monkeypatch.setattr(triage, "judged", judged)
    plain = said(talk, "MM20483 still not here!!", intent="", confidence=None, in_scope=None, intent_version=None)
    taught = said(talk, "how long", intent="", confidence=None, in_scope=None, intent_version=None)
    labels.label(message_id=taught.pk, label="delivery_time", by=agent, now=clock.now())

    assert judging.catch_up(now=clock.now()) == 1
    assert judging.catch_up(now=clock.now()) == 0
    plain.refresh_from_db()
    taught.refresh_from_db()
    assert (plain.intent, plain.intent_version, taught.intent_version) == ("delivery_time", 5, None)
    assert plain.understood["entities"][0]["text"] == "MM20483"
    assert plain.understood["urgency"] == "high"
    labels.label(message_id=plain.pk, label="order_status", by=agent, now=clock.now())
    (week,) = learning_report.weeks(now=clock.now())
    assert (week.labelled, week.corrected) == (1, 1)


def test_a_line_from_a_turkish_keyboard_keeps_no_other_from_being_judged(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import judging, triage
    from support.triage import Decision, Triage

    monkeypatch.setattr(triage, "judged", lambda pairs: [Triage("delivery_time", 0.8, True, "en", Decision.ANSWER, version=5) for _ in pairs])
    rows = [said(talk, text, intent="", intent_version=None) for text in ("how long", "can it be here by frıday")]

    assert judging.catch_up(now=clock.now()) == 2

    rows[1].refresh_from_db()
    assert [entity["kind"] for entity in rows[1].understood["entities"]] == ["date"]


def test_a_conversation_people_had_is_about_the_first_thing_asked_in_it(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import judging, triage
    from support.triage import Decision, Triage

    labels_of = {
        "hello": ("greeting", True),
        "my cup is cracked": ("damaged_item", True),
        "and the dog?": ("size_help", False),
        "refund it": ("refund_status", True),
    }

    def judged(pairs: list[tuple[str, str]]) -> list[Triage]:
        return [Triage(labels_of[text][0], 0.8, labels_of[text][1], language, Decision.ANSWER, version=5) for text, language in pairs]

    monkeypatch.setattr(triage, "judged", judged)
    for text in labels_of:
        said(talk, text, intent="", confidence=None, in_scope=None, intent_version=None)

    judging.catch_up(now=clock.now())

    talk.refresh_from_db()
    assert talk.intent == "damaged_item"


def test_a_persons_word_on_the_message_is_a_word_on_its_conversation(talk: Conversation, agent: User) -> None:
    from support import labels

    message, other = said(talk, "it is too small", intent="damaged_item"), said(talk, "when?", intent="delivery_time")
    Conversation.objects.update(intent="damaged_item")

    def about(message: Message, label: str) -> str:
        labels.label(message_id=message.pk, label=label, by=agent, now=clock.now())
        talk.refresh_from_db()
        return talk.intent

    assert about(other, "order_status") == "damaged_item"
    assert about(message, "exchange_item") == "exchange_item"
    assert about(message, "size_help") == "size_help"
    assert about(message, "out_of_scope") == ""
