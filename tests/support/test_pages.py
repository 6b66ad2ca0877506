import gzip
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from crm.core.models import AuditEntry, User
from support import conversations, inbox, knowledge
from support.models import Article, Conversation, IntentExample, Message, Ticket
from tests.factories import CustomerFactory, PortraitFactory, SourceFactory, UserFactory, place_order
from tests.support.conftest import NOW, VISITOR, later


@pytest.fixture
def desk(client: Client, agent: User) -> Client:
    client.force_login(agent)
    return client


def fill(count: int, agent: User) -> Conversation:
    """Return the last of `count` conversations, each with a customer, orders, a ticket and several messages."""
    source = SourceFactory()
    for number in range(count):
        customer = CustomerFactory()
        PortraitFactory(customer=customer)
        place_order(customer, at=later(-100))
        talk = conversations.open(source_id=source.pk, visitor_id=f"{number:032x}", customer_id=customer.pk, is_verified=True, now=NOW)
        for line in range(3):
            message = conversations.post(conversation_id=talk.pk, author="visitor", text=f"line {line}", now=later(line)).message
            Message.objects.filter(pk=message.pk).update(intent="delivery_time", confidence=0.6, in_scope=True)
        conversations.post(conversation_id=talk.pk, author="agent", agent=agent, text="answer", now=later(9))
        Ticket.objects.create(subject="to do", conversation=talk, customer=customer, assignee=agent, opened_at=NOW)
    return talk


@pytest.mark.parametrize("count", [3, 30])
def test_the_inbox_costs_the_same_however_much_there_is(desk: Client, agent: User, count: int, django_assert_max_num_queries: Callable[..., object]) -> None:
    talk = fill(count, agent)
    desk.get(reverse("support:conversation", args=[talk.pk]))

    with django_assert_max_num_queries(12):
        answer = desk.get(reverse("support:conversation", args=[talk.pk]))

    assert answer.status_code == 200
    assert len(answer.content) < 60_000


@pytest.mark.parametrize("path", ["support:inbox", "support:tickets"])
def test_other_pages_stay_within_the_budget(desk: Client, agent: User, path: str, django_assert_max_num_queries: Callable[..., object]) -> None:
    fill(3, agent)
    desk.get(reverse(path))

    with django_assert_max_num_queries(12):
        assert desk.get(reverse(path)).status_code == 200


def test_whoever_waits_longest_comes_first(agent: User, shop: object) -> None:
    waits = {}
    for seconds in (50, 10, 30):
        talk = conversations.open(source_id=shop.pk, visitor_id=f"{seconds:032x}", now=NOW)
        conversations.hand_over(conversation_id=talk.pk, reason="asked", now=later(seconds))
        waits[seconds] = talk.pk

    page = inbox.inbox_page(viewer=agent, now=later(60 * 14), tab="unassigned")

    assert [row.pk for row in page.rows] == [waits[10], waits[30], waits[50]]
    assert [row.tone for row in page.rows] == ["warning"] * 3
    assert {tab.name: tab.count for tab in page.tabs} == {"mine": 0, "unassigned": 3, "all": 3, "snoozed": 0, "mentions": 0, "closed": 0}


def test_a_reply_works_as_a_plain_form(desk: Client, talk: Conversation, agent: User) -> None:
    answer = desk.post(reverse("support:reply", args=[talk.pk]), {"text": "Hello", "kind": "reply"})

    assert answer.status_code == 302
    assert list(talk.messages.values_list("author", "text", "is_note")) == [("agent", "Hello", False)]


def test_a_repeated_reply_of_the_script_is_stored_once(desk: Client, talk: Conversation) -> None:
    path = reverse("support:reply", args=[talk.pk])
    sent = [desk.post(path, {"text": "Hello", "kind": "note", "client_id": "a"}, HTTP_ACCEPT="application/json").json() for _ in range(3)]

    assert sent == [{"seq": 1}] * 3
    assert talk.messages.get().is_note


def test_an_empty_reply_is_said_and_not_stored(desk: Client, talk: Conversation) -> None:
    path = reverse("support:reply", args=[talk.pk])

    as_json = desk.post(path, {"text": " "}, HTTP_ACCEPT="application/json")
    as_page = desk.post(path, {"text": " "}, follow=True)

    assert (as_json.status_code, as_json.json()["code"]) == (400, "text_empty")
    assert "A message needs at least one visible character." in as_page.content.decode()
    assert not talk.messages.exists()


def test_news_holds_only_what_is_above_the_number(desk: Client, talk: Conversation) -> None:
    for text in ("one", "two", "three"):
        conversations.post(conversation_id=talk.pk, author="visitor", text=text, now=NOW)

    answer = desk.get(reverse("support:news", args=[talk.pk]), {"after": "1"})

    assert re.findall(r'data-seq="(\d+)"', answer.content.decode()) == ["2", "3"]
    assert answer.headers["X-Upto"] == "3"


def test_news_say_when_what_the_page_offers_is_out_of_date(desk: Client, talk: Conversation, agent: User) -> None:
    def stands() -> str:
        return desk.get(reverse("support:news", args=[talk.pk])).headers["X-Stands"]

    page = desk.get(reverse("support:conversation", args=[talk.pk])).content.decode()
    before = stands()
    conversations.assign(conversation_id=talk.pk, agent=agent, by=agent, now=NOW)

    assert f'data-stands="{before}"' in page
    assert stands() != before


def test_every_line_of_a_long_conversation_can_be_read(desk: Client, talk: Conversation) -> None:
    Message.objects.bulk_create(
        Message(conversation=talk, seq=number, author="visitor", text=f"line {number}", sent_at=NOW, language="en") for number in range(1, 451)
    )
    Conversation.objects.update(last_seq=450)
    path = reverse("support:conversation", args=[talk.pk])
    seen, links = [], []

    for _page in range(3):
        body = desk.get(path).content.decode()
        seen.append(len(re.findall(r'<li class="message" data-author="visitor"', body)))
        links = re.findall(r'href="([^"#]*lines=\d+)#(\d+)"', body)
        path = path.split("?")[0] + links[0][0] if links else path

    assert seen == [200, 400, 450]
    assert links == []


def test_hostile_text_is_shown_as_text(desk: Client, talk: Conversation) -> None:
    Conversation.objects.update(visitor_name="<script>alert(1)</script>")
    conversations.post(conversation_id=talk.pk, author="visitor", text="<img src=x onerror=alert(2)>", now=NOW)

    body = desk.get(reverse("support:conversation", args=[talk.pk])).content.decode()

    assert "<script>alert" not in body
    assert "<img src=x" not in body
    assert "&lt;img src=x onerror=alert(2)&gt;" in body


@pytest.mark.parametrize("name", ["assign", "close", "reopen", "snooze"])
def test_each_action_changes_and_is_audited(desk: Client, talk: Conversation, agent: User, name: str) -> None:
    if name == "reopen":
        conversations.close(conversation_id=talk.pk, by=None, now=NOW)

    desk.post(reverse(f"support:{name}", args=[talk.pk]))

    talk.refresh_from_db()
    expected = {"assign": "assigned", "close": "closed", "reopen": "assigned", "snooze": "snoozed"}[name]
    assert talk.state == expected
    assert AuditEntry.objects.get(action=f"conversation.{name}").actor == agent


@pytest.mark.parametrize("chosen", ["999999", "x", "-1", "1" * 400])
def test_assigning_to_nobody_is_refused(desk: Client, talk: Conversation, chosen: str) -> None:
    desk.post(reverse("support:assign", args=[talk.pk]), {"agent": chosen})

    talk.refresh_from_db()
    assert (talk.state, talk.agent) == ("bot", None)


def test_nobody_is_chosen_in_advance_for_a_conversation_nobody_has(desk: Client, talk: Conversation, agent: User) -> None:
    def chosen() -> list[str]:
        page = desk.get(reverse("support:about", args=[talk.pk])).content.decode()
        picked = re.search(r'<select id="agent".*?</select>', page, re.DOTALL)
        assert picked is not None
        return re.findall(r'<option value="(\w*)" selected>', picked[0])

    before = chosen()
    conversations.assign(conversation_id=talk.pk, agent=agent, by=agent, now=NOW)

    assert (before, chosen()) == ([""], [str(agent.pk)])


def test_a_marketer_cannot_be_given_a_chat(desk: Client, talk: Conversation) -> None:
    desk.post(reverse("support:assign", args=[talk.pk]), {"agent": str(UserFactory(role="marketer").pk)})

    talk.refresh_from_db()
    assert talk.agent is None


@pytest.mark.parametrize("role", ["marketer", "analyst", ""])
@pytest.mark.parametrize("name", ["inbox", "conversation", "news", "reply", "assign", "close", "label", "tickets"])
def test_others_stay_outside(client: Client, talk: Conversation, role: str, name: str) -> None:
    client.force_login(UserFactory(role=role))
    numbers = {"inbox": [], "tickets": [], "label": [talk.pk, 1]}.get(name, [talk.pk])
    path = reverse(f"support:{name}", args=numbers)

    answer = client.post(path) if name in {"reply", "assign", "close", "label"} else client.get(path)

    assert answer.status_code == 403


def test_a_correction_becomes_an_example_with_its_origin(desk: Client, talk: Conversation, agent: User) -> None:
    message = conversations.post(conversation_id=talk.pk, author="visitor", text="how long", now=NOW).message
    Message.objects.filter(pk=message.pk).update(intent="delivery_cost", in_scope=True)
    path = reverse("support:label", args=[talk.pk, message.pk])

    desk.post(path, {"label": "delivery_time"})
    corrected = IntentExample.objects.get()
    desk.post(path, {"label": "delivery_cost"})

    assert (corrected.text, corrected.label, corrected.origin, corrected.created_by) == ("how long", "delivery_time", "correction", agent)
    confirmed = IntentExample.objects.get()
    assert (confirmed.pk, confirmed.label, confirmed.origin) == (corrected.pk, "delivery_cost", "confirmed")


@pytest.mark.parametrize("label", ["", "no_such_intent", "__class__"])
def test_an_unknown_label_is_refused(desk: Client, talk: Conversation, label: str) -> None:
    message = conversations.post(conversation_id=talk.pk, author="visitor", text="how long", now=NOW).message

    answer = desk.post(reverse("support:label", args=[talk.pk, message.pk]), {"label": label}, HTTP_ACCEPT="application/json")

    assert answer.status_code == 422
    assert not IntentExample.objects.exists()


def test_a_ticket_is_opened_from_a_chat_and_solved_in_the_list(desk: Client, shop: object, agent: User) -> None:
    customer = CustomerFactory()
    talk = conversations.open(source_id=shop.pk, visitor_id=VISITOR, customer_id=customer.pk, is_verified=True, now=NOW)

    desk.post(reverse("support:open-ticket", args=[talk.pk]), {"subject": "Send the lid", "priority": "3"})
    ticket = Ticket.objects.get()
    desk.post(reverse("support:ticket", args=[ticket.pk]), {"state": "solved"})

    assert (ticket.subject, ticket.customer, ticket.assignee, ticket.priority, ticket.state) == ("Send the lid", customer, agent, 3, "open")
    ticket.refresh_from_db()
    assert ticket.state == "solved"
    assert ticket.solved_at is not None


def test_the_customer_panel_lists_chats_and_open_tickets(desk: Client, agent: User) -> None:
    talk = fill(1, agent)

    body = desk.get(reverse("support:customer-panel", args=[talk.customer_id])).content.decode()

    assert "answer" in body
    assert "to do" in body


class TestArticles:
    def test_public_page_is_in_the_language_asked_for(self, client: Client, delivery_article: Article) -> None:
        english = client.get("/help/delivery_time/?lang=en").content.decode()
        chinese = client.get("/help/delivery_time/?lang=zh-CN").content.decode()

        assert "<strong>two</strong>" in english
        assert "两天送达。" in chinese
        assert '<html lang="zh-Hans">' in chinese

    @pytest.mark.parametrize("state", ["draft", "archived"])
    def test_unpublished_article_is_not_there(self, client: Client, delivery_article: Article, state: str) -> None:
        Article.objects.update(state=state)

        assert client.get("/help/delivery_time/").status_code == 404

    def test_markdown_is_drawn_and_everything_else_escaped(self) -> None:
        body = "# Head\n\nLine **bold** <b>x</b> [a](https://a.example) [b](javascript:alert(1))\n- one\n- two\n\n1. first\n\n| a | b |\n|---|---|\n| 1 | <i> |"

        drawn = knowledge.as_html(body)

        assert "<h2>Head</h2>" in drawn
        assert "<strong>bold</strong> &lt;b&gt;x&lt;/b&gt;" in drawn
        assert '<a href="https://a.example"' in drawn
        assert "javascript:alert" in drawn
        assert 'href="javascript' not in drawn
        assert "<ul><li>one</li><li>two</li></ul>" in drawn
        assert "<ol><li>first</li></ol>" in drawn
        assert "<td>&lt;i&gt;</td>" in drawn

    def test_shipped_articles_answer_every_answerable_intent_in_both_languages(self, db: None) -> None:
        from support import intents

        first = knowledge.load_shipped(now=NOW)
        again = knowledge.load_shipped(now=NOW)

        for label in set(intents.SHIPPED) - intents.NOT_A_CHOICE:
            for language in ("en", "zh-hans"):
                quote = knowledge.quote_for(intent=label, language=language)
                assert quote is not None, label
                assert f"lang={language}" in quote.url, label
        assert first.examples == IntentExample.objects.count() > 3000
        assert (again.articles, again.texts, again.examples) == (0, 0, 0)

    def test_the_command_brings_articles_as_drafts_nobody_is_told_from(self, db: None) -> None:
        from django.core.management import call_command

        call_command("load_support_examples", stdout=StringIO())

        assert set(Article.objects.values_list("state", flat=True)) == {"draft"}
        assert knowledge.quote_for(intent="delivery_time", language="en") is None


def test_the_loader_and_the_opened_chat_stay_small() -> None:
    static = Path(settings.BASE_DIR) / "static"
    opened = ["js/chat-widget.js", "js/chat-wire.js", "widget/widget.css", "css/tokens.css"]

    assert len(gzip.compress((static / "widget/loader.js").read_bytes(), 9)) <= 1024
    assert sum(len(gzip.compress((static / name).read_bytes(), 9)) for name in opened) <= 40 * 1024
