"""The training run of the intent classifier: examples, fit, judgement beside the baseline and the champion.

Every example is judged by a model that has not seen it (support/ml/evaluation.py). A version keeps, with its files,
which examples it judged rightly that way, and their labels. The next candidate is compared with it on the same rows: those
both were taught, each out of sample, and those only the candidate has, on which the champion is asked afresh. Neither model
is ever judged on a row it was fitted to, and both by the labels of today.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _

from crm.core import clock
from crm.core.errors import CrmError
from crm.core.learning import evaluation, modelstore, registry
from crm.core.learning.registry import TrainingOutcome
from crm.core.learning.reports import ReportTable
from crm.core.text import encoder
from support.ml import dataset
from support.ml.dataset import Examples
from support.ml.keys import key_of
from support.models.labels import OUT_OF_SCOPE

TASK = "intents"
# Raise when features or the decision change meaning: then unchanged data must be trained on again.
FEATURES = 3
# Fewer than this many examples or intents are no classifier; chats then go to people.
FEWEST_EXAMPLES, FEWEST_INTENTS = 40, 3
# A fitted figure on 3,400 examples has a standard error of 0.0055; a candidate within it is not worse.
MARGIN = 0.005


class TooFewExamples(CrmError):
    """There is too little to learn from; every chat goes to a person."""

    code = "too_few_examples"
    status = 409


@dataclass(frozen=True, slots=True)
class SameRows:
    """Candidate and champion on the same rows: share handled rightly. shared, fresh: rows of each kind."""

    candidate: float
    champion: float
    shared: int
    fresh: int


def run(*, as_of: datetime, force: bool = False) -> TrainingOutcome:
    """Train on the examples up to `as_of`, and promote where that is at least as good as what serves."""
    # Seconds of imports that a web process never needs.
    from crm.core.text.classifier import TextClassifier
    from support.ml import heldout
    from support.ml.evaluation import judge
    from support.ml.intent import IntentModel

    started = time.monotonic()
    examples = dataset.read(as_of=as_of)
    data_hash = modelstore.fingerprint(
        FEATURES, settings.CRM_INTENTS_FINETUNE, encoder.fingerprint(), examples.texts, examples.labels, examples.languages, examples.outside
    )
    same = None if force else modelstore.unchanged(TASK, data_hash)
    if same is not None:
        return registry.skipped(same)
    if len(examples.texts) < FEWEST_EXAMPLES or len(set(examples.labels)) < FEWEST_INTENTS:
        raise TooFewExamples(
            _("Needs %(examples)s examples of %(intents)s intents; there are %(found)s.")
            % {"examples": FEWEST_EXAMPLES, "intents": FEWEST_INTENTS, "found": len(examples.texts)},
            found=len(examples.texts),
        )
    model = IntentModel(finetune=settings.CRM_INTENTS_FINETUNE).fit(examples.texts, examples.labels, examples.outside)
    plain = TextClassifier(use_encoder=False).fit(examples.texts, examples.labels, examples.outside)
    judged = judge(model, plain, slices=examples.languages)
    by_language = _outside_by_language(model, examples)
    metrics = judged.metrics | {f"accuracy_{name}": value for name, value in _accuracy_by_language(model, examples).items()}
    metrics |= {f"out_of_scope_refused_{name}": share for name, share, _ in by_language} | {"from_agents": examples.from_agents}
    handled = handled_rightly(model, examples)
    compared = on_same_rows(handled, examples)
    outside = ReportTable("out_of_scope", ("slice", "refused", "rows"), tuple(by_language))
    report = replace(
        judged.report,
        tables=(*judged.report.tables, outside) if by_language else judged.report.tables,
        notes=(*judged.report.notes, *_notes(examples, compared)),
    )
    tensors, config = model.to_tensors()
    tensors |= heldout.tensors(model, examples)
    version = modelstore.save(
        task=TASK,
        algorithm=f"{model.classifier_.description_}, calibrated, out-of-scope gate",
        tensors=tensors,
        config={"model": config, "handled": handled, "labels": labels_of(examples), "thresholds": heldout.thresholds(model)},
        metrics=metrics,
        baseline=judged.baseline,
        report=report.as_dict(),
        data_hash=data_hash,
        rows=len(examples),
        as_of=as_of,
        trained_at=clock.now(),
        seconds=time.monotonic() - started,
    )
    verdict = evaluation.compare(challenger=metrics["accuracy"], champion=None, baseline=judged.baseline["accuracy"])
    if verdict.promote and compared is not None:
        verdict = evaluation.compare(challenger=compared.candidate, champion=compared.champion, baseline=0.0, margin=MARGIN)
    return registry.conclude(version, verdict, at=clock.now())


def handled_rightly(model: Any, examples: Examples) -> dict[str, bool]:
    """Return, per example's key, whether a model that had not seen it names it rightly, or refuses it where none fits."""
    seen = model.classifier_.out_of_sample_
    right = seen.predicted == seen.codes
    kept = model.classifier_.kept_rows_
    handled = {key_of(examples.texts[row]): bool(right[place]) for place, row in enumerate(kept)}
    return handled | {key_of(text): bool(refused) for text, refused in zip(examples.outside, seen.outside_refused, strict=True)}


def labels_of(examples: Examples) -> dict[str, str]:
    """Return each example's label by its key."""
    named = {key_of(text): label for text, label in zip(examples.texts, examples.labels, strict=True)}
    return named | {key_of(text): OUT_OF_SCOPE for text in examples.outside}


def on_same_rows(handled: dict[str, bool], examples: Examples) -> SameRows | None:
    """Return how the candidate (`handled`) and the serving model do on the same rows; None where nothing usable serves."""
    from crm.core.text.classifier import EncoderChanged

    try:
        served = modelstore.load(TASK)
        champion = modelstore.build(TASK, restored)
    except CrmError:
        return None
    known: dict[str, bool] = served.config.get("handled", {})
    label_of = labels_of(examples)
    fresh = [text for text in [*examples.texts, *examples.outside] if key_of(text) not in known and key_of(text) in handled]
    try:
        # Asked at least one thing: after a change of the encoder it answers nothing any more, however good it was.
        said = champion.understand(fresh or [""])[: len(fresh)]
    except EncoderChanged:
        return None
    # Versions of before kept no labels.
    former = _by_todays_labels({key: right for key, right in known.items() if key in handled}, taught=served.config.get("labels", label_of), wanted=label_of)
    shared = len(former)
    for text, understood in zip(fresh, said, strict=True):
        wanted = label_of[key_of(text)]
        former[key_of(text)] = not understood.in_scope if wanted == OUT_OF_SCOPE else understood.label == wanted
    return SameRows(
        candidate=float(np.mean([handled[key] for key in former])),
        champion=float(np.mean(list(former.values()))),
        shared=shared,
        fresh=len(former) - shared,
    )


def _by_todays_labels(known: dict[str, bool], *, taught: dict[str, str], wanted: dict[str, str]) -> dict[str, bool]:
    """Return whether the serving model judged its rows rightly, where some bear another label than it was taught.

    Who named the former intent does not name the present one. What was said instead by who did not is not known, nor whether
    a row was refused that fits no intent any more: such rows are left out.
    """
    found = {}
    for key, right in known.items():
        if taught.get(key) == wanted[key]:
            found[key] = right
        elif right and OUT_OF_SCOPE not in {taught.get(key), wanted[key]}:
            found[key] = False
    return found


def restored(model: modelstore.LoadedModel) -> Any:
    """Return the served classifier; for modelstore.build, which remembers it per process and version."""
    from support.ml.intent import IntentModel

    return IntentModel.from_tensors(model.tensors, model.config["model"])


def _accuracy_by_language(model: Any, examples: Examples) -> dict[str, float]:
    seen = model.classifier_.out_of_sample_
    right = seen.predicted == seen.codes
    languages = np.asarray(examples.languages)[model.classifier_.kept_rows_]
    return {str(name): float(right[languages == name].mean()) for name in np.unique(languages)}


def _outside_by_language(model: Any, examples: Examples) -> list[tuple[str, float, int]]:
    refused = model.classifier_.out_of_sample_.outside_refused
    languages = np.asarray(examples.outside_languages)
    return [(str(name), float(refused[languages == name].mean()), int((languages == name).sum())) for name in np.unique(languages)]


def _notes(examples: Examples, compared: SameRows | None) -> list[str]:
    notes = [f"{examples.from_agents} of {len(examples)} examples are agents' corrections and confirmations."]
    if compared is not None:
        notes.append(
            f"Against the serving version on the same rows ({compared.shared} both judged unseen, {compared.fresh} new):"
            f" {compared.candidate:.1%} handled rightly, it {compared.champion:.1%}."
        )
    return notes
