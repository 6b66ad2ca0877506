"""The signing key of a local installation: made once, kept in the data folder, readable by its owner only."""

import os
import secrets
from pathlib import Path

from crm.settings.env import BadSetting


def read_or_create(data_dir: Path) -> str:
    """Return the key stored in `<data_dir>/secret_key`, writing a new 384-bit one first if there is none."""
    key_path = data_dir / "secret_key"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        # O_EXCL: of two processes starting at once exactly one writes, the other reads.
        descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            return key_path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise _unusable(data_dir, error) from error
    except OSError as error:
        raise _unusable(data_dir, error) from error
    key = secrets.token_urlsafe(48)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return key


def _unusable(data_dir: Path, error: OSError) -> BadSetting:
    return BadSetting(f"PERENNIAL_DATA_DIR: cannot write to {str(data_dir)!r} ({error.strerror}); choose a writable folder.")
