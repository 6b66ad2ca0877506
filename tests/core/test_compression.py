"""What is sent compressed, and what must not be."""

import gzip

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from crm.core.compression import PageCompressionMiddleware

ASKED = {"accept-encoding": "gzip, br"}


def through(response: HttpResponse, **headers: str) -> HttpResponse:
    return PageCompressionMiddleware(lambda _request: response)(RequestFactory().get("/", headers=headers or ASKED))


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/css", "text/javascript", "image/svg+xml"])
def test_pages_and_their_files_are_compressed_for_who_asks(kind: str) -> None:
    body = b"a table row " * 500

    answer = through(HttpResponse(body, content_type=kind))

    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert len(answer.content) < len(body) / 5
    assert gzip.decompress(answer.content) == body
    assert through(HttpResponse(body, content_type=kind), **{"accept-encoding": "identity"}).content == body


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(b'{"a": 1}' * 200, content_type="application/json", headers={"ETag": '"3"'}),
        HttpResponse(b"a,b\n" * 200, content_type="text/csv"),
        HttpResponse(b"x" * 900, content_type="text/css", headers={"Content-Encoding": "br"}),
        HttpResponse(b"x" * 900, content_type="text/html", status=206),
    ],
    ids=["api", "export", "compressed in advance", "part of a file"],
)
def test_everything_else_goes_out_as_it_is(response: HttpResponse) -> None:
    before, headers = response.content, dict(response.headers)

    answer = through(response)

    assert answer.content == before
    assert dict(answer.headers) == headers


def test_a_static_file_keeps_a_validator_that_is_known_again(db: None) -> None:
    answer = Client().get("/static/css/base.css", headers=ASKED)

    assert answer.headers["Content-Encoding"] == "gzip"
    again = Client().get("/static/css/base.css", headers=ASKED | {"if-modified-since": answer.headers["Last-Modified"]})
    assert again.status_code == 304
    answer.close()
