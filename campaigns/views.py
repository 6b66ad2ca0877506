"""Doors of the list, a send, its report and its recipients: permission, one call, one template."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from campaigns import pages, sending
from campaigns.doors import page_number, search_text, staff
from campaigns.errors import CampaignChanged, CampaignNotDraft, CampaignNotReady
from campaigns.models import CampaignState
from crm.core import clock
from crm.core.access.roles import may, require
from crm.core.http import wants_part
from customers.segmentation import membership
from customers.segmentation.tree import RuleInvalid


@require_GET
@require("campaigns.view")
def index(request: HttpRequest) -> HttpResponse:
    """All campaigns, newest first, filtered in the URL."""
    page = pages.campaign_list(state=request.GET.get("state", ""), query=search_text(request, "q"), number=page_number(request))
    template = "campaigns/list.html#results" if wants_part(request) else "campaigns/list.html"
    return render(request, template, {"page": page})


@require_GET
@require("campaigns.send")
def confirm(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The final number and who is left out and why; the segment is evaluated anew first."""
    campaign = pages.find(campaign_id)
    if campaign.state != CampaignState.DRAFT:
        return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
    if campaign.segment_id is not None:
        try:
            membership.refresh(segment_id=campaign.segment_id, at=clock.now(), cause="campaign")
        except RuleInvalid as error:
            messages.error(request, error.text)
            return HttpResponseRedirect(reverse("campaigns:edit", args=[campaign_id]))
    return render(request, "campaigns/confirm.html", {"page": pages.audience_panel(campaign=campaign, at=clock.now())})


@require_POST
@require("campaigns.send")
def send(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Launch what was confirmed; a second press finds it launched already."""
    page = pages.audience_panel(campaign=pages.find(campaign_id), at=clock.now())
    if page.campaign.state != CampaignState.DRAFT:
        return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
    if page.type_name and request.POST.get("name", "").strip() != page.campaign.name:
        messages.error(request, _("Type the campaign's name to confirm a send to this many people."))
        return HttpResponseRedirect(reverse("campaigns:confirm", args=[campaign_id]))
    version = request.POST.get("version", "")
    try:
        job = sending.launch(campaign_id=campaign_id, actor=staff(request), now=clock.now(), expected_version=int(version) if version.isdecimal() else -1)
    except CampaignNotDraft:
        return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))
    except (CampaignChanged, CampaignNotReady, RuleInvalid) as error:
        messages.error(request, error.text)
        return HttpResponseRedirect(reverse("campaigns:confirm", args=[campaign_id]))
    messages.success(request, ngettext("Sending to %(n)s customer.", "Sending to %(n)s customers.", job.total) % {"n": job.total})
    return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))


@require_POST
@require("campaigns.send")
def stop(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Stop at the next message."""
    pages.find(campaign_id)
    try:
        sending.stop(campaign_id=campaign_id, actor=staff(request))
    except CampaignNotReady:
        messages.info(request, _("The campaign is not being sent."))
    else:
        messages.success(request, _("Stopped. Nobody else is written to."))
    return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))


@require_POST
@require("campaigns.send")
def resume(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """Go on with a stopped send."""
    pages.find(campaign_id)
    try:
        sending.resume(campaign_id=campaign_id, actor=staff(request), now=clock.now())
    except CampaignNotReady:
        messages.info(request, _("Only a stopped campaign can go on."))
    else:
        messages.success(request, _("Sending goes on."))
    return HttpResponseRedirect(reverse("campaigns:detail", args=[campaign_id]))


@require_GET
@require("campaigns.view")
def report(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """What came of a campaign; a draft leads to its editor."""
    campaign = pages.find(campaign_id)
    if campaign.started_at is None:
        return HttpResponseRedirect(reverse("campaigns:edit" if may(request.user, "campaigns.edit") else "campaigns:preview", args=[campaign_id]))
    page = pages.report_page(campaign_id=campaign_id, at=clock.now())
    return render(request, "campaigns/report.html#body" if wants_part(request) else "campaigns/report.html", {"page": page})


@require_GET
@require("campaigns.view")
def recipients(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The ledger, with why or why not for each customer."""
    page = pages.recipients_page(
        campaign_id=campaign_id,
        state=request.GET.get("state", ""),
        reason=search_text(request, "reason"),
        query=search_text(request, "q"),
        number=page_number(request),
    )
    template = "campaigns/recipients.html#results" if wants_part(request) else "campaigns/recipients.html"
    return render(request, template, {"page": page})


@require_GET
@require("campaigns.view")
def recipient(request: HttpRequest, campaign_id: int, customer_id: int) -> HttpResponse:
    """Why this customer got this mail, or did not."""
    page = pages.recipient_page(campaign_id=campaign_id, customer_id=customer_id, at=clock.now())
    return render(request, "campaigns/recipient.html", {"page": page})


@require_GET
@require("campaigns.view")
def customer_panel(request: HttpRequest, customer_id: int) -> HttpResponse:
    """The campaigns panel of the customer page."""
    return render(request, "campaigns/customer_panel.html", {"page": pages.customer_panel(customer_id=customer_id, at=clock.now())})


@require_GET
@require("campaigns.view")
def segment_panel(request: HttpRequest, segment_id: int) -> HttpResponse:
    """The campaigns panel of a segment's page."""
    return render(request, "campaigns/segment_panel.html", {"page": pages.segment_panel(segment_id=segment_id)})
