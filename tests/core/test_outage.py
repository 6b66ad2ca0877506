"""503 while a service is away, for people and for programs; a bug stays a 500."""

import json

import kombu.exceptions
import psycopg
import pytest
import redis
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import RequestFactory

from crm.core import failures, outage


def caused(cause: Exception) -> OperationalError:
    """Return Django's error as it is raised from a driver's."""
    try:
        raise OperationalError(str(cause)) from cause
    except OperationalError as error:
        return error


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (caused(psycopg.OperationalError("connection failed: Connection refused")), True),
        (caused(psycopg.errors.AdminShutdown("terminating connection")), True),
        (caused(psycopg.errors.CannotConnectNow("the database system is starting up")), True),
        (caused(psycopg.errors.TooManyConnections("too many clients")), True),
        (caused(psycopg.errors.DeadlockDetected("deadlock detected")), False),
        (caused(psycopg.errors.QueryCanceled("statement timeout")), False),
        (InterfaceError("the connection is closed"), True),
        (DataError("value too long"), False),
        (redis.ConnectionError("refused"), True),
        (redis.TimeoutError("timed out"), True),
        (redis.ResponseError("WRONGTYPE"), False),
        (kombu.exceptions.OperationalError("no broker"), True),
        (ValueError("a bug"), False),
    ],
)
def test_what_counts_as_a_service_being_away(error: Exception, away: bool) -> None:
    assert outage.is_outage(error) is away


@pytest.mark.parametrize(
    ("path", "accept", "is_json"),
    [("/customers/", "text/html", False), ("/v1/track", "*/*", True), ("/api/v1/customers", "*/*", True), ("/jobs/3/", "application/json", True)],
)
def test_the_answer_fits_the_caller(rf: RequestFactory, path: str, accept: str, is_json: bool) -> None:
    middleware = failures.FailureMiddleware(lambda _request: HttpResponse())

    response = middleware.process_exception(rf.get(path, headers={"Accept": accept}), redis.ConnectionError("redis.internal refused"))

    assert response is not None
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (503, "5", "no-store")
    assert response["Content-Type"].startswith("application/json" if is_json else "text/html")
    assert b"redis.internal" not in response.content
    if is_json:
        body = json.loads(response.content)
        assert body["code"] == "unavailable"
        assert body["message"]


def test_a_bug_is_left_to_django(rf: RequestFactory) -> None:
    middleware = failures.FailureMiddleware(lambda _request: HttpResponse())

    assert middleware.process_exception(rf.get("/"), ValueError("a bug")) is None


def test_a_failure_in_a_middleware_is_told_apart_too(rf: RequestFactory) -> None:
    def status_for(error: Exception, path: str) -> HttpResponse:
        try:
            raise error
        except type(error):
            return outage.server_error(rf.get(path))

    assert status_for(OperationalError("connection refused"), "/").status_code == 503
    bug = status_for(ValueError("a bug"), "/v1/track")
    assert bug.status_code == 500
    assert set(json.loads(bug.content)) >= {"code", "message"}
    assert status_for(ValueError("a bug"), "/").status_code == 500
