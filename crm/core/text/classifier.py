"""A text classifier for a few hundred to many thousand examples that knows when a text is none of its business.

Joins the encoder's vectors with hashed n-grams, learns a head, calibrates its probabilities on out-of-sample scores and
fits a gate that refuses texts unlike anything taught.  Used for support intents and for review sentiment.  Without an
encoder it works on n-grams alone and says so (`uses_encoder_`).

Two languages in one training set need nothing special: each text's vector counts as far as the encoder knows its
characters, the n-grams have the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.errors import CrmError
from crm.core.text import encoder
from crm.core.text.blend import Blend
from crm.core.text.heads import ExemplarHead, LinearHead, TextFeatures
from crm.core.text.members import Material, NgramMember, ToneMember
from crm.core.text.ngrams import BITS, MANY_TEXTS, MORE_BITS, WORD, NgramFeatures, clean
from crm.core.text.results import Explanation, OutOfSample, Predictions, WordWeight
from crm.core.text.scope import EXPECTED_OUT_OF_SCOPE, Calibration, ScopeGate, cross_fitted, signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Rows up to which the kernel head is used. At 16,000 it takes 80 s and 2.6 GB on one core; it grows with the cube.
EXEMPLAR_LIMIT = 16_000
# Of a text whose characters the encoder all knows, the vector makes up this part and the n-grams the rest.
ENCODER_WEIGHT = 0.8
# Classes left out in turn to imagine out-of-scope texts when none were given, and rows enough to do it with.
IMAGINED_GROUPS = 5
IMAGINED_ROWS = 3_000
# Fewer classes than this leave nothing to imagine out-of-scope texts from.
FEWEST_CLASSES_FOR_A_GATE = 4
# Rows from which n-grams alone read Chinese as well as with a gloss, whose forward pass is then spared.
GLOSSES_UP_TO = 5_000
# Up to this many classes the tone of a text matters, and all n-grams are weighed one class against the rest.
FEW_CLASSES = 8
# Fewer rows than this give the other members nothing to be weighed on.
FEWEST_TO_JOIN = 150
# With a fine-tuned member one row in this many is kept out of its learning, to weigh and calibrate on.
HELD_OUT = 7
# Words of one text that are explained; each costs two passes of the encoder.
MOST_EXPLAINED_WORDS = 40


class TooFewExamples(CrmError):
    """There is nothing to learn: fewer than two classes, or a class without any text."""

    code = "too_few_examples"
    status = 422


class EncoderChanged(CrmError):
    """The model was trained on another encoder's vectors than the one now configured; it must be retrained."""

    code = "encoder_changed"
    status = 503


class TextClassifier:
    """Learns labels from example texts.

    seed: decides folds only; the same texts and seed give the same model.
    use_encoder: None = if available.  expected_out_of_scope: see ScopeGate.  exemplar_limit: rows beyond which the
    linear head is used.

    After `fit`: `classes_`, `uses_encoder_`, `gate_` (None where every text is in scope), and, not saved with the model,
    `out_of_sample_` over the rows `kept_rows_` (row numbers of the texts given, repeats left out).
    """

    format = 1

    def __init__(
        self,
        *,
        seed: int = 0,
        use_encoder: bool | None = None,
        encoder_weight: float = ENCODER_WEIGHT,
        expected_out_of_scope: float = EXPECTED_OUT_OF_SCOPE,
        exemplar_limit: int = EXEMPLAR_LIMIT,
    ) -> None:
        self.seed = seed
        self.use_encoder = use_encoder
        self.encoder_weight = encoder_weight
        self.expected_out_of_scope = expected_out_of_scope
        self.exemplar_limit = exemplar_limit

    def fit(self, texts: Sequence[str], labels: Sequence[str], out_of_scope: Sequence[str] = ()) -> Self:
        """Learn from texts and their labels, and from texts that fit none.

        A text given twice with one label counts once.  Without out-of-scope texts the gate is fitted on classes left
        out in turn, which is stricter than life.  Takes about 20 s for 3,000 texts on one core, most of it encoding.
        """
        self.kept_rows_ = _without_repeats(texts, labels)
        texts, labels = [texts[row] for row in self.kept_rows_], [labels[row] for row in self.kept_rows_]
        classes, codes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
        if len(classes) < 2:
            raise TooFewExamples(f"There are texts of {len(classes)} classes; at least two are needed.", classes=len(classes))
        self.classes_ = tuple(str(name) for name in classes)
        self.uses_encoder_ = encoder.available() if self.use_encoder is None else self.use_encoder
        self._encoder_print = encoder.fingerprint() if self.uses_encoder_ else ""
        self.ngrams_ = NgramFeatures(fewest=1 if len(texts) < 5000 else 2)
        everything = [*texts, *out_of_scope]
        features = self._joined(everything, self.ngrams_.fit_transform(everything))
        columns = len(self.classes_) + bool(len(out_of_scope))
        all_codes = np.concatenate([codes, np.full(len(out_of_scope), len(self.classes_), dtype=np.int64)])
        few = len(everything) <= self.exemplar_limit
        self.head_ = ExemplarHead() if few else LinearHead(seed=self.seed)
        scores = self.head_.fit(features, all_codes, columns)
        inside, outside = scores[: len(codes)], scores[len(codes) :]
        self.calibration_ = Calibration().fit(inside[:, : len(self.classes_)], codes)
        probabilities = cross_fitted(inside[:, : len(self.classes_)], codes, seed=self.seed)
        predicted = probabilities.argmax(1)
        self._fit_gate(inside, outside, right=predicted == codes, codes=codes)
        inside_score, outside_score = self._scope_of_training(inside, outside)
        threshold = self.gate_.threshold_ if self.gate_ else 0.0
        self.out_of_sample_ = OutOfSample(
            classes=self.classes_,
            codes=codes,
            predicted=predicted,
            confidence=probabilities.max(1),
            probabilities=probabilities,
            served=self.calibration_.probabilities(inside[:, : len(self.classes_)]),
            in_scope=inside_score >= threshold,
            scope_score=inside_score,
            outside_score=outside_score,
            outside_refused=outside_score < threshold,
        )
        return self

    def _fit_gate(self, inside: NDArray[Any], outside: NDArray[Any], *, right: NDArray[np.bool_], codes: NDArray[np.int64]) -> None:
        self.gate_: ScopeGate | None = None
        count = len(self.classes_)
        nearest = self.head_.nearest_of_exemplars_
        gate = ScopeGate(expected=self.expected_out_of_scope, seed=self.seed)
        if len(outside) >= 10:
            # The nearest exemplar may itself be an out-of-scope one, on both sides alike.
            self.gate_ = gate.fit(signals(inside, nearest[: len(inside)], classes=count), right, signals(outside, nearest[len(inside) :], classes=count))
        elif count >= FEWEST_CLASSES_FOR_A_GATE and isinstance(self.head_, ExemplarHead) and not len(outside):
            imagined = self._imagined_outside(self.head_, codes)
            self.gate_ = gate.fit(signals(inside, nearest, classes=count), right, imagined)

    def _imagined_outside(self, head: ExemplarHead, codes: NDArray[np.int64]) -> NDArray[Any]:
        """Return the gate's signals of every class's texts under a model that was never taught that class."""
        generator = np.random.default_rng(self.seed)
        rows = np.sort(generator.permutation(len(codes))[:IMAGINED_ROWS])
        group_of = generator.permutation(len(self.classes_)) % min(IMAGINED_GROUPS, len(self.classes_))
        parts = []
        for group in np.unique(group_of):
            absent = group_of[codes[rows]] == group
            kept, held_out = rows[~absent], rows[absent]
            remaining, renumbered = np.unique(codes[kept], return_inverse=True)
            if len(held_out) and len(remaining) > 1:
                scores, nearest = head.fit_without(kept, renumbered, len(remaining), held_out)
                parts.append(signals(scores, nearest, classes=len(remaining)))
        return np.vstack(parts)

    def _scope_of_training(self, inside: NDArray[Any], outside: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if self.gate_ is None:
            return np.ones(len(inside)), np.ones(len(outside))
        nearest, count = self.head_.nearest_of_exemplars_, len(self.classes_)
        return (
            self.gate_.score(signals(inside, nearest[: len(inside)], classes=count)),
            self.gate_.score(signals(outside, nearest[len(inside) :], classes=count)),
        )

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Return label, confidence and scope of each text; raises EncoderMissing, EncoderCorrupt or EncoderChanged."""
        scores, nearest, rows = self.head_.scores(self._features(texts))
        inside = scores[:, : len(self.classes_)]
        probabilities = self.calibration_.probabilities(inside)
        best = probabilities.argmax(1)
        scope = self.gate_.score(signals(scores, nearest, classes=len(self.classes_))) if self.gate_ else np.ones(len(texts))
        return Predictions(
            classes=self.classes_,
            labels=np.asarray(self.classes_)[best],
            confidence=probabilities[np.arange(len(texts)), best],
            in_scope=scope >= (self.gate_.threshold_ if self.gate_ else 0.0),
            scope_score=scope,
            probabilities=probabilities,
            nearest=np.asarray(rows, dtype=np.int64),
        )

    def explain(self, text: str, *, label: str | None = None) -> Explanation:
        """Return what each word contributes to the text's label (or to `label`).

        A word's weight is the mean of what it adds to the empty text and what its removal takes from the full one, the
        two outermost terms of its Shapley value; the small rest is shared equally so that the sum is exact.
        """
        prediction = self.predict([text])
        label = label or str(prediction.labels[0])
        column = self.classes_.index(label)
        spans = [(match.group(), match.start(), match.end()) for match in re.finditer(WORD, text)][:MOST_EXPLAINED_WORDS]
        without = [text[:start] + " " + text[end:] for _, start, end in spans]
        alone = [word for word, _, _ in spans]
        scores, _, _ = self.head_.scores(self._features([text, "", *without, *alone]))
        inside = self.calibration_.logits(scores[:, : len(self.classes_)])
        value = inside[:, column] - (inside.sum(1) - inside[:, column]) / max(len(self.classes_) - 1, 1)
        full, base, count = float(value[0]), float(value[1]), len(spans)
        weights = ((full - value[2 : 2 + count]) + (value[2 + count :] - base)) / 2
        if count:
            weights = weights + (full - base - weights.sum()) / count
        words = [WordWeight(word, start, end, float(w)) for (word, start, end), w in zip(spans, weights, strict=True)]
        return Explanation(
            label=label,
            confidence=float(prediction.probabilities[0, column]),
            in_scope=bool(prediction.in_scope[0]),
            base=base if count else full,
            score=full,
            words=tuple(sorted(words, key=lambda word: (-abs(word.weight), word.start))),
            nearest=int(prediction.nearest[0]),
        )

    def _features(self, texts: Sequence[str]) -> TextFeatures:
        return self._joined(texts, self.ngrams_.transform(texts))

    def _joined(self, texts: Sequence[str], ngrams: Any) -> TextFeatures:
        if not self.uses_encoder_:
            return TextFeatures(vectors=None, weight=np.zeros(len(texts), dtype=np.float32), ngrams=ngrams)
        vectors, known = encoder.encode_with_knowledge(texts)
        if encoder.encoder_info().fingerprint != self._encoder_print:
            raise EncoderChanged("The text encoder has changed since this model was trained; retrain the model.")
        # Squared: half-known text is mostly noise to the encoder (leave-one-out on the shipped Chinese intents).
        weight = (self.encoder_weight * known**2).astype(np.float32)
        return TextFeatures(vectors=vectors, weight=weight, ngrams=ngrams)

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return (tensors, config): all that `from_tensors` needs, fit for a safetensors and a JSON file."""
        tensors = {f"ngrams.{name}": value for name, value in self.ngrams_.to_tensors().items()}
        tensors |= {f"head.{name}": value for name, value in self.head_.to_tensors().items()}
        calibration = self.calibration_
        tensors |= {"calibration.bias": calibration.bias_, "calibration.stated": calibration.stated_, "calibration.observed": calibration.observed_}
        config: dict[str, Any] = {
            "format": self.format,
            "seed": self.seed,
            "classes": list(self.classes_),
            "encoder": self._encoder_print,
            "encoder_weight": self.encoder_weight,
            "expected_out_of_scope": self.expected_out_of_scope,
            "exemplar_limit": self.exemplar_limit,
            "temperature": self.calibration_.temperature_,
            "ngrams": self.ngrams_.to_config(),
            "head": self.head_.to_config(),
            "gate": None,
        }
        if self.gate_:
            gate = self.gate_
            tensors |= {"gate.mean": gate.mean_, "gate.spread": gate.spread_, "gate.weights": gate.weights_}
            names = ("intercept_", "threshold_", "auroc_", "kept_", "right_", "refused_")
            config["gate"] = {name.rstrip("_"): getattr(gate, name) for name in names}
        return tensors, config

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        """Return the classifier saved by `to_tensors`; it predicts the same, but keeps no `out_of_sample_`."""
        if config.get("format") != cls.format:
            raise ValueError(f"text classifier format {config.get('format')} is not {cls.format}")

        def under(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        model = cls(
            seed=config["seed"],
            use_encoder=bool(config["encoder"]),
            encoder_weight=config["encoder_weight"],
            expected_out_of_scope=config["expected_out_of_scope"],
            exemplar_limit=config["exemplar_limit"],
        )
        model.classes_ = tuple(config["classes"])
        model.uses_encoder_, model._encoder_print = bool(config["encoder"]), config["encoder"]
        model.ngrams_ = NgramFeatures.from_tensors(under("ngrams."), config["ngrams"])
        heads: dict[str, type[ExemplarHead] | type[LinearHead]] = {kind.kind: kind for kind in (ExemplarHead, LinearHead)}
        model.head_ = heads[config["head"]["kind"]].from_tensors(under("head."), config["head"])
        calibration = model.calibration_ = Calibration()
        calibration.temperature_ = config["temperature"]
        calibration.bias_, calibration.stated_, calibration.observed_ = (tensors[f"calibration.{name}"] for name in ("bias", "stated", "observed"))
        model.gate_ = None
        if config["gate"] is not None:
            gate = model.gate_ = ScopeGate(expected=model.expected_out_of_scope, seed=model.seed)
            gate.mean_, gate.spread_, gate.weights_ = (tensors[f"gate.{name}"] for name in ("mean", "spread", "weights"))
            for name, value in config["gate"].items():
                setattr(gate, f"{name}_", value)
        return model


def _without_repeats(texts: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return the row numbers of the pairs without repeats, in order.

    A repeated text would vouch for itself in every out-of-sample figure.
    """
    first: dict[tuple[str, str], int] = {}
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        first.setdefault((clean(text).strip(), label), row)
    return list(first.values())
