"""All reads of the customer pages; views hand the dataclasses to the templates unchanged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.core.cache import cache
from django.core.paginator import Page, Paginator
from django.db.models import Func, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext, pgettext_lazy

from crm.core import charts, panels
from crm.core.access.roles import permissions_of
from crm.core.charts import Chart
from crm.core.errors import NotFound
from crm.core.models import SavedView, User
from customers import consent, timeline
from customers.listing import SORTS, Filters
from customers.models import Customer, Identity, Portrait, Product, Segment
from customers.models.consent import Channel, ConsentState, Purpose
from customers.models.scores import RfmGroup, Stage
from customers.portrait_words import Words, likelihood, mood, words

PER_PAGE = 50
LIST = "customers:list"
# Countries and tags of the filter menus change rarely and cost a scan of all customers.
FACET_SECONDS = 300
MOST_FACETS = 200


# --- the list -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FilterControl:
    """One control of the filter bar; components/filters.html prints it."""

    name: str
    label: str
    value: str
    kind: str = "select"
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class ViewTab:
    """A saved view as a tab. is_changed: the page shows other filters than the view remembers."""

    id: int
    name: str
    url: str
    is_current: bool
    is_own: bool
    is_shared: bool
    is_changed: bool


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A column head that sorts. url: the same list in the other order. direction: ascending, descending or ''."""

    label: str
    url: str
    direction: str
    is_number: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class CustomersPage:
    """customers: a page of rows with their portraits. total: all people matching, also those not on screen."""

    customers: Page[Customer]
    total: int
    filters: Sequence[FilterControl]
    keep: Sequence[tuple[str, str]]
    is_filtered: bool
    query: str
    tabs: Sequence[ViewTab]
    current: ViewTab | None
    all_url: str
    columns: Sequence[ListColumn]
    product: Product | None
    min_spend: str
    is_empty_shop: bool
    export_url: str = ""


def customers_page(*, params: Mapping[str, str], viewer: User, at: datetime) -> CustomersPage:
    """Return the list for these URL parameters."""
    filters = Filters.read(params)
    paginator = Paginator(filters.queryset(at=at).select_related("portrait"), PER_PAGE)
    rows = paginator.get_page(params.get("page"))
    rows.object_list = list(rows.object_list)
    query = filters.as_query()
    tabs = _tabs(viewer, filters, params.get("view", ""))
    current = next((tab for tab in tabs if tab.is_current), None)
    list_url = reverse(LIST)
    product = Product.objects.filter(pk=filters.product).first() if filters.product is not None else None
    keep = [
        (name, value)
        for name, value in (("view", params.get("view", "") if current else ""), ("product", str(filters.product or "")), ("sort", filters.sort))
        if value
    ]
    return CustomersPage(
        customers=rows,
        total=paginator.count,
        filters=_controls(filters),
        keep=keep,
        is_filtered=filters.is_filtered,
        query=query,
        tabs=tabs,
        current=current,
        all_url=list_url,
        columns=_columns(filters, list_url, params.get("view", "") if current else ""),
        product=product,
        min_spend="" if filters.min_spend is None else f"{filters.min_spend.normalize():f}",
        is_empty_shop=not paginator.count and not filters.is_filtered,
        export_url=f"{reverse('customers:export')}{'?' + query if query else ''}",
    )


def _controls(filters: Filters) -> list[FilterControl]:
    yes_no = [("yes", _("yes")), ("no", _("no"))]
    return [
        FilterControl("q", _("Name, e-mail or phone"), filters.q, "search"),
        FilterControl("stage", _("Any stage"), filters.stage, choices=[(code, str(label)) for code, label in Stage.choices]),
        FilterControl("group", _("Any RFM group"), filters.group, choices=[(code, str(label)) for code, label in RfmGroup.choices]),
        FilterControl("country", _("Any country"), filters.country, choices=[(name, name) for name in _facet("country")]),
        FilterControl("contactable", _("E-mail: any"), filters.contactable, choices=[("yes", _("May be e-mailed")), ("no", _("May not be e-mailed"))]),
        FilterControl("orders", _("Orders: any"), filters.orders, choices=[(code, _("Has orders: %(answer)s") % {"answer": word}) for code, word in yes_no]),
        FilterControl("tag", _("Any tag"), filters.tag, choices=[(name, name) for name in _facet("tags")]),
        FilterControl(
            "segment",
            _("Any segment"),
            str(filters.segment or ""),
            choices=[(str(pk), name) for pk, name in Segment.objects.order_by("name", "id").values_list("pk", "name")[:MOST_FACETS]],
        ),
    ]


def _facet(column: str) -> list[str]:
    """Return the values that occur, remembered for a few minutes."""
    key = f"customers:facet:{column}"
    known: list[str] | None = cache.get(key)
    if known is None:
        expression = Func("tags", function="unnest") if column == "tags" else column
        people = Customer.objects.people().order_by()
        found = (
            people.annotate(value=expression).values_list("value", flat=True)
            if column == "tags"
            else people.exclude(country="").values_list("country", flat=True)
        )
        known = sorted(set(found.distinct()[:MOST_FACETS]))
        cache.set(key, known, FACET_SECONDS)
    return known


def forget_facets() -> None:
    """Have the next page look for tags and countries again; called after tags changed."""
    cache.delete_many(["customers:facet:country", "customers:facet:tags"])


def _tabs(viewer: User, filters: Filters, current: str) -> list[ViewTab]:
    saved = SavedView.objects.filter(Q(owner=viewer) | Q(is_shared=True), page=LIST).order_by("name", "id")
    now = filters.as_query()
    tabs = []
    for view in saved:
        is_current = str(view.pk) == current
        url = f"{reverse(LIST)}?{view.query + '&' if view.query else ''}view={view.pk}"
        tabs.append(ViewTab(view.pk, view.name, url, is_current, view.owner_id == viewer.pk, view.is_shared, is_current and view.query != now))
    return tabs


def _columns(filters: Filters, url: str, view: str) -> list[ListColumn]:
    def column(label: str, name: str, *, first: str = "-", is_number: bool = True, is_optional: bool = False) -> ListColumn:
        down, up = f"-{name}", name
        direction = "descending" if filters.sort == down else "ascending" if filters.sort == up else ""
        target = up if filters.sort == down and up in SORTS else down if down in SORTS else up
        if not direction and first == "":
            target = up
        query = Filters(**{each: getattr(filters, each) for each in filters.__dataclass_fields__} | {"sort": target}).as_query()  # type: ignore[arg-type]
        parts = "&".join(filter(None, (query, f"view={view}" if view else "")))
        return ListColumn(label, f"{url}?{parts}", direction, is_number, is_optional)

    return [
        column(pgettext("person", "Name"), "name", first="", is_number=False),
        column(_("Orders"), "orders"),
        column(_("Spent"), "spent"),
        column(_("Last order"), "last_order", is_number=False, is_optional=True),
        column(_("12-month value"), "value", is_optional=True),
    ]


# --- one customer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConsentLine:
    """Whether marketing may go out on one channel, and why in words."""

    channel: str
    label: str
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class PanelLink:
    """A panel of another app, with the address it loads itself from."""

    id: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class PortraitView:
    """The portrait with its words. *_is_baseline: no trained model served the figure."""

    row: Portrait
    words: Words
    waterfall: Chart | None
    likelihood: str
    orders_low: float | None
    orders_high: float | None
    mood: str
    value_version: int
    lifecycle_version: int
    sentiment_version: int


@dataclass(frozen=True, slots=True)
class CustomerPage:
    customer: Customer
    identities: Sequence[Identity]
    segments: Sequence[tuple[int, str]]
    consents: Sequence[ConsentLine]
    other_consents: Sequence[tuple[str, str]]
    portrait: PortraitView | None
    panels: Sequence[PanelLink]
    timeline_url: str
    gender: str
    tags: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A stretch of the history. is_first: the newest stretch, printed with its filters."""

    customer: Customer
    history: timeline.History
    kinds: Sequence[tuple[str, str]]
    kind: str
    is_first: bool


# What shops commonly send; anything else is printed as it came.
_GENDERS = {
    "female": pgettext_lazy("gender", "female"),
    "f": pgettext_lazy("gender", "female"),
    "male": pgettext_lazy("gender", "male"),
    "m": pgettext_lazy("gender", "male"),
}
CONSENT_CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PUSH)


def find_customer(customer_id: int) -> Customer:
    """Return the row with portrait and source. Raises NotFound, also for a nameless browser."""
    customer = Customer.objects.select_related("portrait", "source").filter(pk=customer_id).first()
    if customer is None:
        raise NotFound
    return customer


def customer_page(*, customer: Customer, viewer: User, at: datetime) -> CustomerPage:
    """Return one person's page; six queries besides the row given."""
    may = permissions_of(viewer)
    found = getattr(customer, "portrait", None)
    states = consent.latest_states(customer_ids=[customer.pk], at=at)[customer.pk]
    segments = Segment.objects.filter(memberships__customer=customer, memberships__left_at=None).order_by("name", "id").values_list("pk", "name")
    return CustomerPage(
        customer=customer,
        identities=list(Identity.objects.filter(customer=customer).order_by("kind", "id")[:30]),
        segments=list(segments),
        consents=consent_lines(customer=customer, at=at),
        other_consents=[
            (f"{Channel(channel).label} · {Purpose(purpose).label}", str(ConsentState(state).label))
            for (channel, purpose), state in sorted(states.items())
            if purpose != Purpose.MARKETING
        ],
        portrait=_portrait(found) if found else None,
        panels=[
            PanelLink(f"panel-{panel.url_name.replace(':', '-')}", str(panel.title), reverse(panel.url_name, args=[customer.pk]))
            for panel in panels.for_slot("customer.side", may)
        ],
        timeline_url=reverse("customers:timeline", args=[customer.pk]),
        gender=str(_GENDERS.get(customer.gender.lower(), customer.gender)),
        tags=customer.tags,
    )


def consent_lines(*, customer: Customer, at: datetime) -> list[ConsentLine]:
    """Return what the gate says of marketing on each channel; one query per channel."""
    lines = []
    for channel in CONSENT_CHANNELS:
        verdict = consent.may_contact(customer_ids=[customer.pk], channel=channel, at=at)[customer.pk]
        lines.append(ConsentLine(str(channel), str(channel.label), verdict.allowed, _(consent.REASONS[verdict.reason])))
    return lines


def _portrait(row: Portrait) -> PortraitView:
    told = words(row)
    spread = (row.reasons or {}).get("range", {}).get("orders_90", (None, None))
    return PortraitView(
        row=row,
        words=told,
        waterfall=_waterfall(row, told),
        likelihood="" if row.p_active is None else likelihood(row.p_active),
        orders_low=spread[0],
        orders_high=spread[1],
        mood="" if row.sentiment is None else mood(row.sentiment),
        value_version=int(row.versions.get("value", 0)),
        lifecycle_version=int(row.versions.get("lifecycle", 0)),
        sentiment_version=int(row.versions.get("sentiment", 0)),
    )


def _waterfall(row: Portrait, told: Words) -> Chart | None:
    if row.value_365 is None or not told.value:
        return None
    base, *steps = told.value
    return charts.waterfall(
        base=base.effect or 0.0,
        base_label=base.text,
        reasons=[(reason.text, reason.effect or 0.0) for reason in steps],
        total=float(row.value_365),
        total_label=_("Value in 12 months"),
        title=_("What the value is made of"),
        better="up",
        show=charts.as_money(row.currency or "CNY"),
    )


def timeline_page(*, customer: Customer, before: datetime, kind: str, is_first: bool) -> TimelinePage:
    """Return a stretch of the customer's history."""
    names = [(name, str(label)) for name, label in timeline.kinds()]
    kind = kind if kind in dict(names) else ""
    return TimelinePage(customer, timeline.history(customer_id=customer.pk, before=before, kind=kind), names, kind, is_first)
