"""Every address: a staff page names its permission and obeys the table, or it is on the list of public ones."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.exceptions import NoReverseMatch

from crm.core.access.roles import TABLE, may, permissions_of, require
from crm.core.models import User
from crm.core.models.people import Role
from tests.factories import UserFactory

# Addresses that ask for no role: each with what guards it instead.
PUBLIC = {
    "healthz": "says only that the process lives",
    "readyz": "says only which parts are well",
    "login": "the way in",
    "logout": "the way out",
    "core:preferences": "the viewer's own language and theme",
    "campaigns-public:unsubscribe": "signed token",
    "campaigns-public:click": "signed token",
    "campaigns-public:open": "signed token",
    "widget": "write key and allowed origins",
    "widget-token": "write key and allowed origins",
    "widget-since": "visitor token",
    "widget-send": "visitor token",
    "widget-act": "visitor token",
    "help-article": "published articles only",
    "widget-file": "visitor token",
    "file": "a random key of 128 bits",
}
# Whole surfaces with their own keys: write keys, API keys, Django's own staff check.
OWN_KEYS = ("v1/", "api/", "admin/", "static/")
ARGUMENTS: dict[str, Any] = {"name": "recommendations", "language": "en", "key": "none", "token": "none", "slug": "none"}


def staff_views() -> Iterator[tuple[str, Any, list[str]]]:
    """Yield (name with namespace, view, argument names) of every address that is neither public nor under its own keys."""

    def walk(patterns: list[Any], path: str, namespace: str) -> Iterator[tuple[str, Any, list[str]]]:
        for pattern in patterns:
            here = path + str(pattern.pattern)
            if here.startswith(OWN_KEYS):
                continue
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, here, f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace)
            elif isinstance(pattern, URLPattern):
                yield f"{namespace}{pattern.name or here}", pattern.callback, list(pattern.pattern.converters)

    for name, view, arguments in walk(get_resolver().url_patterns, "", ""):
        if name not in PUBLIC:
            yield name, view, arguments


STAFF = sorted(staff_views(), key=lambda entry: entry[0])


def test_there_are_pages_to_check():
    assert len(STAFF) > 40


@pytest.mark.parametrize(("name", "view"), [(name, view) for name, view, _arguments in STAFF])
def test_every_staff_page_names_a_permission_of_the_table(name, view):
    assert getattr(view, "permission", None) in TABLE, f"{name} needs @require(...), or a line in PUBLIC with what guards it"


def test_every_public_address_exists():
    known = set()

    def walk(patterns, namespace):
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace)
            else:
                known.add(f"{namespace}{pattern.name}")

    walk(get_resolver().url_patterns, "")
    assert set(PUBLIC) <= known


@pytest.fixture
def staff(db) -> dict[str, User]:
    return {role: UserFactory(username=role, role=role) for role in (*Role.values, "")}


def address(name, arguments):
    # An id nobody has: a page that is allowed answers 404, so nothing is changed by the walk.
    return reverse(name, kwargs={argument: ARGUMENTS.get(argument, 987_654_321) for argument in arguments})


@pytest.mark.parametrize(("name", "view", "arguments"), STAFF, ids=[name for name, _view, _arguments in STAFF])
def test_each_role_reaches_exactly_what_the_table_says(staff, name, view, arguments):
    path, allowed = address(name, arguments), TABLE[view.permission]

    for role, user in staff.items():
        client = Client()
        client.force_login(user)
        answers = {client.get(path).status_code, client.post(path).status_code}
        if role in allowed:
            assert 403 not in answers, f"{role} is refused at {path}"
            assert answers <= {200, 302, 400, 404, 405, 409, 422}, f"{role} gets {answers} at {path}"
        else:
            assert answers <= {403, 405}, f"{role or 'nobody'} gets {answers} at {path}"
            assert 403 in answers


@pytest.mark.parametrize(("name", "view", "arguments"), STAFF, ids=[name for name, _view, _arguments in STAFF])
def test_visitors_are_sent_to_the_login_page(db, name, view, arguments):
    path = address(name, arguments)
    client = Client()

    for answer in (client.get(path), client.post(path)):
        assert answer.status_code in {302, 405}
        if answer.status_code == 302:
            assert answer["Location"].startswith("/login/")


def test_an_inactive_account_holds_nothing(db):
    assert permissions_of(UserFactory(role=Role.ADMIN, is_active=False)) == frozenset()


def test_a_superuser_holds_everything(db):
    assert permissions_of(UserFactory(role="", is_superuser=True)) == frozenset(TABLE)


def test_a_misspelt_permission_is_an_error_at_import(db):
    with pytest.raises(KeyError):
        require("customers.veiw")
    with pytest.raises(KeyError):
        may(UserFactory(), "customers.veiw")


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", ""])
def test_the_login_page_leads_nowhere_else(db, client, target):
    UserFactory(username="someone")

    answer = client.post("/login/", {"username": "someone", "password": "correct horse", "next": target})

    assert answer.status_code == 302
    assert answer["Location"] == "/"


def test_an_unknown_address_has_no_name():
    with pytest.raises(NoReverseMatch):
        reverse("core:nothing")
