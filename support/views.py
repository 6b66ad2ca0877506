"""The console's doors. Every action is a form that works without JavaScript; the script only makes it live."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.access.roles import require
from support import answering, canned, conversations, drafts, labels, snoozing, teams, tickets
from support import inbox as inboxes
from support import threads as thread_pages
from support.doors import answered, in_team, number, wants_json
from support.models.ticket import TicketPriority


@require("support.view")
@require_GET
@never_cache
@answered
def inbox(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    page = inboxes.inbox_page(
        viewer=request.user,
        now=clock.now(),
        tab=request.GET.get("tab", ""),
        number=request.GET.get("page", "1"),
        conversation_id=pk,
        query=request.GET.get("q", ""),
        sort=request.GET.get("sort", ""),
        lines=number(request.GET.get("lines")) or 0,
    )
    # The console's script swaps the list alone; a reload or a click without it gets the whole page.
    template = "support/inbox.html#list" if request.GET.get("part") == "list" else "support/inbox.html"
    return render(request, template, {"page": page, "snoozes": snoozing.CHOICES})


@require("support.view")
@require_GET
@never_cache
@answered
def news(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the rendered messages above `after`; the headers say up to which number that is, what the visitor has read, how things stand."""
    after = number(request.GET.get("after")) or 0
    page = thread_pages.news_of(conversation_id=pk, after=after, viewer=request.user)
    response = render(request, "support/inbox.html#messages", {"thread": page})
    response["X-Upto"] = str(page.upto)
    response["X-Read"] = str(page.conversation.visitor_read_seq)
    response["X-Stands"] = thread_pages.stands(page.conversation)
    response["X-Got"] = str(page.conversation.visitor_got_seq)
    return response


@require("support.view")
@require_GET
def unread(request: HttpRequest) -> HttpResponse:
    """Answer the badge beside Inbox: how many conversations wait for this person."""
    return render(request, "support/unread.html", {"waiting": inboxes.tab_counts(request.user)["waiting"]})


@require("support.reply")
@require_POST
@answered
def reply(request: HttpRequest, pk: int) -> HttpResponse:
    """Post a reply or a note; a repeat of the same client_id changes nothing.

    `seen` is the highest number the page showed: a reply that a colleague has overtaken is refused and kept as a draft,
    unless `anyway` is sent with it.
    """
    now, text, is_note = clock.now(), request.POST.get("text", ""), request.POST.get("kind") == "note"
    try:
        posted = answering.write(
            conversation_id=pk,
            agent=request.user,
            text=text,
            client_id=request.POST.get("client_id", ""),
            is_note=is_note,
            seen=None if request.POST.get("anyway") else number(request.POST.get("seen")),
            now=now,
        )
    except answering.ReplyOvertaken:
        drafts.keep(conversation_id=pk, user=request.user, text=text, is_note=is_note, now=now)
        raise
    saved = number(request.POST.get("saved"))
    if saved and posted.is_new:
        canned.count_use(canned_id=saved)
    if wants_json(request):
        return JsonResponse({"seq": posted.message.seq})
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    """Assign to the agent given, to the queue ('none'), or take it oneself (nothing given)."""
    chosen = request.POST.get("agent", "")
    now = clock.now()
    if not chosen:
        conversations.take(conversation_id=pk, agent=request.user, now=now)
    else:
        agent = None
        if chosen != "none":
            team_id = teams.conversations_for(request.user).values_list("team_id", flat=True).get(pk=pk)
            agent = teams.staff_for(team_id).filter(pk=number(chosen)).first() if number(chosen) else None
            if agent is None:
                raise tickets.ChoiceBad
        conversations.assign(conversation_id=pk, agent=agent, by=request.user, now=now)
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def close(request: HttpRequest, pk: int) -> HttpResponse:
    conversations.close(conversation_id=pk, by=request.user, now=clock.now())
    messages.success(request, _("Conversation closed."), extra_tags=f"undo=/inbox/{pk}/reopen/")
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    conversations.reopen(conversation_id=pk, by=request.user, now=clock.now())
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def snooze(request: HttpRequest, pk: int) -> HttpResponse:
    """Put it out of sight until the chosen moment; `at` (date and time) comes before `until` (one of the choices)."""
    now = clock.now()
    moment = snoozing.until(request.POST.get("at", "") or request.POST.get("until", ""), now=now)
    conversations.snooze(conversation_id=pk, until=moment, by=request.user, now=now)
    messages.success(request, _("Out of sight until then, or until the visitor writes."), extra_tags=f"undo=/inbox/{pk}/wake/")
    return redirect("support:inbox")


@require("support.reply")
@require_POST
@answered
@in_team
def wake(request: HttpRequest, pk: int) -> HttpResponse:
    """Bring a snoozed conversation back now."""
    conversations.wake_one(conversation_id=pk, by=request.user, now=clock.now())
    return redirect("support:conversation", pk=pk)


@require("support.label")
@require_POST
@answered
@in_team
def label(request: HttpRequest, pk: int, message_id: int) -> HttpResponse:
    labels.label(message_id=message_id, conversation_id=pk, label=request.POST.get("label", ""), by=request.user, now=clock.now())
    if wants_json(request):
        return JsonResponse({"label": request.POST.get("label", "")})
    messages.success(request, _("Thank you. The next training reads it."))
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def open_ticket(request: HttpRequest, pk: int) -> HttpResponse:
    tickets.open(
        subject=request.POST.get("subject", ""),
        body=request.POST.get("body", ""),
        priority=number(request.POST.get("priority")) or TicketPriority.NORMAL,
        conversation_id=pk,
        assignee=request.user,
        by=request.user,
        now=clock.now(),
    )
    messages.success(request, _("Ticket opened."))
    return redirect("support:conversation", pk=pk)
