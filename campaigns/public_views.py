"""What recipients reach from a mail. Scanners and mail programs fetch links by themselves, so a GET changes no consent.

Words here are for the shop's customers: data per language, in the language the mail was written in.
"""

import base64
from urllib.parse import urlsplit

from django.conf import settings
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import translation
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from campaigns import attribution, links
from campaigns.models import Delivery
from crm.core import clock, formats
from crm.core.models import Source
from customers.models import Product

# One transparent pixel.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
# Version of the words people agree to when they subscribe again; stored with the consent.
WORDING = "unsubscribe-page-1"

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Unsubscribe",
        "ask": "Do you no longer want marketing mails from {shop}?",
        "explain": "Mails about your orders still reach you.",
        "yes": "Unsubscribe",
        "done_title": "You are unsubscribed",
        "done": "You will get no more marketing mails from {shop}.",
        "again": "That was a mistake: subscribe me again",
        "back_title": "You are subscribed again",
        "back": "You agreed to get marketing mails from {shop}. Every mail has a link to unsubscribe.",
        "preview": "This link is from a test mail: nothing was changed.",
        "bad_title": "This link does not work",
        "bad": "It may have been cut off. Open the newest mail and use its link, or reply to it and a person will help.",
    },
    "zh-hans": {
        "title": "退订",
        "ask": "您不想再收到 {shop} 的营销邮件了吗？",
        "explain": "与订单有关的邮件仍会照常发送。",
        "yes": "退订",
        "done_title": "您已退订",
        "done": "您不会再收到 {shop} 的营销邮件。",
        "again": "点错了，重新订阅",
        "back_title": "您已重新订阅",
        "back": "您同意接收 {shop} 的营销邮件。每封邮件里都有退订链接。",
        "preview": "此链接来自测试邮件，没有任何改动。",
        "bad_title": "此链接无效",
        "bad": "链接可能不完整。请打开最新的邮件，使用其中的链接；也可以直接回复邮件，会有专人协助您。",
    },
}


@never_cache
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks; POST unsubscribes at once (RFC 8058: no cookie, no confirmation, always 200 for a link we signed)."""
    try:
        public_id = links.read_unsubscribe(token)
    except BadSignature:
        return _page(None, "bad", status=404)
    if public_id is None:
        return _page(None, "preview")
    if request.method != "POST":
        delivery = Delivery.objects.filter(public_id=public_id).only("language", "unsubscribed_at").first()
        return _page(delivery, "ask" if delivery else "bad", status=200 if delivery else 404)
    if request.POST.get("action") == "subscribe":
        delivery = attribution.subscribe_again(public_id=public_id, at=clock.now(), wording=WORDING)
        return _page(delivery, "back" if delivery else "bad", status=200 if delivery else 404)
    one_click = request.POST.get("List-Unsubscribe") == "One-Click"
    delivery = attribution.unsubscribe(public_id=public_id, at=clock.now(), origin="one-click unsubscribe" if one_click else "unsubscribe page")
    return _page(delivery, "done")


@never_cache
@require_safe
def click(request: HttpRequest, token: str) -> HttpResponseBase:
    """Note the click and lead on: to the product's stored address, or to our own page about it. Never anywhere else."""
    try:
        target = links.read_click(token)
    except BadSignature:
        return _page(None, "bad", status=404)
    delivery = None
    if target.public_id is not None:
        delivery = Delivery.objects.select_related("customer__source").filter(public_id=target.public_id).first()
        if request.method == "GET" and not _is_prefetch(request):
            attribution.record_click(public_id=target.public_id, product_id=target.product_id, at=clock.now())
    product = None
    if target.product_id is not None:
        product = Product.objects.select_related("source").filter(pk=target.product_id).first()
    source = product.source if product else delivery.customer.source if delivery else None
    address = _shop_address(product, source)
    if address:
        return HttpResponseRedirect(address)
    return _page(delivery, "product", product=product)


@never_cache
@require_safe
def opened(request: HttpRequest, token: str) -> HttpResponse:
    """Note that the mail's picture was loaded; the pixel comes back whatever the token."""
    try:
        public_id = links.read_open(token)
    except BadSignature:
        public_id = None
    if public_id is not None and request.method == "GET" and not _is_prefetch(request):
        attribution.record_open(public_id=public_id, at=clock.now())
    return HttpResponse(PIXEL, content_type="image/gif")


def _is_prefetch(request: HttpRequest) -> bool:
    """Whether a program fetched the address before anyone chose it."""
    purpose = f"{request.headers.get('Sec-Purpose', '')} {request.headers.get('Purpose', '')}".lower()
    return "prefetch" in purpose or "preview" in purpose


def _shop_address(product: Product | None, source: Source | None) -> str:
    """Return the product's own address, else the shop's; '' where neither is a web address or the shop is the demo's.

    The demo shop's host does not exist, so its products are shown on our own page.
    """
    if source is None or source.is_demo:
        return ""
    candidates = [product.url] if product else []
    candidates += [origin for origin in source.allowed_origins if "*" not in origin]
    return next((address for address in candidates if urlsplit(address).scheme in {"http", "https"} and urlsplit(address).netloc), "")


def _page(delivery: Delivery | None, state: str, *, status: int = 200, product: Product | None = None) -> HttpResponse:
    language = delivery.language if delivery else (translation.get_language() or "en")
    texts = TEXTS.get(language, TEXTS["zh-hans"] if language.startswith("zh") else TEXTS["en"])
    with translation.override(language if language in dict(settings.LANGUAGES) else "en"):
        price = "" if product is None or product.price_amount is None else formats.money(product.price_amount, product.currency or settings.CRM_CURRENCY)
        # Rendered without the request: no context processor may look for a session here.
        content = render_to_string(
            "campaigns/public.html",
            {
                "state": state,
                "texts": {name: text.format(shop=settings.CRM_ORGANISATION) for name, text in texts.items()},
                "lang": "zh-Hans" if language.startswith("zh") else "en",
                "shop": settings.CRM_ORGANISATION,
                "product_name": product.name_in(language) if product else "",
                "price": price,
            },
        )
    response = HttpResponse(content, status=status)
    # The address holds the token; it must not travel on to the shop or a search engine.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
