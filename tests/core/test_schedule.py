"""Beat's rows follow crm/schedule.py."""

import json
from dataclasses import replace

import pytest
from celery import current_app
from django_celery_beat.models import PeriodicTask

from crm import schedule_sync
from crm.schedule import ENTRIES

pytestmark = pytest.mark.django_db


def test_every_entry_has_a_row_after_migrate():
    rows = {row.name: row for row in PeriodicTask.objects.all()}

    assert {f"crm:{entry.name}" for entry in ENTRIES} <= set(rows)
    trained = rows["crm:train-recommendations"]
    assert trained.task == "crm.core.tasks.retrain"
    assert json.loads(trained.kwargs) == {"name": "recommendations"}
    assert (trained.queue, trained.crontab.minute, trained.crontab.hour, str(trained.crontab.timezone)) == ("learning", "45", "2", "Asia/Shanghai")


def test_every_entry_names_a_task_that_exists():
    current_app.loader.import_default_modules()

    assert [entry.task for entry in ENTRIES if entry.task not in current_app.tasks] == []


def test_entries_expire_before_their_next_run():
    assert [entry.name for entry in ENTRIES if entry.every_seconds and entry.expires_seconds >= entry.every_seconds] == []


def test_a_second_sync_changes_nothing_and_keeps_the_last_run():
    schedule_sync.sync()
    before = dict(PeriodicTask.objects.values_list("name", "date_changed"))

    report = schedule_sync.sync()

    assert (report.written, report.removed) == (0, 0)
    assert dict(PeriodicTask.objects.values_list("name", "date_changed")) == before


def test_rows_of_gone_entries_go_and_handmade_rows_stay():
    schedule_sync.sync()
    handmade = PeriodicTask.objects.get(name="crm:sweep-replies")
    handmade.pk, handmade.name = None, "mine"
    handmade.save()

    report = schedule_sync.sync(ENTRIES[:1])

    assert report.removed == len(ENTRIES) - 1
    assert set(PeriodicTask.objects.filter(name__in=["mine", "crm:sweep-replies", "crm:segments"]).values_list("name", flat=True)) == {
        "mine",
        "crm:sweep-replies",
    }


def test_the_environment_moves_and_switches_off_an_entry(monkeypatch):
    monkeypatch.setenv("CRM_CRON_TRAIN_VALUE", "5 4 * * 1")
    monkeypatch.setenv("CRM_CRON_TRAIN_INTENTS", "off")

    schedule_sync.sync()

    moved = PeriodicTask.objects.get(name="crm:train-value").crontab
    assert (moved.minute, moved.hour, moved.day_of_week) == ("5", "4", "1")
    assert not PeriodicTask.objects.filter(name="crm:train-intents").exists()


@pytest.mark.parametrize("cron", ["daily", "61 4 * * *", "1 2 3 4", "a b c d e"])
def test_a_bad_cron_is_refused_and_nothing_is_written(cron):
    before = set(PeriodicTask.objects.values_list("name", "task"))

    with pytest.raises(schedule_sync.BadCron):
        schedule_sync.sync((replace(ENTRIES[-1], cron=cron), *ENTRIES[:2]))

    assert set(PeriodicTask.objects.values_list("name", "task")) == before
