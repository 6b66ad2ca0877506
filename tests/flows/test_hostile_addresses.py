"""Every page and every door, asked with what nobody would type: a refusal or a page, never a fault of ours."""

import re
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from support import conversations
from support.models import Conversation
from tests.factories import ActivityFactory, CustomerFactory, OrderFactory, ProductFactory, SegmentFactory, SourceFactory, UserFactory
from tests.servers import PROJECT_DIR
from tests.support.conftest import NOW

# What pages read from their addresses, found in the source so that none is forgotten.
_READ = re.compile(r"""(?:GET\.get\(|GET\.getlist\(|query_params\.get\(|search_text\(request, )["'](\w+)""")
_TAKEN = re.compile(r"""(?:POST\.get\(|POST\.getlist\(|given\.get\(|_text\(body, )["'](\w+)""")
APPS = ("campaigns", "crm", "customers", "recommendations", "support")
ZERO, OTHERS = "a\x00b", ("9" * 23, "'\"<[{", "-1", "2026-13-45", "٣")


def names_of(pattern: re.Pattern[str]) -> list[str]:
    texts = (path.read_text() for app in APPS for path in (PROJECT_DIR / app).rglob("*.py"))
    return sorted({name for text in texts for name in pattern.findall(text)})


def named(resolver: URLResolver, space: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from named(entry, f"{space}{entry.namespace}:" if entry.namespace else space)
        elif entry.name:
            yield space + entry.name, entry


def addresses() -> list[str]:
    """Return the address of every named view, ids being 1 and keys 'x'."""
    found = []
    for name, entry in named(get_resolver()):
        values = {key: 1 if "int" in type(converter).__name__.lower() else "x" for key, converter in entry.pattern.converters.items()}
        try:
            found.append(reverse(name, kwargs=values))
        except NoReverseMatch:
            # The admin's own catch-alls.
            continue
    return found


@pytest.fixture
def administrator(db: None) -> Client:
    """An administrator's browser, in a shop that has a row 1 of what pages show by number."""
    source = SourceFactory(pk=1, write_key="x")
    customer = CustomerFactory(pk=1, source=source)
    OrderFactory(pk=1, source=source, customer=customer)
    ActivityFactory(pk=1, source=source, customer=customer, product=ProductFactory(pk=1, source=source))
    SegmentFactory(pk=1)
    talk = conversations.open(source_id=source.pk, visitor_id="a" * 32, now=NOW)
    Conversation.objects.filter(pk=talk.pk).update(id=1)
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory(username="boss", role="admin", is_staff=True, is_superuser=True))
    return client


def test_the_names_are_found() -> None:
    assert {"q", "page", "sort", "seq", "state", "cursor"} <= set(names_of(_READ))
    assert {"client_id", "label", "agent", "title"} <= set(names_of(_TAKEN))
    assert len(addresses()) > 300


@pytest.mark.slow
@pytest.mark.parametrize("is_zero", [True, False], ids=["zero bytes", "numbers, signs and dates that are none"])
def test_no_page_ends_in_an_error(is_zero: bool, administrator: Client) -> None:
    names, faults = names_of(_READ), {}
    for turn, address in enumerate(addresses()):
        # Each name has another of the values at each address.
        asked = {name: ZERO if is_zero else OTHERS[(turn + place) % len(OTHERS)] for place, name in enumerate(names)}
        status = administrator.get(address, asked).status_code
        # Not ready is what `readyz` says of a test's stack.
        if status >= 500 and address != reverse("readyz"):
            faults[address] = status

    assert faults == {}


@pytest.mark.slow
@pytest.mark.parametrize("value", [ZERO, "9" * 23], ids=["zero bytes", "huge numbers"])
def test_no_form_ends_in_an_error(value: str, administrator: Client) -> None:
    # The fields of Django's forms are checked by Django; these are more that pages take.
    sent = dict.fromkeys([*names_of(_TAKEN), "name", "username", "subject", "body", "query", "email", "comment", "note", "tags"], value)
    faults = {}
    for address in addresses():
        if "logout" in address or "/admin/" in address:
            continue
        for kind in ("application/x-www-form-urlencoded", "application/json"):
            body = urlencode(sent) if kind.endswith("urlencoded") else sent
            if (status := administrator.post(address, body, content_type=kind).status_code) >= 500:
                faults[address, kind] = status

    assert faults == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address", ["/w/%00/", "/files/%00/", "/outbox/%00/", "/u/%00/", "/e/c/%00/", "/e/o/%00.gif", "/help/%00/", "/customers/import/%00/columns/"]
)
def test_a_zero_byte_in_a_path_is_no_fault_of_ours(address: str, administrator: Client) -> None:
    assert administrator.get(address).status_code < 500
