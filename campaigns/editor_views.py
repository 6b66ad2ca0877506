"""The doors of the editor: a campaign's settings and texts, its audience and preview, generated drafts, test mails, copies."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from campaigns import copywriting, editing, merge, pages, sending
from campaigns.audiences import reason_label
from campaigns.channels import Deferred, Lost, Refused, ServerUnavailable
from campaigns.doors import search_text, staff
from campaigns.editing import Written
from campaigns.errors import CampaignChanged, CampaignNotDraft
from campaigns.forms import CampaignForm, NewCampaignForm, TestSendForm
from campaigns.models import Campaign, CampaignState
from crm.core import clock, mailframe
from crm.core.access.roles import require
from crm.core.http import wants_part


@require_http_methods(["GET", "HEAD", "POST"])
@require("campaigns.edit")
def new(request: HttpRequest) -> HttpResponse:
    """A new draft; ?segment= and ?goal= fill the form in, so that other pages can lead here."""
    form = NewCampaignForm(
        request.POST or None, initial={"segment": request.GET.get("segment"), "name": request.GET.get("name", ""), "goal": request.GET.get("goal", "")}
    )
    if request.method == "POST" and form.is_valid():
        segment = form.cleaned_data["segment"]
        campaign = editing.create(
            actor=staff(request), name=form.cleaned_data["name"], goal=form.cleaned_data["goal"], segment_id=segment.pk if segment else None
        )
        return HttpResponseRedirect(reverse("campaigns:edit", args=[campaign.pk]))
    return render(request, "campaigns/new.html", {"form": form, "recipes": pages.recipes()}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@require("campaigns.edit")
def edit(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The editor. A save that meets someone else's change answers 409 with what was typed still in the form."""
    campaign = pages.find(campaign_id)
    if campaign.state != CampaignState.DRAFT:
        return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
    if request.method != "POST":
        form = CampaignForm(instance=campaign, initial={"version": campaign.version})
        return render(request, "campaigns/edit.html", {"page": pages.editor_page(campaign_id=campaign_id), "form": form, "test_form": _test_form(request)})
    form = CampaignForm(request.POST, instance=Campaign(pk=campaign_id))
    typed = {language: (request.POST.get(f"subject_{language}", ""), request.POST.get(f"body_{language}", "")) for language in copywriting.LANGUAGES}
    errors = _text_errors(typed)
    conflict = False
    if form.is_valid() and not errors:
        texts = {language: Written(*text) for language, text in typed.items()}
        try:
            editing.change(campaign_id=campaign_id, version=form.cleaned_data["version"], values=form.values(), texts=texts, actor=staff(request))
        except CampaignChanged:
            conflict = True
        except CampaignNotDraft as error:
            messages.error(request, error.text)
            return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
        else:
            messages.success(request, _("Saved."))
            return HttpResponseRedirect(reverse("campaigns:edit", args=[campaign_id]))
    page = pages.editor_page(campaign_id=campaign_id, typed=typed, errors=errors, conflict=conflict)
    if conflict:
        # Saving once more, after reading the warning, is a decision to overwrite.
        data = request.POST.copy()
        data["version"] = str(page.campaign.version)
        form.data = data
    return render(request, "campaigns/edit.html", {"page": page, "form": form, "test_form": _test_form(request)}, status=409 if conflict else 422)


def _text_errors(typed: dict[str, tuple[str, str]]) -> dict[str, str]:
    errors: dict[str, str] = {}
    for language, (subject, body) in typed.items():
        if Written(subject, body).is_empty:
            continue
        if not subject.strip() or not body.strip():
            errors[language] = _("A mail needs both a subject and a text.")
            continue
        if len(subject) > 200:
            errors[language] = _("A subject has at most 200 characters.")
            continue
        try:
            merge.parse(subject.strip(), subject=True)
            merge.parse(body)
        except (merge.UnknownField, merge.MalformedField) as error:
            errors[language] = error.text
    return errors


def _test_form(request: HttpRequest) -> TestSendForm:
    return TestSendForm(initial={"to": getattr(request.user, "email", "")})


@require_GET
@require("campaigns.view")
def audience(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Who would be reached, and the pre-flight list: the part for the editor, or a page of its own."""
    page = pages.audience_panel(campaign=pages.find(campaign_id), at=clock.now())
    return render(request, "campaigns/audience.html#panel" if wants_part(request) else "campaigns/audience.html", {"page": page})


@require_GET
@require("campaigns.view")
def preview(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The saved message as a chosen customer gets it."""
    page = _preview(request, campaign_id)
    return render(request, "campaigns/preview.html#panel" if wants_part(request) else "campaigns/preview.html", {"page": page})


@require_GET
@require("campaigns.view")
def preview_frame(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The message's HTML as a document of its own, for the preview's frame."""
    page = _preview(request, campaign_id)
    if page.message is None:
        raise Http404(page.problem)
    return mailframe.respond(page.message.html)


def _preview(request: HttpRequest, campaign_id: int) -> pages.PreviewPanel:
    chosen = request.GET.get("as", "")
    return pages.preview_panel(
        campaign_id=campaign_id,
        at=clock.now(),
        query=search_text(request, "q"),
        customer_id=int(chosen) if chosen.isdecimal() and len(chosen) < 19 else None,
        language=request.GET.get("language", ""),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@require("campaigns.edit")
def drafts(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """POST asks the generator for drafts (a job does it); GET answers with what it has to offer."""
    if request.method == "POST":
        pages.find(campaign_id)
        try:
            copywriting.request(campaign_id=campaign_id, actor=staff(request), now=clock.now())
        except CampaignNotDraft as error:
            messages.error(request, error.text)
            return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
    if wants_part(request):
        return render(request, "campaigns/edit.html#suggestions", {"page": {"suggestions": pages.suggestions(campaign_id=campaign_id)}})
    return HttpResponseRedirect(reverse("campaigns:edit", args=[campaign_id]) + "#suggestions")


@require_POST
@require("campaigns.edit")
def use_draft(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Put a draft into the campaign, still marked as written by a model."""
    draft = copywriting.use(draft_id=draft_id, actor=staff(request))
    messages.success(request, _("The draft is in the text now. Read it, then approve or edit it."))
    return HttpResponseRedirect(reverse("campaigns:edit", args=[draft.campaign_id]))


@require_POST
@require("campaigns.edit")
def dismiss_draft(request: HttpRequest, draft_id: int) -> HttpResponse:
    """Put a draft away."""
    draft = copywriting.dismiss(draft_id=draft_id)
    return HttpResponseRedirect(reverse("campaigns:edit", args=[draft.campaign_id]) + "#suggestions")


@require_POST
@require("campaigns.edit")
def approve(request: HttpRequest, campaign_id: int, language: str) -> HttpResponse:
    """Take responsibility for a text a model wrote."""
    try:
        editing.approve(campaign_id=campaign_id, language=language, actor=staff(request))
    except CampaignNotDraft as error:
        messages.error(request, error.text)
    else:
        messages.success(request, _("Approved."))
    return HttpResponseRedirect(reverse("campaigns:edit", args=[campaign_id]))


@require_POST
@require("campaigns.edit")
def send_test(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Send one mail to a member of staff; it counts nowhere."""
    campaign = pages.find(campaign_id)
    form = TestSendForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    elif form.cleaned_data["language"] not in {text.language for text in campaign.texts.all()}:
        messages.error(request, _("There is no saved text in that language."))
    else:
        messages.add_message(request, *_try_test(campaign, form.cleaned_data))
    return HttpResponseRedirect(reverse("campaigns:edit", args=[campaign_id]))


def _try_test(campaign: Campaign, data: dict[str, Any]) -> tuple[int, str]:
    try:
        sending.send_test(campaign=campaign, to=data["to"], customer_id=data["customer"], language=data["language"], at=clock.now())
    except merge.FieldEmpty as error:
        return messages.ERROR, _("This customer would be left out: nothing is known for {{ %(field)s }}.") % {"field": error.data.get("field")}
    except Refused as error:
        return messages.ERROR, str(reason_label(error.reason))
    except (ServerUnavailable, Deferred, Lost) as error:
        return messages.ERROR, _("The test was not sent: %(why)s") % {"why": error.text}
    return messages.SUCCESS, _("Test sent to %(to)s.") % {"to": data["to"]}


@require_POST
@require("campaigns.edit")
def duplicate(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """A new draft with the same settings and texts."""
    pages.find(campaign_id)
    copy = editing.duplicate(campaign_id=campaign_id, actor=staff(request))
    return HttpResponseRedirect(reverse("campaigns:edit", args=[copy.pk]))


@require_POST
@require("campaigns.edit")
def delete(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Delete a draft."""
    try:
        editing.delete(campaign_id=campaign_id, actor=staff(request))
    except CampaignNotDraft as error:
        messages.error(request, error.text)
        return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
    messages.success(request, _("Draft deleted."))
    return HttpResponseRedirect(reverse("campaigns:list"))
