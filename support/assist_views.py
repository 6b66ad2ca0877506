"""Doors of the suggestion card and the summary beside a conversation. They read rows; the models run in a worker."""

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.access.roles import require
from support import assist, intents, teams
from support.doors import answered, in_team
from support.language import html_lang
from support.models import Suggestion

# Seconds in which one page's repeated asking enqueues one task; then a lost task is enqueued again.
ASK_AGAIN = 15


@require("support.reply")
@require_GET
@never_cache
@answered
@in_team
def suggestion(request: HttpRequest, pk: int) -> HttpResponse:
    """Render the suggestion for the visitor's newest message; where there is none yet, ask a worker and say so."""
    question, found = assist.current(conversation_id=pk, agent=request.user, now=clock.now())
    if question is not None and found is None and _first_to_ask(question.pk, request.user.pk):
        from support.assistant_tasks import prepare_suggestion

        prepare_suggestion.delay(message_id=question.pk, agent_id=request.user.pk)
    return _card(request, pk, found, is_waiting=question is not None and found is None)


@require("support.reply")
@require_POST
@answered
@in_team
def dismiss(request: HttpRequest, pk: int, suggestion_id: int) -> HttpResponse:
    return _card(request, pk, assist.dismiss(suggestion_id=suggestion_id, agent=request.user, now=clock.now()), is_waiting=False)


@require("support.view")
@require_GET
@never_cache
@answered
@in_team
def summary(request: HttpRequest, pk: int) -> HttpResponse:
    """Render the conversation in a few facts."""
    conversation = teams.conversations_for(request.user).get(pk=pk)
    found = assist.summary(conversation=conversation)
    name = intents.name(found.intent, get_language() or "en") if found and found.intent else ""
    return render(request, "support/assist.html#summary", {"summary": found, "intent_name": name})


def _card(request: HttpRequest, pk: int, found: Suggestion | None, *, is_waiting: bool) -> HttpResponse:
    lang = html_lang(found.language) if found else ""
    return render(request, "support/assist.html#card", {"pk": pk, "suggestion": found, "is_waiting": is_waiting, "html_lang": lang})


def _first_to_ask(message_id: int, agent_id: int) -> bool:
    try:
        return bool(cache.add(f"support:suggest:{message_id}:{agent_id}", 1, timeout=ASK_AGAIN))
    except Exception:  # every cache backend has its own class for being away; a second task finds the row and does nothing
        return True
