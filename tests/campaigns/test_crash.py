"""Workers killed in the middle of a send: nobody is written to twice, and what nobody can know is called unknown."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings

from campaigns import sending
from campaigns.models import Campaign, DeliveryState
from crm.core import clock
from crm.core.models import Job
from crm.core.models.jobs import JobState
from tests.campaigns.conftest import Sink

PEOPLE, KILLS, WORKERS = 60, 2, 2
WORKER = """
import sys, django
django.setup()
from campaigns import sending
from crm.core import clock
sending.deliver(campaign_id=int(sys.argv[1]), job_id=int(sys.argv[2]), clock=clock.now)
"""


@pytest.mark.django_db(transaction=True)
def test_killed_workers_never_send_twice(
    make_customer: Callable,
    make_campaign: Callable,
    sink: Sink,
    child_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[type-arg]
) -> None:
    from campaigns import tasks

    monkeypatch.setattr(tasks, "enqueue_send", lambda job: None)
    for _one in range(PEOPLE):
        make_customer()
    campaign: Campaign = make_campaign()
    job = sending.launch(campaign_id=campaign.pk, actor=None, now=clock.now())
    Job.objects.filter(pk=job.pk).update(state=JobState.RUNNING)
    sink.seconds = 0.02
    environment = child_environment | {"CRM_SMTP_PORT": str(settings.CRM_SMTP_PORT), "CRM_SMTP_HOST": "127.0.0.1"}

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", WORKER, str(campaign.pk), str(job.pk)], env=environment, cwd=settings.BASE_DIR)

    for kill in range(KILLS):
        workers = [start() for _worker in range(WORKERS)]
        goal = (kill + 1) * PEOPLE // (KILLS + 2)
        deadline = time.monotonic() + 60
        while len(sink.mails) < goal and time.monotonic() < deadline:
            time.sleep(0.01)
        for worker in workers:
            worker.kill()
            worker.wait()
        # What the dead left leased is free again once the lease is over.
        campaign.deliveries.filter(state=DeliveryState.DUE).update(not_before=None)
    assert 0 < len(sink.mails) < PEOPLE

    last = start()
    assert last.wait(timeout=120) == 0
    sending.sweep(now=clock.now() + sending.STALE_SENDING + timedelta(seconds=1))

    states = list(campaign.deliveries.values_list("state", flat=True))
    assert len(sink.recipients) == len(set(sink.recipients))
    assert set(states) <= {"sent", "unknown"}
    assert len(states) == PEOPLE
    # At most one message per killed worker is in doubt; of those, some did arrive.
    assert states.count("unknown") <= KILLS * WORKERS
    assert states.count("sent") <= len(sink.mails) <= states.count("sent") + states.count("unknown")
    assert Campaign.objects.get().state == "sent"
