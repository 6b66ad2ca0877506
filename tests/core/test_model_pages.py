"""The models pages: what serves in words, and the buttons."""

import json
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from crm.core import clock, model_pages, model_words
from crm.core.events import _listeners
from crm.core.learning import modelstore, readings, registry
from crm.core.learning.drift import references
from crm.core.learning.evaluation import Figure
from crm.core.learning.events import ModelSwitched
from crm.core.learning.registry import Outcome, TrainingOutcome, TrainingTask
from crm.core.learning.reports import CalibrationBin, DataCard, ModelReport, ReportedFigure, ReportTable
from crm.core.models import AuditEntry, DriftReading, Job, ModelVersion
from crm.core.models.people import Role
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def tea(monkeypatch, settings, tmp_path):
    """One training task, 'tea', and a model folder of its own."""
    settings.CRM_MODEL_DIR = tmp_path / "models"
    modelstore.forget()
    task = TrainingTask(
        name="tea", title="Tea taste", purpose="Guesses the tea.", run=lambda **_values: TrainingOutcome(Outcome.SKIPPED, "unchanged"), main_metric="accuracy"
    )
    monkeypatch.setattr(registry, "_tasks", {"tea": task})
    yield task
    modelstore.forget()


@pytest.fixture
def analyst(client):
    user = UserFactory(username="analyst", role=Role.ANALYST)
    client.force_login(user)
    return user


def version(*, accuracy=0.91, low=0.88, high=0.94, baseline=0.5, promoted=True):
    report = ModelReport(
        method="Measured on later rows.",
        baseline="always the commoner opinion",
        figures=(
            ReportedFigure.of("accuracy", Figure(accuracy, low, high, 300), baseline=baseline),
            ReportedFigure(name="seconds_each", value=0.2, style="number"),
        ),
        calibration=(CalibrationBin(stated=0.2, observed=0.25, rows=40), CalibrationBin(stated=0.9, observed=0.88, rows=60)),
        tables=(ReportTable(name="classes", columns=("class", "precision", "rows"), rows=(("green <b>", 0.5, 12), ("black", None, 3))),),
        notes=("Small sample.",),
    )
    row = modelstore.save(
        task="tea", algorithm="cooccurrence", tensors={"weights": np.arange(3.0)}, config={}, metrics={"accuracy": accuracy}, baseline={"accuracy": baseline},
        report=report.as_dict(), data_hash=f"{accuracy}", rows=1234, as_of=clock.now(), trained_at=clock.now(), seconds=2.0,
    )  # fmt: skip
    return modelstore.promote(row.pk, actor=None, at=clock.now()) if promoted else row


def test_an_untrained_model_says_what_it_needs(client, analyst):
    modelstore.record_failure(task="tea", as_of=clock.now(), trained_at=clock.now(), seconds=1, reason="Needs 200 orders; there are 12.")

    page = client.get("/models/").content.decode()

    assert "Not trained" in page
    assert "Needs 200 orders; there are 12." in page


def test_the_list_tells_the_figure_beside_what_no_learning_gives(client, analyst):
    version()

    page = client.get("/models/").content.decode()

    assert "Right answers: 91.0%" in page
    assert "88.0% – 94.0%" in page
    assert "without learning: 50.0%" in page
    assert "1,234 rows" in page


@pytest.mark.parametrize(
    ("states", "health"),
    [
        ([], "untrained"),
        (["failed"], "untrained"),
        (["good"], "serving"),
        (["good", "failed"], "failing"),
        (["good", "worse"], "kept"),
        (["failed", "good"], "serving"),
        (["worse"], "beaten"),
    ],
)
def test_health_follows_the_newest_run(states, health):
    for state in states:
        if state == "failed":
            modelstore.record_failure(task="tea", as_of=clock.now(), trained_at=clock.now(), seconds=1, reason="no")
        else:
            version(accuracy=0.9 if state == "good" else 0.6, promoted=state == "good")

    assert model_pages.models_page(at=clock.now()).cards[0].health == health


@pytest.mark.parametrize(("low", "baseline", "verdict"), [(0.88, 0.5, "better"), (0.4, 0.5, "unclear"), (0.88, 0.99, "worse"), (0.88, None, "none")])
def test_a_figure_counts_as_better_only_beyond_its_interval(low, baseline, verdict):
    version(low=low, baseline=baseline)

    assert model_pages.model_page("tea", at=clock.now()).figures[0].verdict == verdict


def test_the_page_shows_figures_tables_charts_and_history(client, analyst):
    version(accuracy=0.7)
    version()

    page = client.get("/models/tea/").content.decode()

    assert "Measured on later rows." in page
    assert "always the commoner opinion" in page
    assert "green &lt;b&gt;" in page
    assert "Said against happened" in page
    assert "Main figure by version" in page
    assert page.count("Promote version") == 1


def test_codes_without_words_are_readable(client, analyst):
    version()

    assert "seconds each" in client.get("/models/tea/").content.decode()


def test_cells_are_written_by_what_their_column_holds():
    task = registry.task_named(registry.tasks()[0].name)

    assert model_pages.cell(0.742, task, "share") == "74.2%"
    assert model_pages.cell(307.5, task, "customers") == "308"
    assert model_pages.cell(0.742, task, "mean_effect") == "0.742"
    with translation.override("zh-hans"):
        assert model_pages.cell("Germany", task, "slice") == "德国"
        assert model_pages.cell("is", task, "term") == "is"
        assert model_pages.cell("hidden Markov model of orders per month", task, "name") == "按月订单数的隐马尔可夫模型"
        assert model_words.name("exemplar + ngrams, calibrated, out-of-scope gate") == "最近样本 + n 元语法、已校准、带范围外判断"


@pytest.mark.parametrize("versions", [3, 30])
def test_queries_do_not_grow_with_versions(client, analyst, versions, django_assert_max_num_queries):
    for number in range(versions):
        ModelVersion.objects.create(
            task="tea", version=number + 1, state="champion" if number == 0 else "retired", data_hash="x", as_of=clock.now(), trained_at=clock.now()
        )
    for _number in range(versions):
        Job.objects.create(kind="train", title="x", params={"name": "tea"}, created_by=analyst)
    client.get("/models/")

    with django_assert_max_num_queries(7):
        client.get("/models/")
    with django_assert_max_num_queries(8):
        client.get("/models/tea/")


def test_promoting_serves_audits_and_tells_the_apps(client, analyst, monkeypatch, django_capture_on_commit_callbacks):
    heard: list[ModelSwitched] = []
    monkeypatch.setitem(_listeners, ModelSwitched, [heard.append])
    version(accuracy=0.9)
    candidate = version(accuracy=0.8, promoted=False)

    with django_capture_on_commit_callbacks(execute=True):
        client.post(f"/models/tea/versions/{candidate.version}/promote/")

    assert modelstore.champion("tea").version == 2
    assert [(event.task, event.version, event.cause) for event in heard] == [("tea", 2, "staff")]
    assert AuditEntry.objects.filter(action="model.promote", actor=analyst, target_id=str(candidate.pk)).count() == 1


def test_rolling_back_serves_the_version_before(client, analyst):
    version(accuracy=0.9)
    version(accuracy=0.95)

    client.post("/models/tea/roll-back/")

    assert modelstore.champion("tea").version == 1
    assert "Version 1 serves again" in client.get("/models/tea/").content.decode()


def test_a_damaged_version_never_takes_over(client, analyst):
    version(accuracy=0.9)
    candidate = version(accuracy=0.95, promoted=False)
    (modelstore._folder(candidate) / "model.safetensors").write_bytes(b"broken")

    client.post(f"/models/tea/versions/{candidate.version}/promote/")

    assert modelstore.champion("tea").version == 1
    assert "cannot serve" in client.get("/models/tea/").content.decode()


def test_with_nothing_to_roll_back_to_nothing_changes(client, analyst):
    version()

    client.post("/models/tea/roll-back/")

    assert modelstore.champion("tea").version == 1
    assert "Nothing was changed" in client.get("/models/tea/").content.decode()


def test_retrain_leads_to_its_job_and_is_audited(client, analyst, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post("/models/tea/retrain/")

    job = Job.objects.get()
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert (job.created_by, job.state) == (analyst, "done")
    assert AuditEntry.objects.get().action == "model.retrain"


def test_a_marketer_sees_no_buttons_and_may_not_press_them(client):
    client.force_login(UserFactory(role=Role.MARKETER))
    version()
    candidate = version(accuracy=0.8, promoted=False)

    page = client.get("/models/tea/").content.decode()

    assert "/retrain/" not in page
    assert "/promote/" not in page
    assert client.post(f"/models/tea/versions/{candidate.version}/promote/").status_code == 403
    assert modelstore.champion("tea").version == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/models/none/"),
        ("post", "/models/none/retrain/"),
        ("post", "/models/none/roll-back/"),
        ("post", "/models/tea/versions/99/promote/"),
        ("post", "/models/tea/versions/99999999999/promote/"),
        ("get", "/models/%00/"),
    ],
)
def test_unknown_models_and_versions_are_404(client, analyst, method, path):
    assert getattr(client, method)(path).status_code == 404


def test_the_next_training_is_read_from_beats_rows():
    from django_celery_beat.models import CrontabSchedule, PeriodicTask

    PeriodicTask.objects.all().delete()
    at_three = CrontabSchedule.objects.create(minute="0", hour="3", timezone="Asia/Shanghai")
    PeriodicTask.objects.create(name="t", task="crm.core.tasks.retrain", crontab=at_three, kwargs=json.dumps({"name": "tea"}))
    PeriodicTask.objects.create(name="odd", task="crm.core.tasks.retrain", crontab=at_three, kwargs="not json")

    now = clock.now()
    due = model_pages.models_page(at=now).cards[0].next_run_at

    assert now < due <= now + timedelta(days=1)
    assert (due.astimezone(at_three.timezone).hour, due.astimezone(at_three.timezone).minute) == (3, 0)


def test_the_page_reads_in_chinese(client, analyst):
    version()
    with translation.override("zh-hans"):
        assert model_pages.model_page("tea", at=clock.now()).figures
    client.cookies["django_language"] = "zh-hans"

    assert client.get("/models/tea/").status_code == 200


def test_stored_sentences_come_back_in_the_readers_language_with_their_numbers(monkeypatch):
    from crm.core import model_sentences, model_words

    monkeypatch.setattr(
        model_sentences,
        "gettext",
        lambda template: {"Needs %(n1)s orders of known customers to learn from; there are %(n2)s.": "需要 %(n1)s，现有 %(n2)s"}.get(template, template),
    )

    assert model_words.sentence("Needs 200 orders of known customers to learn from; there are 12.") == "需要 200，现有 12"
    assert model_words.sentence("Some 100% new sentence of 3 words.") == "Some 100% new sentence of 3 words."
    assert model_words.name("bg_nbd + gamma_gamma") == "orders and dropout (BG/NBD) + amounts (gamma-gamma)"


def test_every_sentence_training_stores_has_a_place_for_each_number():
    from crm.core import model_words

    for template in model_words.SENTENCES:
        numbers = {f"n{place}": str(place * 7) for place in range(1, 7)}
        assert model_words.sentence(template % numbers) == template % numbers


def test_the_page_tells_what_was_learned_from_lift_drift_and_cost(client, analyst):
    columns = {"silence_days": np.arange(200.0), "score": np.linspace(0, 1, 200)}
    report = ModelReport(
        method="", baseline="", figures=(), references=references(columns),
        tables=(ReportTable("lift", ("tenth", "rows", "stated", "happened", "lift"), ((1, 20, 0.61, 0.55, 2.2), (2, 20, 0.2, 0.25, 1.0))),),
        data=DataCard("2026-01-01", "2026-05-31", ("silence_days",), ("gender",), (), (("leaky_one", "It copies the label."),), (("language=zh-hans", 0.05, 0.4),)),
    )  # fmt: skip
    row = modelstore.save(
        task="tea", algorithm="x", tensors={"w": np.arange(3.0)}, config={}, metrics={}, baseline={}, report=report.as_dict(), data_hash="d", rows=1000,
        as_of=clock.now(), trained_at=clock.now(), seconds=2.0,
    )  # fmt: skip
    row = modelstore.promote(row.pk, actor=None, at=clock.now())
    before = client.get("/models/tea/").content.decode()
    for weeks, shift in ((1, 0.0), (0, 150.0)):
        readings.record(
            version=row,
            columns={"silence_days": columns["silence_days"] + shift, "score": columns["score"], "unknown": [1.0]},
            at=clock.now() - timedelta(weeks=weeks),
        )

    page = client.get("/models/tea/").content.decode()

    assert "Not measured yet" in before
    assert "drifted" in page
    assert "Jan 1, 2026 to May 31, 2026" in page
    assert "leaky one: It copies the label." in page
    assert "language: Chinese (5.0% of the rows, 40.0% of everybody)" in page
    assert "tenth 1" in page
    assert "Drift of the score by week" in page
    assert "500 rows a second" in page
    assert DriftReading.objects.count() == 4


def test_measuring_twice_in_a_week_replaces():
    row = version()
    row.report = ModelReport("", "", (), references=references({"x": [1.0, 2.0, 3.0]})).as_dict()

    readings.record(version=row, columns={"x": [1.0, 2.0, 3.0]}, at=clock.now())
    readings.record(version=row, columns={"x": [9.0, 9.0, 9.0]}, at=clock.now())

    assert DriftReading.objects.get().index > 1
    assert readings.record(version=row, columns={"x": []}, at=clock.now()) == {}


def test_the_page_asks_little_whatever_the_history(client, analyst):
    def asked():
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/models/tea/").status_code == 200
        return len(captured)

    version()
    client.get("/models/tea/")
    few = asked()
    for accuracy in (0.6, 0.7, 0.8):
        version(accuracy=accuracy)
    for weeks in range(10):
        DriftReading.objects.create(
            task="tea", version=4, name="score", week=readings.monday(clock.now() - timedelta(weeks=weeks)), index=0.1, measured_at=clock.now()
        )

    assert asked() == few <= 12
