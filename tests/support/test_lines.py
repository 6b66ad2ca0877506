"""Lines in quick succession that two workers take up at once, or in the wrong order: none is lost, none answered twice."""

import pytest

from support import conversations, replies, retrieval, triage
from support.models import Article, Conversation
from support.triage import Decision, Triage
from tests.support.conftest import NOW, later
from tests.support.test_replies import asked, last, sure, unsure

STRANGE = Triage("delivery_time", 0.2, False, "en", Decision.HAND_OVER, version=4)
SAYS = {"my parrot ate the remote": STRANGE, "how long, roughly": unsure("delivery_time", "delivery_cost"), "hi": sure("greeting"), "hello?": sure("greeting")}


@pytest.fixture(autouse=True)
def _judged_by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_encoded", lambda _texts: (None, None))
    retrieval.forget()
    monkeypatch.setattr(triage, "of", lambda *, text, **_: SAYS.get(text, sure("delivery_time")))


def test_a_question_is_not_lost_where_the_greeting_after_it_was_quicker(talk: Conversation) -> None:
    first, second = asked(talk, "my parrot ate the remote"), asked(talk, "hello?")

    outcomes = [replies.draft(message_id=each.pk, now=NOW) for each in (second, first)]

    assert outcomes == ["posted", "handed_over"]
    talk.refresh_from_db()
    assert (talk.state, talk.handover_reason) == ("queued", "out_of_scope")


def test_a_question_that_is_left_to_a_line_just_being_answered_is_read_with_it(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = asked(talk, "how long, roughly"), asked(talk, "hello?")
    outcomes: list[str] = []
    lock = conversations.locked

    def after_the_other_worker(conversation_id: int) -> Conversation:
        monkeypatch.setattr(conversations, "locked", lock)
        outcomes.append(replies.draft(message_id=first.pk, now=NOW))
        return lock(conversation_id)

    monkeypatch.setattr(conversations, "locked", after_the_other_worker)
    outcomes.append(replies.draft(message_id=second.pk, now=NOW))

    assert outcomes == ["merged", "posted"]
    assert last(talk).kind == "clarify"
    assert talk.messages.filter(author="bot").count() == 1


@pytest.mark.parametrize("text", ["hi", "how long, roughly", "my parrot ate the remote"])
def test_nothing_is_said_to_a_line_once_the_question_after_it_is_answered(talk: Conversation, delivery_article: Article, text: str) -> None:
    first, second = asked(talk, text), asked(talk, "when will the kettle I ordered come")

    outcomes = [replies.draft(message_id=each.pk, now=NOW) for each in (second, first)]

    assert outcomes == ["posted", "merged"]
    assert [row.kind for row in talk.messages.filter(author="bot")] == ["answer"]


@pytest.mark.parametrize("text", ["hi", "how long, roughly", "my parrot ate the remote"])
def test_a_worker_slower_than_its_claim_says_nothing_after_the_one_that_took_over(talk: Conversation, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    question = asked(talk, text)
    outcomes: list[str] = []

    def slow(**_: object) -> Triage:
        monkeypatch.setattr(triage, "of", lambda **_: SAYS[text])
        outcomes.append(replies.draft(message_id=question.pk, now=later(90)))
        return SAYS[text]

    monkeypatch.setattr(triage, "of", slow)
    outcomes.append(replies.draft(message_id=question.pk, now=NOW))

    assert outcomes[1] == "nothing"
    assert talk.messages.filter(author="bot").count() == 1
    question.refresh_from_db()
    assert question.reply_state == "done"
