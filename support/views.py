"""The console's doors. Every action is a form that works without JavaScript; the script only makes it live."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.access.roles import require
from crm.core.errors import CrmError, NotFound
from crm.core.models import User
from crm.core.models.people import Role
from support import conversations, labels, pages, tickets
from support.models.conversation import Author
from support.models.ticket import TicketPriority

View = Callable[..., HttpResponseBase]
# What the snooze button means.
SNOOZE_FOR = timedelta(hours=3)


def answered(view: View) -> View:
    """Turn a refusal of the domain into 404, or into a message on the page the form came from, or into JSON for scripts."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.text) from error
        except CrmError as error:
            if _wants_json(request):
                return JsonResponse({"code": error.code, "message": error.text}, status=error.status)
            messages.error(request, _(error.text))
            return redirect("support:conversation", pk=kwargs["pk"]) if "pk" in kwargs else redirect("support:inbox")

    return guarded


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


@require("support.view")
@require_GET
@never_cache
@answered
def inbox(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    page = pages.inbox_page(viewer=request.user, now=clock.now(), tab=request.GET.get("tab", ""), number=request.GET.get("page", "1"), conversation_id=pk)
    # The console's script swaps the list alone; a reload or a click without it gets the whole page.
    template = "support/inbox.html#list" if request.GET.get("part") == "list" else "support/inbox.html"
    return render(request, template, {"page": page})


@require("support.view")
@require_GET
@never_cache
@answered
def news(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the rendered messages above `after`; the header says up to which number that is."""
    try:
        after = max(0, int(request.GET.get("after", "0")))
    except ValueError:
        after = 0
    page = pages.news_of(conversation_id=pk, after=min(after, 2_000_000_000), viewer=request.user)
    response = render(request, "support/inbox.html#messages", {"thread": page})
    response["X-Upto"] = str(page.upto)
    response["X-Read"] = str(page.conversation.visitor_read_seq)
    return response


@require("support.view")
@require_GET
def unread(request: HttpRequest) -> HttpResponse:
    """Answer the badge beside Inbox: how many conversations wait for this person."""
    return render(request, "support/unread.html", {"waiting": pages.tab_counts(request.user)["waiting"]})


@require("support.reply")
@require_POST
@answered
def reply(request: HttpRequest, pk: int) -> HttpResponse:
    """Post a reply or a note; a repeat of the same client_id changes nothing."""
    posted = conversations.post(
        conversation_id=pk,
        author=Author.AGENT,
        agent=request.user,
        text=request.POST.get("text", ""),
        client_id=request.POST.get("client_id", ""),
        is_note=request.POST.get("kind") == "note",
        now=clock.now(),
    )
    if _wants_json(request):
        return JsonResponse({"seq": posted.message.seq})
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    """Assign to the agent given, to the queue ('none'), or take it oneself (nothing given)."""
    chosen = request.POST.get("agent", "")
    now = clock.now()
    if not chosen:
        conversations.take(conversation_id=pk, agent=request.user, now=now)
    else:
        agent = None
        if chosen != "none":
            allowed = User.objects.filter(is_active=True, role__in=[Role.AGENT, Role.ADMIN])
            agent = allowed.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 10 else None
            if agent is None:
                raise tickets.ChoiceBad
        conversations.assign(conversation_id=pk, agent=agent, by=request.user, now=now)
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
def close(request: HttpRequest, pk: int) -> HttpResponse:
    conversations.close(conversation_id=pk, by=request.user, now=clock.now())
    messages.success(request, _("Conversation closed."), extra_tags=f"undo=/inbox/{pk}/reopen/")
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    conversations.reopen(conversation_id=pk, by=request.user, now=clock.now())
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
def snooze(request: HttpRequest, pk: int) -> HttpResponse:
    now = clock.now()
    conversations.snooze(conversation_id=pk, until=now + SNOOZE_FOR, by=request.user, now=now)
    messages.success(request, _("Out of sight for three hours or until the visitor writes."))
    return redirect("support:inbox")


@require("support.label")
@require_POST
@answered
def label(request: HttpRequest, pk: int, message_id: int) -> HttpResponse:
    labels.label(message_id=message_id, label=request.POST.get("label", ""), by=request.user, now=clock.now())
    if _wants_json(request):
        return JsonResponse({"label": request.POST.get("label", "")})
    messages.success(request, _("Thank you. The next training reads it."))
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
def open_ticket(request: HttpRequest, pk: int) -> HttpResponse:
    given = request.POST.get("priority", "")
    tickets.open(
        subject=request.POST.get("subject", ""),
        body=request.POST.get("body", ""),
        priority=int(given) if given.isdecimal() and len(given) < 3 else TicketPriority.NORMAL,
        conversation_id=pages.thread_of(conversation_id=pk, viewer=request.user).conversation.pk,
        assignee=request.user,
        by=request.user,
        now=clock.now(),
    )
    messages.success(request, _("Ticket opened."))
    return redirect("support:conversation", pk=pk)


@require("support.view")
@require_GET
def ticket_list(request: HttpRequest) -> HttpResponse:
    page = pages.tickets_page(state=request.GET.get("state", ""), number=request.GET.get("page", "1"))
    return render(request, "support/tickets.html", {"page": page})


@require("support.reply")
@require_POST
def change_ticket(request: HttpRequest, ticket_id: int) -> HttpResponse:
    """Change a ticket's state or priority from the list."""
    given = request.POST.get("priority", "")
    try:
        ticket = tickets.change(
            ticket_id=ticket_id,
            state=request.POST.get("state") or None,
            priority=int(given) if given.isdecimal() and len(given) < 3 else None,
            by=request.user,
            now=clock.now(),
        )
    except NotFound as error:
        raise Http404(error.text) from error
    except CrmError as error:
        messages.error(request, _(error.text))
        return redirect("support:tickets")
    messages.success(request, _("Ticket saved."))
    return redirect(f"{reverse('support:tickets')}?state={ticket.state}")


@require("support.view")
@require_GET
def customer_panel(request: HttpRequest, customer_id: int) -> HttpResponse:
    return render(request, "support/customer_panel.html", {"page": pages.customer_panel(customer_id=customer_id)})
