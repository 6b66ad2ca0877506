"""A marketer's walk in a real browser, in both languages: from somebody about to leave to the model that says so, and back.

The walk writes through the server, as a person does; its shop is committed and taken out again at the end.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from crm.core import clock
from crm.core.learning import registry
from crm.core.models import ModelVersion, User
from crm.core.models.learning import ModelState
from crm.demo.seed import seed
from customers import portrait
from customers.models import Portrait, PortraitFeedback, Segment
from tests.servers import RunningServer

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def shop(django_db_setup: None, django_db_blocker: Any, _server: RunningServer) -> Iterator[int]:
    """A small demo shop whose churn model has two versions; returns the dearest customer at risk."""
    with django_db_blocker.unblock():
        now = clock.now()
        cache.clear()
        seed(as_of=now.replace(hour=0, minute=0, second=0, microsecond=0), progress=lambda *_: None, small=True)
        for name in ("value", "lifecycle", "churn", "churn"):
            outcome = registry.run(name, as_of=now, force=True)
            assert outcome.version is not None, outcome.message
        newest = ModelVersion.objects.filter(task="churn").order_by("-version")[0]
        if newest.state != ModelState.CHAMPION:
            from crm.core.learning import modelstore

            modelstore.promote(newest.pk, actor=None, at=now)
        portrait.refresh(as_of=now)
        for language in ("en", "zh-hans"):
            User.objects.create_superuser(username=f"walker-{language}", password=None, locale=language)
        cache.clear()
        _server.start()
        yield Portrait.objects.filter(p_churn__gte=0.5, value_365__gt=0).order_by("-value_365")[0].customer_id
        # The next file's server must not remember this shop.
        _server.stop()
        call_command("flush", verbosity=0, interactive=False)
        cache.clear()
        # While Playwright's loop runs, Django keeps a second set of connections for this thread; nothing else closes them.
        connections.close_all()


@pytest.fixture(scope="module")
def sessions(shop: int) -> dict[str, str]:
    """A session per language, made while rows are committed, so that the server knows it."""
    made = {}
    for language in ("en", "zh-hans"):
        client = Client()
        client.force_login(User.objects.get(username=f"walker-{language}"))
        made[language] = client.cookies[settings.SESSION_COOKIE_NAME].value
    return made


@pytest.fixture(params=["en", "zh-hans"])
def walk(request: pytest.FixtureRequest, browser: Browser, sessions: dict[str, str], _server: RunningServer) -> Iterator[tuple[Page, list[str]]]:
    """A window in one language, signed in, with everything that went wrong in it."""
    language = request.param
    context = browser.new_context(base_url=_server.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    cookies = {settings.LANGUAGE_COOKIE_NAME: language, settings.SESSION_COOKIE_NAME: sessions[language]}
    context.add_cookies([{"name": name, "value": value, "url": _server.url} for name, value in cookies.items()])
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    yield page, faults
    context.close()


def test_from_a_customer_at_risk_to_the_model_and_back(walk: tuple[Page, list[str]], shop: int) -> None:
    page, faults = walk
    # Somebody dear who may leave: the number, its interval, and why.
    page.goto(reverse("customers:detail", args=[shop]))
    expect(page.locator("#portrait .portrait__words")).not_to_be_empty()
    value = page.locator("#portrait tr", has=page.locator("[value='right value_365']"))
    assert any(letter.isdigit() for letter in value.locator("td").nth(1).inner_text()), "the value has no interval"
    expect(page.locator("[aria-labelledby=risk-title] svg[role=img]")).to_be_visible()

    # Disagree with a reason and say why.
    page.locator("[aria-labelledby=risk-title] details:has([value^='wrong churn.']) > summary").click()
    doubted = page.locator("[value^='wrong churn.']").first
    statement = (doubted.get_attribute("value") or "").removeprefix("wrong ")
    doubted.click()
    note = page.locator(f"[data-fk='note-{statement}']")
    expect(note).to_be_visible()
    note.fill("Was away all summer.")
    with page.expect_response(lambda answer: answer.url.endswith("/answer/") and answer.ok):
        note.press("Enter")
    expect(page.locator(f"[data-fk='note-{statement}']")).to_have_value("Was away all summer.")
    kept = PortraitFeedback.objects.get(customer_id=shop, statement=statement, note="Was away all summer.", user__username__endswith=_language(page))
    assert kept.verdict == "wrong"

    # A segment from a cell of the RFM map.
    before = Segment.objects.count()
    page.goto(reverse("insights:page", args=["rfm"]))
    page.locator(".heat td a").first.click()
    expect(page.locator("#cell")).to_be_visible()
    page.locator("#cell button[name=offer]").click()
    page.wait_for_url("**/segments/*/")
    assert Segment.objects.count() == before + 1
    assert Segment.objects.order_by("-pk")[0].members_count > 0

    # The model behind the risk: roll back, roll forward.
    serving = ModelVersion.objects.get(task="churn", state=ModelState.CHAMPION).version
    page.goto(reverse("core:model", args=["churn"]))
    expect(page.locator("[data-kind=calibration]")).to_be_visible()
    page.locator(f"form[action='{reverse('core:model-roll-back', args=['churn'])}'] button").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.locator("#versions tr", has=page.get_by_role("rowheader", name=str(serving - 1), exact=True)).locator("[data-tone=success]")).to_be_visible()
    assert ModelVersion.objects.get(task="churn", state=ModelState.CHAMPION).version == serving - 1
    page.locator(f"form[action='{reverse('core:model-promote', args=['churn', serving])}'] button").click()
    page.locator("#confirm button[value=yes]").click()
    expect(page.locator("#versions tr", has=page.get_by_role("rowheader", name=str(serving), exact=True)).locator("[data-tone=success]")).to_be_visible()
    assert ModelVersion.objects.get(task="churn", state=ModelState.CHAMPION).version == serving
    assert faults == []


def _language(page: Page) -> str:
    return "zh-hans" if page.locator("html").get_attribute("lang") == "zh-Hans" else "en"
