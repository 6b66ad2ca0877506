"""Tickets: states, history, orders, merging and taking apart again."""

import pytest
from django.test import Client
from django.urls import reverse

from crm.core.models import AuditEntry, User
from support import tickets
from support.models import Conversation, Team, Ticket, TicketEntry
from tests.factories import CustomerFactory, UserFactory, place_order
from tests.support.conftest import NOW, later


def opened(subject: str = "lid", **values: object) -> Ticket:
    return tickets.open(subject=subject, now=NOW, **values)  # type: ignore[arg-type]


def test_every_change_is_a_line_of_the_history(agent: User) -> None:
    ticket = opened()

    tickets.change(ticket_id=ticket.pk, state="pending", priority=4, assignee=agent, by=agent, now=later(1))
    tickets.comment(ticket_id=ticket.pk, text="called", by=agent, now=later(2))
    tickets.change(ticket_id=ticket.pk, state="solved", unassign=True, by=agent, now=later(3))

    ticket.refresh_from_db()
    assert (ticket.state, ticket.assignee, ticket.solved_at, ticket.version) == ("solved", None, later(3), 4)
    assert [(entry.kind, entry.text or [entry.data["from"], entry.data["to"]]) for entry in ticket.entries.all()] == [
        ("state", ["open", "pending"]),
        ("priority", [2, 4]),
        ("assignee", [None, agent.pk]),
        ("comment", "called"),
        ("state", ["pending", "solved"]),
        ("assignee", [agent.pk, None]),
    ]


@pytest.mark.parametrize("values", [{"state": "merged"}, {"state": "x"}, {"priority": 9}, {"priority": True}])
def test_what_is_no_choice_changes_nothing(db: None, values: dict[str, object]) -> None:
    ticket = opened()

    with pytest.raises(tickets.ChoiceBad):
        tickets.change(ticket_id=ticket.pk, now=NOW, **values)  # type: ignore[arg-type]

    assert not TicketEntry.objects.exists()


def test_a_form_that_saw_an_older_state_is_refused(agent: User) -> None:
    ticket = opened()
    tickets.change(ticket_id=ticket.pk, state="pending", now=NOW)

    with pytest.raises(tickets.TicketChanged):
        tickets.change(ticket_id=ticket.pk, state="solved", seen_version=1, by=agent, now=NOW)


class TestMerging:
    def test_one_history_in_the_order_of_time_and_back(self, client: Client, agent: User) -> None:
        customer = CustomerFactory()
        kept, gone = opened("pot", customer_id=customer.pk), opened("lid", customer_id=customer.pk)
        order = place_order(customer, at=later(-100))
        tickets.link_order(ticket_id=gone.pk, order_id=order.pk, by=agent, now=later(1))
        tickets.comment(ticket_id=kept.pk, text="first", by=agent, now=later(2))
        tickets.comment(ticket_id=gone.pk, text="second", by=agent, now=later(3))
        tickets.comment(ticket_id=kept.pk, text="third", by=agent, now=later(4))
        tickets.change(ticket_id=gone.pk, state="pending", by=agent, now=later(5))
        before = list(TicketEntry.objects.filter(ticket=gone).values())
        client.force_login(agent)

        client.post(reverse("support:ticket-merge", args=[gone.pk]), {"into_number": f"#{kept.pk}"})
        page = client.get(reverse("support:ticket", args=[kept.pk])).content.decode()
        late = tickets.comment(ticket_id=gone.pk, text="late mail", by=None, now=later(6))
        client.post(reverse("support:ticket-unmerge", args=[gone.pk]))

        assert page.index("first") < page.index("second") < page.index("third")
        assert order.external_id in page
        assert late.ticket_id == kept.pk
        gone.refresh_from_db()
        assert (gone.state, gone.merged_into, list(gone.orders.all())) == ("pending", None, [order])
        after = list(TicketEntry.objects.filter(ticket=gone).order_by("pk").values())
        assert after[: len(before)] == before
        assert [entry["data"] for entry in after[len(before) :]] == [{"from": "pending", "to": "merged"}, {"from": "merged", "to": "pending"}]
        assert {"ticket.merge", "ticket.unmerge"} <= set(AuditEntry.objects.values_list("action", flat=True))

    def test_merging_in_a_ring_with_itself_or_twice_is_refused(self, agent: User) -> None:
        first, second, third = opened("a"), opened("b"), opened("c")
        tickets.merge(ticket_id=second.pk, into_id=first.pk, by=agent, now=NOW)

        # Into one that is merged itself means into the one it goes on in.
        assert tickets.merge(ticket_id=third.pk, into_id=second.pk, by=agent, now=NOW).pk == first.pk
        for gone, into in ((first.pk, first.pk), (first.pk, second.pk), (second.pk, third.pk)):
            with pytest.raises(tickets.MergeBad):
                tickets.merge(ticket_id=gone, into_id=into, by=agent, now=NOW)
        assert tickets.merged_into(first.pk) == [second.pk, third.pk]

    def test_a_merged_ticket_is_not_changed_any_more(self, agent: User) -> None:
        kept, gone = opened("a"), opened("b")
        tickets.merge(ticket_id=gone.pk, into_id=kept.pk, by=agent, now=NOW)

        with pytest.raises(tickets.ChoiceBad):
            tickets.change(ticket_id=gone.pk, state="solved", now=NOW)

    def test_tickets_of_two_teams_stay_apart(self, agent: User) -> None:
        team = Team.objects.create(name="returns")
        kept, gone = opened("a"), opened("b", team_id=team.pk)

        with pytest.raises(tickets.MergeBad):
            tickets.merge(ticket_id=gone.pk, into_id=kept.pk, by=agent, now=NOW)


def test_only_the_customers_own_orders_can_be_linked(agent: User) -> None:
    ticket = opened(customer_id=CustomerFactory().pk)
    foreign = place_order(CustomerFactory(), at=later(-100))

    with pytest.raises(tickets.ChoiceBad):
        tickets.link_order(ticket_id=ticket.pk, order_id=foreign.pk, by=agent, now=NOW)

    assert not ticket.orders.exists()


@pytest.mark.parametrize("count", [3, 30])
def test_the_pages_of_tickets_cost_the_same_however_much_there_is(
    client: Client, agent: User, talk: Conversation, count: int, django_assert_max_num_queries: object
) -> None:
    customer = CustomerFactory()
    ticket = opened("main", customer_id=customer.pk, conversation_id=talk.pk)
    for number in range(count):
        other = opened(f"t{number}", customer_id=customer.pk)
        tickets.comment(ticket_id=other.pk, text="x", by=UserFactory(), now=NOW)
        if number % 2:
            tickets.merge(ticket_id=other.pk, into_id=ticket.pk, by=agent, now=NOW)
    client.force_login(agent)
    client.get(reverse("support:ticket", args=[ticket.pk]))

    for path in (reverse("support:ticket", args=[ticket.pk]), reverse("support:tickets"), reverse("support:tickets") + "?q=t1"):
        with django_assert_max_num_queries(14):  # type: ignore[operator]
            assert client.get(path).status_code == 200


def test_an_order_that_came_with_a_merged_ticket_can_be_taken_away(client: Client, agent: User) -> None:
    customer = CustomerFactory()
    kept, gone = opened("pot", customer_id=customer.pk), opened("lid", customer_id=customer.pk)
    order = place_order(customer, at=later(-100))
    tickets.link_order(ticket_id=gone.pk, order_id=order.pk, by=agent, now=NOW)
    tickets.merge(ticket_id=gone.pk, into_id=kept.pk, by=agent, now=NOW)
    client.force_login(agent)

    client.post(reverse("support:ticket-order", args=[kept.pk]), {"order": order.pk, "unlink": "1"})

    assert client.get(reverse("support:ticket", args=[kept.pk])).context["page"].orders == []
    with pytest.raises(tickets.ChoiceBad):
        tickets.link_order(ticket_id=kept.pk, order_id=order.pk, unlink=True, by=agent, now=NOW)
