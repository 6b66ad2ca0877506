"""Doors of files in chats: taking one from a visitor or an agent, and giving one out to whoever knows its address."""

from typing import Any
from urllib.parse import quote, unquote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.access.roles import require
from crm.core.http import client_ip
from support import attachments, conversations, limits, visitors
from support.doors import answered, in_team
from support.widget import json_door, language_for, news_of, visitor_of


@csrf_exempt
@never_cache
@require_POST
@json_door
def visitor_file(request: HttpRequest) -> dict[str, Any]:
    """POST the file itself, with X-Visitor-Token, X-Client-Id and X-File-Name (percent-encoded) -> {seq, …as since}."""
    visitor, source = visitor_of(request)
    allowed = limits.within(f"file:{visitor.source_id}:{visitor.visitor_id}", most=limits.FILES_PER_MINUTE)
    if not allowed or not limits.within(f"file:{client_ip(request)}", most=limits.ADDRESS_FILES_PER_MINUTE):
        raise visitors.TooFast
    posted, into = visitors.send_file(
        visitor, content=_content(request), name=_name(request), client_id=_client_id(request), language=language_for(request, source), now=clock.now()
    )
    return {"seq": posted.message.seq, **news_of(into, max(0, posted.message.seq - 1))}


@require("support.reply")
@require_POST
@answered
@in_team
def agent_file(request: HttpRequest, pk: int) -> HttpResponse:
    """The same from the console; the page learns of the message as of any other."""
    posted = attachments.attach(
        conversation_id=pk, content=_content(request), name=_name(request), client_id=_client_id(request), agent=request.user, now=clock.now()
    )
    return JsonResponse({"seq": posted.message.seq})


@require_GET
def give(request: HttpRequest, key: str) -> HttpResponse:
    """Answer a file: pictures in place, all else as a download; never as a page, whatever its bytes claim."""
    try:
        row, content = attachments.read(key)
    except attachments.FileMissing:
        return HttpResponse(status=404)
    kind = f"{row.media_type}; charset=utf-8" if row.media_type == "text/plain" else row.media_type
    response = HttpResponse(content, content_type=kind)
    way = "inline" if row.media_type in attachments.PICTURES else "attachment"
    response["Content-Disposition"] = f"{way}; filename*=UTF-8''{quote(row.name)}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Referrer-Policy"] = "no-referrer"
    response["Cache-Control"] = "private, max-age=86400, immutable"
    response["X-Robots-Tag"] = "noindex"
    return response


def _content(request: HttpRequest) -> bytes:
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > settings.CRM_CHAT_FILE_BYTES:
        raise attachments.FileTooLarge
    return request.read(settings.CRM_CHAT_FILE_BYTES + 1)


def _name(request: HttpRequest) -> str:
    return unquote(request.headers.get("X-File-Name", "")[:1000], errors="ignore")


def _client_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Client-Id", "")
    if not given or len(given) > conversations.LONGEST_CLIENT_ID:
        raise conversations.ClientIdBad
    return given
