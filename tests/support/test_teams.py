"""What belongs to a team does not exist for anybody else, on every path."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from crm.core.models import Source, User
from support import answering, canned, clusters, conversations, drafts, finding, inbox, macros, presence, tags, teams, tickets
from support.models import CannedReply, Conversation, IntentExample, Macro, Mention, Presence, QuestionCluster, Tag, Team, TeamSource
from tests.factories import CustomerFactory, SourceFactory, UserFactory
from tests.support.conftest import NOW, VISITOR, later

SECRET = "the porcelain secret"


@pytest.fixture
def ours(agent: User) -> Team:
    team = Team.objects.create(name="ours")
    team.members.add(agent)
    return team


@pytest.fixture
def theirs(shop: Source) -> Conversation:
    """A conversation of a team the agent is not in, with a ticket, waiting."""
    team = Team.objects.create(name="theirs")
    customer = CustomerFactory(name="Secret Person")
    talk = conversations.open(source_id=shop.pk, visitor_id=VISITOR, visitor_name=SECRET, customer_id=customer.pk, is_verified=True, now=NOW)
    conversations.post(conversation_id=talk.pk, author="visitor", text=SECRET, now=NOW)
    conversations.hand_over(conversation_id=talk.pk, reason="asked", now=NOW)
    teams.move(conversation_id=talk.pk, team_id=team.pk, by=None, now=NOW)
    tickets.open(subject=SECRET, conversation_id=talk.pk, now=NOW)
    return Conversation.objects.get(pk=talk.pk)


@pytest.fixture
def desk(client: Client, agent: User, ours: Team) -> Client:
    client.force_login(agent)
    return client


GET = ("conversation", "news", "about", "saved", "tools")
POST = ("reply", "assign", "close", "reopen", "snooze", "wake", "present", "draft", "macro", "tag", "priority", "team", "open-ticket")


@pytest.mark.parametrize("name", [*GET, *POST])
def test_every_door_of_a_foreign_conversation_is_as_if_there_were_none(desk: Client, theirs: Conversation, name: str) -> None:
    path = reverse(f"support:{name}", args=[theirs.pk])
    before = Conversation.objects.values().get()

    answer = desk.get(path) if name in GET else desk.post(path, {"text": "x", "doing": "viewing", "add": "x", "priority": "4", "subject": "x", "macro": "1"})

    assert answer.status_code == 404
    assert Conversation.objects.values().get() == before
    assert not Presence.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/inbox/",
        "/inbox/?tab=all",
        "/inbox/?tab=unassigned",
        "/inbox/?q=porcelain",
        "/inbox/tickets/",
        "/inbox/tickets/?q=porcelain",
        "/inbox/unread/",
        "/support/reports/",
    ],
)
def test_no_list_count_or_search_tells_of_it(desk: Client, theirs: Conversation, path: str) -> None:
    body = desk.get(path).content.decode()

    assert SECRET not in body.replace('value="porcelain"', "")
    assert "Secret Person" not in body


def test_a_message_is_not_labelled_through_another_conversation(desk: Client, talk: Conversation, theirs: Conversation) -> None:
    message = theirs.messages.get(seq=1)

    answer = desk.post(reverse("support:label", args=[talk.pk, message.pk]), {"label": "greeting"})

    assert answer.status_code == 404
    assert not IntentExample.objects.exists()


def test_a_group_of_questions_shows_and_teaches_only_what_one_may_read(desk: Client, talk: Conversation, theirs: Conversation, agent: User) -> None:
    own = conversations.post(conversation_id=talk.pk, author="visitor", text="do you gift wrap", now=NOW).message
    foreign = theirs.messages.get(seq=1)
    mixed = QuestionCluster.objects.create(kind="intent", title=SECRET, language="en", size=2, message_ids=[foreign.pk, own.pk], found_at=NOW)
    closed = QuestionCluster.objects.create(kind="intent", title=SECRET, language="en", size=1, message_ids=[foreign.pk], found_at=NOW)

    page = desk.get("/assistant/learning/").content.decode()
    with pytest.raises(clusters.ClusterMissing):
        clusters.dismiss(cluster_id=closed.pk, by=agent)

    assert SECRET not in page
    assert "do you gift wrap" in page
    assert clusters.take_up(cluster_id=mixed.pk, intent="gift_wrapping", by=agent, now=NOW) == 1
    assert list(IntentExample.objects.values_list("message", flat=True)) == [own.pk]


def test_the_global_search_and_the_customers_page_do_not_tell_of_it_either(desk: Client, theirs: Conversation) -> None:
    found = desk.get(reverse("core:search"), {"q": "porcelain"}).content.decode()
    panel = desk.get(reverse("support:customer-panel", args=[theirs.customer_id])).content.decode()
    timeline = desk.get(reverse("customers:detail", args=[theirs.customer_id])).content.decode()

    assert SECRET not in found
    assert SECRET not in panel
    assert SECRET not in timeline


def test_counts_do_not_count_it(agent: User, ours: Team, theirs: Conversation) -> None:
    assert set(inbox.tab_counts(agent).values()) == {0}


def test_members_and_administrators_see_it(theirs: Conversation) -> None:
    member, admin = UserFactory(role="agent"), UserFactory(role="admin")
    theirs.team.members.add(member)  # type: ignore[union-attr]

    assert inbox.tab_counts(member)["unassigned"] == inbox.tab_counts(admin)["unassigned"] == 1


def test_a_socket_is_told_nothing_of_it(agent: User, ours: Team, theirs: Conversation, talk: Conversation) -> None:
    view = teams.SocketView(agent)
    view.learn(view.unknown({theirs.pk, talk.pk}))

    assert (view.may_see(theirs.pk), view.may_see(talk.pk)) == (False, True)
    theirs.team.members.add(agent)  # type: ignore[union-attr]
    view.forget(theirs.pk)
    view.learn(view.unknown({theirs.pk}))
    assert view.may_see(theirs.pk)


def test_new_conversations_of_a_teams_shop_belong_to_it(ours: Team) -> None:
    source = SourceFactory()
    TeamSource.objects.create(team=ours, source=source)

    assert conversations.open(source_id=source.pk, visitor_id="d" * 32, now=NOW).team == ours


def test_a_ticket_for_a_customer_of_a_teams_shop_belongs_to_it(ours: Team) -> None:
    source = SourceFactory()
    TeamSource.objects.create(team=ours, source=source)

    assert tickets.open(subject="lid", customer_id=CustomerFactory(source=source).pk, now=NOW).team_id == ours.pk
    assert tickets.open(subject="lid", customer_id=CustomerFactory().pk, now=NOW).team_id is None


def test_a_comment_on_a_merged_ticket_stays_with_the_team_that_wrote_it(theirs: Conversation, agent: User, ours: Team) -> None:
    merged = tickets.open(subject=SECRET, conversation_id=theirs.pk, now=NOW)
    other = conversations.open(source_id=theirs.source_id, visitor_id="d" * 32, now=NOW)
    teams.move(conversation_id=other.pk, team_id=theirs.team_id, by=None, now=NOW)
    tickets.merge(ticket_id=merged.pk, into_id=tickets.open(subject="pot", conversation_id=other.pk, now=NOW).pk, by=agent, now=NOW)
    teams.move(conversation_id=other.pk, team_id=ours.pk, by=None, now=NOW)

    assert tickets.comment(ticket_id=merged.pk, text=SECRET, by=None, now=NOW).ticket_id == merged.pk


def test_moving_it_takes_it_from_an_agent_who_is_not_in_the_new_team(talk: Conversation, agent: User) -> None:
    conversations.take(conversation_id=talk.pk, agent=agent, now=NOW)
    ticket = tickets.open(subject="pot", conversation_id=talk.pk, now=NOW)
    tickets.change(ticket_id=ticket.pk, assignee=agent, now=NOW)
    other = Team.objects.create(name="other")

    moved = teams.move(conversation_id=talk.pk, team_id=other.pk, by=None, now=NOW)
    ticket.refresh_from_db()

    assert (moved.agent, moved.state) == (None, "queued")
    assert (ticket.assignee, ticket.team) == (None, other)
    assert ticket.entries.latest("at", "pk").data == {"from": agent.pk, "to": None}


def test_a_note_calls_only_colleagues_who_may_see_it(theirs: Conversation, agent: User, ours: Team) -> None:
    member = UserFactory(username="lin", role="agent")
    theirs.team.members.add(member)  # type: ignore[union-attr]
    admin = UserFactory(username="boss", role="admin")

    answering.write(conversation_id=theirs.pk, agent=admin, text="@lin, @mei. please look @nobody", is_note=True, now=NOW)

    assert [mention.user.username for mention in Mention.objects.all()] == ["lin"]


def test_a_mention_is_counted_until_it_is_read(client: Client, talk: Conversation, agent: User) -> None:
    other = UserFactory(username="lin", role="agent")
    answering.write(conversation_id=talk.pk, agent=agent, text="what do you think, @Lin?", is_note=True, now=NOW)
    before = inbox.tab_counts(other)["mentions"]
    client.force_login(other)

    client.get(reverse("support:conversation", args=[talk.pk]))

    assert (before, inbox.tab_counts(other)["mentions"]) == (1, 0)


class TestAnswering:
    def test_a_reply_that_a_colleague_overtook_is_refused_and_kept_as_a_draft(self, client: Client, talk: Conversation, agent: User) -> None:
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=NOW)
        colleague = UserFactory(username="lin", first_name="Lin", role="agent")
        answering.write(conversation_id=talk.pk, agent=colleague, text="Hi, I am Lin", seen=1, now=NOW)
        client.force_login(agent)
        path = reverse("support:reply", args=[talk.pk])

        refused = client.post(path, {"text": "Hi", "seen": "1", "client_id": "a"}, HTTP_ACCEPT="application/json")
        kept = drafts.of(conversation_id=talk.pk, user=agent)
        anyway = client.post(path, {"text": "Hi", "seen": "1", "client_id": "a", "anyway": "yes"}, HTTP_ACCEPT="application/json")
        again = client.post(path, {"text": "Hi", "seen": "1", "client_id": "a"}, HTTP_ACCEPT="application/json")

        assert (refused.status_code, refused.json()["code"], refused.json()["by"]) == (409, "reply_overtaken", "Lin")
        assert kept is not None
        assert kept.text == "Hi"
        assert (anyway.status_code, again.json()) == (200, anyway.json())
        assert drafts.of(conversation_id=talk.pk, user=agent) is None

    def test_a_note_and_the_visitors_own_lines_overtake_nobody(self, talk: Conversation, agent: User) -> None:
        colleague = UserFactory(role="agent")
        answering.write(conversation_id=talk.pk, agent=colleague, text="look", is_note=True, now=NOW)
        conversations.post(conversation_id=talk.pk, author="visitor", text="hello", now=NOW)

        assert answering.write(conversation_id=talk.pk, agent=agent, text="Hi", seen=0, now=NOW).is_new

    @pytest.mark.parametrize(("text", "names"), [("@mei look", {"mei"}), ("mail a@b.example", set()), ("@Mei, @李雷!", {"mei", "李雷"}), ("@", set())])
    def test_names_are_read_after_an_at(self, text: str, names: set[str]) -> None:
        assert answering.mentioned(text) == names


class TestPresence:
    def test_viewers_are_forgotten_when_their_time_is_over(self, talk: Conversation, agent: User) -> None:
        presence.enter(conversation_id=talk.pk, user=agent, is_replying=True, now=NOW)
        presence.enter(conversation_id=talk.pk, user=agent, is_replying=True, now=NOW)

        def seen(seconds: float) -> list[tuple[str, bool]]:
            return [(each.name, each.is_replying) for each in presence.viewers(conversation_ids=[talk.pk], now=later(seconds)).get(talk.pk, [])]

        assert [seen(1), seen(20), seen(41)] == [[("Mei", True)], [("Mei", False)], []]
        assert presence.viewers(conversation_ids=[talk.pk], now=NOW, besides=agent) == {}
        assert presence.sweep(now=NOW + timedelta(hours=2)) == 1


class TestSaved:
    def test_blanks_are_filled_and_never_tell_an_unproven_visitor_of_an_order(self, shop: Source, agent: User) -> None:
        CannedReply.objects.create(shortcut="hi", title="Hi", texts={"en": "Hello {customer}, {agent} of {shop}. {order}{unknown}{0}"})
        talk = conversations.open(source_id=shop.pk, visitor_id=VISITOR, visitor_name="{agent}", customer_id=CustomerFactory().pk, now=NOW)

        [found] = canned.find(query="/h", conversation=Conversation.objects.select_related("customer", "source").get(pk=talk.pk), viewer=agent)

        assert found.text == "Hello {agent}, Mei of The tea shop. {unknown}{0}"

    def test_the_text_is_in_the_visitors_language(self, shop: Source, agent: User) -> None:
        canned.save(canned_id=None, shortcut="/Thanks", title="Thanks", texts={"en": "Thank you", "zh-hans": "谢谢"}, team_id=None, by=agent)
        talk = conversations.open(source_id=shop.pk, visitor_id=VISITOR, language="zh-hans", now=NOW)

        assert [each.text for each in canned.find(query="thanks", conversation=talk, viewer=agent)] == ["谢谢"]

    def test_a_macro_does_everything_or_nothing(self, talk: Conversation, agent: User) -> None:
        CannedReply.objects.create(shortcut="bye", title="Bye", texts={"en": "Goodbye"})
        good = [{"do": "assign", "to": "me"}, {"do": "tag", "name": "VIP"}, {"do": "priority", "to": 3}, {"do": "reply", "saved": "bye"}, {"do": "close"}]
        works = macros.save(macro_id=None, name="goodbye", actions=good, team_id=None, by=agent)
        broken = Macro.objects.create(name="broken", actions=[{"do": "tag", "name": "oops"}, {"do": "reply", "saved": "missing"}])

        with pytest.raises(macros.MacroBad):
            macros.run(macro_id=broken.pk, conversation_id=talk.pk, by=agent, now=NOW)
        untouched = list(talk.tags.all())
        done = macros.run(macro_id=works.pk, conversation_id=talk.pk, by=agent, now=NOW)

        assert untouched == []
        assert (done.state, done.agent, done.priority) == ("closed", agent, 3)
        assert [tag.name for tag in done.tags.all()] == ["VIP"]
        assert talk.messages.filter(author="agent").get().text == "Goodbye"

    def test_a_macro_that_answers_and_gives_back_leaves_it_in_the_queue(self, client: Client, talk: Conversation, agent: User) -> None:
        CannedReply.objects.create(shortcut="moment", title="A moment", texts={"en": "A colleague will be with you."})
        client.force_login(agent)
        client.post("/inbox/saved/", {"what": "macro", "name": "pass on", "do_assign": "queue", "do_reply": "moment"})

        done = macros.run(macro_id=Macro.objects.get().pk, conversation_id=talk.pk, by=agent, now=NOW)

        assert (done.state, done.agent) == ("queued", None)

    @pytest.mark.parametrize(
        "actions", [[], [{"do": "delete"}], [{"do": "__class__"}], [{"do": "close", "more": 1}], [{"do": "priority", "to": True}], "close", [7]]
    )
    def test_unknown_actions_are_refused(self, agent: User, actions: object) -> None:
        with pytest.raises(macros.MacroBad):
            macros.save(macro_id=None, name="x", actions=actions, team_id=None, by=agent)


class TestFinding:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("退货", True), ("退货规定", True), ("规", True), ("货退", False), ("定退", False), ("porcelain", True), ("porc", True), ("PORCELAIN pot", True),
            ("cup", False), ("MM100304", True), ("' OR 1=1 --", False), ("%", False), ("the 规定", True),
        ],
    )  # fmt: skip
    def test_words_and_neighbouring_characters_are_found(self, shop: Source, agent: User, query: str, found: bool) -> None:
        talk = conversations.open(source_id=shop.pk, visitor_id=VISITOR, now=NOW)
        conversations.post(conversation_id=talk.pk, author="visitor", text="The porcelain pot of MM100304，退货规定是什么？", now=NOW)
        conversations.open(source_id=shop.pk, visitor_id="e" * 32, now=NOW)

        assert [each.pk for each in finding.conversations(query=query, viewer=agent)] == ([talk.pk] if found else [])

    def test_an_endless_word_is_stored_and_searched(self, talk: Conversation, agent: User) -> None:
        conversations.post(conversation_id=talk.pk, author="visitor", text="x" * 4000, now=NOW)

        assert finding.conversations(query="xxxx", viewer=agent).count() == 1


def test_tags_are_one_in_any_case_and_at_most_twenty(talk: Conversation, agent: User) -> None:
    for name in ("VIP", "vip", " Vip "):
        tags.add(conversation_id=talk.pk, name=name, by=agent, now=NOW)

    assert Tag.objects.count() == 1
    for number in range(19):
        tags.add(conversation_id=talk.pk, name=f"t{number}", by=agent, now=NOW)
    with pytest.raises(tags.TagBad):
        tags.add(conversation_id=talk.pk, name="one more", by=agent, now=NOW)
    # One that is on it already is not one more.
    assert tags.add(conversation_id=talk.pk, name="vip", by=agent, now=NOW).tags.count() == tags.MOST


def test_the_demo_desk_begins_with_macros_that_run(shop: Source, agent: User) -> None:
    from support import starters

    added = [starters.load(is_demo=True) for _ in range(2)]
    talk = conversations.open(source_id=shop.pk, visitor_id=VISITOR, language="zh-hans", visitor_name="李雷", now=NOW)
    for macro in Macro.objects.order_by("-name"):
        done = macros.run(macro_id=macro.pk, conversation_id=talk.pk, by=agent, now=NOW)

    assert added == [6, 0]
    assert done.state == "closed"
    assert [message.text for message in talk.messages.filter(author="agent")] == [
        "李雷您好，我是The tea shop的客服Mei，请问有什么可以帮您？",
        "不客气，祝您生活愉快！",
    ]
