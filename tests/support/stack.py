"""The chat as it runs in life, for tests in a browser: web server, worker and a trained classifier on the test database."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from crm.core import clock
from crm.core.learning import registry
from support import knowledge
from support.models import IntentExample
from support.models.labels import OUT_OF_SCOPE
from tests.servers import PROJECT_DIR, RunningServer

WORKER_SECONDS = 90
# Of the shipped intents: enough neighbours to make a choice one, few enough to learn in seconds.
TAUGHT = ("delivery_time", "delivery_cost", "return_policy", "order_status", "payment_methods", "cancel_order", "greeting", "talk_to_person")
OUTSIDE_TAUGHT = 120


def teach() -> None:
    """Load the shipped articles and train the classifier on a part of the shipped examples, through the real path."""
    knowledge.load_shipped(now=clock.now())
    outside = IntentExample.objects.filter(label=OUT_OF_SCOPE)
    kept = [*outside.order_by("pk").values_list("pk", flat=True)][:: max(1, outside.count() // OUTSIDE_TAUGHT)]
    IntentExample.objects.exclude(label__in=TAUGHT).exclude(pk__in=kept).delete()
    outcome = registry.run("intents", as_of=clock.now(), force=True)
    assert outcome.version is not None, outcome.message
    assert outcome.state == "trained", outcome.message


def live_server(environment: dict[str, str]) -> RunningServer:
    """Return a web server whose tasks go to a worker, not run eagerly inside it as in other tests."""
    return RunningServer(environment=environment | {"DJANGO_SETTINGS_MODULE": "crm.settings"})


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[None]:
    """Run a worker of the chat's queue until the block ends."""
    command = [sys.executable, "-m", "celery", "-A", "crm", "worker", "-Q", "live,default", "-P", "threads", "-c", "2", "-l", "INFO"]
    command += ["--without-gossip", "--without-mingle"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_DIR,
            env=os.environ | environment | {"DJANGO_SETTINGS_MODULE": "crm.settings"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            until = time.monotonic() + WORKER_SECONDS
            while b" ready." not in _read(output):
                assert process.poll() is None, _read(output).decode(errors="replace")
                assert time.monotonic() < until, _read(output).decode(errors="replace")
                time.sleep(0.3)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _read(output: "tempfile._TemporaryFileWrapper[bytes]") -> bytes:
    output.seek(0)
    return output.read()
