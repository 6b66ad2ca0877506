"""Schemathesis against a running server: whatever it sends, no 5xx and no answer that the schema does not document."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from crm.core.api import keys
from crm.core.models import Source
from customers.models import Customer, Product, Segment
from support.models import Conversation
from tests.servers import RunningServer

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
READING = sorted(scope for scope in keys.SCOPES if scope.endswith(":read"))


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["everything", "one shop, reading only"])
def test_fuzzing_finds_no_server_error(running_server: RunningServer, who: str, tmp_path: Path) -> None:
    shop = Source.objects.create(name="Shop", write_key="wk-fuzz")
    now = timezone.now()
    for number in range(3):
        Customer.objects.create(name=f"c{number}", source=shop, first_seen_at=now, last_seen_at=now)
    Product.objects.create(source=shop, external_id="p1", name="Pot", first_seen_at=now)
    Conversation.objects.create(source=shop, visitor_id="v", opened_at=now, last_message_at=now)
    Segment.objects.create(name="All", rule={"op": "all", "rules": []})
    limited = who != "everything"
    _key, text = keys.create(name=who, scopes=READING if limited else list(keys.SCOPES), sources=[shop] if limited else [])

    result = subprocess.run(
        [
            str(SCHEMATHESIS), "run", f"{running_server.url}/api/schema/?format=json", "--url", running_server.url, "--header", f"Authorization: Bearer {text}",
            "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance", "--max-examples", "6", "--seed", "7", "--generation-database", "none", "--no-color",
        ],
        cwd=tmp_path, env={**os.environ, "CRM_API_RATE_PER_MINUTE": "1000000"}, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip

    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:] + running_server.output()[-3000:]
