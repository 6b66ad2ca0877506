"""A fine-tuned transformer as one more member of the classifier: learned on most rows, judged on the rest.

Its weights travel with the model as half-precision arrays, its configuration and tokenizer as text, so that a promoted
model needs no folder beside it.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.learning.evaluation import accuracy, macro_f1
from crm.core.text.finetune import Recipe, finetune

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from crm.core.text.members import Material

    Floats = NDArray[np.float32]
    Codes = NDArray[np.int64]

# Texts per forward pass.
BATCH = 32
# Passes over the rows: few rows need more of them. (rows up to, epochs)
EPOCHS = ((1_000, 20), (2_000, 6), (4_000, 4), (12_000, 3), (40_000, 2))


def _epochs(rows: int) -> int:
    return next((passes for most, passes in EPOCHS if rows <= most), 1)


class FinetunedMember:
    """A transformer trained on all but the held-out rows.

    base: see finetune.  epochs: passes over the rows, 0 = by their number.
    folder: where it is trained and resumed, a temporary one if None.  say: progress lines.
    After `fit`: `model_`, `tokenizer_`, `fell_back_` (why another base was used, or "").
    """

    kind = "finetuned"
    needs_held_out = True

    def __init__(
        self,
        *,
        base: str = "",
        epochs: int = 0,
        seed: int = 0,
        folder: Path | None = None,
        say: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.base = base
        self.epochs = epochs
        self.seed = seed
        self.folder = folder
        self.say = say
        self.cancelled = cancelled

    def fit(self, material: Material, codes: Codes, classes: int, held_out: NDArray[np.bool_]) -> Floats:
        kept = np.flatnonzero(~held_out)
        scores = np.full((len(codes), classes), np.nan, dtype=np.float32)
        # Names that sort as the codes do.
        names = [f"{code:05d}" for code in codes[kept]]
        recipe = Recipe(epochs=self.epochs or _epochs(len(kept)), seed=self.seed, rate=1e-4 if len(kept) > 1_000 else 1.5e-4)
        with tempfile.TemporaryDirectory() as scratch:
            found = finetune(
                texts=[material.texts[int(row)] for row in kept],
                labels=names,
                out=self.folder or Path(scratch),
                base=self.base,
                recipe=recipe,
                progress=self._progress(),
                cancelled=self.cancelled,
            )
            self._open(found.folder)
        self.columns_ = np.array([int(name) for name in found.labels])
        self.fell_back_ = found.fell_back
        judged = np.flatnonzero(held_out)
        scores[judged] = self._scores([material.texts[int(row)] for row in judged], classes)
        self.classes_ = classes
        return scores

    def _progress(self) -> Callable[[int, int, float], None] | None:
        if self.say is None:
            return None
        say, last = self.say, [time.monotonic()]

        def progress(step: int, steps: int, loss: float) -> None:
            if time.monotonic() - last[0] > 15 or step == steps:
                last[0] = time.monotonic()
                say(f"fine-tuning: step {step} of {steps}, loss {loss:.3f}")

        return progress

    def _open(self, folder: Path) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.model_: Any = AutoModelForSequenceClassification.from_pretrained(str(folder), local_files_only=True, use_safetensors=True).eval()
        self.tokenizer_: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)

    def scores(self, material: Material) -> Floats:
        return self._scores(material.texts, self.classes_)

    def _scores(self, texts: Sequence[str], classes: int) -> Floats:
        import torch

        result = np.zeros((len(texts), classes), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
        longest = Recipe().longest
        for begin in range(0, len(order), BATCH):
            part = order[begin : begin + BATCH]
            tokens = self.tokenizer_([texts[row] or " " for row in part], padding=True, truncation=True, max_length=longest, return_tensors="pt")
            with torch.inference_mode():
                logits = torch.log_softmax(self.model_(**tokens).logits, dim=1).numpy()
            block = np.full((len(part), classes), logits.min() - 1, dtype=np.float32)
            block[:, self.columns_] = logits
            result[part] = block
        return result

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        tensors = {f"model.{name}": value.detach().numpy().astype(np.float16) for name, value in self.model_.state_dict().items() if value.is_floating_point()}
        return tensors | {"columns": self.columns_}

    def to_config(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            self.model_.config.save_pretrained(scratch)
            self.tokenizer_.save_pretrained(scratch)
            files = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(scratch).iterdir()) if path.suffix in {".json", ".txt"}}
        return {"base": self.base, "seed": self.seed, "classes": self.classes_, "fell_back": self.fell_back_, "files": files}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        import torch
        from safetensors.torch import save_file

        member = cls(base=config["base"], seed=int(config["seed"]))
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in config["files"].items():
                (Path(scratch) / Path(name).name).write_text(content, encoding="utf-8")
            weights = {
                name.removeprefix("model."): torch.from_numpy(np.asarray(value, dtype=np.float32))
                for name, value in tensors.items()
                if name.startswith("model.")
            }
            save_file(weights, Path(scratch) / "model.safetensors", metadata={"format": "pt"})
            # A configuration that names code of its own would run it only with trust_remote_code, which is off.
            json.loads((Path(scratch) / "config.json").read_text(encoding="utf-8"))
            member._open(Path(scratch))
        member.columns_, member.classes_, member.fell_back_ = tensors["columns"], int(config["classes"]), config["fell_back"]
        return member


def measured(folder: Path, texts: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Return accuracy and macro-F1 of a fine-tuned folder on labelled texts."""
    member = FinetunedMember()
    member._open(folder)
    names = [member.model_.config.id2label[code] for code in range(member.model_.config.num_labels)]
    member.columns_ = np.arange(len(names))
    said = [names[code] for code in member._scores(texts, len(names)).argmax(1)]
    return {"accuracy": accuracy(labels, said), "macro_f1": macro_f1(labels, said), "rows": len(texts)}
