"""Versions of trained models: hashed files beside a row, written whole or not at all, promoted and rolled back by row.

A version is a folder `<CRM_MODEL_DIR>/<task>/<version>/` with `model.safetensors` (arrays) and `config.json` (all the
rest): nothing in it can run code.  The ModelVersion row carries each file's SHA-256; a file that differs is refused.

Which version serves is decided by the row alone, so a promotion or roll back reaches every process with its next load.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext_noop

from crm.core import audit, locks
from crm.core.errors import CrmError
from crm.core.models import ModelVersion, User
from crm.core.models.learning import ModelState
from crm.core.rows import prepared

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
Built = TypeVar("Built")

# Raise when the layout of the folder or of config.json changes; older folders are then refused, not misread.
FORMAT = 1
TENSORS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
_TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class ModelMissing(CrmError):
    """No version of the task serves, or its files are gone; the caller uses its stated baseline."""

    code = "model_missing"
    status = 503


class ModelCorrupt(CrmError):
    """A model file is not the one that was saved."""

    code = "model_corrupt"
    status = 503


class ModelIncompatible(CrmError):
    """The model was saved in another format, or by code that no longer exists; it must be retrained."""

    code = "model_incompatible"
    status = 503


class NothingToRollBackTo(CrmError):
    code = "nothing_to_roll_back_to"
    status = 409
    message = gettext_noop("There is no earlier version that has served.")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version with its verified content.  The arrays are shared by the process: never write into them."""

    version: ModelVersion
    tensors: dict[str, NDArray[Any]]
    config: dict[str, Any]


def save(
    *,
    task: str,
    algorithm: str,
    tensors: dict[str, NDArray[Any]],
    config: dict[str, Any],
    metrics: dict[str, Any],
    baseline: dict[str, Any],
    report: dict[str, Any],
    data_hash: str,
    rows: int,
    as_of: datetime,
    trained_at: datetime,
    seconds: float,
    notes: str = "",
) -> ModelVersion:
    """Write the files, then the row, and return the new version as a candidate; it serves nobody until promoted.

    tensors: numeric arrays only.  config: JSON values.  as_of: no fact later than this was used.  Killed at any moment
    this leaves either nothing that counts or a complete version.
    """
    if not _TASK_NAME.fullmatch(task):
        raise ValueError(f"{task!r} is no task name: lower case letters, digits and underscores, at most 40")
    home = Path(settings.CRM_MODEL_DIR) / task
    home.mkdir(parents=True, exist_ok=True)
    waiting = home / f".{uuid.uuid4().hex}"
    try:
        files = _write(waiting, tensors, {"format": FORMAT, "task": task, "algorithm": algorithm, "config": config})
        with transaction.atomic():
            locks.take(f"modelstore:{task}")
            number = (ModelVersion.objects.filter(task=task).aggregate(last=Max("version"))["last"] or 0) + 1
            folder = home / str(number)
            # No row has this number, so a folder of that name is the remains of a run that died before its commit.
            shutil.rmtree(folder, ignore_errors=True)
            waiting.rename(folder)
            return ModelVersion.objects.create(
                task=task,
                version=number,
                state=ModelState.CANDIDATE,
                algorithm=algorithm,
                data_hash=data_hash,
                rows=rows,
                metrics=jsonable(metrics),
                baseline=jsonable(baseline),
                report=jsonable(report),
                files=files,
                path=f"{task}/{number}",
                as_of=as_of,
                trained_at=trained_at,
                seconds=seconds,
                notes=notes,
            )
    finally:
        shutil.rmtree(waiting, ignore_errors=True)


def record_failure(*, task: str, as_of: datetime, trained_at: datetime, seconds: float, reason: str, data_hash: str = "", rows: int = 0) -> ModelVersion:
    """Record that a training run gave no model, with the reason a person can read."""
    with transaction.atomic():
        locks.take(f"modelstore:{task}")
        number = (ModelVersion.objects.filter(task=task).aggregate(last=Max("version"))["last"] or 0) + 1
        return ModelVersion.objects.create(
            task=task,
            version=number,
            state=ModelState.FAILED,
            data_hash=data_hash,
            rows=rows,
            as_of=as_of,
            trained_at=trained_at,
            seconds=seconds,
            notes=reason[:2000],
        )


def champion(task: str) -> ModelVersion | None:
    """Return the version that serves, or None; one query."""
    return ModelVersion.objects.filter(task=task, state=ModelState.CHAMPION).first()


def unchanged(task: str, data_hash: str) -> ModelVersion | None:
    """Return the task's latest version if it was trained on exactly these data and its files are there, else None.

    A candidate that was not good enough counts too: the same data would only give it again.
    """
    latest = ModelVersion.objects.filter(task=task).exclude(state=ModelState.FAILED).order_by("-version").first()
    if latest is None or latest.data_hash != data_hash or not (_folder(latest) / CONFIG_FILE).is_file():
        return None
    return latest


def load(task: str) -> LoadedModel:
    """Return the serving model; one query, the files only on a process's first use of that version.

    Raises ModelMissing, ModelCorrupt or ModelIncompatible.
    """
    version = champion(task)
    if version is None:
        raise ModelMissing(f"No trained model serves {task!r} yet.", task=task)
    return load_version(version)


def load_version(version: ModelVersion) -> LoadedModel:
    """Return that version's verified content, from this process's memory where it was loaded before."""
    return _remembered(version, "", lambda: _read(version))


def build(task: str, make: Callable[[LoadedModel], Built], *, version: ModelVersion | None = None) -> Built:
    """Return `make(load(task))`, made once per process and version; ValueError and KeyError from it mean incompatible.

    `make` must be a module-level function: its name is part of what is remembered.  version: the champion, where the caller
    has it already; saves a query.
    """
    what = f"{make.__module__}.{make.__qualname__}"
    if version is None:
        # Asked for with every chat message: the number alone tells whether what is remembered still serves.
        serving = prepared(_SERVING, (task, ModelState.CHAMPION.value))
        with _memory_lock:
            known = _memory.get(task, {})
            if serving and (serving[0][0], what) in known:
                ready: Built = known[serving[0][0], what]
                return ready
        version = champion(task) if serving else None
    if version is None:
        raise ModelMissing(f"No trained model serves {task!r} yet.", task=task)

    def made() -> Built:
        try:
            return make(load_version(version))
        except (ValueError, KeyError, TypeError) as error:
            raise ModelIncompatible(f"{version} was saved by other code and must be retrained ({error}).", task=task) from error

    return _remembered(version, what, made)


def promote(version_id: int, *, actor: User | None, at: datetime) -> ModelVersion:
    """Make this version the one that serves and retire the one that did; promoting the champion changes nothing.

    The files are verified first, so a damaged version never takes over.
    """
    with transaction.atomic():
        version = ModelVersion.objects.select_for_update().get(pk=version_id)
        locks.take(f"modelstore:{version.task}")
        version.refresh_from_db()
        if version.state == ModelState.CHAMPION:
            return version
        if version.state == ModelState.FAILED:
            raise ModelMissing(f"{version} gave no model and cannot serve.", task=version.task)
        _read(version)
        # Retire first: the database allows one champion per task at every moment.
        former = ModelVersion.objects.filter(task=version.task, state=ModelState.CHAMPION).first()
        ModelVersion.objects.filter(task=version.task, state=ModelState.CHAMPION).update(state=ModelState.RETIRED)
        version.state, version.promoted_at = ModelState.CHAMPION, at
        version.save(update_fields=["state", "promoted_at"])
        audit.record(
            actor=actor,
            action="model.promote",
            target=version,
            data={"task": version.task, "version": version.version, "former": former.version if former else None},
        )
    logger.info("model promoted", extra={"task": version.task, "version": version.version})
    return version


def roll_back(task: str, *, actor: User | None, at: datetime) -> ModelVersion:
    """Make the newest version before the champion that has once served serve again; raises NothingToRollBackTo."""
    with transaction.atomic():
        locks.take(f"modelstore:{task}")
        current = champion(task)
        served = ModelVersion.objects.filter(task=task, state=ModelState.RETIRED, promoted_at__isnull=False).exclude(path="")
        if current is not None:
            served = served.filter(version__lt=current.version)
        previous = served.order_by("-version").first()
        if previous is None:
            raise NothingToRollBackTo(task=task)
        version = promote(previous.pk, actor=actor, at=at)
        audit.record(actor=actor, action="model.roll_back", target=version, data={"task": task, "from": current.version if current else None})
    return version


def discard_old(task: str, *, keep: int = 5) -> int:
    """Delete the files of all but the champion and the `keep` newest versions; rows stay. Returns how many were deleted."""
    with_files = ModelVersion.objects.filter(task=task).exclude(path="").exclude(state=ModelState.CHAMPION).order_by("-version")
    old = list(with_files[keep:])
    for version in old:
        shutil.rmtree(_folder(version), ignore_errors=True)
    ModelVersion.objects.filter(pk__in=[version.pk for version in old]).update(path="", files={})
    return len(old)


def fingerprint(*parts: object) -> str:
    """Return a SHA-256 over arrays, texts, numbers and sequences of them: the data hash of a training set.

    Order matters, so pass rows in a fixed order.  Include the version of the code that makes features.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype.kind in "biufmM":
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).view(np.uint8).tobytes() if part.size else b"")
        elif isinstance(part, str):
            digest.update(f"s{len(part)}:".encode() + part.encode("utf-8", "surrogatepass"))
        elif isinstance(part, (list, tuple, np.ndarray)):
            digest.update(f"l{len(part)}:".encode())
            for item in part:
                digest.update(fingerprint(item).encode() if isinstance(item, (list, tuple, np.ndarray)) else f"{item!r}\x1f".encode("utf-8", "surrogatepass"))
        else:
            digest.update(f"{type(part).__name__}:{part!r}\x1e".encode())
    return digest.hexdigest()


def forget() -> None:
    """Drop what this process remembers, so that files are read again (tests)."""
    with _memory_lock:
        _memory.clear()


def jsonable(value: Any) -> Any:
    """Return the value with numpy scalars and arrays as plain numbers and lists, and NaN or infinity as None."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    # PostgreSQL's jsonb refuses NaN, and no page could print it.
    return None if isinstance(value, float) and not np.isfinite(value) else value


# Two versions of each task at most: the one that serves and the one just replaced, still used by a running request.
_MEMORY_PER_TASK = 4
_SERVING = "SELECT id FROM core_modelversion WHERE task = %s AND state = %s"
_memory: dict[str, dict[tuple[int, str], Any]] = {}
_memory_lock = threading.RLock()


def _remembered(version: ModelVersion, what: str, make: Callable[[], Built]) -> Built:
    key = (version.pk, what)
    with _memory_lock:
        of_task = _memory.setdefault(version.task, {})
        if key not in of_task:
            made = make()
            of_task[key] = made
            while len(of_task) > _MEMORY_PER_TASK:
                of_task.pop(next(iter(of_task)))
        result: Built = of_task[key]
        return result


def _folder(version: ModelVersion) -> Path:
    return Path(settings.CRM_MODEL_DIR) / version.path if version.path else Path(settings.CRM_MODEL_DIR) / ".none"


def _write(folder: Path, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> dict[str, str]:
    from safetensors.numpy import save as to_bytes

    folder.mkdir()
    contents = {
        TENSORS_FILE: to_bytes({name: np.ascontiguousarray(value) for name, value in tensors.items()}),
        CONFIG_FILE: json.dumps(jsonable(config), ensure_ascii=False, sort_keys=True, allow_nan=False).encode(),
    }
    for name, content in contents.items():
        with (folder / name).open("wb") as stream:
            stream.write(content)
            stream.flush()
            # Without this a power cut may leave a renamed folder of empty files.
            os.fsync(stream.fileno())
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _read(version: ModelVersion) -> LoadedModel:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    contents: dict[str, bytes] = {}
    for name in (TENSORS_FILE, CONFIG_FILE):
        try:
            contents[name] = (_folder(version) / name).read_bytes()
        except OSError as error:
            raise ModelMissing(f"The files of {version} are not in the model folder.", task=version.task) from error
        if hashlib.sha256(contents[name]).hexdigest() != version.files.get(name):
            raise ModelCorrupt(f"{name} of {version} is not the file that was saved.", task=version.task)
    try:
        whole = json.loads(contents[CONFIG_FILE])
        tensors = from_bytes(contents[TENSORS_FILE])
    except (ValueError, SafetensorError) as error:
        raise ModelCorrupt(f"The files of {version} cannot be read.", task=version.task) from error
    if whole.get("format") != FORMAT:
        raise ModelIncompatible(f"{version} has format {whole.get('format')}, this program reads {FORMAT}.", task=version.task)
    return LoadedModel(version=version, tensors=tensors, config=whole["config"])
