import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings

from crm.core.learning import modelstore
from crm.core.learning.modelstore import LoadedModel, ModelCorrupt, ModelIncompatible, ModelMissing, NothingToRollBackTo
from crm.core.models import AuditEntry, ModelVersion
from crm.core.models.learning import ModelState

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.CRM_MODEL_DIR = tmp_path / "models"
    modelstore.forget()
    yield
    modelstore.forget()


def saved(task: str = "value", *, number: float = 1.0, data_hash: str = "a" * 64, **config: object) -> ModelVersion:
    return modelstore.save(
        task=task,
        algorithm="test",
        tensors={"weights": np.full(3, number, dtype=np.float32)},
        config={"number": number, **config},
        metrics={"accuracy": np.float64(0.9), "undefined": float("nan")},
        baseline={"accuracy": 0.5},
        report={},
        data_hash=data_hash,
        rows=10,
        as_of=NOON,
        trained_at=NOON,
        seconds=0.1,
    )


def folder(version: ModelVersion) -> Path:
    return Path(django_settings.CRM_MODEL_DIR) / version.path


def promoted(**values: object) -> ModelVersion:
    return modelstore.promote(saved(**values).pk, actor=None, at=NOON)


def numbers_of(loaded: LoadedModel) -> list[float]:
    return loaded.tensors["weights"].tolist()


def incompatible(loaded: LoadedModel) -> None:
    raise KeyError("weights_of_another_program")


def test_saved_model_is_a_candidate_that_serves_nobody():
    version = saved()

    assert (version.version, version.state) == (1, ModelState.CANDIDATE)
    assert version.metrics == {"accuracy": 0.9, "undefined": None}
    assert sorted(path.name for path in folder(version).iterdir()) == ["config.json", "model.safetensors"]
    with pytest.raises(ModelMissing):
        modelstore.load("value")


def test_promoted_model_loads_as_it_was_saved():
    promoted(number=4.0)

    loaded = modelstore.load("value")

    assert loaded.tensors["weights"].tolist() == [4, 4, 4]
    assert loaded.config == {"number": 4.0}


def test_promotion_retires_the_former_and_is_written_down():
    first, second = promoted(), promoted(number=2.0)

    first.refresh_from_db()
    assert first.state == ModelState.RETIRED
    assert modelstore.champion("value") == second
    assert AuditEntry.objects.filter(action="model.promote").count() == 2


def test_promoting_the_champion_again_changes_nothing():
    version = promoted()

    modelstore.promote(version.pk, actor=None, at=datetime(2027, 1, 1, tzinfo=UTC))

    version.refresh_from_db()
    assert version.promoted_at == NOON
    assert AuditEntry.objects.filter(action="model.promote").count() == 1


def test_roll_back_walks_to_earlier_versions_that_served():
    first = promoted()
    saved(number=1.5)
    second, third = promoted(number=2.0), promoted(number=3.0)
    assert modelstore.champion("value") == third

    assert modelstore.roll_back("value", actor=None, at=NOON) == second
    assert modelstore.roll_back("value", actor=None, at=NOON) == first
    with pytest.raises(NothingToRollBackTo):
        modelstore.roll_back("value", actor=None, at=NOON)
    assert modelstore.champion("value") == first


def test_next_load_after_a_roll_back_serves_the_former():
    promoted(number=1.0)
    promoted(number=2.0)
    assert modelstore.build("value", numbers_of) == [2, 2, 2]

    modelstore.roll_back("value", actor=None, at=NOON)

    assert modelstore.build("value", numbers_of) == [1, 1, 1]


def test_changed_file_is_refused_everywhere():
    version = saved()
    (folder(version) / "config.json").write_text(json.dumps({"format": 1, "config": {"number": 9}}))

    with pytest.raises(ModelCorrupt):
        modelstore.promote(version.pk, actor=None, at=NOON)
    with pytest.raises(ModelCorrupt):
        modelstore.load_version(version)
    assert modelstore.champion("value") is None


def test_truncated_tensors_are_refused():
    version = promoted()
    path = folder(version) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(ModelCorrupt):
        modelstore.load("value")


def test_missing_files_are_said_to_be_missing():
    version = promoted()
    (folder(version) / "model.safetensors").unlink()

    with pytest.raises(ModelMissing):
        modelstore.load("value")


def test_other_format_is_incompatible(monkeypatch):
    monkeypatch.setattr(modelstore, "FORMAT", 7)
    version = saved()
    monkeypatch.setattr(modelstore, "FORMAT", 8)

    with pytest.raises(ModelIncompatible):
        modelstore.load_version(version)


def test_code_that_cannot_read_the_config_says_incompatible():
    promoted()

    with pytest.raises(ModelIncompatible):
        modelstore.build("value", incompatible)


def test_model_is_read_once_per_process(django_assert_num_queries, monkeypatch):
    promoted()
    modelstore.load("value")
    monkeypatch.setattr(modelstore, "_read", lambda version: pytest.fail("read again"))

    with django_assert_num_queries(1):
        modelstore.load("value")


def test_unchanged_data_are_recognised_unless_the_files_are_gone():
    version = saved(data_hash="b" * 64)

    assert modelstore.unchanged("value", "b" * 64) == version
    assert modelstore.unchanged("value", "c" * 64) is None
    modelstore.record_failure(task="value", as_of=NOON, trained_at=NOON, seconds=1, reason="no", data_hash="d" * 64)
    assert modelstore.unchanged("value", "b" * 64) == version
    (folder(version) / "config.json").unlink()
    assert modelstore.unchanged("value", "b" * 64) is None


def test_failed_version_cannot_serve():
    failed = modelstore.record_failure(task="value", as_of=NOON, trained_at=NOON, seconds=1, reason="The shop has no orders.")

    with pytest.raises(ModelMissing):
        modelstore.promote(failed.pk, actor=None, at=NOON)


def test_remains_of_a_killed_run_do_not_stand_in_the_way():
    remains = Path(django_settings.CRM_MODEL_DIR) / "value" / "1"
    remains.mkdir(parents=True)
    (remains / "model.safetensors").write_bytes(b"half")

    version = promoted(number=5.0)

    assert version.version == 1
    assert modelstore.load("value").config == {"number": 5.0}


def test_failed_write_leaves_no_folder_and_no_row():
    with pytest.raises(TypeError):
        saved(unwritable=object())

    assert not list((Path(django_settings.CRM_MODEL_DIR) / "value").iterdir())
    assert not ModelVersion.objects.exists()


def test_old_files_go_and_the_champion_stays():
    champion = promoted()
    others = [saved(number=float(number)) for number in range(4)]

    assert modelstore.discard_old("value", keep=2) == 2

    assert folder(champion).exists()
    assert [folder(version).exists() for version in others] == [False, False, True, True]
    assert ModelVersion.objects.filter(path="").count() == 2


@pytest.mark.parametrize("name", ["", "../value", "Value", "a" * 41])
def test_task_names_that_could_leave_the_folder_are_refused(name):
    with pytest.raises(ValueError, match="task name"):
        saved(task=name)


def test_fingerprint_sees_every_change():
    base = (np.arange(3), "ab", ["x", "y"], 1.5)
    changed = [
        (np.arange(4), "ab", ["x", "y"], 1.5),
        (np.arange(3).astype(float), "ab", ["x", "y"], 1.5),
        (np.arange(3), "a", ["bx", "y"], 1.5),
        (np.arange(3), "ab", ["xy"], 1.5),
        (np.arange(3), "ab", ["y", "x"], 1.5),
        (np.arange(3), "ab", ["x", "y"], 1.6),
    ]

    prints = {modelstore.fingerprint(*parts) for parts in [base, *changed]}

    assert len(prints) == 7
    assert modelstore.fingerprint(*base) == modelstore.fingerprint(np.arange(3), "ab", ("x", "y"), 1.5)
