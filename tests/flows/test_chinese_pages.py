"""The demo shop read in Chinese: what stays in Latin letters is data, a name or a code, never a text nobody translated."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from itertools import chain
from zoneinfo import available_timezones

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from campaigns.models import Campaign, CampaignText
from crm.core import clock, jobs
from crm.core.learning import registry
from crm.core.models import Job, User
from crm.demo import seed
from customers.insights.pages import NAMES as INSIGHTS
from customers.models import Activity, Customer, Identity, Product, Review, Segment
from support.models import Article, Conversation, Message

# Names of this and other products, of formats, units, methods and keys; the demo shop's staff.
ALLOWED = frozenset(
    re.findall(
        r"\w+",
        "Perennial Maple Moss Shopify WooCommerce Online Retail UCI Excel Markdown JavaScript OpenAPI API CSV csv UTF GB Latin gzip SKU VIP RFM NDCG AUC AUROC "
        "BG NBD Pareto Brier gamma alpha beta admin MB kB Asia Shanghai Enter Shift Ctrl EN English Ada Mina Anton Ling",
    )
)
# Attributes a person reads or hears.
READ = ("aria-label", "placeholder", "title", "alt", "label", "data-confirm", "data-confirm-action", "data-label", "data-command", "data-key-label")
UNREAD = {"script", "style", "code", "pre", "kbd", "template"}
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
CODES = re.compile(r"\S+@\S+|https?://\S+|\{\{.*?\}\}|/[a-z]\S*|\b[a-z]*\d[\w-]*|\b[A-Z]{2}\d+")
WORD = re.compile(r"[A-Za-z][A-Za-z'’]+")
ORDERS = "订单号,下单时间,商品编号,数量,单价,客户编号\n1,2026-01-05 10:00,P1,2,10.00,u1\n2,2026-02-30 10:00,P1,零,10.00,u1\n"


class Reader(HTMLParser):
    """Collects the texts a reader of Chinese meets; what is marked as another language is left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.language = ""
        self.texts: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        language = given.get("lang") or ""
        if tag == "html":
            self.language = language
        is_unread = bool(self._open and self._open[-1][1]) or tag in UNREAD or bool(language and not language.startswith("zh"))
        if not is_unread:
            self.texts += [given[name] or "" for name in READ if given.get(name)]
        if tag not in EMPTY:
            self._open.append((tag, is_unread))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        while any(name == tag for name, _unread in self._open) and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not (self._open and self._open[-1][1]):
            self.texts.append(" ".join(data.split()))


def _data() -> Iterator[str]:
    """Yield what people and shops wrote, in whatever language, and the names of time zones."""
    yield from available_timezones()
    columns: Iterable[Iterable[tuple[object, ...]]] = (
        Customer.objects.values_list("name", "email", "city", "country", "gender", "public_id"),
        Identity.objects.values_list("value"),
        Product.objects.values_list("name", "external_id"),
        Campaign.objects.values_list("name", "goal"),
        CampaignText.objects.values_list("subject", "body"),
        Segment.objects.values_list("name", "description"),
        Message.objects.values_list("text"),
        Review.objects.values_list("body"),
        Activity.objects.values_list("name"),
    )
    for row in chain(*columns):
        yield from (" ".join(str(value).split()) for value in row if value)
    for customer in Customer.objects.only("tags"):
        yield from customer.tags
    for properties in Activity.objects.values_list("properties", flat=True):
        yield from (str(value) for value in properties.values() if isinstance(value, str))


def _english(text: str, data: re.Pattern[str]) -> list[str]:
    return [word for word in WORD.findall(CODES.sub(" ", data.sub(" ", text))) if word not in ALLOWED]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_no_english_is_left_on_the_pages(client: Client, tmp_path, settings) -> None:
    settings.MEDIA_ROOT = tmp_path
    seed.seed(as_of=clock.now().replace(hour=0, minute=0, second=0, microsecond=0), progress=lambda *_: None, small=True)
    # Trained, since a trained model says more than an untrained one.
    for name in ("value", "lifecycle", "churn"):
        registry.run(name, as_of=clock.now())
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = "zh-hans"
    read = _Pages(client)
    read("/login/", "/nonsense/", f"/w/{seed.WRITE_KEY}/")

    client.force_login(User.objects.get(username="admin"))
    job = jobs.start(kind="train", title="Train: Lifecycle stages", created_by=None, params={"name": "lifecycle"})
    jobs.begin(job.pk)
    jobs.finish(job.pk, message="The new version serves.")
    customer = Customer.objects.filter(orders_count__gt=2, returns__reason="not_as_expected").first()
    campaign = Campaign.objects.exclude(started_at=None).first()
    conversation = Conversation.objects.first()
    segment = Segment.objects.first()
    assert None not in (customer, campaign, conversation, segment)
    read("/", "/customers/", f"/customers/{customer.pk}/", f"/customers/{customer.pk}/timeline/", f"/customers/{customer.pk}/edit/", "/customers/import/")
    read("/segments/", "/segments/new/", f"/segments/{segment.pk}/", f"/segments/{segment.pk}/edit/", f"/segments/{segment.pk}/overlap/")
    read("/account/", *(f"/insights/{name}/" for name in INSIGHTS), "/support/reports/", "/knowledge/")
    read(*(f"/{app}/customers/{customer.pk}/" for app in ("campaigns", "inbox")), f"/recommendations/customers/{customer.pk}/panel/")
    read("/campaigns/", "/campaigns/new/", f"/campaigns/{campaign.pk}/", f"/campaigns/{campaign.pk}/recipients/", f"/campaigns/{campaign.pk}/preview/")
    read("/inbox/", f"/inbox/{conversation.pk}/", "/inbox/tickets/", "/recommendations/", "/search/?q=茶", "/outbox/")
    read("/models/", *(f"/models/{name}/" for name in ("value", "lifecycle", "sentiment", "recommendations", "intents", "churn")), "/jobs/", f"/jobs/{job.pk}/")
    read(f"/help/{Article.objects.values_list('slug', flat=True)[0]}/")
    duplicate = client.post(f"/campaigns/{campaign.pk}/duplicate/", follow=True)
    read(duplicate.redirect_chain[-1][0])
    mapping = client.post("/customers/import/", {"file": SimpleUploadedFile("订单.csv", ORDERS.encode(), "text/csv")}, follow=True)
    read(mapping.redirect_chain[-1][0])

    data = re.compile("|".join(re.escape(text) for text in sorted(set(_data()), key=len, reverse=True) if re.search("[A-Za-z]", text)))
    assert Job.objects.exists()
    assert {path: reader.language for path, reader in read.pages.items() if "panel" not in path and reader.language not in {"", "zh-Hans"}} == {}
    assert {(path, text) for path, reader in read.pages.items() for text in reader.texts if _english(text, data)} == set()


class _Pages:
    """The pages read so far, by path."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.pages: dict[str, Reader] = {}

    def __call__(self, *paths: str) -> None:
        for path in paths:
            response = self._client.get(path, headers={"accept-language": "zh-CN"})
            assert response.status_code == (404 if "nonsense" in path else 200), path
            reader = Reader()
            reader.feed(response.content.decode())
            assert re.search("[\u4e00-\u9fff]", " ".join(reader.texts)), f"{path} holds no Chinese at all"
            self.pages[path] = reader


def test_the_reader_finds_english() -> None:
    """The test above can fail: a text and an attribute in English are found, data and codes are not."""
    reader = Reader()
    reader.feed('<html lang="zh-Hans"><body><p>订单 Save</p><a title="Open it">x</a><p lang="en">Hello</p><code>id</code>Lin Loyal, a@b.example</body></html>')
    data = re.compile("Lin Loyal")

    assert reader.language == "zh-Hans"
    assert [word for text in reader.texts for word in _english(text, data)] == ["Save", "Open", "it"]
