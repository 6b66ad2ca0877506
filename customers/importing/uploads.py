"""Files people upload, kept under the media folder until their import is done or a week has passed."""

import json
import re
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from customers.importing.reading import FileRefused

LARGEST = 1 << 30
KEPT_SECONDS = 7 * 86_400
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """key: names the folder.  name: as the person's computer called the file; shown, never used as a path."""

    key: str
    name: str
    size: int
    user_id: int

    @property
    def path(self) -> Path:
        return _folder() / self.key / "file"


def keep(*, chunks: Iterable[bytes], name: str, user_id: int) -> Upload:
    """Write an uploaded file and return it. Raises FileRefused when it is over LARGEST bytes."""
    _sweep()
    key = uuid.uuid4().hex
    folder = _folder() / key
    folder.mkdir(parents=True, mode=0o700)
    size = 0
    with (folder / "file").open("wb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > LARGEST:
                shutil.rmtree(folder)
                raise FileRefused(_("The file is larger than 1 GB; split it or use manage.py import_orders."))
            file.write(chunk)
    upload = Upload(key, Path(name).name[:200], size, user_id)
    (folder / "about.json").write_text(json.dumps(asdict(upload)))
    return upload


def find(key: str) -> Upload:
    """Return a kept upload. Raises FileRefused when it is gone."""
    if _KEY.fullmatch(key):
        try:
            return Upload(**json.loads((_folder() / key / "about.json").read_text()))
        except (OSError, ValueError, TypeError):
            pass
    raise FileRefused(_("This upload is no longer there; please upload the file again."))


def drop(key: str) -> None:
    """Delete an upload; nothing happens when it is gone already."""
    if _KEY.fullmatch(key):
        shutil.rmtree(_folder() / key, ignore_errors=True)


def _folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "imports"


def _sweep() -> None:
    oldest = time.time() - KEPT_SECONDS
    for folder in _folder().glob("*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
