"""Everything a segment rule may speak of. A field knows its kind and how to become SQL; the operators are the kind's.

`expression(at)` of a plain field is an ORM expression on Customer rows. A behaviour field instead counts rows of
another table: `events(at, since, what)` is a queryset with a `customer_id`, one row per time. Other apps add fields
through crm.core.registries.segment_fields.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.core import registries
from customers import review_aspects
from customers.models import Activity, Category, ConsentEntry, Order, OrderLine, Return, Review
from customers.models.consent import Channel, ConsentState, Purpose
from customers.models.order import OrderStatus
from customers.models.scores import RfmGroup, Stage

Choices = Sequence[tuple[str, str | Promise]]
Events = Callable[[datetime, datetime | None, str | None], "QuerySet[Any]"]

PROFILE, ORDERS, BEHAVIOUR, SCORES, CONSENT = _("Profile"), _("Orders"), _("Behaviour"), _("Scores"), _("Consent")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing a rule can ask about.

    expression: for every kind but behaviour.  events: for behaviour.  choices: what may be picked; is_open: other
    values than the choices are allowed too (they come from rows, and rows change).  picks: the noun of a behaviour's
    `what`, empty when it has none.
    """

    name: str
    label: str | Promise
    group: str | Promise
    kind: str
    expression: Callable[[datetime], Any] | None = None
    events: Events | None = None
    choices: Callable[[], Choices] | None = None
    is_open: bool = False
    picks: str | Promise = ""

    def allowed(self) -> frozenset[str] | None:
        """Return the codes of a closed list, None where any value may be asked for."""
        if self.choices is None or self.is_open:
            return None
        return frozenset(str(code) for code, _label in self.choices())


def find(name: str) -> Field | None:
    """Return the field of that name, built-in or contributed."""
    if (own := _TABLE.get(name)) is not None:
        return own
    contributed = registries.segment_fields.get(name)
    return _adopted(contributed) if contributed else None


def everything() -> list[Field]:
    """Return all fields, built-in first, in the order pickers show them."""
    return [*_TABLE.values(), *(_adopted(each) for each in registries.segment_fields.values() if each.name not in _TABLE)]


def _adopted(contributed: registries.SegmentField) -> Field:
    # A contributed behaviour is a count, so it is asked as a number.
    kind = "number" if contributed.kind == "behaviour" else contributed.kind
    return Field(contributed.name, contributed.label, contributed.group, kind, expression=contributed.annotate, choices=contributed.choices)


def contactable(channel: str, at: datetime) -> Q:
    """Return the condition for customers whom consent.may_contact lets be written to for marketing, as one set.

    The latest word for the channel or for every channel must be a yes, the address must exist and must not have
    bounced since it was last allowed. A test holds this against the gate itself on random ledgers.
    """
    said = ConsentEntry.objects.filter(recorded_at__lte=at).order_by("customer_id", "-recorded_at", "-id").distinct("customer_id")
    latest = said.filter(purpose=Purpose.MARKETING, channel__in=(channel, Channel.ANY))
    willing = ConsentEntry.objects.filter(pk__in=latest.values("pk"), state=ConsentState.GRANTED)
    delivered = said.filter(channel=channel, state__in=(ConsentState.BOUNCED, ConsentState.GRANTED))
    bounced = ConsentEntry.objects.filter(pk__in=delivered.values("pk"), state=ConsentState.BOUNCED)
    reachable = {Channel.EMAIL: ~Q(email=""), Channel.SMS: ~Q(phone="")}.get(Channel(channel), Q())
    return Q(pk__in=willing.values("customer_id")) & ~Q(pk__in=bounced.values("customer_id")) & reachable


def _column(name: str) -> Callable[[datetime], Any]:
    return lambda _at: F(name)


def _flag(condition: Callable[[datetime], Q]) -> Callable[[datetime], Any]:
    return lambda at: Case(When(condition(at), then=Value(True)), default=Value(False), output_field=BooleanField())


def _window(queryset: "QuerySet[Any]", column: str, at: datetime, since: datetime | None) -> "QuerySet[Any]":
    """Return the rows of the half-open period [since, at) that belong to somebody."""
    period = {f"{column}__lt": at} | ({f"{column}__gte": since} if since else {})
    return queryset.filter(**period)


def _orders(at: datetime, since: datetime | None, _what: str | None) -> "QuerySet[Any]":
    return _window(Order.objects.exclude(status=OrderStatus.CANCELLED).filter(customer_id__isnull=False), "placed_at", at, since)


def _returns(at: datetime, since: datetime | None, _what: str | None) -> "QuerySet[Any]":
    return _window(Return.objects.filter(customer_id__isnull=False), "returned_at", at, since)


def _bought(at: datetime, since: datetime | None, what: str | None) -> "QuerySet[Any]":
    """Order lines of goods in a category or one of its children, one row per line."""
    lines = OrderLine.objects.exclude(order__status=OrderStatus.CANCELLED).filter(order__customer_id__isnull=False, product__is_goods=True)
    if what:
        lines = lines.filter(Q(product__category__slug=what) | Q(product__category__parent__slug=what))
    return _window(lines, "order__placed_at", at, since).values(customer_id=F("order__customer_id"))


def _activity(*names: str) -> Events:
    def events(at: datetime, since: datetime | None, what: str | None) -> "QuerySet[Any]":
        rows = Activity.objects.filter(customer_id__isnull=False, name__in=names)
        if what:
            rows = rows.filter(Q(product__category__slug=what) | Q(product__category__parent__slug=what))
        return _window(rows, "occurred_at", at, since)

    return events


def _any_activity(at: datetime, since: datetime | None, what: str | None) -> "QuerySet[Any]":
    rows = Activity.objects.filter(customer_id__isnull=False)
    return _window(rows.filter(name=what) if what else rows, "occurred_at", at, since)


def _reviews(at: datetime, since: datetime | None, _what: str | None) -> "QuerySet[Any]":
    return _window(Review.objects.filter(customer_id__isnull=False), "written_at", at, since)


def _spoke(side: str) -> Events:
    """Reviews that praise or blame something, one row per review; what was read in them is kept with them."""

    def events(at: datetime, since: datetime | None, what: str | None) -> "QuerySet[Any]":
        rows = Review.objects.filter(customer_id__isnull=False)
        rows = rows.filter(**{f"aspects__{side}__has_key": what}) if what else rows.filter(aspects__has_key=side)
        return _window(rows, "written_at", at, since)

    return events


def _aspects() -> Choices:
    return list(review_aspects.LABELS.items())


def _categories() -> Choices:
    return [(category.slug, str(category)) for category in Category.objects.order_by("slug")[:500]]


def _event_names() -> Choices:
    # A loose index scan: DISTINCT over millions of activity rows would read them all.
    names: list[str] = []
    while len(names) < 60:
        rows = Activity.objects.filter(name__gt=names[-1] if names else "").order_by("name").values_list("name", flat=True)[:1]
        if not rows:
            break
        names.append(rows[0])
    return [(name, name) for name in names]


def _withdrawn(_at: datetime) -> Q:
    refused = ConsentEntry.objects.filter(customer_id=OuterRef("pk"), purpose=Purpose.MARKETING).exclude(state=ConsentState.GRANTED)
    return Q(Exists(refused))


_FIELDS = (
    Field("name", pgettext_lazy("person", "Name"), PROFILE, "text", _column("name")),
    Field("email", _("E-mail"), PROFILE, "text", _column("email")),
    Field("country", _("Country"), PROFILE, "text", _column("country")),
    Field("city", _("City"), PROFILE, "text", _column("city")),
    Field("locale", _("Language"), PROFILE, "text", _column("locale")),
    Field("gender", _("Gender"), PROFILE, "text", _column("gender")),
    Field("tags", _("Tags"), PROFILE, "tags", _column("tags")),
    Field("first_seen_at", _("First seen"), PROFILE, "date", _column("first_seen_at")),
    Field("last_seen_at", _("Last seen"), PROFILE, "date", _column("last_seen_at")),
    Field("orders_count", _("Number of orders"), ORDERS, "number", _column("orders_count")),
    Field("spent_amount", _("Total spent"), ORDERS, "money", _column("spent_amount")),
    Field("first_order_at", _("First order"), ORDERS, "date", _column("first_order_at")),
    Field("last_order_at", _("Last order"), ORDERS, "date", _column("last_order_at")),
    Field("ordered", _("Ordered"), ORDERS, "behaviour", events=_orders),
    Field("bought", _("Bought"), ORDERS, "behaviour", events=_bought, choices=_categories, is_open=True, picks=_("category")),
    Field("returned", _("Returned something"), ORDERS, "behaviour", events=_returns),
    Field("viewed", _("Viewed"), BEHAVIOUR, "behaviour", events=_activity("Product Viewed"), choices=_categories, is_open=True, picks=_("category")),
    Field("added", _("Added to the cart"), BEHAVIOUR, "behaviour", events=_activity("Product Added"), choices=_categories, is_open=True, picks=_("category")),
    Field("checkout", _("Started a checkout"), BEHAVIOUR, "behaviour", events=_activity("Checkout Started")),
    Field("did", _("Did"), BEHAVIOUR, "behaviour", events=_any_activity, choices=_event_names, is_open=True, picks=_("event")),
    Field("reviewed", _("Wrote a review"), BEHAVIOUR, "behaviour", events=_reviews),
    Field("blamed", _("Complained in a review"), BEHAVIOUR, "behaviour", events=_spoke(review_aspects.BLAME), choices=_aspects, picks=_("side")),
    Field("praised", _("Praised in a review"), BEHAVIOUR, "behaviour", events=_spoke(review_aspects.PRAISE), choices=_aspects, picks=_("side")),
    Field("stage", _("Lifecycle stage"), SCORES, "choice", _column("portrait__stage"), choices=lambda: Stage.choices),
    Field("rfm_group", _("RFM group"), SCORES, "choice", _column("portrait__rfm_group"), choices=lambda: RfmGroup.choices),
    Field("recency_score", _("Recency score"), SCORES, "number", _column("portrait__recency_score")),
    Field("frequency_score", _("Frequency score"), SCORES, "number", _column("portrait__frequency_score")),
    Field("monetary_score", _("Monetary score"), SCORES, "number", _column("portrait__monetary_score")),
    Field("p_active", _("Probability of being active"), SCORES, "share", _column("portrait__p_active")),
    Field("p_churn", _("Risk of losing them"), SCORES, "share", _column("portrait__p_churn")),
    Field("p_purchase_30", _("Probability of an order in 30 days"), SCORES, "share", _column("portrait__p_purchase_30")),
    Field("p_return", _("Probability of a return in 100 days"), SCORES, "share", _column("portrait__p_return")),
    Field("expected_orders_90", _("Orders expected in 90 days"), SCORES, "number", _column("portrait__expected_orders_90")),
    Field("value_365", _("Value in 12 months"), SCORES, "money", _column("portrait__value_365")),
    Field("sentiment", _("Mood of reviews"), SCORES, "number", _column("portrait__sentiment")),
    Field("email_allowed", _("May be e-mailed"), CONSENT, "boolean", _flag(lambda at: contactable(Channel.EMAIL, at))),
    Field("sms_allowed", _("May be sent text messages"), CONSENT, "boolean", _flag(lambda at: contactable(Channel.SMS, at))),
    Field("ever_refused", _("Ever withdrew or bounced"), CONSENT, "boolean", _flag(_withdrawn)),
)
_TABLE: dict[str, Field] = {field.name: field for field in _FIELDS}
