"""Pages of the outbox: mails the local sink caught, for development."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from crm.core import clock, mailframe, outbox, outbox_answer
from crm.core.access.roles import require
from crm.core.http import wants_part
from crm.core.outbox import Mail, MailPage


@dataclass(frozen=True, slots=True)
class OutboxPage:
    """What outbox/list.html prints."""

    listing: MailPage
    query: str

    @property
    def filters(self) -> list[dict[str, object]]:
        return [{"name": "q", "kind": "search", "label": _("Recipient or subject"), "value": self.query}]


@require_GET
@require("outbox.view")
def index(request: HttpRequest) -> HttpResponse:
    """The list of caught mails, newest first, with a search over people and subjects."""
    _available()
    query = request.GET.get("q", "").strip()[:100]
    number = request.GET.get("page", "1")
    listing = outbox.listing(settings.CRM_OUTBOX_DIR, number=int(number) if number.isdecimal() else 1, query=query)
    template = "outbox/list.html#results" if wants_part(request) else "outbox/list.html"
    return render(request, template, {"page": OutboxPage(listing, query)})


@require_GET
@require("outbox.view")
def mail(request: HttpRequest, key: str) -> HttpResponse:
    """One mail: headers, text, and its HTML in a sandboxed frame."""
    found = _read(key)
    return render(request, "outbox/mail.html", {"page": found, "can_answer": outbox_answer.is_possible(found)})


@require_POST
@require("outbox.view")
def reply(request: HttpRequest, key: str) -> HttpResponse:
    """Answer a caught mail as its recipient would, through the real SMTP door; for trying out in development."""
    found = _read(key)
    text = request.POST.get("text", "").strip()[:20_000]
    if not outbox_answer.is_possible(found) or not text:
        raise Http404
    try:
        outbox_answer.send(found, text=text, at=clock.now())
    except outbox_answer.NotTaken as error:
        messages.error(request, error.text)
    else:
        messages.success(request, _("Answer sent."))
    return redirect("core:outbox-mail", key=key)


@require_GET
@require("outbox.view")
def mail_html(request: HttpRequest, key: str) -> HttpResponse:
    """The mail's HTML as a document of its own, for the frame."""
    return mailframe.respond(_read(key).html)


def _read(key: str) -> Mail:
    _available()
    return outbox.read(settings.CRM_OUTBOX_DIR, key)


def _available() -> None:
    if not settings.CRM_OUTBOX:
        raise Http404
