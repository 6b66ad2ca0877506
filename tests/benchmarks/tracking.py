"""Tracking calls against views that only parse JSON and insert.

Both sides are called through the same Django request factory, without network and middleware, on the same table layout.
The bare batch: json.loads, 100 rows, one bulk_create that ignores conflicts. The bare single: json.loads, one INSERT.
Single calls come from browsers that were seen before; the first call of a new person, who has to be made, is a line of its own.
"""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, islice

from django.http import HttpRequest, JsonResponse
from django.test import RequestFactory

from crm.core.models import Source
from customers import tracking
from customers.models import Activity
from tests.benchmarks.timing import line, paired

BATCHES, ROWS, SINGLES = 30, 100, 300
# People the single calls come from; all known by then, as nearly every browser is after its first page.
VISITORS = 100
NAMES = ("Product Viewed", "Product Added", "Checkout Started", "Product List Viewed")


def run() -> Iterator[str]:
    """Yield one line per figure."""
    source = Source.objects.create(name=f"bench {uuid.uuid4().hex[:8]}", write_key=uuid.uuid4().hex)
    header = {"HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{source.write_key}:".encode()).decode()}
    factory = RequestFactory()
    batch, single = tracking.endpoint(""), tracking.endpoint("track")

    def send_batches(_round: int) -> None:
        for body in _bodies(BATCHES):
            answer = batch(factory.post("/v1/batch", body, content_type="application/json", **header))
            assert json.loads(answer.content)["accepted"] == ROWS, answer.content

    def bare_batches(_round: int) -> None:
        for body in _bodies(BATCHES):
            _bare_batch(factory.post("/bare", body, content_type="application/json"), source.pk)

    def track(event: dict[str, object]) -> None:
        answer = single(factory.post("/v1/track", json.dumps(event), content_type="application/json", **header))
        assert answer.status_code == 200, answer.content

    visitors = range(VISITORS)
    for visitor in visitors:
        track(_event(visitor))

    def send_singles(_round: int) -> None:
        for number in range(SINGLES):
            track(_event(number % VISITORS))

    newcomers = count(1_000_000)

    def send_newcomers(_round: int) -> None:
        for number in islice(newcomers, SINGLES):
            track(_event(number))

    def bare_singles(_round: int) -> None:
        for _ in range(SINGLES):
            _bare_single(factory.post("/bare", json.dumps(_event()), content_type="application/json"), source.pk)

    yield line("batch ingest, 100 events a call", paired(ours=send_batches, bare=bare_batches, units=BATCHES * ROWS), unit="rows/s", target=">= 0.50")
    yield line("single track call", paired(ours=send_singles, bare=bare_singles, units=SINGLES), unit="calls/s", target=">= 0.60")
    yield line("single track call, never seen before", paired(ours=send_newcomers, bare=bare_singles, units=SINGLES), unit="calls/s")


def _event(visitor: int | None = None) -> dict[str, object]:
    number = uuid.uuid4().int
    visitor = number % 5000 if visitor is None else visitor
    return {
        "type": "track",
        "event": NAMES[number % 4],
        "messageId": str(uuid.UUID(int=number)),
        "userId": f"user-{visitor}",
        "anonymousId": f"browser-{visitor}",
        "timestamp": datetime.now(UTC).isoformat(),
        "properties": {"product_id": f"p{number % 400}", "price": 19.9, "name": "A thing"},
        "context": {"library": {"name": "bench", "version": "1"}},
    }


def _bodies(count: int) -> list[str]:
    return [json.dumps({"batch": [_event() for _ in range(ROWS)], "sentAt": datetime.now(UTC).isoformat()}) for _ in range(count)]


def _row(event: dict[str, str], source_id: int) -> Activity:
    moment = datetime.fromisoformat(event["timestamp"])
    return Activity(
        source_id=source_id,
        message_id=event["messageId"],
        kind="track",
        name=event["event"],
        properties=event["properties"],
        context=event["context"],
        occurred_at=moment,
        received_at=moment,
    )


def _bare_batch(request: HttpRequest, source_id: int) -> JsonResponse:
    Activity.objects.bulk_create([_row(event, source_id) for event in json.loads(request.body)["batch"]], ignore_conflicts=True)
    return JsonResponse({"success": True})


def _bare_single(request: HttpRequest, source_id: int) -> JsonResponse:
    _row(json.loads(request.body), source_id).save(force_insert=True)
    return JsonResponse({"success": True})
