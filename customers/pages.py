"""All reads of the list of customers; views hand the dataclasses to the templates unchanged.  One person: person_pages.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from crm.core import countries
from crm.core.models import SavedView, User
from customers import facets, paging
from customers.listing import Filters
from customers.models import Customer, Product, Segment
from customers.models.scores import RfmGroup, Stage

PER_PAGE = 50
LIST = "customers:list"
MOST_SEGMENTS = 200


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
class Neighbours:
    """What components/pagination.html prints; '' where there is no such page."""

    previous_url: str
    next_url: str


@dataclass(frozen=True, slots=True)
class CustomersPage:
    """customers: a page of rows with their portraits. total: all people matching, also those not on screen.

    is_exact: the total is counted; otherwise it is about that.  pages: the links to the neighbouring pages.
    """

    customers: Sequence[Customer]
    total: int
    is_exact: bool
    pages: Neighbours
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
    query = filters.as_query()
    found = paging.page(filters.question(at=at), filters.order, size=PER_PAGE, after=params.get("after"), before=params.get("before"))
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
        customers=found.customers,
        total=found.total,
        is_exact=found.is_exact,
        pages=_neighbours(found, params),
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
        is_empty_shop=not found.total and not filters.is_filtered,
        export_url=f"{reverse('customers:export')}{'?' + query if query else ''}",
    )


def _neighbours(found: paging.Slice, params: Mapping[str, str]) -> Neighbours:
    """Return links with the URL's other parameters kept."""

    def beside(name: str, place: str) -> str:
        if not place:
            return ""
        query = QueryDict(mutable=True)
        query.update({key: value for key, value in params.items() if key not in {"page", "after", "before"}})
        query[name] = place
        return f"{reverse(LIST)}?{query.urlencode()}"

    return Neighbours(beside("before", found.previous), beside("after", found.next))


def _controls(filters: Filters) -> list[FilterControl]:
    yes_no = [("yes", _("yes")), ("no", _("no"))]
    return [
        FilterControl("q", _("Name, e-mail or phone"), filters.q, "search"),
        FilterControl("stage", _("Any stage"), filters.stage, choices=[(code, str(label)) for code, label in Stage.choices]),
        FilterControl("group", _("Any RFM group"), filters.group, choices=[(code, str(label)) for code, label in RfmGroup.choices]),
        FilterControl("country", _("Any country"), filters.country, choices=[(name, countries.named(name)) for name in facets.known("country")]),
        FilterControl("contactable", _("E-mail: any"), filters.contactable, choices=[("yes", _("May be e-mailed")), ("no", _("May not be e-mailed"))]),
        FilterControl("orders", _("Orders: any"), filters.orders, choices=[(code, _("Has orders: %(answer)s") % {"answer": word}) for code, word in yes_no]),
        FilterControl("tag", _("Any tag"), filters.tag, choices=[(name, name) for name in facets.known("tags")]),
        FilterControl(
            "segment",
            _("Any segment"),
            str(filters.segment or ""),
            choices=[(str(pk), name) for pk, name in Segment.objects.order_by("name", "id").values_list("pk", "name")[:MOST_SEGMENTS]],
        ),
    ]


def forget_facets() -> None:
    """Have the next page look for tags and countries again; called after tags changed."""
    facets.forget()


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
        target = up if filters.sort == down and up in paging.ORDERS else down if down in paging.ORDERS else up
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
