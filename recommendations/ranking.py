"""The front door of recommendations: what to show a customer or beside a product, now.

Lists are computed ahead (recommendations/lists.py); what may not be shown is left out here, at the last moment: what is
unavailable, not goods, blocked by a rule, refused by this customer, or bought a short while ago. Customers without a
list of their own get the popularity list, and every answer says which of the two it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils.translation import get_language

from crm.core.errors import NotFound
from customers.models import OrderLine, Product
from customers.models.order import OrderStatus
from recommendations import explain
from recommendations.lists import RefreshReport, refresh
from recommendations.models import (
    CustomerRecommendation,
    FeedbackKind,
    ListState,
    PopularProduct,
    ProductRecommendation,
    RecommendationFeedback,
    RecommendationRule,
    RuleKind,
)

__all__ = [
    "Backdrop",
    "Recommendation",
    "Recommendations",
    "RefreshReport",
    "backdrop",
    "for_customer",
    "for_customers",
    "for_product",
    "popular",
    "products_for_customers",
    "refresh",
]

# Days that count for popularity while no list was ever computed: a season's taste, not an old one.
LIVE_POPULARITY_DAYS = 90


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One product to show.

    rank: 1 is first.  score: comparable within one list only.  reason: the stored fact; why: the same in words.
    together: for a product's list, by how many customers both were bought.
    """

    product_id: int
    external_id: str
    sku: str
    name: str
    price_amount: Decimal | None
    currency: str
    url: str
    image_url: str
    rank: int
    score: float
    reason: explain.Reason
    why: str
    is_boosted: bool
    model_version: int
    together: int = 0


@dataclass(frozen=True, slots=True)
class Recommendations:
    """A list ready to show.

    model_version: 0 when popularity serves.  fallback: why no model stands behind the list: '' (one does), 'no_history'
    (too little is known of this customer or product), 'missing', 'corrupt', 'incompatible', 'too_little' (orders to learn
    from) or 'never' (nothing was computed yet).  computed_at: when the list was made, None when it was made just now.
    """

    items: tuple[Recommendation, ...]
    model_version: int
    fallback: str
    computed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    product_id: int
    score: float
    reason: explain.Reason
    model_version: int
    computed_at: datetime | None
    together: int = 0


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What every list needs to know; a page that has read it anyway hands it in. state: how the lists came about."""

    state: ListState | None
    boosted: frozenset[int]


def backdrop() -> Backdrop:
    """Return it from the database. Two queries."""
    boosted = RecommendationRule.objects.filter(kind=RuleKind.BOOST).order_by().values_list("product_id", flat=True)
    return Backdrop(state=ListState.objects.filter(pk=1).first(), boosted=frozenset(boosted))


def for_customer(*, customer_id: int, limit: int = 8, at: datetime, language: str | None = None, behind: Backdrop | None = None) -> Recommendations:
    """Return what to show one customer at that moment; not empty while anything sellable was ever bought. Six queries at most."""
    return for_customers(customer_ids=[customer_id], limit=limit, at=at, language=language, behind=behind)[customer_id]


def for_customers(
    *, customer_ids: Iterable[int], limit: int = 8, at: datetime, language: str | None = None, behind: Backdrop | None = None
) -> dict[int, Recommendations]:
    """Return a list for every id given; ids nobody has get what is popular. Six queries at most, whatever the number of ids.

    Meant for up to a few thousand customers at once, such as a batch of a campaign.  language: of names and reasons,
    default the active one.
    """
    behind = behind or backdrop()
    ids = list(dict.fromkeys(customer_ids))
    own: dict[int, list[_Candidate]] = defaultdict(list)
    rows = _own(ids).order_by("customer_id", "rank", "id")
    for customer_id, *values in rows.values_list("customer_id", "product_id", "score", "reason", "model_version", "computed_at"):
        own[customer_id].append(_Candidate(*values))
    unwanted = _unwanted(ids, at)
    chosen = {customer_id: _choose(own[customer_id], unwanted[customer_id], behind.boosted, limit) for customer_id in ids}
    short = [customer_id for customer_id in ids if len(chosen[customer_id]) < limit]
    shared = _popular(at) if short else []
    for customer_id in short:
        taken = unwanted[customer_id] | {candidate.product_id for candidate in chosen[customer_id]}
        chosen[customer_id] += _choose(shared, taken, behind.boosted, limit - len(chosen[customer_id]))
    lines = _printed(chosen, behind.boosted, language)
    return {
        customer_id: Recommendations(
            items=lines[customer_id],
            model_version=own[customer_id][0].model_version if own[customer_id] else 0,
            fallback="" if own[customer_id] else _fallback(behind.state),
            computed_at=(own[customer_id] or shared)[0].computed_at if own[customer_id] or shared else None,
        )
        for customer_id in ids
    }


def products_for_customers(*, customer_ids: Iterable[int], limit: int, at: datetime) -> dict[int, tuple[Product, ...]]:
    """Return the products themselves by the same rules, for those who print them in their own way. Four queries at most."""
    ids = list(dict.fromkeys(customer_ids))
    reason: explain.Reason = {"code": explain.POPULAR}
    products: dict[int, Product] = {}
    own: dict[int, list[_Candidate]] = defaultdict(list)
    rows = _own(ids).select_related("product__recommendation_rule")
    for row in rows.order_by("customer_id", "rank", "id"):
        products[row.product_id] = row.product
        own[row.customer_id].append(_Candidate(row.product_id, row.score, reason, row.model_version, row.computed_at))
    unwanted = _unwanted(ids, at)
    shared: list[_Candidate] = []
    if any(sum(one.product_id not in unwanted[customer_id] for one in own[customer_id]) < limit for customer_id in ids):
        best = _popular_products(at)
        products |= {product.pk: product for product in best}
        shared = [_Candidate(product.pk, 0.0, reason, 0, None) for product in best]
    boosted = frozenset(product_id for product_id, product in products.items() if _is_boosted(product))
    chosen: dict[int, list[_Candidate]] = {}
    for customer_id in ids:
        chosen[customer_id] = _choose(own[customer_id], unwanted[customer_id], boosted, limit)
        taken = unwanted[customer_id] | {candidate.product_id for candidate in chosen[customer_id]}
        chosen[customer_id] += _choose(shared, taken, boosted, limit - len(chosen[customer_id]))
    return {customer_id: tuple(products[candidate.product_id] for candidate in listed) for customer_id, listed in chosen.items()}


def for_product(*, product_id: int, limit: int = 8, at: datetime, language: str | None = None, behind: Backdrop | None = None) -> Recommendations:
    """Return what goes with a product, popular products where too little is known of it. Six queries at most. Raises NotFound."""
    if not Product.objects.filter(pk=product_id).exists():
        raise NotFound
    behind = behind or backdrop()
    rows = ProductRecommendation.objects.filter(_sellable("other__"), product_id=product_id).order_by("rank", "id")
    reason: explain.Reason = {"code": explain.BOUGHT_WITH, "product_id": product_id}
    own = [
        _Candidate(other_id, score, reason, version, computed_at, together)
        for other_id, score, version, computed_at, together in rows.values_list("other_id", "score", "model_version", "computed_at", "together")
    ]
    shared = [] if own else _popular(at)
    chosen = _choose(own or shared, {product_id}, behind.boosted, limit)
    return Recommendations(
        items=_printed({product_id: chosen}, behind.boosted, language)[product_id],
        model_version=own[0].model_version if own else 0,
        fallback="" if own else _fallback(behind.state),
        computed_at=(own or shared)[0].computed_at if own or shared else None,
    )


def popular(*, limit: int = 8, at: datetime, language: str | None = None) -> Recommendations:
    """Return what sells best now, for a visitor nobody knows. At most five queries."""
    behind, shared = backdrop(), _popular(at)
    chosen = _choose(shared, set(), behind.boosted, limit)
    return Recommendations(
        items=_printed({0: chosen}, behind.boosted, language)[0],
        model_version=0,
        fallback=_fallback(behind.state),
        computed_at=shared[0].computed_at if shared else None,
    )


def _own(customer_ids: Sequence[int]) -> QuerySet[CustomerRecommendation]:
    """Return the customers' own lists; whoever refuses to be profiled gets what is popular, even while a list is left of them."""
    return CustomerRecommendation.objects.filter(_sellable("product__"), customer_id__in=customer_ids, customer__profiling_refused=False)


def _sellable(prefix: str) -> Q:
    """Return the condition on a product that may be shown at all; `prefix` leads to the product."""
    blocked = Q(**{f"{prefix}recommendation_rule__kind": RuleKind.BLOCK})
    return Q(**{f"{prefix}is_available": True, f"{prefix}is_goods": True}) & ~blocked


def _popular(at: datetime) -> list[_Candidate]:
    """Return the popularity list; while none was computed it is counted on the spot. One query, two in that case."""
    rows = PopularProduct.objects.filter(_sellable("product__")).order_by("rank").values_list("product_id", "score", "computed_at")
    reason: explain.Reason = {"code": explain.POPULAR}
    candidates = [_Candidate(product_id, score, reason, 0, computed_at) for product_id, score, computed_at in rows]
    if candidates:
        return candidates
    counted = (
        OrderLine.objects.filter(_sellable("product__"), order__placed_at__gte=at - timedelta(days=LIVE_POPULARITY_DAYS), order__placed_at__lte=at)
        .exclude(order__status=OrderStatus.CANCELLED)
        .values_list("product_id")
        .annotate(orders=Count("order_id", distinct=True))
        .order_by("-orders", "product_id")[: settings.CRM_RECOMMEND_LIST_LENGTH]
    )
    return [_Candidate(product_id, float(orders), reason, 0, None) for product_id, orders in counted]


def _popular_products(at: datetime) -> list[Product]:
    """Return the products of the popularity list; while none was computed they are counted on the spot. Two queries at most."""
    rows = PopularProduct.objects.filter(_sellable("product__")).order_by("rank").select_related("product__recommendation_rule")
    if found := [row.product for row in rows]:
        return found
    since = at - timedelta(days=LIVE_POPULARITY_DAYS)
    recent = Q(order_lines__order__placed_at__gte=since, order_lines__order__placed_at__lte=at) & ~Q(order_lines__order__status=OrderStatus.CANCELLED)
    counted = Product.objects.filter(_sellable("")).annotate(orders=Count("order_lines__order", filter=recent, distinct=True)).filter(orders__gt=0)
    return list(counted.select_related("recommendation_rule").order_by("-orders", "pk")[: settings.CRM_RECOMMEND_LIST_LENGTH])


def _is_boosted(product: Product) -> bool:
    """Return whether a rule lifts the product; its rule must have been read with it."""
    rule = getattr(product, "recommendation_rule", None)
    return rule is not None and rule.kind == RuleKind.BOOST


def _unwanted(customer_ids: Sequence[int], at: datetime) -> dict[int, set[int]]:
    """Return per customer the products refused once or bought lately. One query."""
    refused = RecommendationFeedback.objects.filter(customer_id__in=customer_ids, kind=FeedbackKind.DISMISSED).order_by()
    bought = OrderLine.objects.filter(
        order__customer_id__in=customer_ids, order__placed_at__gt=at - timedelta(days=settings.CRM_RECOMMEND_REBUY_DAYS), order__placed_at__lte=at
    ).exclude(order__status=OrderStatus.CANCELLED)
    unwanted: dict[int, set[int]] = defaultdict(set)
    for customer_id, product_id in refused.values_list("customer_id", "product_id").union(bought.order_by().values_list("order__customer_id", "product_id")):
        unwanted[customer_id].add(product_id)
    return unwanted


def _choose(candidates: Iterable[_Candidate], unwanted: set[int], boosted: frozenset[int], limit: int) -> list[_Candidate]:
    """Return the first `limit` candidates, each product once, boosted ones before the rest and otherwise in their order."""
    kept: dict[int, _Candidate] = {}
    for candidate in candidates:
        if candidate.product_id not in unwanted:
            kept.setdefault(candidate.product_id, candidate)
    return sorted(kept.values(), key=lambda candidate: candidate.product_id not in boosted)[: max(limit, 0)]


def _fallback(state: ListState | None) -> str:
    if state is None:
        return "never"
    return state.fallback or "no_history"


def _printed(chosen: dict[int, list[_Candidate]], boosted: frozenset[int], language: str | None) -> dict[int, tuple[Recommendation, ...]]:
    """Return the candidates with their products' names, prices and reasons in words. One query."""
    language = language or get_language() or "en"
    needed = {candidate.product_id for candidates in chosen.values() for candidate in candidates}
    needed |= explain.mentioned([candidate.reason for candidates in chosen.values() for candidate in candidates])
    products = Product.objects.only("external_id", "sku", "name", "names", "price_amount", "currency", "url", "image_url").in_bulk(needed) if needed else {}
    names = {product_id: product.name_in(language) for product_id, product in products.items()}
    return {
        owner: tuple(
            _line(candidate, products[candidate.product_id], rank, names, boosted)
            for rank, candidate in enumerate((one for one in candidates if one.product_id in products), start=1)
        )
        for owner, candidates in chosen.items()
    }


def _line(candidate: _Candidate, product: Product, rank: int, names: dict[int, str], boosted: frozenset[int]) -> Recommendation:
    return Recommendation(
        product_id=candidate.product_id,
        external_id=product.external_id,
        sku=product.sku,
        name=names[candidate.product_id],
        price_amount=product.price_amount,
        currency=product.currency,
        url=product.url,
        image_url=product.image_url,
        rank=rank,
        score=candidate.score,
        reason=candidate.reason,
        why=explain.words(candidate.reason, names),
        is_boosted=candidate.product_id in boosted,
        model_version=candidate.model_version,
        together=candidate.together,
    )
