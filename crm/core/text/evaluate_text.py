"""`manage.py evaluate text|intents`: the production text classifier on files a person brings.

Trains on one file (or takes a promoted model) and predicts another, exactly as a training run and a worker would.
Labels of the test file are read after every prediction is made and choose nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from crm.core.errors import CrmError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from crm.core.learning.evaluating import EvaluationReport, Say
    from crm.core.text.classifier import TextClassifier
    from crm.core.text.results import Predictions

HELP = "Train the text classifier on one file (text, label) and predict another; or predict with a promoted model."
FINETUNE: dict[str, bool | Literal["auto"]] = {"auto": "auto", "always": True, "never": False}
# Texts timed one at a time, and at once, against the encoder's bare forward pass.
TIMED_ALONE, TIMED_TOGETHER = 40, 256


class TextFilesUnfit(CrmError):
    """The options or files do not make an evaluation; the message says what is missing."""

    code = "text_files_unfit"
    status = 422


@dataclass(frozen=True, slots=True)
class TextFile:
    """texts: as in the file.  labels: beside them, or None where the file has one column only."""

    texts: list[str]
    labels: list[str] | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What is written per text.  columns: class names, the out-of-scope one last where there is one; values: (n, k)."""

    labels: list[str]
    confidence: NDArray[np.float64]
    in_scope: NDArray[np.bool_]
    scope: NDArray[np.float64]
    columns: tuple[str, ...]
    values: NDArray[np.float64]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--train", metavar="A.csv", help="first column text, second label")
    parser.add_argument("--model", metavar="NAME", help="instead of --train: the promoted model of this task, for example intents")
    parser.add_argument("--test", metavar="B.csv", required=True, help="first column text; a second column, the label, is only measured against")
    parser.add_argument("--oos-label", metavar="L", help="the label of texts that fit no class; such rows may be missing from the training file")
    parser.add_argument("--out", metavar="P.csv", help="write row,label,confidence,in_scope and one column per class")
    parser.add_argument("--seed", type=int, default=0, help="decides folds and initial weights (default 0)")
    parser.add_argument(
        "--finetune",
        choices=("auto", "always", "never"),
        nargs="?",
        const="always",
        default="auto",
        help="always: fine-tune a whole transformer and join it in; auto (default): the encoder's upper layers, where minutes suffice",
    )
    parser.add_argument("--base", metavar="ID|PATH", default="", help="with --finetune: the transformer to start from (default: the packaged one)")


def run(options: Mapping[str, Any], say: Say) -> EvaluationReport:
    """Return the report; raises TextFilesUnfit, TableUnreadable, TooFewExamples, or what the encoder raises."""
    from crm.core.learning.evaluating import EvaluationReport
    from crm.core.text import figures as measuring

    if bool(options.get("train")) == bool(options.get("model")):
        raise TextFilesUnfit("Give either --train A.csv or --model NAME.")
    test = read(options["test"], labelled=False)
    outside = options.get("oos_label")
    rows = {"test": len(test.texts)}
    began = time.monotonic()
    if options.get("train"):
        train = read(options["train"], labelled=True)
        model, counts = fitted(train, outside=outside, options=options, say=say)
        rows |= counts
        protocol = f"Trained on {options['train']}, predicted {options['test']}; folds of the training rows chose everything."
    else:
        model, named = promoted(options["model"])
        # A shop's own word for it is in its labels; the model itself only refuses.
        protocol = f"{named} predicted {options['test']}."
    trained = time.monotonic() - began
    say(f"predicting {len(test.texts)} texts")
    began = time.monotonic()
    judged = judge(model.predict(test.texts), outside=outside, expected=model.expected_out_of_scope)
    predicted = time.monotonic() - began
    if options.get("out"):
        write(options["out"], judged)
    found: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    if test.labels is not None:
        told = np.flatnonzero([bool(label) for label in test.labels])
        truth, said = ([labels[row] for row in told] for labels in (test.labels, judged.labels))
        found, tables = measuring.of_predictions(truth, said, confidence=judged.confidence[told], scope=judged.scope[told], outside=outside)
    found |= timing(model, test.texts)
    return EvaluationReport(
        task=str(options.get("name", "text")),
        protocol=protocol,
        chosen=model.description_,
        figures=found,
        candidates=model.candidates_,
        parameters={**model.parameters(), "training_seconds": round(trained, 1), "prediction_seconds": round(predicted, 1)},
        tables=tables,
        notes=_notes(model, test, outside),
        seed=model.seed,
        rows=rows,
    )


def read(path: str, *, labelled: bool) -> TextFile:
    """Return a file's texts and labels. Raises TableUnreadable, and TextFilesUnfit for a training file without labels."""
    from crm.core.learning import tables

    table = tables.read(path, least_columns=2 if labelled else 1)
    texts = [row[0] for row in table.rows]
    labels = [row[1].strip() for row in table.rows] if len(table.columns) > 1 else None
    if labels is not None and not any(labels):
        labels = None
    if labelled:
        if labels is None:
            raise TextFilesUnfit(f"The second column of {path} holds no labels.")
        empty = next((number for number, label in enumerate(labels) if not label), None)
        if empty is not None:
            raise TextFilesUnfit(f"Row {empty + 1} of {path} has no label in its second column.")
    return TextFile(texts, labels)


def fitted(train: TextFile, *, outside: str | None, options: Mapping[str, Any], say: Say) -> tuple[TextClassifier, dict[str, int]]:
    """Return the classifier trained as in production, and how many rows taught it."""
    from crm.core.text.classifier import TextClassifier

    labels = train.labels or []
    fits = [row for row, label in enumerate(labels) if label != outside]
    # Once each: a repeat would vouch for itself when the gate is judged on it.
    strange = list(dict.fromkeys(train.texts[row] for row, label in enumerate(labels) if label == outside))
    say(f"training on {len(fits)} texts of {len({labels[row] for row in fits})} classes and {len(strange)} out of scope")
    model = TextClassifier(
        seed=int(options.get("seed") or 0), finetune=FINETUNE[options.get("finetune") or "auto"], base=str(options.get("base") or ""), say=say
    )
    model.fit([train.texts[row] for row in fits], [labels[row] for row in fits], strange)
    return model, {"train": len(fits), "train_out_of_scope": len(strange), "classes": len(model.classes_)}


def promoted(name: str) -> tuple[TextClassifier, str]:
    """Return the classifier inside the model that serves, and the version's name. Raises ModelMissing, TextFilesUnfit."""
    from crm.core.learning import modelstore
    from crm.core.text.classifier import TextClassifier

    loaded = modelstore.load(name)
    config = loaded.config.get("model", loaded.config)
    if not isinstance(config, dict) or "classifier" not in config:
        raise TextFilesUnfit(f"The model {name!r} does not read texts.")
    return TextClassifier.from_tensors(loaded.tensors, config["classifier"]), str(loaded.version)


def judge(predictions: Predictions, *, outside: str | None, expected: float) -> Judged:
    """Return what to write: with an out-of-scope label, the gate's refusals bear it and its probability is one more column.

    The gate weighs both kinds alike; its probability is set back to the share of out-of-scope texts expected in life.
    """
    if outside is None:
        return Judged(
            labels=predictions.labels.tolist(),
            confidence=predictions.confidence,
            in_scope=predictions.in_scope,
            scope=predictions.scope_score,
            columns=predictions.classes,
            values=predictions.probabilities,
        )
    inside = predictions.scope_score * (1 - expected)
    fits = inside / np.maximum(inside + (1 - predictions.scope_score) * expected, 1e-12)
    values = np.column_stack([predictions.probabilities * fits[:, None], 1 - fits])
    return Judged(
        labels=np.where(predictions.in_scope, predictions.labels, outside).tolist(),
        confidence=np.where(predictions.in_scope, predictions.confidence * fits, 1 - fits),
        in_scope=predictions.in_scope,
        scope=predictions.scope_score,
        columns=(*predictions.classes, outside),
        values=values,
    )


def write(path: str, judged: Judged) -> None:
    """Write one line per text in the order of the test file; `row` counts from 0."""
    from crm.core.learning import tables

    stated = np.round(judged.values, 6)
    tables.write(
        path,
        ["row", "label", "confidence", "in_scope", *judged.columns],
        (
            [row, judged.labels[row], float(round(judged.confidence[row], 6)), int(judged.in_scope[row]), *map(float, stated[row])]
            for row in range(len(judged.labels))
        ),
    )


def timing(model: TextClassifier, texts: Sequence[str]) -> dict[str, Any]:
    """Return milliseconds per text, alone and in batches, beside the encoder's bare forward pass on the same texts."""
    from crm.core.text import encoder

    if not model.uses_encoder_:
        alone = _milliseconds(lambda text: model.predict([text]), list(texts[:TIMED_ALONE]))
        return {"ms_per_text": alone}
    chosen = list(texts[:TIMED_TOGETHER])
    few = chosen[:TIMED_ALONE]
    ours, bare = [], []
    for text in few:
        # By turns, so that a busy moment of the machine falls on both.
        encoder.forget_vectors()
        ours.append(_milliseconds(lambda one: model.predict([one]), [text]))
        bare.append(_milliseconds(lambda one: encoder.bare([one]), [text]))
    encoder.forget_vectors()
    together = _milliseconds(lambda _: model.predict(chosen), [""]) / max(len(chosen), 1)
    plain = _milliseconds(lambda _: encoder.bare(chosen), [""]) / max(len(chosen), 1)
    return {
        "ms_per_text": float(np.median(ours)),
        "ms_per_text_p95": float(np.quantile(ours, 0.95)),
        "encoder_ms_per_text": float(np.median(bare)),
        "ratio_to_encoder": float(np.median(ours) / max(np.median(bare), 1e-9)),
        "ms_per_text_in_batches": together,
        "batch_throughput_against_encoder": plain / max(together, 1e-9),
    }


def _milliseconds(call: Any, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    for text in texts:
        call(text)
    return 1000 * (time.perf_counter() - began) / max(len(texts), 1)


def _notes(model: TextClassifier, test: TextFile, outside: str | None) -> tuple[str, ...]:
    notes = list(model.notes_)
    if outside is not None and model.gate_ is None:
        notes.append("No out-of-scope gate could be learned; no text is refused.")
    if test.labels is not None:
        if bare := test.labels.count(""):
            notes.append(f"{bare} row(s) of the test file bear no label; the figures are of the others.")
        unknown = sorted(set(test.labels) - set(model.classes_) - {outside, ""})
        if unknown:
            notes.append(f"The test file has {len(unknown)} label(s) that were never taught: {', '.join(unknown[:5])}.")
    else:
        notes.append("The test file has no labels; nothing was measured.")
    return tuple(notes)
