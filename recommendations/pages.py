"""All reads of the recommendation pages."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from crm.core import formats, model_figures, model_words
from crm.core.charts import Chart
from crm.core.errors import NotFound
from crm.core.learning.reports import ModelReport, ReportedFigure
from crm.core.models import ModelVersion
from crm.core.models.learning import ModelState
from customers.models import Customer, Order, Product
from recommendations import feedback, ranking
from recommendations.feedback import FeedbackCounts
from recommendations.lists import TASK
from recommendations.models import FeedbackKind, ListState, RecommendationFeedback, RecommendationRule, RuleKind
from recommendations.ranking import Backdrop, Recommendations

FEEDBACK_DAYS = 30
FOUND_AT_MOST = 8
PANEL_LENGTH = 5
LOOKUP_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure beside popularity's on the same held-out orders."""

    label: str
    model: str
    interval: str
    baseline: str


@dataclass(frozen=True, slots=True)
class Serving:
    """What stands behind the lists. version 0: popularity, and `fallback` says why. orders: counted only then."""

    version: int
    fallback: str
    trained_at: datetime | None
    refreshed_at: datetime | None
    customers: int
    comparisons: list[Comparison]
    chart: Chart | None
    orders: int
    orders_needed: int


@dataclass(frozen=True, slots=True)
class Found:
    """One hit of a look-up: a product or a customer to open."""

    id: int
    name: str
    detail: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Lookup:
    """A look-up box with what it found. list: filled for the one that is open."""

    query: str
    found: list[Found]
    open_id: int | None
    open_name: str
    list: Recommendations | None


@dataclass(frozen=True, slots=True)
class RuleLine:
    id: int
    product_id: int
    product: str
    sku: str
    kind: str
    kind_label: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class IndexPage:
    serving: Serving
    products: Lookup
    customers: Lookup
    rules: list[RuleLine]
    counts: FeedbackCounts
    counts_before: FeedbackCounts
    days: int


@dataclass(frozen=True, slots=True)
class PanelPage:
    """The customer page's panel. is_known: the list is the customer's own; otherwise it is what is popular."""

    customer_id: int
    list: Recommendations
    dismissed: int


def index_page(*, product: str, product_id: int | None, customer: str, customer_id: int | None, at: datetime) -> IndexPage:
    """Return the page; look-ups with a text find by name, number or e-mail, those with an id open it. At most 12 queries, session included, with one look-up.

    An id that does not exist opens nothing.
    """
    language = get_language() or "en"
    rules = list(RecommendationRule.objects.select_related("product").order_by("kind", "product__name", "pk"))
    state = ListState.objects.filter(pk=1).first()
    behind = Backdrop(state=state, boosted=frozenset(rule.product_id for rule in rules if rule.kind == RuleKind.BOOST))
    period = timedelta(days=FEEDBACK_DAYS)
    before, now = feedback.counts_by_period(edges=[at - 2 * period, at - period, at])
    return IndexPage(
        serving=_serving(state),
        products=_product_lookup(product, product_id, at, behind),
        customers=_customer_lookup(customer, customer_id, at, behind),
        rules=[
            RuleLine(
                rule.pk,
                rule.product_id,
                rule.product.name_in(language),
                rule.product.sku or rule.product.external_id,
                rule.kind,
                rule.get_kind_display(),
                rule.created_at,
            )
            for rule in rules
        ],
        counts=now,
        counts_before=before,
        days=FEEDBACK_DAYS,
    )


def customer_panel(*, customer_id: int, at: datetime) -> PanelPage:
    """Return a customer's next best products. Raises NotFound. Eight queries at most."""
    if not Customer.objects.filter(pk=customer_id).exists():
        raise NotFound(_("There is no such customer."))
    return PanelPage(
        customer_id=customer_id,
        list=ranking.for_customer(customer_id=customer_id, limit=PANEL_LENGTH, at=at),
        dismissed=RecommendationFeedback.objects.filter(customer_id=customer_id, kind=FeedbackKind.DISMISSED).count(),
    )


def find_products(text: str, *, limit: int = FOUND_AT_MOST) -> list[Product]:
    """Return goods whose number is the text or whose name holds it, exact numbers first. One query; two with a number."""
    text = text.replace("\x00", "").strip()[:100]
    if not text:
        return []
    goods = Product.objects.filter(is_goods=True)
    exact = list(goods.filter(Q(sku__iexact=text) | Q(external_id__iexact=text)).order_by("pk")[:limit])
    named = goods.filter(Q(name__icontains=text) | Q(names__icontains=text)).exclude(pk__in=[product.pk for product in exact]).order_by("name", "pk")
    return [*exact, *named[: max(limit - len(exact), 0)]]


def _serving(state: ListState | None) -> Serving:
    champion = ModelVersion.objects.filter(task=TASK, state=ModelState.CHAMPION).defer("files").first()
    version = state.model_version if state else 0
    report = ModelReport.from_dict(champion.report if champion else {})
    needed = settings.CRM_RECOMMEND_MIN_ORDERS
    return Serving(
        version=version,
        fallback=(state.fallback or "missing") if state and not version else "" if state else "never",
        trained_at=champion.trained_at if champion else None,
        refreshed_at=state.refreshed_at if state else None,
        customers=state.customers if state else 0,
        comparisons=[_comparison(figure) for figure in report.figures if version],
        chart=model_figures.comparison(report, title=_("Advantage over what is popular")) if version else None,
        # Counted up to what is needed only: the page wants "you have n", not a scan of a million orders.
        orders=0 if version else len(Order.objects.filter(customer__isnull=False).order_by().values_list("pk")[:needed]),
        orders_needed=needed,
    )


def _comparison(figure: ReportedFigure) -> Comparison:
    def told(value: float | None) -> str:
        return formats.percent(value, 1) if figure.style == "share" else formats.number(value, 3)

    has_interval = figure.low is not None and figure.high is not None
    return Comparison(
        label=model_words.figure(figure.name),
        model=told(figure.value),
        interval=f"{told(figure.low)} – {told(figure.high)}" if has_interval else "",
        baseline=told(figure.baseline),
    )


def _product_lookup(text: str, product_id: int | None, at: datetime, behind: Backdrop) -> Lookup:
    language = get_language() or "en"
    found = find_products(text)
    opened = next((product for product in found if product.pk == product_id), None) or (Product.objects.filter(pk=product_id).first() if product_id else None)
    if opened is None and len(found) == 1:
        opened = found[0]
    return Lookup(
        query=text,
        found=[
            Found(product.pk, product.name_in(language), product.sku or product.external_id, opened is not None and product.pk == opened.pk)
            for product in found
        ],
        open_id=opened.pk if opened else None,
        open_name=opened.name_in(language) if opened else "",
        list=ranking.for_product(product_id=opened.pk, limit=LOOKUP_LENGTH, at=at, behind=behind) if opened else None,
    )


def _customer_lookup(text: str, customer_id: int | None, at: datetime, behind: Backdrop) -> Lookup:
    text = text.replace("\x00", "").strip()[:100]
    matching = Q(name__icontains=text) | Q(email__istartswith=text) | Q(identities__value__iexact=text)
    found = list(Customer.objects.people().filter(matching).distinct().order_by("-last_seen_at", "-pk")[:FOUND_AT_MOST]) if text else []
    opened = next((customer for customer in found if customer.pk == customer_id), None)
    if opened is None and customer_id:
        opened = Customer.objects.people().filter(pk=customer_id).first()
    if opened is None and len(found) == 1:
        opened = found[0]
    return Lookup(
        query=text,
        found=[Found(customer.pk, str(customer), customer.email, opened is not None and customer.pk == opened.pk) for customer in found],
        open_id=opened.pk if opened else None,
        open_name=str(opened) if opened else "",
        list=ranking.for_customer(customer_id=opened.pk, limit=LOOKUP_LENGTH, at=at, behind=behind) if opened else None,
    )
