"""One customer's message: fields filled in, products chosen, text and HTML made. Preview, test and send share this code.

`Desk.open(...)` loads what a whole batch needs in a handful of queries; `desk.write(...)` then runs none.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db.models import Count, F
from django.template.loader import render_to_string
from django.utils import translation

from campaigns import facts, links, merge, offers
from campaigns.models import Campaign
from crm.core import formats
from crm.core.errors import NotFound
from customers.models import Customer, OrderLine, Product

# What every mail says around the written text. Customer-facing, so data per language and not the staff catalogue.
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "products": "Chosen for you",
        "shop": "Visit the shop",
        "unsubscribe": "Unsubscribe",
        "why": "You get this mail because you agreed to news from {shop}.",
    },
    "zh-hans": {
        "products": "为您挑选",
        "shop": "去店里看看",
        "unsubscribe": "退订",
        "why": "您收到这封邮件，是因为您同意接收 {shop} 的消息。",
    },
}


@dataclass(frozen=True, slots=True)
class Offer:
    """A product as it is printed: name, price in words, tracked address."""

    product_id: int
    name: str
    price: str
    url: str


@dataclass(frozen=True, slots=True)
class Part:
    """A run of words, or a link when url is set."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Either words and links, or the block of products."""

    parts: tuple[Part, ...] = ()
    is_products: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What goes into the mail. product_ids: printed products, in order."""

    language: str
    subject: str
    text: str
    html: str
    product_ids: tuple[int, ...]
    unsubscribe_url: str


@dataclass(frozen=True, slots=True)
class _Person:
    values: Mapping[str, Mapping[str, str]]
    products: tuple[Product, ...]


class Desk:
    """Writes the messages of one batch of customers for one campaign."""

    def __init__(self, texts: Mapping[str, tuple[str, str]], people: Mapping[int, _Person], *, with_products: bool) -> None:
        self._texts = {language: (merge.parse(subject, subject=True), body) for language, (subject, body) in texts.items()}
        self._people = people
        self._with_products = with_products

    @classmethod
    def open(cls, *, campaign: Campaign, customer_ids: Iterable[int], at: datetime, texts: Mapping[str, tuple[str, str]] | None = None) -> Self:
        """Load what the campaign's texts need for these customers: at most twenty queries, whatever their number.

        texts: {language: (subject, body)} instead of the stored ones, for a preview of what is being typed.
        Raises UnknownField or MalformedField where a text is not in order.
        """
        if texts is None:
            texts = {text.language: (text.subject, text.body) for text in campaign.texts.all()}
        ids = list(customer_ids)
        used = frozenset[str]().union(*(merge.names(subject) | merge.names(body) for subject, body in texts.values()))
        with_products = campaign.with_recommendations or "recommendations" in used
        customers = Customer.objects.filter(pk__in=ids).only("pk", "name").order_by("pk")
        last = _last_products(ids) if "last_product" in used else {}
        favourite = _favourite_categories(ids) if "favourite_category" in used else {}
        products = offers.for_customers(customer_ids=ids, at=at, featured=facts.featured(campaign)) if with_products else {}
        people = {
            customer.pk: _Person(
                values={language: _values(customer, language, last.get(customer.pk), favourite.get(customer.pk, {})) for language in texts},
                products=products.get(customer.pk, ()),
            )
            for customer in customers
        }
        return cls(texts, people, with_products=with_products)

    def write(self, *, customer_id: int, language: str, public_id: uuid.UUID | None) -> Message:
        """Return the customer's message in a language. public_id None: a preview, whose links change nothing.

        Raises FieldEmpty where the text needs a value the customer does not have, NotFound for a customer who is gone.
        Runs no query.
        """
        person = self._people.get(customer_id)
        if person is None:
            raise NotFound(customer=customer_id)
        subject, body = self._texts[language]
        values = person.values[language]
        words = WORDS.get(language, WORDS["en"])
        shop_url, unsubscribe_url = links.click_url(public_id, None), links.unsubscribe_url(public_id)
        addresses = {"shop_link": Part(words["shop"], shop_url), "unsubscribe_link": Part(words["unsubscribe"], unsubscribe_url)}
        paragraphs = list(_paragraphs(body, values, addresses))
        if self._with_products and not any(paragraph.is_products for paragraph in paragraphs):
            paragraphs.append(Paragraph(is_products=True))
        with translation.override(language):
            printed = tuple(
                Offer(product.pk, product.name_in(language), _price(product), links.click_url(public_id, product.pk)) for product in person.products
            )
            context = {
                "language": "zh-Hans" if language.startswith("zh") else language,
                "subject": merge.fill(subject, values).strip(),
                "paragraphs": paragraphs,
                "products": printed,
                "words": words,
                "why": words["why"].format(shop=settings.CRM_ORGANISATION),
                "shop": settings.CRM_ORGANISATION,
                "shop_url": shop_url,
                "unsubscribe_url": unsubscribe_url,
                "open_url": links.open_url(public_id),
            }
            return Message(
                language=language,
                subject=str(context["subject"]),
                text=render_to_string("emails/campaign.txt", context).strip() + "\n",
                html=render_to_string("emails/campaign.html", context),
                product_ids=tuple(offer.product_id for offer in printed) if any(one.is_products for one in paragraphs) else (),
                unsubscribe_url=unsubscribe_url,
            )


def first_name(name: str) -> str:
    """Return the name one is greeted by: the first word, or the whole of a name written in Han characters."""
    name = name.strip()
    return name if any("\u4e00" <= letter <= "\u9fff" for letter in name) else name.split(" ")[0]


def _values(customer: Customer, language: str, last: Product | None, favourite: Mapping[str, str]) -> dict[str, str]:
    return {
        "first_name": first_name(customer.name),
        "name": customer.name.strip(),
        "shop_name": settings.CRM_ORGANISATION,
        "last_product": last.name_in(language) if last else "",
        "favourite_category": favourite.get(language) or favourite.get("en", ""),
    }


def _paragraphs(body: str, values: Mapping[str, str], addresses: Mapping[str, Part]) -> Iterable[Paragraph]:
    """Cut the body at blank lines; the block of products always stands alone."""
    parts: list[Part] = []
    for piece in merge.parse(body):
        if isinstance(piece, merge.Tag) and piece.name == "recommendations":
            yield from _closed(parts)
            parts = []
            yield Paragraph(is_products=True)
        elif isinstance(piece, merge.Tag):
            parts.append(addresses[piece.name] if piece.is_block else Part(merge.value_of(piece, values)))
        else:
            first, *rest = piece.replace("\r\n", "\n").split("\n\n")
            parts.append(Part(first))
            for following in rest:
                yield from _closed(parts)
                parts = [Part(following)]
    yield from _closed(parts)


def _closed(parts: list[Part]) -> Iterable[Paragraph]:
    """Return the paragraph without the white space around it, or nothing when only white space is left."""
    if not any(part.text.strip() for part in parts):
        return
    first, last = parts[0], parts[-1]
    parts[0] = Part(first.text.lstrip(), first.url)
    parts[-1] = Part(parts[-1].text.rstrip(), last.url)
    yield Paragraph(tuple(part for part in parts if part.text))


def _price(product: Product) -> str:
    return "" if product.price_amount is None else formats.money(product.price_amount, product.currency or settings.CRM_CURRENCY)


def _last_products(customer_ids: list[int]) -> dict[int, Product]:
    """Return the first goods on each customer's latest order. One query."""
    lines = (
        OrderLine.objects.filter(order__customer_id__in=customer_ids, product__is_goods=True)
        .exclude(order__status="cancelled")
        .select_related("product")
        .annotate(buyer_id=F("order__customer_id"))
        .order_by("order__customer_id", "-order__placed_at", "-order_id", "position", "id")
        .distinct("order__customer_id")
    )
    return {line.buyer_id: line.product for line in lines}


def _favourite_categories(customer_ids: list[int]) -> dict[int, dict[str, str]]:
    """Return the names of the category each customer bought from most often; ties go to the lower id. One query."""
    rows = (
        OrderLine.objects.filter(order__customer_id__in=customer_ids, product__category__isnull=False)
        .exclude(order__status="cancelled")
        .values("order__customer_id", "product__category_id", "product__category__names")
        .annotate(bought=Count("pk"))
        .order_by("order__customer_id", "-bought", "product__category_id")
    )
    favourite: dict[int, dict[str, str]] = {}
    for row in rows:
        favourite.setdefault(row["order__customer_id"], row["product__category__names"] or {})
    return favourite
