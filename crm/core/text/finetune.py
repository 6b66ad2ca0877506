"""Full fine-tuning of a transformer as a text classifier: any base, resumable, on one process or several.

The base (the packaged encoder unless another is named) gets a linear layer over its classes and every weight is trained
by AdamW (Loshchilov & Hutter 2019) with a linear warm-up and decay.  The result is a folder that
`transformers.AutoModelForSequenceClassification.from_pretrained` reads.

Every so many steps a checkpoint is written: weights and optimizer state as safetensors, the rest as JSON, whole or not
at all.  A run that is killed or cancelled goes on from it and ends with the weights an unbroken run would have given:
order and dropout depend on the seed and the step alone.  Under `torchrun` the rows are shared out among the processes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings as django_settings

from crm.core.errors import CrmError
from crm.core.text import checkpoint
from crm.core.text.encoder import PACKAGE_NAME, EncoderCorrupt, packaged_folder

# Called as progress(step, steps, loss).
Progress = Callable[[int, int, float], None]
LABELS_FILE = "labels.json"


class FinetuneCancelled(CrmError):
    """Somebody asked the run to stop; its checkpoint is kept and the same call goes on from there."""

    code = "finetune_cancelled"
    status = 409


class FinetuneUnfit(CrmError):
    """The rows or the folder do not make a fine-tuning; the message says why."""

    code = "finetune_unfit"
    status = 422


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to fine-tune.

    epochs: passes over the rows.  batch: rows per step, over all processes.  rate: highest learning rate of the base;
    the new layer learns ten times faster.  longest: tokens per text.  frozen: lower layers (and the embeddings with
    them) left as they are.  smoothing: probability given to the other labels.  every: steps between checkpoints.
    """

    epochs: int = 4
    batch: int = 32
    rate: float = 1e-4
    decay: float = 0.01
    warmup: float = 0.1
    longest: int = 96
    frozen: int = 0
    smoothing: float = 0.05
    every: int = 200
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Finetuned:
    """folder: where the model lies.  labels: its classes in order.  base: what it started from.  steps, loss: of the run.

    fell_back: why the named base was not used, "" if it was.
    """

    folder: Path
    labels: tuple[str, ...]
    base: str
    steps: int
    loss: float
    fell_back: str


def finetune(
    *,
    texts: Sequence[str],
    labels: Sequence[str],
    out: Path,
    base: str = "",
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Finetuned:
    """Train on the texts and write the model to `out`; an unfinished run of the same rows and recipe goes on.

    base: hub id or folder; one that cannot be loaded gives way to the packaged model, which `fell_back` says.
    Raises FinetuneUnfit, FinetuneCancelled, EncoderMissing or EncoderCorrupt.
    """
    import torch

    recipe = recipe or Recipe()
    names = tuple(sorted(set(labels)))
    if len(names) < 2 or len(texts) != len(labels):
        raise FinetuneUnfit(f"Fine-tuning needs texts of at least two classes; there are {len(texts)} of {len(names)}.")
    processes = _Processes()
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, django_settings.CRM_FINETUNE_THREADS or (os.cpu_count() or 1) // processes.count))
    model, tokenizer, used, fell_back = _base(base, classes=len(names))
    config: Any = model.config
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    _freeze(model, recipe.frozen)
    codes = torch.tensor([config.label2id[label] for label in labels])
    limit = min(recipe.longest, int(getattr(config, "max_position_embeddings", recipe.longest)))
    tokens: list[list[int]] = tokenizer([text or " " for text in texts], truncation=True, max_length=limit)["input_ids"]
    trainer = _Trainer(model, recipe, rows=len(texts), padding=tokenizer.pad_token_id or 0, processes=processes)
    identity = _identity(texts, labels, used, recipe)
    folder = Path(out) / "checkpoint"
    step, loss = checkpoint.resume(folder, identity=identity, model=model, optimizer=trainer.optimizer)
    while step < trainer.steps:
        if processes.agree(cancelled is not None and cancelled()):
            if processes.first:
                checkpoint.write(folder, identity=identity, step=step, loss=loss, model=model, optimizer=trainer.optimizer)
            raise FinetuneCancelled(f"Cancelled at step {step} of {trainer.steps}; the same call goes on from there.")
        loss = trainer.learn(step, tokens, codes)
        step += 1
        if progress is not None and processes.first:
            progress(step, trainer.steps, loss)
        if step % recipe.every == 0 and step < trainer.steps and processes.first:
            checkpoint.write(folder, identity=identity, step=step, loss=loss, model=model, optimizer=trainer.optimizer)
    if processes.first:
        _save(Path(out), model, tokenizer, names, used, recipe)
        checkpoint.remove(folder)
    processes.close()
    torch.set_num_threads(threads)
    return Finetuned(folder=Path(out), labels=names, base=used, steps=trainer.steps, loss=loss, fell_back=fell_back)


class _Trainer:
    """One step of learning at a time, each a function of the weights, the seed and the step's number."""

    def __init__(self, model: Any, recipe: Recipe, *, rows: int, padding: int, processes: _Processes) -> None:
        import torch

        self.recipe, self.rows, self.padding, self.processes = recipe, rows, padding, processes
        self.per_epoch = max(1, -(-rows // recipe.batch))
        self.steps = self.per_epoch * recipe.epochs
        self.model = model
        slow = [value for name, value in model.named_parameters() if value.requires_grad and not name.startswith(("classifier", "score"))]
        fast = [value for name, value in model.named_parameters() if value.requires_grad and name.startswith(("classifier", "score"))]
        self.optimizer = torch.optim.AdamW(
            [{"params": slow, "base": recipe.rate}, {"params": fast, "base": 10 * recipe.rate}], lr=recipe.rate, weight_decay=recipe.decay
        )

    def learn(self, step: int, tokens: list[list[int]], codes: Any) -> float:
        import torch

        chosen = self._rows_of(step)[self.processes.rank :: self.processes.count]
        torch.manual_seed(1_000_003 * (self.recipe.seed + 1) + step * self.processes.count + self.processes.rank)
        warm = max(1, int(self.recipe.warmup * self.steps))
        scale = min((step + 1) / warm, (self.steps - step) / max(1, self.steps - warm))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * scale
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        value = 0.0
        if len(chosen):
            longest = max(len(tokens[row]) for row in chosen)
            ids = torch.full((len(chosen), longest), self.padding)
            mask = torch.zeros((len(chosen), longest), dtype=torch.long)
            for place, row in enumerate(chosen):
                ids[place, : len(tokens[row])] = torch.tensor(tokens[row])
                mask[place, : len(tokens[row])] = 1
            logits = self.model(input_ids=ids, attention_mask=mask).logits
            loss = torch.nn.functional.cross_entropy(logits, codes[chosen], label_smoothing=self.recipe.smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            value = float(loss.detach())
        self.processes.average(self.model)
        torch.nn.utils.clip_grad_norm_([each for each in self.model.parameters() if each.requires_grad], 1.0)
        self.optimizer.step()
        return value

    def _rows_of(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(self.rows)
        return [int(row) for row in order[place * self.recipe.batch : (place + 1) * self.recipe.batch]]


class _Processes:
    """The processes that `torchrun` started, or this one alone. rank: which this is; count: how many."""

    def __init__(self) -> None:
        self.count, self.rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        if self.count > 1:
            import torch.distributed as dist

            if not dist.is_initialized():
                dist.init_process_group("gloo")

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average(self, model: Any) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.count == 1:
            return
        import torch
        import torch.distributed as dist

        for value in model.parameters():
            if value.requires_grad:
                value.grad = torch.zeros_like(value) if value.grad is None else value.grad
                dist.all_reduce(value.grad)
                value.grad /= self.count

    def agree(self, stop: bool) -> bool:
        """Return whether any process wants to stop: all must leave the loop at the same step."""
        if self.count == 1:
            return stop
        import torch
        import torch.distributed as dist

        wish = torch.tensor([int(stop)])
        dist.all_reduce(wish)
        return bool(wish.item())

    def close(self) -> None:
        if self.count > 1:
            import torch.distributed as dist

            dist.barrier()
            dist.destroy_process_group()


def _base(name: str, *, classes: int) -> tuple[Any, Any, str, str]:
    """Return (model, tokenizer, name used, why not the one asked for)."""
    options = {"local_files_only": not django_settings.CRM_ENCODER_DOWNLOAD}
    name = name or django_settings.CRM_ENCODER
    if name:
        try:
            return *_load(str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name, classes, **options), name, ""
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = f"{name} cannot be loaded ({str(error).splitlines()[0][:160]}); the packaged model was used."
    else:
        reason = ""
    try:
        return *_load(str(packaged_folder()), classes, **options), PACKAGE_NAME, reason
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise EncoderCorrupt(f"The packaged text encoder cannot be loaded: {error}") from error


def _load(source: str, classes: int, **options: Any) -> tuple[Any, Any]:
    if options.get("local_files_only"):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # The new layer is missing from every base: that it is drawn afresh is no news.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    model = AutoModelForSequenceClassification.from_pretrained(
        source, num_labels=classes, ignore_mismatched_sizes=True, use_safetensors=True, dtype=torch.float32, **options
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def _freeze(model: Any, layers: int) -> None:
    if layers <= 0:
        return
    inner = model.base_model
    for value in inner.embeddings.parameters() if hasattr(inner, "embeddings") else ():
        value.requires_grad = False
    for layer in list(getattr(getattr(inner, "encoder", None), "layer", ()))[:layers]:
        for value in layer.parameters():
            value.requires_grad = False


def _identity(texts: Sequence[str], labels: Sequence[str], base: str, recipe: Recipe) -> str:
    digest = hashlib.sha256(json.dumps([base, asdict(recipe), os.environ.get("WORLD_SIZE", "1")]).encode())
    for text, label in zip(texts, labels, strict=True):
        digest.update(json.dumps([text, label]).encode("utf-8", "replace"))
    return digest.hexdigest()


def _save(out: Path, model: Any, tokenizer: Any, labels: Sequence[str], base: str, recipe: Recipe) -> None:
    model.eval()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    content = {"labels": list(labels), "base": base, "recipe": asdict(recipe)}
    (out / LABELS_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
