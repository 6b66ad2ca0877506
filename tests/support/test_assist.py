"""Suggested replies: what they rest on, when they are stale, and what became of them."""

import pytest
from django.test import Client

from crm.core import clock
from crm.core.models import User
from support import assist, conversations, learning_report, retrieval, triage
from support.models import Article, Conversation, Message, Suggestion
from support.triage import Decision, Triage
from tests.factories import CustomerFactory, place_order
from tests.support.conftest import NOW, VISITOR

pytestmark = pytest.mark.usefixtures("no_prompt_reply")


@pytest.fixture(autouse=True)
def _by_words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_encoded", lambda _texts: (None, None))
    retrieval.forget()


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Triage("delivery_time", 0.9, True, "en", Decision.ANSWER, version=4)
    monkeypatch.setattr(triage, "of", lambda **_: found)


@pytest.fixture
def taken(talk: Conversation, agent: User) -> Conversation:
    conversations.assign(conversation_id=talk.pk, agent=agent, by=agent, now=NOW)
    return talk


def asked(talk: Conversation, text: str = "how long does delivery take") -> Message:
    return conversations.post(conversation_id=talk.pk, author="visitor", text=text, now=clock.now()).message


def suggested(question: Message, agent: User) -> Suggestion:
    found = assist.prepare(message_id=question.pk, agent_id=agent.pk, now=clock.now())
    assert found is not None
    return found


def replied(talk: Conversation, agent: User, text: str) -> str:
    reply = conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text=text, now=clock.now()).message
    # The event settles it already where tasks run eagerly; then nothing is left to settle.
    assist.settle(message_id=reply.pk, now=clock.now())
    return Suggestion.objects.get().outcome


def test_a_suggestion_quotes_its_article_and_is_prepared_once(taken: Conversation, agent: User, judge: None, delivery_article: Article) -> None:
    question = asked(taken)

    first, second = suggested(question, agent), suggested(question, agent)

    assert first.pk == second.pk
    assert (first.text, first.source["title"], first.source["version"], first.intent) == ("It takes two days.", "How long?", 3, "delivery_time")
    assert not taken.messages.filter(author="bot").exists()


def test_without_support_a_question_is_suggested_and_never_an_answer(taken: Conversation, agent: User, judge: None) -> None:
    found = suggested(asked(taken), agent)

    assert (found.origin, found.source) == ("question", {})
    assert found.text.endswith("?")


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        ("It takes two days.", "accepted"),
        ("It takes two  days. ", "accepted"),
        ("Hi Lin! It takes two days.", "edited"),
        ("It takes about three days.", "edited"),
        ("我来帮您查一下。", "rejected"),
    ],
)
def test_what_was_sent_says_what_became_of_it(taken: Conversation, agent: User, judge: None, delivery_article: Article, sent: str, outcome: str) -> None:
    suggested(asked(taken), agent)

    assert replied(taken, agent, sent) == outcome
    (line,) = learning_report.assist()
    assert (line.intent, line.shown, getattr(line, outcome)) == ("delivery_time", 1, 1)


def test_a_new_message_makes_it_stale(taken: Conversation, agent: User, judge: None, delivery_article: Article) -> None:
    suggested(asked(taken), agent)
    newer = asked(taken, "and to Norway?")

    question, found = assist.current(conversation_id=taken.pk, agent=agent, now=clock.now())

    assert (question, found) == (newer, None)
    assert Suggestion.objects.get().outcome == "stale"


def test_a_page_that_asks_before_the_reply_is_settled_loses_no_outcome(
    taken: Conversation, agent: User, judge: None, delivery_article: Article, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page asks again as soon as the reply is in the thread; the worker that settles it may come later."""
    monkeypatch.setattr("support.assistant_tasks.settle_suggestion.delay", lambda *_: None)
    suggested(asked(taken), agent)
    reply = conversations.post(conversation_id=taken.pk, author="agent", agent=agent, text="It takes two days.", now=clock.now()).message

    assert assist.current(conversation_id=taken.pk, agent=agent, now=clock.now()) == (None, None)
    asked(taken, "thanks")
    assist.current(conversation_id=taken.pk, agent=agent, now=clock.now())

    assert assist.settle(message_id=reply.pk, now=clock.now()) == "accepted"


def test_the_order_is_suggested_for_a_proven_customer_only(shop: object, agent: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triage, "of", lambda **_: Triage("order_status", 0.9, True, "en", Decision.ANSWER, version=4))
    buyer = CustomerFactory()
    order = place_order(buyer, at=NOW, amount=50)
    for is_verified in (True, False):
        talk = conversations.open(
            source_id=shop.pk,
            visitor_id=VISITOR[::-1],
            customer_id=buyer.pk,
            is_verified=is_verified,
            now=NOW,  # type: ignore[attr-defined]
        )
        found = suggested(asked(talk, f"where is {order.external_id}"), agent)
        assert (order.external_id in found.text) is is_verified


def test_the_card_is_prepared_in_a_worker_and_then_shown(client: Client, taken: Conversation, agent: User, judge: None, delivery_article: Article) -> None:
    question = asked(taken)
    client.force_login(agent)
    path = f"/assistant/conversations/{taken.pk}/suggestion/"

    waiting = client.get(path).content.decode()
    suggested(question, agent)
    shown = client.get(path).content.decode()
    row = Suggestion.objects.get()
    dismissed = client.post(f"{path}{row.pk}/dismiss/").content.decode()

    assert "being prepared" in waiting or "It takes two days." in waiting
    assert "It takes two days." in shown
    assert "How long?" in shown
    assert "It takes two days." not in dismissed
    row.refresh_from_db()
    assert row.outcome == "rejected"


def test_the_summary_holds_the_facts(client: Client, taken: Conversation, agent: User) -> None:
    asked(taken, "MM20483 came broken <b>today</b>")
    Message.objects.filter(author="visitor").update(
        understood={"entities": [{"kind": "order", "text": "MM20483"}], "mood": "negative", "urgency": "high"}, intent="damaged_item", in_scope=True
    )
    Conversation.objects.update(handover_reason="no_article")
    client.force_login(agent)

    page = client.get(f"/assistant/conversations/{taken.pk}/summary/").content.decode()

    assert "no article answers it" in page
    assert "MM20483" in page
    assert "It arrived damaged" in page
    assert "&lt;b&gt;today" in page


def test_another_teams_conversation_has_no_suggestion(client: Client, taken: Conversation, agent: User) -> None:
    from support.models import Team

    Conversation.objects.update(team=Team.objects.create(name="Others"))
    client.force_login(agent)

    assert client.get(f"/assistant/conversations/{taken.pk}/suggestion/").status_code == 404
    assert client.get(f"/assistant/conversations/{taken.pk}/summary/").status_code == 404


@pytest.mark.parametrize(
    ("answer", "trusted"), [("订单 20483 在哪里？", True), ("订单在哪里？", False), ("Where is order 20483?", False), ("订单 20483 已退款 500 元", False)]
)
def test_a_translation_keeps_every_figure_and_its_language(answer: str, trusted: bool) -> None:
    import json

    from crm.core.llm.backends import Answer
    from support import translating

    class Writer:
        def answer(self, _prompt: object, **_: object) -> Answer:
            return Answer(json.dumps({"translation": answer}), "writer")

    found = translating.translate("Where is order 20483?", into="zh-hans", backend=Writer())

    assert (found.text == answer) is trusted


def test_an_agent_reads_the_question_in_their_language(taken: Conversation, agent: User, judge: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from support import translating

    monkeypatch.setattr(translating, "is_possible", lambda: True)
    monkeypatch.setattr(translating, "translate", lambda text, *, into: translating.Translated(f"{into}: {text}", into, "writer"))
    User.objects.update(locale="zh-hans")

    assert suggested(asked(taken), agent).source["question"] == "zh-hans: how long does delivery take"
