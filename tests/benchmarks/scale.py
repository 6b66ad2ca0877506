"""A shop of a million customers: the nightly refresh by one worker and by two, then every filter and order of the customers list.

    python -m tests.benchmarks scale                          1,000,000 customers, 10,000,000 orders, 20,000,000 events
    BENCH_CUSTOMERS=100000 python -m tests.benchmarks scale   ten times fewer of each

Named alone: it takes half an hour, and keeps its shop in a folder of its own for the next time.  BENCH_WORKERS: "1,2".
BENCH_PARTS: "refresh,list".  The refresh counts everything a night does: measuring the shop, features, the scores of
every model that serves (a value model is trained first where there is none), RFM groups, reasons, the writes.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from django.db import connection

from crm.core import clock, jobs
from crm.core.learning import modelstore, registry
from crm.core.models import Job
from crm.core.models.jobs import JobState
from crm.demo.scale import seed
from customers.models import Customer, PortraitRun
from customers.portrait import runs
from tests.benchmarks import listing

CUSTOMERS = int(os.environ.get("BENCH_CUSTOMERS", "1000000"))
WORKERS = [int(each) for each in os.environ.get("BENCH_WORKERS", "1,2").split(",")]
PARTS = os.environ.get("BENCH_PARTS", "refresh,list").split(",")
TARGET_SECONDS = {100_000: 60, 1_000_000: 720}


def run() -> Iterator[str]:
    """Yield the refresh's seconds, rate and memory per number of workers, then the list's 95th percentiles."""
    if not Customer.objects.exists():
        seed.seed(customers=CUSTOMERS, orders=10 * CUSTOMERS, events=20 * CUSTOMERS, until=clock.now(), say=lambda _line: None)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")
    if "refresh" in PARTS:
        # What a benchmark that was broken off left to do would be measured instead.
        for left in Job.objects.filter(kind=runs.KIND, state__in=(JobState.WAITING, JobState.RUNNING)):
            jobs.mark_cancelled(left.pk, message="Another benchmark began.")
        if modelstore.champion("value") is None:
            registry.run("value", as_of=clock.now())
        yield from refreshes()
    if "list" in PARTS:
        yield from listing.lines(CUSTOMERS)


def refreshes() -> Iterator[str]:
    """Yield a line per number of workers, and how many times as fast the last was as the first."""
    taken: dict[int, float] = {}
    for workers in WORKERS:
        planned, taken[workers], told, versions = refresh(workers)
        memory, here, there = zip(*told, strict=True)
        target = f"   target {TARGET_SECONDS[CUSTOMERS]} s on two cores" if CUSTOMERS in TARGET_SECONDS else ""
        yield (
            f"refresh, {CUSTOMERS:,} customers, {workers} workers: {taken[workers]:,.0f} s ({planned:,.0f} s of it measuring the shop), "
            f"{CUSTOMERS / taken[workers]:,.0f} customers/s, peak {' + '.join(f'{each:,}' for each in memory)} MB{target}"
        )
        yield f"  processor seconds: {sum(here)} in Python, {sum(there)} in the database; 1-minute load of the machine at the end {os.getloadavg()[0]:.1f}"
        yield f"  models: {', '.join(f'{task} {version}' for task, version in versions.items())} (0: the baseline serves)"
    if len(WORKERS) > 1:
        yield f"  {WORKERS[-1]} workers against {WORKERS[0]}: {taken[WORKERS[0]] / taken[WORKERS[-1]]:.2f} times as fast   target 1.6 on two cores"


def refresh(workers: int) -> tuple[float, float, list[tuple[int, ...]], dict[str, int]]:
    """Refresh everybody; return (seconds of planning, seconds in all, what each worker printed, versions served)."""
    job = runs.start(as_of=clock.now(), cause="benchmark")
    command = [sys.executable, "-m", "tests.benchmarks.scale_worker", str(job.pk)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _worker in range(workers)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    runs.plan(job.pk)
    planned = time.perf_counter() - began
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    told = [tuple(int(word) for word in process.communicate()[0].split()[-3:]) for process in processes]
    seconds = time.perf_counter() - began
    job = Job.objects.get(pk=job.pk)
    assert job.result == {"customers": CUSTOMERS}, (job.state, job.result, job.error)
    run = PortraitRun.objects.get(pk=job.pk)
    assert run.yardstick is not None
    return planned, seconds, told, run.yardstick["versions"]
