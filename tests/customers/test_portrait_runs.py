"""A refresh shared among workers: planned once, resumed after a kill, cancelled between ranges, told when all is done."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from crm.core import events, jobs, rows
from crm.core.learning import modelstore
from crm.core.models import Job
from customers import portrait, tasks
from customers.events import ScoresRefreshed
from customers.models import Customer, Portrait, PortraitFeatures, PortraitShard, PortraitSnapshot
from customers.portrait import runs
from customers.portrait.yardstick import Yardstick
from tests.factories import CustomerFactory, place_order
from tests.world import NOW, World, build

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_models(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.CRM_MODEL_DIR = tmp_path
    modelstore.forget()
    yield
    modelstore.forget()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> World:
    """The named world and nine more buyers, cut into ranges of five."""
    world = build()
    for number in range(9):
        place_order(CustomerFactory(source=world.source), at=NOW - timedelta(days=5 + number))
    cut = portrait.ranges
    monkeypatch.setattr(portrait, "ranges", lambda: cut(5))
    return world


def test_ranges_cover_everybody_once(shop: World) -> None:
    cuts = portrait.ranges()

    assert [count for _low, _high, count in cuts] == [5, 5, 2]
    assert cuts[0][0] == 0
    assert all(high == low for (_low, high, _n), (low, _high, _m) in pairwise(cuts))


def test_ranges_say_the_same_as_one_refresh_of_all(shop: World) -> None:
    columns = ("customer_id", "recency_score", "monetary_score", "rfm_group", "stage", "value_365", "expected_orders_90", "p_return", "tastes", "reasons")
    job = runs.start(as_of=NOW)
    assert runs.plan(job.pk) == 3
    assert runs.work(job.pk) == 3
    apart = list(Portrait.objects.order_by("pk").values_list(*columns))

    portrait.refresh(as_of=NOW)

    assert list(Portrait.objects.order_by("pk").values_list(*columns)) == apart
    assert PortraitFeatures.objects.count() == PortraitSnapshot.objects.count() == 12


def test_run_is_a_job_that_ends_and_tells_the_others(shop: World, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[ScoresRefreshed] = []
    events.listen(ScoresRefreshed, heard.append)
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)
    with django_capture_on_commit_callbacks(execute=True):
        runs.work(job.pk)
        runs.work(job.pk)

    job.refresh_from_db()
    assert (job.state, job.done, job.result) == ("done", 12, {"customers": 12})
    assert [event.customers for event in heard] == [12]


@pytest.mark.parametrize(("setting", "in_a_range"), [("synchronous_commit", "off"), ("max_parallel_workers_per_gather", "0")], ids=["disk", "cores"])
def test_ranges_wait_for_no_disk_and_take_one_core_and_the_end_does_not(setting: str, in_a_range: str, shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    ((otherwise,),) = rows.query(f"SHOW {setting}")
    assert otherwise != in_a_range

    def ask(*_whatever: Any, **_asked: Any) -> int:
        found.extend(str(row[0]) for row in rows.query(f"SHOW {setting}"))
        return 0

    monkeypatch.setattr(portrait, "refresh_range", ask)
    monkeypatch.setattr(jobs, "finish", ask)
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)

    runs.work(job.pk)

    assert found == [in_a_range] * 3 + [otherwise]


def test_killed_worker_leaves_what_it_did_and_the_next_one_does_the_rest(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)
    honest, seen = portrait.refresh_range, []

    def dies_in_the_second(**asked: Any) -> int:
        seen.append(asked["low"])
        if len(seen) == 2:
            raise SystemExit
        return honest(**asked)

    monkeypatch.setattr(portrait, "refresh_range", dies_in_the_second)
    with pytest.raises(SystemExit):
        runs.work(job.pk)
    assert Portrait.objects.count() == 5

    assert runs.plan(job.pk) == 2
    assert runs.work(job.pk) == 2
    assert Portrait.objects.count() == 12
    assert len(seen) == 4


def test_cancelling_stops_before_the_next_range(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)
    honest = portrait.refresh_range

    def asked_to_stop_meanwhile(**asked: Any) -> int:
        jobs.request_cancel(job.pk)
        return honest(**asked)

    monkeypatch.setattr(portrait, "refresh_range", asked_to_stop_meanwhile)
    tasks.refresh_portrait_ranges(job.pk)

    job.refresh_from_db()
    assert job.state == "cancelled"
    assert Portrait.objects.count() == 5


def test_failure_ends_the_job_with_its_reason(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)

    def broken(**_asked: Any) -> int:
        raise ZeroDivisionError("no such share")

    monkeypatch.setattr(portrait, "refresh_range", broken)
    with pytest.raises(ZeroDivisionError):
        tasks.refresh_portrait_ranges(job.pk)

    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", "ZeroDivisionError: no such share")


def test_second_start_returns_the_run_under_way(shop: World) -> None:
    first = runs.start(as_of=NOW)

    assert runs.start(as_of=NOW).pk == first.pk
    assert Job.objects.filter(kind="portraits").count() == 1


def test_empty_shop_is_done_at_once() -> None:
    job = runs.start(as_of=NOW)

    assert runs.plan(job.pk) == 0
    job.refresh_from_db()
    assert job.state == "done"


def test_yardstick_survives_being_kept(shop: World) -> None:
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)
    job.portrait_run.refresh_from_db()

    kept = job.portrait_run.yardstick
    assert Yardstick.from_json(kept).to_json() == kept
    assert PortraitShard.objects.filter(run_id=job.pk).count() == 3


def test_who_refuses_while_it_runs_gets_no_portrait(shop: World) -> None:
    job = runs.start(as_of=NOW)
    runs.plan(job.pk)
    portrait.refresh(as_of=NOW)
    Customer.objects.filter(pk=shop.loyal.pk).update(profiling_refused=True)

    runs.work(job.pk)

    for kept in (Portrait, PortraitFeatures, PortraitSnapshot):
        assert not kept.objects.filter(customer=shop.loyal).exists()
        assert kept.objects.count() == 11
