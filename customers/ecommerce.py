"""What shop events mean: the e-commerce names of the Segment specification become orders, returns, reviews and products.

Names are matched without regard to case and to `_` or spaces, and the older spellings ("Completed Order") are understood.
Unknown names are kept as custom events. Nothing here touches the database.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from crm.core.errors import CrmError
from customers.facts import LineFacts, OrderFacts, ProductFacts, ReturnFacts, ReviewFacts
from customers.identity import PersonKey
from customers.models.order import LARGEST_AMOUNT

# Every name of the specification (version 2); RudderStack and Customer.io use the same.
NAMES = (
    "Products Searched", "Product List Viewed", "Product List Filtered", "Promotion Viewed", "Promotion Clicked",
    "Product Clicked", "Product Viewed", "Product Added", "Product Removed", "Cart Viewed",
    "Checkout Started", "Checkout Step Viewed", "Checkout Step Completed", "Payment Info Entered",
    "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled",
    "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed",
    "Product Added to Wishlist", "Product Removed from Wishlist", "Wishlist Product Added to Cart",
    "Product Shared", "Cart Shared", "Product Reviewed",
)  # fmt: skip
ALIASES = {
    "completed order": "Order Completed",
    "updated order": "Order Updated",
    "refunded order": "Order Refunded",
    "cancelled order": "Order Cancelled",
    "order canceled": "Order Cancelled",
    "viewed product": "Product Viewed",
    "added product": "Product Added",
    "removed product": "Product Removed",
    "clicked product": "Product Clicked",
    "reviewed product": "Product Reviewed",
    "viewed product category": "Product List Viewed",
    "viewed product list": "Product List Viewed",
    "searched products": "Products Searched",
    "viewed cart": "Cart Viewed",
    "started checkout": "Checkout Started",
}
_CANONICAL = {name.lower(): name for name in NAMES} | ALIASES
_SPACES = re.compile(r"[\s_]+")
MOST_LINES = 1000
# Up to here a JSON number with a fraction is exact; two larger ids may be read as the same number.
LARGEST_EXACT = 2**53


class EventRejected(CrmError):
    """An event cannot be understood; `code` says why and the text is for the sender's developer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ShopFacts:
    """What one event says beyond having happened.

    unstated: with replaces_order, fields of the order that the event does not speak of; what is known of them stays.
    """

    product_id: str = ""
    products: tuple[ProductFacts, ...] = ()
    order: OrderFacts | None = None
    replaces_order: bool = False
    unstated: frozenset[str] = frozenset()
    cancelled: OrderFacts | None = None
    returned: ReturnFacts | None = None
    review: ReviewFacts | None = None

    @property
    def order_numbers(self) -> tuple[str, ...]:
        """The numbers of the orders it speaks of."""
        found = (self.order and self.order.external_id, self.cancelled and self.cancelled.external_id, self.returned and self.returned.order_id)
        return tuple(number for number in found if number)

    @property
    def has_no_consequences(self) -> bool:
        """Whether nothing but the activity itself (and the products it names) has to be stored."""
        return self.order is None and self.returned is None and self.review is None and self.cancelled is None


NOTHING = ShopFacts()
# What an update of an order may leave out.
_PARTS = ("currency", "discount", "shipping", "tax")


def canonical_name(name: str) -> str:
    """Return the specification's spelling of a known name, else the name itself, at most 200 characters."""
    key = _SPACES.sub(" ", name.strip().lower())
    return _CANONICAL.get(key, name.strip()[:200])


def read(*, name: str, properties: Mapping[str, object], message_id: str, person: PersonKey, at: datetime, currency: str, language: str = "") -> ShopFacts:
    """Return what a track call with this canonical name says about orders, returns, reviews and products.

    currency: of the source, for amounts that name none.  Raises EventRejected when a shop event lacks what it must have.
    """
    if name in {"Order Completed", "Order Updated"}:
        order = _order(properties, person, at, currency, lines_required=name == "Order Completed")
        unstated = frozenset(part for part in _PARTS if properties.get(part) in (None, ""))
        return ShopFacts(products=tuple(line.product for line in order.lines), order=order, replaces_order=name == "Order Updated", unstated=unstated)
    if name == "Order Cancelled":
        try:
            order = _order(properties, person, at, currency, lines_required=False)
        except EventRejected:
            # Cancelled is cancelled, whatever else the event says.
            order = OrderFacts(_order_id(properties), at, currency, (), person)
        return ShopFacts(products=tuple(line.product for line in order.lines), cancelled=order)
    if name == "Order Refunded":
        returned = _refund(properties, message_id, person, at, currency)
        return ShopFacts(products=tuple(line.product for line in returned.lines), returned=returned)
    if name == "Product Reviewed":
        review = _review(properties, message_id, person, at, currency, language)
        return ShopFacts(product_id=review.product.external_id, products=(review.product,), review=review)
    if name not in _PRODUCT_EVENTS:
        return NOTHING
    try:
        product = _product(properties, currency_of(properties.get("currency"), currency))
    except EventRejected:
        # A look at a product is worth keeping even when its price is "on request".
        product = _product(properties, currency, priced=False)
    return ShopFacts(product_id=product.external_id, products=(product,)) if product else NOTHING


_PRODUCT_EVENTS = frozenset(name for name in NAMES if name.startswith("Product ") and "List" not in name) | {"Wishlist Product Added to Cart"}


def text(value: object, longest: int) -> str:
    """Return a scalar as trimmed text cut to `longest`; '' for null, objects and lists. 12.0 is "12"."""
    if isinstance(value, str):
        return value.strip()[:longest]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return str(int(value) if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_EXACT else value)[:longest]


def amount(value: object, what: str) -> Decimal | None:
    """Return a money amount, None when absent. Raises EventRejected when it is no finite number from 0 to LARGEST_AMOUNT."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value).strip()) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or not 0 <= number <= LARGEST_AMOUNT:
        raise EventRejected("invalid_amount", f"{what} must be a number from 0 to {LARGEST_AMOUNT:,}.")
    return number


def _order_id(properties: Mapping[str, object]) -> str:
    order_id = text(properties.get("order_id") or properties.get("orderId"), 100)
    if not order_id:
        raise EventRejected("missing_order_id", "properties.order_id is required for order events.")
    return order_id


def currency_of(value: object, default: str) -> str:
    """Return an upper-case ISO code. Raises EventRejected for anything but three letters."""
    if value is None or value == "":
        return default
    if isinstance(value, str) and len(code := value.strip().upper()) == 3 and code.isascii() and code.isalpha():
        return code
    raise EventRejected("invalid_currency", "properties.currency must be a three-letter ISO 4217 code.")


def _product(item: Mapping[str, object], currency: str, *, required: bool = False, priced: bool = True) -> ProductFacts | None:
    external_id = text(item.get("product_id") or item.get("productId") or item.get("sku") or item.get("id"), 100)
    if not external_id:
        if required:
            raise EventRejected("missing_product_id", "Every product needs product_id or sku.")
        return None
    price = amount(item.get("price"), "price") if priced else None
    return ProductFacts(
        external_id=external_id,
        name=text(item.get("name") or item.get("title"), 255),
        sku=text(item.get("sku"), 100),
        category=text(item.get("category"), 100),
        brand=text(item.get("brand"), 100),
        price_amount=price,
        currency=currency,
        url=text(item.get("url"), 500),
        image_url=text(item.get("image_url"), 500),
    )


def _lines(properties: Mapping[str, object], currency: str) -> tuple[LineFacts, ...]:
    items = properties.get("products")
    if items is None:
        return ()
    if not isinstance(items, list) or len(items) > MOST_LINES:
        raise EventRejected("invalid_products", f"properties.products must be a list of at most {MOST_LINES} objects.")
    lines = []
    for item in items:
        if not isinstance(item, Mapping):
            raise EventRejected("invalid_products", "Every entry of properties.products must be an object.")
        product = _product(item, currency, required=True)
        assert product is not None  # noqa: S101 - required
        price = (product.price_amount or Decimal(0)).quantize(Decimal("0.0001"))
        lines.append(LineFacts(product, _quantity(item.get("quantity")), price))
    return tuple(lines)


def _quantity(value: object) -> int:
    if value is None:
        return 1
    try:
        number = Decimal(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else Decimal(0)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number != number.to_integral_value() or not 1 <= number <= 1_000_000:
        raise EventRejected("invalid_quantity", "quantity must be a whole number from 1 to 1,000,000.")
    return int(number)


def _order(properties: Mapping[str, object], person: PersonKey, at: datetime, source_currency: str, *, lines_required: bool) -> OrderFacts:
    order_id = _order_id(properties)
    currency = currency_of(properties.get("currency"), source_currency)
    lines = _lines(properties, currency)
    discount = amount(properties.get("discount"), "discount") or Decimal(0)
    shipping = amount(properties.get("shipping"), "shipping") or Decimal(0)
    tax = amount(properties.get("tax"), "tax") or Decimal(0)
    total = amount(properties.get("total"), "total")
    if total is None and (revenue := amount(properties.get("revenue"), "revenue")) is not None:
        # The specification's revenue leaves out shipping and tax.
        total = revenue + shipping + tax
    if total is None and not lines and lines_required:
        raise EventRejected("missing_total", "An order needs products, total or revenue.")
    order = OrderFacts(
        external_id=order_id, placed_at=at, currency=currency, lines=lines, person=person, total_amount=total,
        discount_amount=discount, shipping_amount=shipping, tax_amount=tax, coupon=text(properties.get("coupon"), 60),
    )  # fmt: skip
    if order.total > LARGEST_AMOUNT:
        raise EventRejected("invalid_amount", f"An order may come to {LARGEST_AMOUNT:,} at most.")
    return order


def _refund(properties: Mapping[str, object], message_id: str, person: PersonKey, at: datetime, source_currency: str) -> ReturnFacts:
    order_id = _order_id(properties)
    currency = currency_of(properties.get("currency"), source_currency)
    total = next((found for key in ("total", "refund_amount", "value", "revenue") if (found := amount(properties.get(key), key)) is not None), None)
    lines = _lines(properties, currency)
    if sum((line.unit_amount * line.quantity for line in lines), Decimal(0)) > LARGEST_AMOUNT:
        raise EventRejected("invalid_amount", f"A refund may come to {LARGEST_AMOUNT:,} at most.")
    # Without the shop's refund number the message id keeps a retry from refunding twice.
    refund_id = text(properties.get("refund_id"), 100) or f"{order_id[:50]}:{message_id[:49]}"
    return ReturnFacts(
        external_id=refund_id, returned_at=at, currency=currency, lines=lines, person=person,
        order_id=order_id, total_amount=total, reason=text(properties.get("reason"), 200),
    )  # fmt: skip


def _review(properties: Mapping[str, object], message_id: str, person: PersonKey, at: datetime, currency: str, language: str) -> ReviewFacts:
    product = _product(properties, currency, required=True, priced=False)
    assert product is not None  # noqa: S101 - required
    rating = properties.get("rating")
    stars = None
    if rating not in (None, ""):
        try:
            number = Decimal(str(rating))
        except InvalidOperation:
            number = Decimal(0)
        if not number.is_finite() or not 1 <= number <= 5:
            raise EventRejected("invalid_rating", "properties.rating must be from 1 to 5.")
        stars = int(number.to_integral_value())
    body = properties.get("review_body") or properties.get("review") or properties.get("body")
    return ReviewFacts(
        external_id=text(properties.get("review_id"), 100) or message_id, product=product, written_at=at, person=person,
        rating=stars, body=text(body, 10_000), language=text(properties.get("language"), 16) or language[:16],
    )  # fmt: skip
