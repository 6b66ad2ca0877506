"""What no view answers: texts the database cannot hold and things that are not there, in words; other faults stay faults."""

import json
from collections.abc import Callable

import pytest
from django.db import DataError, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import translation

from crm.core import failures, rows
from crm.core.errors import Conflict, NotFound
from crm.core.models import Source
from support import conversations


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("work", "is_of_that_kind"),
    [
        (lambda: Source.objects.filter(name="a\x00b").exists(), True),
        (lambda: rows.query("SELECT %s::jsonb", ['"\\u0000"']), True),
        (lambda: rows.query("SELECT %s::int", ["9" * 23]), False),
    ],
)
def test_only_characters_that_cannot_be_stored_are_the_senders_fault(work: Callable[[], object], is_of_that_kind: bool) -> None:
    with pytest.raises(DataError) as caught, transaction.atomic():
        work()

    assert failures.is_unstorable(caught.value) is is_of_that_kind


@pytest.mark.parametrize("error", [NotFound(), conversations.ConversationMissing()])
def test_what_the_domain_does_not_know_is_a_missing_page(error: Exception) -> None:
    middleware = failures.FailureMiddleware(lambda _request: HttpResponse())
    request = RequestFactory().get("/customers/1/")
    request.htmx = False  # type: ignore[attr-defined]

    page = middleware.process_exception(request, error)

    assert page is not None
    assert page.status_code == 404
    assert middleware.process_exception(request, Conflict()) is None


def answer(**headers: str) -> HttpResponse | None:
    middleware = failures.FailureMiddleware(lambda _request: HttpResponse())
    request = RequestFactory().get(headers.pop("path", "/customers/"), headers=headers)
    request.htmx = False  # type: ignore[attr-defined]
    return middleware.process_exception(request, DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"))


@pytest.mark.parametrize(("language", "words"), [("en", "a character that cannot be stored"), ("zh-hans", "无法保存的字符")])
def test_people_read_what_to_do(language: str, words: str) -> None:
    with translation.override(language):
        page = answer()

    assert page is not None
    assert (page.status_code, words in page.content.decode()) == (400, True)


@pytest.mark.parametrize("headers", [{"path": "/api/v1/customers"}, {"Accept": "application/json"}])
def test_programs_read_a_code(headers: dict[str, str]) -> None:
    given = answer(**headers)

    assert given is not None
    assert (given.status_code, json.loads(given.content)["code"]) == (400, "text_unstorable")


def test_a_bug_stays_a_bug() -> None:
    middleware = failures.FailureMiddleware(lambda _request: HttpResponse())

    assert middleware.process_exception(RequestFactory().get("/"), DataError("value too long")) is None
    assert middleware.process_exception(RequestFactory().get("/"), ValueError("NUL (0x00)")) is None
