"""Every page of the interface, on a seeded shop in a real browser: accessible, small, silent, and narrow enough.

One demo shop (a tenth of the usual one) serves all tests of this file. Its rows are committed, so that the server sees
them; the tests only read, each in a transaction of its own, and must not write: the server would not see it.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page

from campaigns.models import Campaign, CampaignText
from crm.core import clock, jobs
from crm.core.learning import registry
from crm.core.models import User
from crm.demo.seed import seed
from customers.models import Customer, Segment
from support.models import Conversation
from tests.browser.conftest import Visit, axe_findings, watched
from tests.servers import RunningServer

pytestmark = pytest.mark.django_db
logger = logging.getLogger(__name__)
KILOBYTE = 1000
MOST_BYTES, MOST_BYTES_HOME = 60 * KILOBYTE, 90 * KILOBYTE
# The console's three chat modules come on top. Django's admin has a dozen files of its own.
MOST_REQUESTS, MOST_REQUESTS_CONSOLE = 8, 8
MOST_REQUESTS_ADMIN = 18
MOST_NODES = 1500
# The search box of Django's own change list is labelled by a picture.
UPSTREAM_FINDINGS = ("label-title-only",)
MOST_QUERIES = 12
# One administrator per look: language and theme are kept with the account.
VIEWERS = {("en", "light"): "viewer-en", ("zh-hans", "dark"): "viewer-zh"}
# Trained from the shop's rows in a second or two each; the intents take longer and their page shows its untrained state.
QUICK_MODELS = ("value", "lifecycle", "recommendations", "churn")


@dataclass(frozen=True, slots=True)
class Shop:
    """The seeded rows the addresses below need."""

    customer: int
    segment: int
    draft: int
    sent: int
    conversation: int
    job: int


@dataclass(frozen=True, slots=True)
class Place:
    """A page and how to find it. signed_in: whether it is staff's; the others are looked at as a stranger."""

    name: str
    path: Callable[[Shop], str]
    signed_in: bool = True
    is_admin: bool = False
    # The widget takes its language from the shop or from its address, not from the visitor's cookie.
    asks_language: bool = False


def at(name: str, *attributes: str) -> Callable[[Shop], str]:
    return lambda shop: reverse(name, args=[getattr(shop, attribute) for attribute in attributes])


PLACES = (
    Place("log in", at("login"), signed_in=False),
    Place("home", at("home")),
    Place("customers", at("customers:list")),
    Place("customer", at("customers:detail", "customer")),
    Place("import", at("customers:import")),
    Place("segments", at("segments:list")),
    Place("segment", at("segments:detail", "segment")),
    Place("new segment", at("segments:new")),
    Place("segment builder", at("segments:edit", "segment")),
    Place("insights: retention", lambda _shop: reverse("insights:page", args=["retention"])),
    Place("insights: RFM map", lambda _shop: reverse("insights:page", args=["rfm"]) + "?r=1&f=1"),
    Place("insights: lifecycle", lambda _shop: reverse("insights:page", args=["lifecycle"])),
    Place("insights: value", lambda _shop: reverse("insights:page", args=["value"])),
    Place("insights: churn", lambda _shop: reverse("insights:page", args=["churn"])),
    Place("insights: returns", lambda _shop: reverse("insights:page", args=["returns"])),
    Place("insights: reviews", lambda _shop: reverse("insights:page", args=["reviews"])),
    Place("campaigns", at("campaigns:list")),
    Place("new campaign", at("campaigns:new")),
    Place("campaign editor", at("campaigns:edit", "draft")),
    Place("campaign report", at("campaigns:detail", "sent")),
    Place("inbox", at("support:inbox")),
    Place("conversation", at("support:conversation", "conversation")),
    Place("tickets", at("support:tickets")),
    Place("recommendations", at("recommendations:index")),
    Place("models", at("core:models")),
    Place("model", lambda _shop: reverse("core:model", args=["lifecycle"])),
    Place("model with reasons", lambda _shop: reverse("core:model", args=["churn"])),
    Place("model without a version", lambda _shop: reverse("core:model", args=["intents"])),
    Place("jobs", at("core:jobs")),
    Place("job", at("core:job", "job")),
    Place("outbox", at("core:outbox")),
    Place("account", at("core:account")),
    Place("widget", lambda _shop: reverse("widget", args=["wk_demo_maple_and_moss"]), signed_in=False, asks_language=True),
    Place("admin", at("admin:index"), is_admin=True),
    Place("admin customers", at("admin:customers_customer_changelist"), is_admin=True),
    Place("admin orders", at("admin:customers_order_changelist"), is_admin=True),
)
every_place = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
every_look = pytest.mark.parametrize("look", [("en", "light"), ("zh-hans", "dark")], ids=lambda look: "-".join(look))
Open = Callable[[tuple[str, str], bool], BrowserContext]


@pytest.fixture(scope="module")
def server(_server: RunningServer) -> RunningServer:
    """The server all browser tests share, which this file starts once its shop is there."""
    return _server


@pytest.fixture(scope="module")
def shop(django_db_setup: None, django_db_blocker: Any, server: RunningServer) -> Iterator[Shop]:
    """A committed demo shop for the whole file, taken out again at its end; the server runs on it."""
    with django_db_blocker.unblock():
        now = clock.now()
        cache.clear()
        seed(as_of=now.replace(hour=0, minute=0, second=0, microsecond=0), progress=lambda *_: None, small=True)
        for name in QUICK_MODELS:
            outcome = registry.run(name, as_of=now)
            assert outcome.version is not None, outcome.message
        rule = {"op": "all", "rules": [{"field": "orders_count", "operator": "at_least", "value": 1}]}
        segment = Segment.objects.create(name="Buyers", rule=rule)
        draft = Campaign.objects.create(name="Spring", segment=segment)
        for language, subject in (("en", "Spring is here"), ("zh-hans", "春天来了")):
            CampaignText.objects.create(campaign=draft, language=language, subject=subject, body="{{ first_name }}")
        job = jobs.start(kind="import", title="Orders of May", created_by=User.objects.get(username="admin"))
        jobs.begin(job.pk)
        jobs.progress(job.pk, done=40, total=100, message="40")
        for (language, theme), username in VIEWERS.items():
            User.objects.create_superuser(username=username, password=None, locale=language, theme=theme)
        mail = caught_mail(settings.CRM_OUTBOX_DIR)
        cache.clear()
        server.start()
        yield Shop(
            customer=Customer.objects.order_by("-spent_amount")[0].pk,
            segment=segment.pk,
            draft=draft.pk,
            sent=Campaign.objects.filter(state="sent").order_by("pk")[0].pk,
            conversation=Conversation.objects.filter(state="queued").order_by("pk")[0].pk,
            job=job.pk,
        )
        # The next file's server must not remember this shop.
        server.stop()
        mail.unlink()
        call_command("flush", verbosity=0, interactive=False)
        cache.clear()


def caught_mail(folder: Path) -> Path:
    """Put one mail where the local sink keeps those it caught."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@maple-and-moss.example", "lin@mail.example", "Spring is here"
    mail["Date"] = "Mon, 01 Jun 2026 10:00:00 +0800"
    mail.set_content("Hello")
    box = Path(folder) / "new"
    box.mkdir(parents=True, exist_ok=True)
    file = box / "1780279200.browser.test"
    file.write_bytes(bytes(mail))
    return file


@pytest.fixture(scope="module")
def clients(shop: Shop) -> dict[tuple[str, str], Client]:
    """The administrators without a browser, by look."""
    clients = {look: Client() for look in VIEWERS}
    for look, client in clients.items():
        client.force_login(User.objects.get(username=VIEWERS[look]))
    return clients


@pytest.fixture(scope="module")
def profile(browser: Browser, clients: dict[tuple[str, str], Client], server: RunningServer) -> Iterator[Open]:
    """Browser profiles by language and theme, of an administrator or of a stranger; each made once."""
    made: dict[tuple[tuple[str, str], bool], BrowserContext] = {}

    def opened(look: tuple[str, str], signed_in: bool) -> BrowserContext:
        if (look, signed_in) in made:
            return made[look, signed_in]
        language, theme = look
        context = browser.new_context(
            base_url=server.url,
            viewport={"width": 1440, "height": 900},
            locale="en-GB" if language == "en" else "zh-CN",
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        cookies = {settings.LANGUAGE_COOKIE_NAME: language, "theme": theme}
        if signed_in:
            cookies[settings.SESSION_COOKIE_NAME] = clients[look].cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": name, "value": value, "url": server.url} for name, value in cookies.items()])
        made[look, signed_in] = context
        return context

    yield opened
    for context in made.values():
        context.close()
    # While Playwright's loop runs, Django keeps a second set of connections for this thread; nothing else closes them.
    connections.close_all()


@every_look
@every_place
def test_page_is_accessible_small_silent_and_fits_a_phone(place: Place, look: tuple[str, str], shop: Shop, profile: Open, server: RunningServer) -> None:
    language, theme = look
    own = (server.url, server.url.replace("http://", "ws://"))
    with watched(profile(look, place.signed_in), own) as (page, visit):
        query = f"?lang={language}" if place.asks_language else ""
        answer = page.goto(place.path(shop) + query, wait_until="load")
        assert answer is not None
        assert answer.status == 200
        # Panels that load themselves belong to the page; a poll never ends it.
        page.wait_for_load_state("networkidle", timeout=60_000)
        problems = budget_overruns(place, page, visit)
        assert page.locator("html").get_attribute("lang") == ("zh-Hans" if language == "zh-hans" and not place.is_admin else language)
        if place.signed_in and not place.is_admin:
            assert page.locator("html").get_attribute("data-theme") == theme
        assert page.locator("h1").count() == 1
        problems += [finding for finding in axe_findings(page) if not (place.is_admin and finding.startswith(UPSTREAM_FINDINGS))]
        page.set_viewport_size({"width": 320, "height": 700})
        # axe sees no page that is wider than its window.
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            problems.append(f"{width} px wide in a window of 320 px: {page.evaluate(STICKING_OUT)}")
        problems += visit.faults
    assert not problems, "\n".join(problems)


# Names the innermost elements that reach beyond the window, for the message of a failed test.
STICKING_OUT = """[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.rail, .table-wrap')
  && ![...e.children].some((c) => c.getBoundingClientRect().right > innerWidth + 1)).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))"""


def budget_overruns(place: Place, page: Page, visit: Visit) -> list[str]:
    """Return what of the page is larger than UX.md 3.4 allows."""
    nodes = page.evaluate("document.querySelectorAll('*').length")
    most_bytes = MOST_BYTES_HOME if place.name == "home" else MOST_BYTES
    most_requests = MOST_REQUESTS_ADMIN if place.is_admin else MOST_REQUESTS_CONSOLE if place.name in {"inbox", "conversation"} else MOST_REQUESTS
    found = []
    logger.info("%s: %.1f kB, %d requests, %d nodes", place.name, visit.wire_bytes / KILOBYTE, len(visit.at_load), nodes)
    if visit.wire_bytes > most_bytes:
        found.append(f"{visit.wire_bytes / KILOBYTE:.1f} kB on the wire")
    if len(visit.at_load) > most_requests:
        found.append(f"{len(visit.at_load)} requests at load: {visit.at_load}")
    if nodes > MOST_NODES:
        found.append(f"{nodes} nodes")
    return found


@every_place
def test_page_asks_the_database_little(place: Place, shop: Shop, clients: dict[tuple[str, str], Client]) -> None:
    asking = clients["en", "light"] if place.signed_in else Client()
    # The first answer fills what is kept for a while: templates, content types, models, whether this is a demo.
    asking.get(place.path(shop))

    with CaptureQueriesContext(connection) as captured:
        answer = asking.get(place.path(shop))

    assert answer.status_code == 200
    assert len(captured) <= MOST_QUERIES, "\n".join(query["sql"][:200] for query in captured)
