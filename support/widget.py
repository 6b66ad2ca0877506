"""HTTP doors of the widget: the framed page, the token, the polling fallback, and the public article page.

None of them reads a cookie: who a visitor is stands in the token it sends. They answer errors as JSON with `code` and
`message`, except for the two pages.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
from csp.decorators import csp_replace
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.http import client_ip
from crm.core.models import Source, User
from support import conversations, crowds, frames, knowledge, language, limits, pages, visitors, wire
from support.models import Conversation

JsonView = Callable[[HttpRequest], dict[str, Any]]
# Bytes of a request's body; the same as one websocket frame.
LARGEST_BODY = frames.LARGEST


class BodyBad(CrmError):
    code = "body_bad"
    message = "The body must be a JSON object with the documented fields."


def frame_page(request: HttpRequest, key: str) -> HttpResponseBase:
    """Render the chat inside the shop's page; which sites may frame it is the source's list."""
    try:
        source = visitors.active_source(key)
    except visitors.KeyUnknown:
        return render(request, "404.html", status=404)
    allowed = [origin for listed in source.allowed_origins if (origin := visitors.origin_of(listed))]
    shown: Callable[..., HttpResponseBase] = csp_replace({"frame-ancestors": ["'self'", *allowed], "connect-src": ["'self'", *_socket_hosts(request)]})(
        xframe_options_exempt(_frame_page)
    )
    return shown(request, source, allowed)


def _socket_hosts(request: HttpRequest) -> list[str]:
    # 'self' does not cover ws: in older Safari.
    return [f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"]


def language_for(request: HttpRequest, source: Source) -> str:
    """Return what to speak before the visitor wrote: the snippet's wish, else the browser's languages, else the shop's."""
    return language.known(request.GET.get("lang") or language.preferred(request.headers.get("Accept-Language", "")) or source.locale)


def _frame_page(request: HttpRequest, source: Source, allowed: list[str]) -> HttpResponse:
    chosen = language_for(request, source)
    with translation.override(chosen):
        response = render(request, "support/widget.html", {"page": pages.widget_page(source=source, language=chosen, origins=allowed, now=clock.now())})
    response["Content-Language"] = language.html_lang(chosen)
    return response


@require_GET
def article_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Render a knowledge article for everyone, in the language asked for."""
    chosen = language.known(request.GET.get("lang") or translation.get_language() or "en")
    with translation.override(chosen):
        try:
            page = pages.article_page(slug=slug, language=chosen)
        except knowledge.ArticleMissing:
            return render(request, "404.html", status=404)
        return render(request, "support/article.html", {"page": page})


def json_door(view: JsonView) -> Callable[[HttpRequest], HttpResponse]:
    """Answer what the view returns as JSON and its refusals as `{code, message}` with their status."""

    @wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        try:
            return JsonResponse(view(request))
        except CrmError as error:
            answer = JsonResponse({"code": error.code, "message": error.text}, status=error.status)
            if error.status == 429:
                answer["Retry-After"] = "60"
            return answer

    return answered


@csrf_exempt
@never_cache
@require_POST
@json_door
def token(request: HttpRequest) -> dict[str, Any]:
    """POST {key, visitor_id?, identity?: {user_id, email, timestamp, signature}} -> {token, visitor_id, expires_in}.

    An X-Visitor-Token that is still valid keeps a proven identity without a new signature.
    """
    if not limits.within(f"token:{client_ip(request)}", most=limits.TOKENS_PER_MINUTE):
        raise visitors.TooFast
    body = _body(request)
    now = clock.now()
    source = visitors.active_source(_text(body, "key"))
    visitors.check_origin(source=source, origin=_origin(request), own_host=request.get_host())
    visitor = visitors.enter(source=source, now=now, visitor_id=_text(body, "visitor_id"), claim=_identity(body), renewed=_renewed(request))
    return {
        "token": visitors.issue(visitor),
        "visitor_id": visitor.visitor_id,
        "verified": visitor.is_verified,
        "expires_in": visitors.TOKEN_SECONDS,
    }


@csrf_exempt
@never_cache
@require_GET
@json_door
def since(request: HttpRequest) -> dict[str, Any]:
    """GET ?seq=N&conversation=ID with X-Visitor-Token -> {state, after, upto, items}: polling where sockets are blocked."""
    visitor, _ = visitor_of(request)
    try:
        after = max(0, min(int(request.GET.get("seq", "0")), frames.LARGEST_SEQ))
    except ValueError:
        raise BodyBad from None
    found = conversations.current(source_id=visitor.source_id, visitor_id=visitor.visitor_id, customer_id=visitor.customer_id)
    return news_of(found, after if found and request.GET.get("conversation") == str(found.public_id) else 0)


@csrf_exempt
@never_cache
@require_POST
@json_door
def send(request: HttpRequest) -> dict[str, Any]:
    """POST {client_id, text, choice?, after?, conversation?} with X-Visitor-Token -> {seq, ...as since}."""
    visitor, source = visitor_of(request)
    body = _body(request)
    client_id, choice = _text(body, "client_id"), _text(body, "choice")
    if not client_id or len(choice) > frames.LONGEST_CHOICE:
        raise BodyBad
    if not limits.within(f"send:{visitor.source_id}:{visitor.visitor_id}", most=limits.MESSAGES_PER_MINUTE):
        raise visitors.TooFast
    _check_writing(request, source)
    posted, _conversation = visitors.write(
        visitor,
        conversation_id=None,
        text=_text(body, "text"),
        client_id=client_id,
        choice=choice,
        language=language_for(request, source),
        now=clock.now(),
    )
    after = body.get("after", 0)
    # Read again: what was posted may have changed how things stand, and the answer may be here already.
    conversation = conversations.as_it_stands(posted.message.conversation_id)
    known = conversation is not None and body.get("conversation") == str(conversation.public_id)
    return {"seq": posted.message.seq, **news_of(conversation, after if known and isinstance(after, int) and after >= 0 else 0)}


@csrf_exempt
@never_cache
@require_POST
@json_door
def act(request: HttpRequest) -> dict[str, Any]:
    """POST {person: true} or {score: 1-5, comment?} or {read: N} or {got: N} or {email} with X-Visitor-Token -> {state, …}."""
    visitor, source = visitor_of(request)
    body = _body(request)
    now = clock.now()
    if body.get("person") is True or "email" in body or "score" in body:
        _check_writing(request, source)
    if body.get("person") is True:
        found = conversations.for_visitor(
            source_id=source.pk, visitor_id=visitor.visitor_id, customer_id=visitor.customer_id, language=language_for(request, source), now=now
        )
        conversations.hand_over(conversation_id=found.pk, reason="asked", now=now, cause="chat")
        return news_of(Conversation.objects.get(pk=found.pk), 0)
    current = conversations.current(source_id=visitor.source_id, visitor_id=visitor.visitor_id, customer_id=visitor.customer_id)
    if current is None:
        raise conversations.ConversationMissing
    if "email" in body:
        current = conversations.leave_address(conversation_id=current.pk, email=_text(body, "email"), now=now)
    elif "score" in body:
        current = conversations.rate(conversation_id=current.pk, csat=body["score"], comment=_text(body, "comment"), now=now)
    elif isinstance(body.get("read"), int) and not isinstance(body["read"], bool):
        conversations.mark_read(conversation_id=current.pk, seq=body["read"], by_visitor=True, now=now)
    elif isinstance(body.get("got"), int) and not isinstance(body["got"], bool):
        conversations.mark_got(conversation_id=current.pk, seq=body["got"], by_visitor=True, now=now)
    else:
        raise BodyBad
    return {"state": wire.state(current)}


def news_of(conversation: Conversation | None, after: int) -> dict[str, Any]:
    """Return the conversation's state and what is above `after`, as every polling answer has it."""
    rows = conversations.since(conversation_id=conversation.pk, after_seq=after) if conversation else []
    full = len(rows) == conversations.PAGE
    last = conversation.last_seq if conversation else 0
    if conversation and conversation.agent_id:
        conversation.agent = User.objects.get(pk=conversation.agent_id)
    return {
        "state": wire.state(conversation),
        "after": after,
        "upto": rows[-1].seq if full else max(last, rows[-1].seq if rows else 0, after if conversation else 0),
        "items": [wire.item(row) for row in rows],
    }


def visitor_of(request: HttpRequest) -> tuple[visitors.Visitor, Source]:
    """Return who asks and at which widget. Raises TokenBad, OriginForeign or TooFast."""
    visitor = visitors.read(request.headers.get("X-Visitor-Token", "")[:2000], now=clock.now())
    if not crowds.may_ask(address=client_ip(request), source_id=visitor.source_id, visitor_id=visitor.visitor_id):
        raise visitors.TooFast
    source = visitors.admitted(visitor)
    visitors.check_origin(source=source, origin=_origin(request), own_host=request.get_host())
    return visitor, source


def _check_writing(request: HttpRequest, source: Source) -> None:
    if not crowds.may_write(address=client_ip(request), source_id=source.pk):
        raise visitors.TooFast


def _origin(request: HttpRequest) -> str:
    # Browsers leave Origin out of same-origin GETs; the widget's frame is same-origin, and a page elsewhere sends one.
    same_origin = request.headers.get("Sec-Fetch-Site") in {None, "same-origin"} and request.method == "GET"
    return request.headers.get("Origin") or (f"{request.scheme}://{request.get_host()}" if same_origin else "")


def _renewed(request: HttpRequest) -> visitors.Visitor | None:
    given = request.headers.get("X-Visitor-Token", "")[:2000]
    try:
        visitor = visitors.read(given, now=clock.now()) if given else None
        if visitor is not None:
            visitors.admitted(visitor)
    except visitors.TokenBad:
        return None
    return visitor


def _body(request: HttpRequest) -> dict[str, Any]:
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST_BODY:
        raise BodyBad
    try:
        body = orjson.loads(request.read(LARGEST_BODY + 1))
    except orjson.JSONDecodeError:
        raise BodyBad from None
    if not isinstance(body, dict):
        raise BodyBad
    return body


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name, "")
    # PostgreSQL stores no zero byte; from what people write it is taken out, elsewhere nobody has business with one.
    if not isinstance(value, str) or (name not in frames.WRITTEN and "\x00" in value):
        raise BodyBad
    return value


def _identity(body: dict[str, Any]) -> visitors.IdentityClaim | None:
    given = body.get("identity")
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("timestamp"), int) or isinstance(given["timestamp"], bool):
        raise visitors.IdentityBad
    user_id, email, signature = (given.get(name, "") for name in ("user_id", "email", "signature"))
    if not all(isinstance(value, str) for value in (user_id, email, signature)):
        raise visitors.IdentityBad
    return visitors.IdentityClaim(user_id=user_id, email=email, timestamp=given["timestamp"], signature=signature)
