"""The doors of what helps at the desk: who is here, drafts, saved replies, macros, tags, priority, team, availability."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.core import clock
from crm.core.access.roles import require
from support import assignment, canned, context, drafts, live, macros, presence, saved_pages, tags, teams
from support.doors import answered, in_team, number, wants_json
from support.models import DeskState


@require("support.view")
@require_GET
@never_cache
@answered
def about(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the pane beside the thread."""
    page = context.about_page(conversation_id=pk, viewer=request.user, now=clock.now())
    return render(request, "support/about.html", {"page": page})


@require("support.view")
@require_POST
@answered
@in_team
def present(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that this person has the conversation open (or writes, or leaves); answer who else has."""
    now, doing = clock.now(), request.POST.get("doing", "viewing")
    presence.seen(user=request.user, now=now)
    if doing == "gone":
        presence.leave(conversation_id=pk, user=request.user)
    else:
        presence.enter(conversation_id=pk, user=request.user, is_replying=doing == "replying", now=now)
    people = presence.viewers(conversation_ids=[pk], now=now).get(pk, [])
    told: list[dict[str, object]] = [{"id": each.user_id, "name": each.name, "initials": each.initials, "replying": each.is_replying} for each in people]
    live.hint_present(pk, told)
    return JsonResponse({"people": [each for each in told if each["id"] != request.user.pk]})


@require("support.view")
@require_POST
@answered
def here(request: HttpRequest) -> HttpResponse:
    """Say that the console is open, without a conversation."""
    presence.seen(user=request.user, now=clock.now())
    return JsonResponse({})


@require("support.reply")
@require_POST
@answered
@in_team
def draft(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep what is written so far."""
    kept = drafts.keep(conversation_id=pk, user=request.user, text=request.POST.get("text", ""), is_note=request.POST.get("kind") == "note", now=clock.now())
    return JsonResponse({"kept": kept})


@require("support.reply")
@require_GET
@never_cache
@answered
def saved(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the saved replies that fit what was typed after the slash, filled in for this conversation."""
    talk = teams.conversations_for(request.user).select_related("customer", "source").filter(pk=pk).first()
    if talk is None:
        teams.check(user=request.user, conversation_id=pk)
        return JsonResponse({"replies": []})
    found = canned.find(query=request.GET.get("q", ""), conversation=talk, viewer=request.user)
    return JsonResponse({"replies": [{"id": each.pk, "shortcut": each.shortcut, "title": each.title, "text": each.text} for each in found]})


@require("support.reply")
@require_GET
@never_cache
@answered
def tools(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the macros and colleagues of this conversation."""
    page = context.tools_page(conversation_id=pk, viewer=request.user)
    return JsonResponse(
        {
            "macros": [{"id": each.pk, "name": each.name} for each in page.macros],
            "colleagues": [{"username": each.username, "name": str(each)} for each in page.colleagues],
        }
    )


@require("support.reply")
@require_POST
@answered
@in_team
def macro(request: HttpRequest, pk: int) -> HttpResponse:
    """Run a macro on the conversation."""
    macros.run(macro_id=number(request.POST.get("macro")) or 0, conversation_id=pk, by=request.user, now=clock.now())
    if wants_json(request):
        return JsonResponse({})
    messages.success(request, _("Done."))
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def tag(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a tag on (`add`) or take one off (`remove`)."""
    now = clock.now()
    if request.POST.get("remove"):
        tags.remove(conversation_id=pk, name=request.POST["remove"], by=request.user, now=now)
    else:
        tags.add(conversation_id=pk, name=request.POST.get("add", ""), by=request.user, now=now)
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def priority(request: HttpRequest, pk: int) -> HttpResponse:
    tags.prioritise(conversation_id=pk, priority=number(request.POST.get("priority")) or 0, by=request.user, now=clock.now())
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
@in_team
def team(request: HttpRequest, pk: int) -> HttpResponse:
    """Give the conversation to another team; whoever is not in it no longer sees it."""
    chosen = number(request.POST.get("team"))
    if chosen is not None and not teams.mine(request.user).filter(pk=chosen).exists():
        raise teams.TeamForeign
    teams.move(conversation_id=pk, team_id=chosen, by=request.user, now=clock.now())
    messages.success(request, _("Team changed."))
    return redirect("support:conversation", pk=pk)


@require("support.reply")
@require_POST
@answered
def availability(request: HttpRequest) -> HttpResponse:
    """Take chats by itself, or no longer."""
    now = clock.now()
    presence.seen(user=request.user, now=now)
    DeskState.objects.filter(user=request.user).update(is_available=request.POST.get("available") == "yes")
    given = assignment.drain(now=now)
    if wants_json(request):
        return JsonResponse({"given": given})
    return redirect("support:inbox")


@require("support.reply")
@require_http_methods(["GET", "POST"])
@answered
def saved_replies(request: HttpRequest) -> HttpResponse:
    """The page of saved replies and macros, and its forms."""
    if request.method == "POST":
        _save(request)
        return redirect("support:saved-replies")
    return render(request, "support/saved.html", {"page": saved_pages.saved_page(viewer=request.user)})


def _save(request: HttpRequest) -> None:
    given, team_id = request.POST, number(request.POST.get("team"))
    match given.get("what"):
        case "reply":
            texts = {"en": given.get("text_en", ""), "zh-hans": given.get("text_zh", "")}
            canned.save(
                canned_id=number(given.get("id")),
                shortcut=given.get("shortcut", ""),
                title=given.get("title", ""),
                texts=texts,
                team_id=team_id,
                by=request.user,
            )
            messages.success(request, _("Saved reply stored."))
        case "delete-reply":
            canned.delete(canned_id=number(given.get("id")) or 0, by=request.user)
            messages.success(request, _("Saved reply removed."))
        case "macro":
            macros.save(macro_id=number(given.get("id")), name=given.get("name", ""), actions=saved_pages.actions_of(given), team_id=team_id, by=request.user)
            messages.success(request, _("Macro stored."))
        case "delete-macro":
            macros.delete(macro_id=number(given.get("id")) or 0, by=request.user)
            messages.success(request, _("Macro removed."))
