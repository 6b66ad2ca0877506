"""Jobs: their verbs, their pages, and the sweeper that finds lost ones."""

from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from crm.core import clock, job_kinds, jobs, tasks
from crm.core.learning import registry
from crm.core.learning.registry import Outcome, TrainingOutcome, TrainingTask
from crm.core.models import AuditEntry, Job
from crm.core.models.jobs import JobState
from crm.core.models.people import Role
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client: Client):
    user = UserFactory(username="owner", role=Role.ADMIN)
    client.force_login(user)
    return user


def running(**values) -> Job:
    now = clock.now()
    return Job.objects.create(
        **{
            "kind": "import",
            "title": "Import orders.csv",
            "state": JobState.RUNNING,
            "started_at": now,
            "heartbeat_at": now,
            "done": 40,
            "total": 100,
            "message": "Row 40",
            **values,
        }
    )


# --- verbs --------------------------------------------------------------------------------------------------------------


def test_only_one_worker_may_begin():
    job = jobs.start(kind="import", title="x", created_by=None)

    assert [jobs.begin(job.pk), jobs.begin(job.pk)] == [True, False]


def test_a_silent_worker_may_be_replaced_and_a_living_one_not():
    job = running(heartbeat_at=clock.now() - jobs.STALE_AFTER - timedelta(seconds=1))

    assert [jobs.begin(job.pk), jobs.begin(job.pk)] == [True, False]


def test_a_job_asked_to_stop_learns_it_at_its_next_progress():
    job = running()

    assert jobs.request_cancel(job.pk) is True
    with pytest.raises(jobs.JobCancelled):
        jobs.progress(job.pk, 50)


def test_a_job_that_is_over_cannot_be_stopped():
    job = running(state=JobState.DONE)

    assert jobs.request_cancel(job.pk) is False
    assert Job.objects.get().state == JobState.DONE


def test_notes_pile_up_in_order():
    job = running()

    jobs.note(job.pk, "first")
    jobs.note(job.pk, "second\n")

    assert [line.split("  ", 1)[1] for line in Job.objects.get().log.splitlines()] == ["first", "second"]


# --- sweeper ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(monkeypatch):
    """Two kinds of work: one that may be run again, one that may not. Returns the ids handed to a worker."""
    handed: list[int] = []
    monkeypatch.setattr(job_kinds, "_kinds", {})
    job_kinds.register(job_kinds.JobKind("import", "Import", lambda job: handed.append(job.pk), resumable=True))
    job_kinds.register(job_kinds.JobKind("once", "Once", lambda job: handed.append(job.pk), resumable=False))
    return handed


def test_a_lost_job_goes_to_another_worker_when_it_may_be_repeated(sent):
    lost = running(heartbeat_at=clock.now() - timedelta(minutes=3))
    running()

    tasks.sweep_jobs()

    assert sent == [lost.pk]
    assert jobs.begin(lost.pk)


def test_a_lost_job_that_may_not_be_repeated_fails_with_words(sent):
    lost = running(kind="once", heartbeat_at=clock.now() - timedelta(minutes=3))

    tasks.sweep_jobs()

    lost.refresh_from_db()
    assert (lost.state, sent) == (JobState.FAILED, [])
    assert "start it again" in lost.error


def test_a_lost_job_asked_to_stop_is_stopped(sent):
    lost = running(cancel_requested=True, heartbeat_at=clock.now() - timedelta(minutes=3))

    tasks.sweep_jobs()

    lost.refresh_from_db()
    assert (lost.state, sent) == (JobState.CANCELLED, [])


def test_a_waiting_job_nobody_began_is_sent_again_but_not_every_minute(sent):
    job = jobs.start(kind="import", title="x", created_by=None)
    jobs.start(kind="import", title="fresh", created_by=None)
    Job.objects.filter(pk=job.pk).update(created_at=clock.now() - timedelta(minutes=6))

    tasks.sweep_jobs()
    tasks.sweep_jobs()

    assert sent == [job.pk]


# --- training as a job --------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(monkeypatch):
    """A training task that records its calls and gives what the test says."""
    calls: list[dict[str, object]] = []
    answer = {"outcome": TrainingOutcome(state=Outcome.SKIPPED, message="The data are unchanged.")}

    def run(**values):
        calls.append(values)
        return answer["outcome"]

    monkeypatch.setattr(registry, "_tasks", {"tea": TrainingTask(name="tea", title="Tea taste", run=run)})
    return calls, answer


def test_beat_trains_without_a_job_and_leaves_one(trained):
    tasks.retrain("tea")

    job = Job.objects.get()
    assert (job.kind, job.state, job.params) == ("train", JobState.DONE, {"name": "tea", "force": False})
    assert "skipped" in job.log
    assert len(trained[0]) == 1


def test_a_redelivered_training_runs_once(trained):
    job = jobs.start(kind="train", title="x", created_by=None, params={"name": "tea"})

    tasks.retrain("tea", job_id=job.pk)
    tasks.retrain("tea", job_id=job.pk)

    assert len(trained[0]) == 1


def test_a_failed_training_fails_its_job_with_the_reason(trained):
    trained[1]["outcome"] = TrainingOutcome(state=Outcome.FAILED, message="Needs 200 orders.")

    tasks.retrain("tea", force=True)

    job = Job.objects.get()
    assert (job.state, job.error) == (JobState.FAILED, "Needs 200 orders.")
    assert trained[0][0]["force"] is True


def test_pressing_retrain_twice_starts_one_job(trained, monkeypatch):
    monkeypatch.setattr(tasks.retrain, "delay", lambda *args, **kwargs: None)

    assert tasks.start_training(name="tea", by=None).pk == tasks.start_training(name="tea", by=None).pk


def test_a_broker_that_is_away_leaves_the_job_to_the_sweeper(trained, monkeypatch, django_capture_on_commit_callbacks):
    def refuse(*args, **kwargs):
        raise tasks.OperationalError("no broker")

    monkeypatch.setattr(tasks.retrain, "delay", refuse)

    with django_capture_on_commit_callbacks(execute=True):
        job = tasks.start_training(name="tea", by=None)

    assert Job.objects.get(pk=job.pk).state == JobState.WAITING


# --- pages --------------------------------------------------------------------------------------------------------------


def test_the_list_shows_newest_first_and_filters_in_the_url(client, owner):
    running(title="Old one", state=JobState.FAILED, error="no such file")
    running(title="New one")

    page = client.get("/jobs/").content.decode()
    failed = client.get("/jobs/?state=failed").content.decode()

    assert page.index("New one") < page.index("Old one")
    assert "Old one" in failed
    assert "New one" not in failed


@pytest.mark.parametrize("query", ["?state=nonsense&kind=nonsense", "?page=0", "?page=-1", "?page=999999", "?page=abc", "?state=%00"])
def test_odd_filters_and_pages_show_the_list(client, owner, query):
    running()

    assert client.get(f"/jobs/{query}").status_code == 200


def test_the_empty_list_says_what_would_fill_it(client, owner):
    assert "Nothing running" in client.get("/jobs/").content.decode()


@pytest.mark.parametrize("rows", [3, 30])
def test_the_list_runs_as_many_queries_with_many_rows(client, owner, rows, django_assert_max_num_queries):
    for number in range(rows):
        running(title=f"Job {number}", created_by=owner)
    client.get("/jobs/")

    with django_assert_max_num_queries(6):
        client.get("/jobs/")


def test_a_running_job_polls_and_a_finished_one_does_not(client, owner):
    job = running()
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    part = client.get(f"/jobs/{job.pk}/", headers={"HX-Request": "true"}).content.decode()
    Job.objects.update(state=JobState.DONE, finished_at=clock.now(), result={"orders": 1200, "dry_run": False})
    done = client.get(f"/jobs/{job.pk}/").content.decode()

    assert "every 2s" in page
    assert "40 / 100" in part
    assert "<html" not in part
    assert "every 2s" not in done
    assert "1,200" in done


def test_what_the_schedule_began_is_named_in_the_readers_language(client, owner, trained):
    tasks.retrain("tea")
    client.cookies["django_language"] = "zh-hans"

    page = client.get("/jobs/").content.decode()

    assert "训练：" in page
    assert "Train:" not in page


def test_text_of_a_job_is_escaped(client, owner):
    job = running(title="<script>x</script>", message="<b>m</b>", error="<i>e</i>", log="<u>l</u>\n", result={"<k>": "<v>"})

    page = client.get(f"/jobs/{job.pk}/").content.decode()

    assert not {"<script>x", "<b>m", "<i>e", "<u>l", "<k>", "<v>"} & {text for text in ("<script>x", "<b>m", "<i>e", "<u>l", "<k>", "<v>") if text in page}


def test_only_the_end_of_a_long_log_is_shown(client, owner):
    job = running(log="".join(f"line {number}\n" for number in range(1000)))

    page = client.get(f"/jobs/{job.pk}/").content.decode()

    assert "line 999" in page
    assert "line 799\n" not in page


def test_cancelling_asks_the_worker_and_is_audited_once(client, owner):
    job = running()

    client.post(f"/jobs/{job.pk}/cancel/")
    job.refresh_from_db()
    finished = running(state=JobState.DONE)
    client.post(f"/jobs/{finished.pk}/cancel/")

    assert job.cancel_requested
    assert list(AuditEntry.objects.values_list("action", "target_id", "actor__username")) == [("job.cancel", str(job.pk), "owner")]


def test_an_analyst_may_look_but_not_stop(client, db):
    client.force_login(UserFactory(role=Role.ANALYST))
    job = running()

    assert client.get(f"/jobs/{job.pk}/").status_code == 200
    assert client.post(f"/jobs/{job.pk}/cancel/").status_code == 403
    assert not Job.objects.get().cancel_requested


def test_the_errors_file_downloads_and_its_loss_is_a_404(client, owner, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    job = running(state=JobState.DONE)
    job.errors_file.save("faults.csv", ContentFile(b"line,reason\n7,bad date\n"))

    answer = client.get(f"/jobs/{job.pk}/errors/")
    assert b"".join(answer.streaming_content) == b"line,reason\n7,bad date\n"
    assert "attachment" in answer["Content-Disposition"]

    job.errors_file.storage.delete(job.errors_file.name)
    assert client.get(f"/jobs/{job.pk}/errors/").status_code == 404


def test_the_ring_shows_running_work_only(client, owner, django_assert_max_num_queries):
    assert client.get("/jobs/ring/").content.strip() == b""
    running(done=25)
    running(done=75)

    with django_assert_max_num_queries(4):
        ring = client.get("/jobs/ring/").content.decode()

    assert "2 jobs running" in ring
    assert 'stroke-dasharray="50 100"' in ring


@pytest.mark.parametrize("path", ["/jobs/999999/", "/jobs/999999/errors/", "/jobs/99999999999999999999999/", "/jobs/abc/"])
def test_unknown_jobs_are_404(client, owner, path):
    assert client.get(path).status_code == 404


# --- removing the demo shop ---------------------------------------------------------------------------------------------


def test_without_demo_data_nothing_is_started(client, owner):
    answer = client.post("/demo/remove/")

    assert answer["Location"] == "/"
    assert not Job.objects.exists()


def test_removal_runs_as_one_job_and_forgets_the_banner(client, owner, monkeypatch, django_capture_on_commit_callbacks):
    from crm.core import demo_flag, removal
    from tests.factories import SourceFactory

    SourceFactory(is_demo=True)
    demo_flag.forget()

    def remover(progress):
        from crm.core.models import Source

        progress(1, 2, "sources")
        return {"sources": Source.objects.filter(is_demo=True).delete()[0]}

    monkeypatch.setattr(removal, "removers", [remover])
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/demo/remove/")

    job = Job.objects.get()
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert (job.state, job.result) == (JobState.DONE, {"sources": 1})
    assert not demo_flag.demo_present()
    assert AuditEntry.objects.get().action == "demo.remove"
