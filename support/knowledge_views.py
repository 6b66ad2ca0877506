"""Doors of the knowledge pages."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from crm.core.access.roles import require
from crm.core.errors import CrmError
from support import knowledge, knowledge_pages, writing


@require("support.view")
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    return render(request, "support/knowledge.html", {"page": knowledge_pages.knowledge_page(query=request.GET.get("q", ""))})


@require("knowledge.edit")
def new(request: HttpRequest) -> HttpResponse:
    """Show the form of a new article, or make it and go to its texts."""
    if request.method == "POST":
        try:
            article = writing.create(title=request.POST.get("title", ""), intents=request.POST.getlist("intents"), by=request.user)
        except CrmError as error:
            messages.error(request, _(error.text))
        else:
            return redirect("knowledge:edit", slug=article.slug)
    page = knowledge_pages.new_page(title=request.POST.get("title") or request.GET.get("title", ""), intent=request.GET.get("intent", ""))
    return render(request, "support/knowledge_edit.html", {"page": page})


@require("support.view")
@require_GET
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    try:
        return render(request, "support/knowledge_edit.html", {"page": knowledge_pages.edit_page(slug=slug)})
    except knowledge.ArticleMissing as error:
        raise Http404(error.text) from error


@require("knowledge.edit")
@require_POST
def save(request: HttpRequest, slug: str) -> HttpResponse:
    """Save a text, the intents, or the state: whichever form was sent."""
    try:
        match request.POST.get("part"):
            case "text":
                given = {name: request.POST.get(name, "") for name in ("language", "title", "body")}
                text = writing.write(slug=slug, by=request.user, **given)
                messages.success(request, _("Saved as version %(n)s.") % {"n": text.version})
            case "intents":
                writing.list_for(slug=slug, intents=request.POST.getlist("intents"), by=request.user)
                messages.success(request, _("Saved."))
            case _other:
                article = writing.set_state(slug=slug, state=request.POST.get("state", ""), by=request.user)
                messages.success(request, _("The article is now: %(state)s.") % {"state": article.get_state_display()})
    except knowledge.ArticleMissing as error:
        raise Http404(error.text) from error
    except CrmError as error:
        messages.error(request, _(error.text))
    return redirect("knowledge:edit", slug=slug)


@require("knowledge.edit")
@require_POST
def publish_all(request: HttpRequest) -> HttpResponse:
    number = writing.publish_all(by=request.user)
    messages.success(request, ngettext("%(n)s article published.", "%(n)s articles published.", number) % {"n": number})
    return redirect("knowledge:list")
