"""The doors of tickets."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.core import clock
from crm.core.access.roles import require
from support import teams, ticket_pages, tickets
from support.doors import answered, in_team, number


@require("support.view")
@require_GET
def ticket_list(request: HttpRequest) -> HttpResponse:
    page = ticket_pages.tickets_page(
        viewer=request.user, now=clock.now(), state=request.GET.get("state", ""), number=request.GET.get("page", "1"), query=request.GET.get("q", "")
    )
    return render(request, "support/tickets.html", {"page": page})


@require("support.view")
@require_http_methods(["GET", "POST"])
@answered
def ticket(request: HttpRequest, ticket_id: int) -> HttpResponse:
    """Show a ticket; a POST (from the list, too) changes state, priority or assignee."""
    if request.method == "POST":
        return change_ticket(request, ticket_id=ticket_id)
    page = ticket_pages.ticket_page(ticket_id=ticket_id, viewer=request.user, now=clock.now())
    return render(request, "support/ticket.html", {"page": page})


@require("support.reply")
@require_POST
@in_team
def change_ticket(request: HttpRequest, ticket_id: int) -> HttpResponse:
    given = request.POST
    chosen = given.get("assignee", "")
    assignee = None
    if number(chosen):
        team_id = teams.tickets_for(request.user).values_list("team_id", flat=True).get(pk=ticket_id)
        assignee = teams.staff_for(team_id).filter(pk=number(chosen)).first()
        if assignee is None:
            raise tickets.ChoiceBad
    changed = tickets.change(
        ticket_id=ticket_id,
        state=given.get("state") or None,
        priority=number(given.get("priority")),
        assignee=assignee,
        unassign=chosen == "none",
        subject=given.get("subject"),
        seen_version=number(given.get("version")),
        by=request.user,
        now=clock.now(),
    )
    messages.success(request, _("Ticket saved."))
    if given.get("from") == "list":
        return redirect(f"{reverse('support:tickets')}?state={changed.state}")
    return redirect("support:ticket", ticket_id=ticket_id)


@require("support.reply")
@require_POST
@answered
@in_team
def comment(request: HttpRequest, ticket_id: int) -> HttpResponse:
    entry = tickets.comment(ticket_id=ticket_id, text=request.POST.get("text", ""), by=request.user, now=clock.now())
    return redirect("support:ticket", ticket_id=entry.ticket_id)


@require("support.reply")
@require_POST
@answered
@in_team
def link_order(request: HttpRequest, ticket_id: int) -> HttpResponse:
    tickets.link_order(
        ticket_id=ticket_id, order_id=number(request.POST.get("order")) or 0, unlink=bool(request.POST.get("unlink")), by=request.user, now=clock.now()
    )
    return redirect("support:ticket", ticket_id=ticket_id)


@require("support.reply")
@require_POST
@answered
@in_team
def merge(request: HttpRequest, ticket_id: int) -> HttpResponse:
    """Let this ticket go on in another one that the person may see, too."""
    into = number((request.POST.get("into_number") or request.POST.get("into") or "").strip().lstrip("#")) or 0
    teams.check_ticket(user=request.user, ticket_id=into)
    kept = tickets.merge(ticket_id=ticket_id, into_id=into, by=request.user, now=clock.now())
    messages.success(
        request, _("Merged. It can be taken apart again on the merged ticket."), extra_tags=f"undo={reverse('support:ticket-unmerge', args=[ticket_id])}"
    )
    return redirect("support:ticket", ticket_id=kept.pk)


@require("support.reply")
@require_POST
@answered
@in_team
def unmerge(request: HttpRequest, ticket_id: int) -> HttpResponse:
    tickets.unmerge(ticket_id=ticket_id, by=request.user, now=clock.now())
    messages.success(request, _("Taken apart; both tickets are as they were."))
    return redirect("support:ticket", ticket_id=ticket_id)


@require("support.view")
@require_GET
def customer_panel(request: HttpRequest, customer_id: int) -> HttpResponse:
    return render(request, "support/customer_panel.html", {"page": ticket_pages.customer_panel(customer_id=customer_id, viewer=request.user)})
