"""What a text may state, and whether it keeps to that: prices, discounts, codes, product names, links, promises.

A generated text that breaks a fact is blocked; a text typed by a person gets the same findings as warnings. Facts come
from the catalogue and from the campaign's goal, which a member of staff wrote and answers for.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.db.models import Count, Q
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from campaigns import offers
from campaigns.models import Campaign
from crm.core import formats
from customers.models import Category, Product
from recommendations.models import CustomerRecommendation

# Enough for a mail; more would only tempt a model to list them all.
PRODUCTS = 6
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_PRICE = re.compile(
    rf"(?:[¥￥$€£]|\b(?:CNY|RMB|USD|EUR|GBP|HK\$|US\$|CN¥)\s?)\s?(?P<before>{_NUMBER})|(?P<after>{_NUMBER})\s?(?:元|块钱|人民币|美元|欧元|英镑|yuan\b|euros?\b|dollars?\b|CNY\b|USD\b|EUR\b|GBP\b|RMB\b)",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s?(?:[%％]|percent\b|per cent\b)", re.IGNORECASE)
# 九折 is 10% off; 85折 is 15% off.
_FOLD = re.compile(r"(?P<digits>\d{1,2}(?:\.\d)?|[一二三四五六七八九]{1,2})\s?折(?!扣)")
_HAN_DIGITS = {letter: number for number, letter in enumerate("零一二三四五六七八九")}
_CODE = re.compile(r"(?<![A-Za-z0-9])(?=[A-Z0-9]*[A-Z])(?=[A-Z0-9]*\d)[A-Z0-9]{5,20}(?![A-Za-z0-9])")
_LINK = re.compile(r"https?://\S+|\bwww\.\S+|[\w.+\-]+@[\w\-]+\.\w+", re.IGNORECASE)
_QUOTED = re.compile(r"“([^”]{2,120})”|「([^」]{2,120})」|《([^》]{2,120})》|\"([^\"\n]{2,120})\"")
# Promises a shop may be held to; allowed only where the goal makes them.
_PROMISES = (
    "free shipping",
    "free delivery",
    "free gift",
    "half price",
    "buy one get one",
    "money back",
    "guarantee",
    "limited time",
    "today only",
    "last chance",
    "while stocks last",
    "lowest price",
    "包邮",
    "免运费",
    "免邮",
    "赠品",
    "半价",
    "买一送一",
    "退款保证",
    "限时",
    "仅限今天",
    "最后机会",
    "售完即止",
    "最低价",
    "全网最低",
)
# How far behind a product's name its price may stand.
_NEAR = 40
# A field's own name states nothing, but the words to use instead are printed.
_TAGS = re.compile(r"\{\{[^{}|]*\|?([^{}]*)\}\}")


@dataclass(frozen=True, slots=True)
class ProductFact:
    """A product that may be named. names: {language: name}.  price: None where the catalogue has none."""

    id: int
    names: Mapping[str, str]
    price: Decimal | None
    currency: str
    category: Mapping[str, str]

    def name_in(self, language: str) -> str:
        return self.names.get(language) or self.names[""]

    def price_in(self, language: str) -> str:
        """Return the price as it is written in that language, '' where there is none."""
        if self.price is None:
            return ""
        with translation.override(language):
            return formats.money(self.price, self.currency)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a draft may rest on."""

    shop: str
    goal: str
    segment: str
    products: tuple[ProductFact, ...]

    @property
    def offer_percents(self) -> frozenset[Decimal]:
        return percents(self.goal)

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_CODE.findall(self.goal)))

    def as_json(self, language: str) -> dict[str, object]:
        """Return the facts for a prompt, in one language."""
        return {
            "shop": self.shop,
            "audience": self.segment,
            "discounts_percent": sorted(str(number) for number in self.offer_percents),
            "codes": list(self.codes),
            "products": [
                {
                    "id": str(product.id),
                    "name": product.name_in(language),
                    "price": product.price_in(language),
                    "category": product.category.get(language) or product.category.get("en", ""),
                }
                for product in self.products
            ],
        }


@dataclass(frozen=True, slots=True)
class Fault:
    """One statement that no fact supports."""

    code: str
    text: str

    @property
    def label(self) -> str | Promise:
        return _LABELS[self.code]


_LABELS: dict[str, str | Promise] = {
    "price_unknown": _("This price is not in the catalogue"),
    "price_wrong": _("This is not the product's price"),
    "discount_unknown": _("Nobody stated this discount in the goal"),
    "code_unknown": _("Nobody stated this code in the goal"),
    "link_unknown": _("Texts carry no addresses of their own; use {{ shop_link }}"),
    "product_unknown": _("No product has this name"),
    "promise_unknown": _("Nobody made this promise in the goal"),
    "field_unknown": _("There is no such field"),
}


def gather(*, campaign: Campaign, at: datetime) -> Facts:
    """Return the facts for a campaign: products its audience is recommended, or best sellers; at most five queries.

    A goal that names a category narrows the products to it.
    """
    products = _named_in_goal(campaign.goal) or _recommended(campaign) or offers.best_sellers(at=at, limit=PRODUCTS)
    segment = campaign.segment
    return Facts(
        shop=settings.CRM_ORGANISATION,
        goal=campaign.goal,
        segment=(segment.description or segment.name) if segment else "",
        products=tuple(_fact(product) for product in products),
    )


def check(*, subject: str, body: str, facts: Facts) -> tuple[Fault, ...]:
    """Return every statement of a generated text that the given facts do not support. Runs no query."""
    text = _TAGS.sub(r" \1 ", f"{subject}\n{body}")
    names = {name for product in facts.products for name in product.names.values()}
    amounts = {product.price for product in facts.products if product.price is not None} | {amount for amount, _text in prices(facts.goal)}
    return _faults(text, facts.goal, amounts=amounts, names=names, products=facts.products)


def check_written(*, texts: Mapping[str, tuple[str, str]], goal: str) -> dict[str, tuple[Fault, ...]]:
    """Return the same findings for texts a person wrote, held against the whole catalogue. At most one query.

    texts: {language: (subject, body)}; the answer has the same keys.
    """
    plain = {language: _TAGS.sub(r" \1 ", f"{subject}\n{body}") for language, (subject, body) in texts.items()}
    stated = {amount for text in plain.values() for amount, _words in prices(text)}
    quoted = {name for text in plain.values() for name in quotations(text)}
    amounts: set[Decimal | None] = {amount for amount, _words in prices(goal)}
    names: set[str] = set()
    if stated or quoted:
        wanted = list(quoted)
        named = Q(name__in=wanted) | Q(names__en__in=wanted) | Q(**{"names__zh-hans__in": wanted})
        for price, name, more in Product.objects.filter(Q(price_amount__in=stated) | named).values_list("price_amount", "name", "names"):
            amounts.add(price)
            names |= {name, *more.values()}
    return {language: _faults(text, goal, amounts=amounts, names=names, products=()) for language, text in plain.items()}


def prices(text: str) -> list[tuple[Decimal, str]]:
    """Return every amount of money in a text with the words that state it."""
    found: list[tuple[Decimal, str]] = []
    for match in _PRICE.finditer(text):
        try:
            found.append((Decimal((match["before"] or match["after"]).replace(",", "")), match.group().strip()))
        except InvalidOperation:
            continue
    return found


def percents(text: str) -> frozenset[Decimal]:
    """Return every discount in a text as percent off; 九折 counts as 10."""
    return frozenset(number for number, _words in _discounts(text))


def quotations(text: str) -> tuple[str, ...]:
    """Return what stands in quotation marks, which is where texts put product names."""
    return tuple(dict.fromkeys(next(group for group in match.groups() if group).strip() for match in _QUOTED.finditer(text)))


def _discounts(text: str) -> list[tuple[Decimal, str]]:
    found = [(Decimal(match["number"]), match.group()) for match in _PERCENT.finditer(text)]
    for match in _FOLD.finditer(text):
        digits = "".join(str(_HAN_DIGITS.get(letter, letter)) for letter in match["digits"])
        share = Decimal(digits) * (10 if len(digits.replace(".", "")) == 1 or "." in digits else 1)
        found.append(((Decimal(100) - share).normalize() if share < 100 else Decimal(0), match.group()))
    return found


def _faults(text: str, goal: str, *, amounts: Iterable[Decimal | None], names: Iterable[str], products: tuple[ProductFact, ...]) -> tuple[Fault, ...]:
    known_amounts, known_names, lowered, lowered_goal = set(amounts), {name.casefold() for name in names}, text.casefold(), goal.casefold()
    faults = [Fault("price_unknown", words) for amount, words in prices(text) if amount not in known_amounts]
    faults += [Fault("price_wrong", f"{name} {words}") for name, words in _mispriced(text, products)]
    allowed = percents(goal)
    faults += [Fault("discount_unknown", words) for number, words in _discounts(text) if number not in allowed]
    faults += [Fault("code_unknown", code) for code in dict.fromkeys(_CODE.findall(text)) if code not in goal]
    faults += [Fault("link_unknown", link[:80]) for link in _LINK.findall(text)]
    faults += [Fault("product_unknown", name) for name in quotations(text) if name.casefold() not in known_names]
    faults += [Fault("promise_unknown", promise) for promise in _PROMISES if promise in lowered and promise not in lowered_goal]
    return tuple(dict.fromkeys(faults))


def _mispriced(text: str, products: tuple[ProductFact, ...]) -> Iterable[tuple[str, str]]:
    """Yield a product's name and the price right behind it where the two do not belong together."""
    spans = sorted(
        (match.start(), match.end(), product) for product in products for name in set(product.names.values()) for match in re.finditer(re.escape(name), text)
    )
    for index, (_start, end, product) in enumerate(spans):
        limit = min(end + _NEAR, spans[index + 1][0] if index + 1 < len(spans) else len(text))
        stated = prices(text[end:limit])
        if stated and product.price is not None and stated[0][0] != product.price:
            yield product.name_in("en"), stated[0][1]


def featured(campaign: Campaign) -> tuple[int, ...]:
    """Return the product the campaign is about, if its goal names a category: the best seller there. At most two queries."""
    return tuple(product.pk for product in _named_in_goal(campaign.goal)[:1])


def _fact(product: Product) -> ProductFact:
    names = {"": product.name or product.external_id} | {language: str(name) for language, name in product.names.items() if name}
    return ProductFact(product.pk, names, product.price_amount, product.currency or settings.CRM_CURRENCY, product.category.names if product.category else {})


def _named_in_goal(goal: str) -> list[Product]:
    """Return the best available products of a category the goal names, in either language. Two queries."""
    if not goal:
        return []
    lowered = goal.casefold()
    named = [
        category.pk
        for category in Category.objects.all()
        if any(
            len(str(name)) > 1 and re.search(rf"\b{re.escape(str(name).casefold())}\b" if str(name).isascii() else re.escape(str(name)), lowered)
            for name in category.names.values()
        )
    ]
    if not named:
        return []
    rows = Product.objects.filter(Q(category_id__in=named) | Q(category__parent_id__in=named), is_available=True, is_goods=True, price_amount__isnull=False)
    return list(rows.select_related("category").annotate(sold=Count("order_lines")).order_by("-sold", "pk")[:PRODUCTS])


def _recommended(campaign: Campaign) -> list[Product]:
    """Return what the model recommends to most of the campaign's segment. Two queries."""
    if campaign.segment_id is None:
        return []
    lists = CustomerRecommendation.objects.filter(
        customer__memberships__segment_id=campaign.segment_id,
        customer__memberships__left_at=None,
        customer__profiling_refused=False,
        product__is_available=True,
        product__is_goods=True,
    )
    ids = list(
        lists.values("product_id").annotate(people=Count("customer_id")).order_by("-people", "product_id").values_list("product_id", flat=True)[:PRODUCTS]
    )
    found = Product.objects.select_related("category").in_bulk(ids)
    return [found[one] for one in ids if one in found]
