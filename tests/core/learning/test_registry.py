from datetime import UTC, datetime
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from crm.core.errors import CrmError
from crm.core.learning import modelstore, registry, rounds
from crm.core.learning.evaluation import Verdict
from crm.core.learning.registry import Outcome, TrainingOutcome, TrainingTask
from crm.core.models import ModelVersion
from crm.core.models.learning import ModelState

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_tasks(monkeypatch, settings, tmp_path):
    settings.CRM_MODEL_DIR = tmp_path
    monkeypatch.setattr(registry, "_tasks", {})
    modelstore.forget()


def task(name: str, run=None, **values: object) -> TrainingTask:
    return TrainingTask(name=name, title=name.title(), run=run or (lambda **_: TrainingOutcome(state=Outcome.SKIPPED, message="Nothing new.")), **values)


def trains(*, promote: bool):
    def run(*, as_of: datetime, force: bool) -> TrainingOutcome:
        version = modelstore.save(
            task="value", algorithm="test", tensors={"w": np.zeros(1)}, config={}, metrics={"accuracy": 0.8}, baseline={}, report={},
            data_hash="", rows=1, as_of=as_of, trained_at=as_of, seconds=0.0,
        )  # fmt: skip
        return registry.conclude(version, Verdict(promote=promote, reason="Because."), at=as_of)

    return run


class NoData(CrmError):
    code = "no_data"


def refuses(**_: object) -> TrainingOutcome:
    raise NoData("There are no orders yet.")


def breaks(**_: object) -> TrainingOutcome:
    raise ZeroDivisionError("division by zero")


def test_tasks_come_after_what_they_depend_on():
    registry.register(task("a", depends_on=("z",)), task("m"), task("z", depends_on=("m", "absent")))

    assert [found.name for found in registry.tasks()] == ["m", "z", "a"]


def test_circle_of_dependence_is_an_error():
    registry.register(task("a", depends_on=("b",)), task("b", depends_on=("a",)))

    with pytest.raises(ValueError, match="circle"):
        registry.tasks()


@pytest.mark.django_db
def test_better_model_is_promoted_and_worse_one_kept_back():
    registry.register(task("value", trains(promote=True)))
    first = registry.run("value", as_of=NOON)
    registry.register(task("value", trains(promote=False)))
    second = registry.run("value", as_of=NOON)

    assert (first.state, second.state) == (Outcome.TRAINED, Outcome.KEPT)
    assert modelstore.champion("value").version == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("run", "reason"), [(refuses, "There are no orders yet."), (breaks, "ZeroDivisionError: division by zero")])
def test_failed_training_is_recorded_and_the_champion_stays(run, reason):
    registry.register(task("value", trains(promote=True)))
    registry.run("value", as_of=NOON)
    registry.register(task("value", run))

    outcome = registry.run("value", as_of=NOON)

    assert (outcome.state, outcome.message) == (Outcome.FAILED, reason)
    assert ModelVersion.objects.get(version=2).state == ModelState.FAILED
    assert modelstore.champion("value").version == 1


@pytest.mark.django_db
def test_failure_does_not_stop_the_others():
    registry.register(task("a", breaks), task("b", depends_on=("a",)))

    assert [(done.name, outcome.state) for done, outcome in registry.run_all(as_of=NOON)] == [("a", Outcome.FAILED), ("b", Outcome.SKIPPED)]


@pytest.mark.django_db
def test_command_prints_what_it_did():
    registry.register(task("value", trains(promote=True)))
    printed = StringIO()

    call_command("retrain", "value", "--as-of", "2026-04-30", stdout=printed)

    assert "value v1: trained. Because." in printed.getvalue()
    assert "0.8000" in printed.getvalue()
    assert ModelVersion.objects.get().as_of == datetime(2026, 4, 30, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.mark.django_db
def test_command_fails_when_a_model_fails():
    registry.register(task("value", refuses))

    with pytest.raises(CommandError, match="No model came of: value"):
        call_command("retrain", "--all", stdout=StringIO())


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [(), ("value", "--all"), ("unknown",), ("value", "--as-of", "yesterday"), ("value", "--as-of", "2026-02-31")])
def test_command_explains_wrong_arguments(arguments):
    registry.register(task("value"))

    with pytest.raises(CommandError) as caught:
        call_command("retrain", *arguments, stdout=StringIO())

    assert "\n" not in str(caught.value)


def test_what_follows_promotions_happens_once_at_the_end_of_a_round():
    done = []
    with rounds.gathered():
        rounds.afterwards("portraits", lambda: done.append("first"))
        rounds.afterwards("portraits", lambda: done.append("second"))
        assert done == []
    rounds.afterwards("portraits", lambda: done.append("alone"))

    assert done == ["second", "alone"]


def test_a_round_is_shared_evenly_and_nothing_trains_before_what_it_needs():
    tasks = [task("a", weight=5), task("b", weight=3), task("c", weight=3), task("d", weight=1, depends_on=("b",))]

    assert rounds.shares(tasks, 1) == [["a", "b", "c", "d"]]
    assert rounds.shares(tasks, 2) == [["a"], ["b", "c", "d"]]
    assert rounds.shares(tasks, 9) == [["a"], ["b", "d"], ["c"]]
