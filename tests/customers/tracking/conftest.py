"""A shop with a write key, and calls of /v1 as its senders make them."""

import base64
import json

import pytest
from django.test import Client

from crm.core.models import Source

KEY = "wk_tracking"


@pytest.fixture
def source(db):
    return Source.objects.create(name="Shop", write_key=KEY, currency="EUR")


def basic(key=KEY):
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def post(path, body, *, key=KEY, content_type="application/json", headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(path, raw, content_type=content_type, headers={**(basic(key) if key else {}), **(headers or {})})


def event(number=1, **values):
    return {"type": "track", "event": "Looked", "userId": "u1", "messageId": f"m{number}", **values}
