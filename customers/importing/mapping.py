"""Which column means what: the fields an order file can have, the presets of well-known exports, and a guess for others."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from customers.importing.reading import FileRefused


@dataclass(frozen=True, slots=True)
class Field:
    """One thing a column can mean. names: how shops head such a column, lower case."""

    name: str
    label: str
    names: tuple[str, ...]
    required: bool = False


FIELDS: tuple[Field, ...] = (
    Field("order_id", gettext_noop("Order number"), ("order_id", "order id", "order number", "order no", "order", "invoiceno", "invoice", "invoice no", "invoice number", "name", "订单号", "订单编号", "单号"), required=True),
    Field("placed_at", gettext_noop("Ordered at"), ("placed_at", "created at", "order date", "order_date", "ordered at", "date", "invoicedate", "invoice date", "created_at", "timestamp", "下单时间", "订单时间", "订单创建时间", "日期"), required=True),
    Field("product_id", gettext_noop("Product number"), ("product_id", "product id", "stockcode", "stock code", "sku", "lineitem sku", "item code", "item #", "商品编号", "商品编码", "商品id", "货号"), required=True),
    Field("quantity", gettext_noop("Quantity"), ("quantity", "qty", "lineitem quantity", "item quantity", "pieces", "数量", "购买数量"), required=True),
    Field("unit_price", gettext_noop("Price each"), ("unit_price", "unitprice", "unit price", "price", "lineitem price", "item cost", "item price", "单价", "价格", "商品价格"), required=True),
    Field("product_name", gettext_noop("Product name"), ("product_name", "product name", "description", "lineitem name", "item name", "product", "item", "title", "商品名称", "商品", "品名")),
    Field("category", gettext_noop("Category"), ("category", "product category", "类别", "分类", "商品分类")),
    Field("customer_id", gettext_noop("Customer number"), ("customer_id", "customerid", "customer id", "customer number", "customer user id", "user id", "user_id", "userid", "customer", "客户编号", "会员编号", "买家id")),
    Field("email", gettext_noop("E-mail"), ("email", "email address", "billing email", "email (billing)", "billing_email", "customer email", "邮箱", "电子邮箱", "电子邮件")),
    Field("customer_name", gettext_noop("Customer name"), ("customer_name", "customer name", "billing name", "full name", "buyer name", "buyer", "client name", "姓名", "买家姓名", "收货人", "收件人", "客户姓名", "客户名称")),
    Field("first_name", gettext_noop("First name"), ("first name (billing)", "billing_first_name", "billing first name", "first name")),
    Field("last_name", gettext_noop("Last name"), ("last name (billing)", "billing_last_name", "billing last name", "last name")),
    Field("phone", gettext_noop("Phone"), ("phone", "phone number", "mobile", "telephone", "billing phone", "phone (billing)", "billing_phone", "电话", "手机", "手机号", "手机号码", "联系电话")),
    Field("country", gettext_noop("Country"), ("country", "billing country", "country code (billing)", "country name (billing)", "billing_country", "国家", "国家/地区")),
    Field("city", gettext_noop("City"), ("city", "billing city", "city (billing)", "billing_city", "城市")),
    Field("currency", gettext_noop("Currency"), ("currency", "order currency", "order_currency", "币种", "货币")),
    Field("discount", gettext_noop("Discount of the order"), ("discount amount", "discount", "discount_total", "cart discount amount", "优惠金额", "折扣")),
    Field("shipping", gettext_noop("Shipping of the order"), ("shipping", "shipping_total", "order shipping amount", "运费")),
    Field("tax", gettext_noop("Tax of the order"), ("taxes", "tax", "tax_total", "order total tax amount", "税费")),
    Field("total", gettext_noop("Total of the order"), ("total", "order total", "order_total", "order total amount", "订单金额", "实付金额", "总金额")),
    Field("coupon", gettext_noop("Coupon"), ("discount code", "coupon", "coupon code", "coupon_items", "优惠券")),
    Field("cancelled_at", gettext_noop("Cancelled at"), ("cancelled at", "canceled at", "取消时间")),
    Field("refunded", gettext_noop("Amount refunded"), ("refunded amount", "refunded_total", "order refund amount", "退款金额")),
    Field("status", gettext_noop("Status"), ("status", "order status", "financial status", "订单状态")),
    Field("accepts_marketing", gettext_noop("May be mailed"), ("accepts marketing", "marketing consent", "newsletter")),
)  # fmt: skip
BY_NAME = {field.name: field for field in FIELDS}
REQUIRED = tuple(field.name for field in FIELDS if field.required)


@dataclass(frozen=True, slots=True)
class Preset:
    """How a well-known export is read.

    columns: field -> column names, the first present one is taken.  cancellations: C-invoices are returns and codes that
    are no goods are known (online-retail).  sparse: only an order's first row carries its order-level cells (Shopify).
    """

    name: str
    label: object
    columns: Mapping[str, tuple[str, ...]]
    zone: str = ""
    currency: str = ""
    cancellations: bool = False
    sparse: bool = False
    day_first: bool | None = None


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("", _("Any table of order lines"), {}),
        Preset(
            "online-retail", _("Online Retail (UCI)"),
            {
                "order_id": ("InvoiceNo", "Invoice"), "product_id": ("StockCode",), "product_name": ("Description",), "quantity": ("Quantity",),
                "placed_at": ("InvoiceDate",), "unit_price": ("UnitPrice", "Price"), "customer_id": ("CustomerID", "Customer ID"), "country": ("Country",),
            },
            zone="UTC", currency="GBP", cancellations=True, day_first=False,
        ),
        Preset(
            "shopify", _("Shopify order export"),
            {
                "order_id": ("Name",), "email": ("Email",), "placed_at": ("Created at",), "quantity": ("Lineitem quantity",), "product_name": ("Lineitem name",),
                "unit_price": ("Lineitem price",), "product_id": ("Lineitem sku",), "currency": ("Currency",), "shipping": ("Shipping",), "tax": ("Taxes",), "total": ("Total",),
                "coupon": ("Discount Code",), "discount": ("Discount Amount",), "customer_name": ("Billing Name", "Shipping Name"), "country": ("Billing Country", "Shipping Country"),
                "city": ("Billing City", "Shipping City"), "phone": ("Phone", "Billing Phone"), "cancelled_at": ("Cancelled at",), "refunded": ("Refunded Amount",),
                "accepts_marketing": ("Accepts Marketing",),
            },
            sparse=True,
        ),
        Preset(
            "woocommerce", _("WooCommerce order export"),
            {
                "order_id": ("Order Number", "order_number", "order_id", "Order ID"), "status": ("Order Status", "status"), "placed_at": ("Order Date", "order_date", "date"),
                "first_name": ("First Name (Billing)", "billing_first_name"), "last_name": ("Last Name (Billing)", "billing_last_name"), "email": ("Email (Billing)", "billing_email"),
                "phone": ("Phone (Billing)", "billing_phone"), "city": ("City (Billing)", "billing_city"), "country": ("Country Code (Billing)", "billing_country"),
                "customer_id": ("Customer User ID", "customer_id", "customer_user"), "currency": ("Currency", "order_currency"), "product_id": ("SKU", "Product Id", "sku", "Item #"),
                "product_name": ("Item Name", "Product Name", "item_name"), "quantity": ("Quantity", "Quantity (- Refund)", "qty"), "unit_price": ("Item Cost", "Item Price", "item_price"),
                "coupon": ("Coupon Code", "coupon_code"), "discount": ("Cart Discount Amount", "discount_total"), "shipping": ("Order Shipping Amount", "shipping_total"),
                "tax": ("Order Total Tax Amount", "tax_total"), "total": ("Order Total Amount", "order_total"), "refunded": ("Order Refund Amount", "refunded_total"),
            },
        ),
    )
}  # fmt: skip

# Columns of the online-retail file that are services and adjustments, not goods.
NOT_GOODS = re.compile(r"POST|DOT|M|D|S|B|C2|C3|CRUK|PADS|AMAZONFEE|BANK CHARGES|DCGS.*|GIFT_.*|TEST.*|ADJUST.*", re.IGNORECASE)


def guess(columns: Sequence[str]) -> dict[str, str]:
    """Return field -> column for every field whose usual headings occur; each column is used once, best heading first."""
    tidy = {_tidy(column): column for column in reversed(columns) if column.strip()}
    found: dict[str, str] = {}
    for field in FIELDS:
        for name in field.names:
            column = tidy.get(_tidy(name))
            if column and column not in found.values():
                found[field.name] = column
                break
    # "Buyer e-mail", "shipping country": a word of whose it is before a usual heading. "Name" alone says too little.
    plain = {_OWNER.sub("", name): column for name, column in tidy.items() if column not in found.values()}
    for field in FIELDS:
        column = next((plain[_tidy(name)] for name in field.names if _tidy(name) != "name" and _tidy(name) in plain), None)
        if field.name not in found and column and column not in found.values():
            found[field.name] = column
    return found


def guess_preset(columns: Sequence[str]) -> str:
    """Return the preset whose required columns are all there and that matches most; '' when none does."""
    best, score = "", 0
    for preset in PRESETS.values():
        if not preset.columns:
            continue
        chosen = _from_preset(preset, columns)
        if all(name in chosen for name in REQUIRED) and len(chosen) > score:
            best, score = preset.name, len(chosen)
    return best


def choose(columns: Sequence[str], *, preset: str = "", overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return field -> column from the preset or the guess, with overrides on top; an override of '' drops the field.

    Raises FileRefused naming every missing required field and every override that does not fit.
    """
    if preset not in PRESETS:
        raise FileRefused(gettext("There is no preset %(name)s; use %(names)s.") % {"name": preset, "names": ", ".join(name for name in PRESETS if name)})
    chosen = _from_preset(PRESETS[preset], columns) if preset else guess(columns)
    for name, column in (overrides or {}).items():
        if name not in BY_NAME:
            raise FileRefused(gettext("There is no field %(name)s; fields are %(names)s.") % {"name": name, "names": ", ".join(BY_NAME)})
        if column and column not in columns:
            raise FileRefused(gettext("The file has no column %(name)s; it has %(names)s.") % {"name": column, "names": _listed(columns)})
        chosen.pop(name, None)
        if column:
            chosen[name] = column
    missing = [name for name in REQUIRED if name not in chosen]
    if missing:
        raise FileRefused(
            gettext("No column was found for %(fields)s; the file has %(names)s.")
            % {"fields": ", ".join(f"{gettext(BY_NAME[name].label)} ({name})" for name in missing), "names": _listed(columns)},
            missing=missing,
        )
    return chosen


def _from_preset(preset: Preset, columns: Sequence[str]) -> dict[str, str]:
    tidy = {_tidy(column): column for column in reversed(columns)}
    chosen = {}
    for name, candidates in preset.columns.items():
        column = next((tidy[_tidy(candidate)] for candidate in candidates if _tidy(candidate) in tidy), None)
        if column:
            chosen[name] = column
    return chosen


_OWNER = re.compile(r"^(?:customer|client|buyer|user|billing|shipping|delivery|order|line ?item|product|item) (?=\w)")


def _tidy(column: str) -> str:
    return re.sub(r"[\s_]+", " ", column.strip().lower()).replace("e-mail", "email")


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(column[:40] for column in columns[:40] if column) or "no columns"
