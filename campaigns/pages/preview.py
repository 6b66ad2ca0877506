"""A message as one real customer would get it."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from campaigns import audiences, merge
from campaigns.copywriting import LANGUAGES
from campaigns.messages import Desk, Message
from campaigns.models import Campaign
from campaigns.pages.finding import find
from campaigns.preflight import LANGUAGE_NAMES
from customers.models import Customer

PICKED = 8


@dataclass(frozen=True, slots=True)
class PreviewPanel:
    """campaigns/preview.html: the message as one customer gets it. problem: why it cannot be shown.

    asked: the language chosen in the form, '' for the customer's own.  language: the one shown.
    """

    campaign: Campaign
    query: str
    found: tuple[Customer, ...]
    customer: Customer | None
    asked: str
    language: str
    languages: tuple[tuple[str, str], ...]
    message: Message | None
    problem: str


def preview_panel(*, campaign_id: int, at: datetime, query: str = "", customer_id: int | None = None, language: str = "") -> PreviewPanel:
    """Return the saved message for a customer of the segment (or anyone found by name). At most ten queries."""
    campaign = find(campaign_id)
    texts = {text.language: text for text in campaign.texts.all()}
    people = Customer.objects.people().exclude(email="")
    if query:
        people = people.filter(Q(name__icontains=query) | Q(email__icontains=query))
    elif campaign.segment_id:
        people = people.in_segment(campaign.segment_id)
    found = tuple(people.only("name", "email", "locale").order_by("-last_seen_at", "-pk")[:PICKED])
    customer = next((one for one in found if one.pk == customer_id), None)
    if customer is None and customer_id is not None:
        customer = Customer.objects.people().filter(pk=customer_id).only("name", "email", "locale").first()
    customer = customer or (found[0] if found else None)
    asked = language if language in texts else ""
    if customer is not None and not asked:
        language = audiences.language_for(customer.locale, list(texts))
    message, problem = None, ""
    if not texts:
        problem = _("Write and save a text first.")
    elif customer is None:
        problem = _("No customer to show it to.")
    else:
        try:
            message = Desk.open(campaign=campaign, customer_ids=[customer.pk], at=at).write(customer_id=customer.pk, language=language, public_id=None)
        except merge.FieldEmpty as error:
            problem = _("This customer would be left out: nothing is known for {{ %(field)s }}.") % {"field": error.data.get("field")}
        except (merge.UnknownField, merge.MalformedField) as error:
            problem = error.text
    names = tuple((code, str(LANGUAGE_NAMES.get(code, code))) for code in LANGUAGES if code in texts)
    return PreviewPanel(campaign, query, found, customer, asked, language, names, message, problem)
