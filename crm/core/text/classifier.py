"""A text classifier for a few hundred to many thousand examples that knows when a text is none of its business.

Joins the encoder's vectors with hashed n-grams, learns a head, calibrates its probabilities on out-of-sample scores and
fits a gate that refuses texts unlike anything taught.  Used for support intents and for review sentiment.  Without an
encoder it works on n-grams alone and says so (`uses_encoder_`).

Two languages in one training set need nothing special: each text's vector counts as far as the encoder knows its
characters, the n-grams have the rest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from crm.core.errors import CrmError
from crm.core.learning.evaluation import stratified_folds
from crm.core.text import encoder
from crm.core.text.blend import Blend
from crm.core.text.finetune import FinetuneCancelled
from crm.core.text.heads import ExemplarHead, LinearHead, TextFeatures
from crm.core.text.members import Material
from crm.core.text.ngrams import BITS, MANY_TEXTS, MORE_BITS, WORD, NgramFeatures, clean
from crm.core.text.results import Explanation, OutOfSample, Predictions, WordWeight
from crm.core.text.roster import Member, chosen_members
from crm.core.text.scope import EXPECTED_OUT_OF_SCOPE, EXPECTED_WITH_EXAMPLES, Calibration, ScopeGate, cross_fitted, signals
from crm.core.text.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

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
# Fewer rows than this give the other members nothing to be weighed on.
FEWEST_TO_JOIN = 150
# With a fine-tuned member one row in this many is kept out of its learning, to weigh and calibrate on.
HELD_OUT = 7
# Texts predicted at a time: their kernel with 16,000 exemplars takes 130 MB.
TOGETHER = 2_048
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


class TextClassifier(Stored):
    """Learns labels from example texts.

    seed: decides folds and first weights only; the same texts and seed give the same model.
    use_encoder: None = if available.  expected_out_of_scope: see ScopeGate; None = as scope.py says.  exemplar_limit: rows beyond which the
    linear head is used.  finetune: a fine-tuned transformer joins too, "auto" where that pays and fits `seconds`;
    base: the transformer it starts from, see finetune.  say: told of progress.  cancelled: asked whether to stop.

    After `fit`: `classes_`, `uses_encoder_`, `gate_` (None where every text is in scope), `members_` and `blend_`,
    `candidates_` (accuracy of each member alone, out of sample), `notes_`, `description_`, and, not saved with the model,
    `out_of_sample_` over the rows `kept_rows_` (row numbers of the texts given, repeats left out; with a fine-tuned
    member those it has not seen).
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        use_encoder: bool | None = None,
        encoder_weight: float = ENCODER_WEIGHT,
        expected_out_of_scope: float | None = None,
        exemplar_limit: int = EXEMPLAR_LIMIT,
        finetune: bool | Literal["auto"] = False,
        base: str = "",
        folder: Path | None = None,
        say: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.seed = seed
        self.use_encoder = use_encoder
        self.encoder_weight = encoder_weight
        self.expects = expected_out_of_scope
        self.exemplar_limit = exemplar_limit
        self.finetune = finetune
        self.base = base
        self.folder = folder
        self.say = say or _silent
        self.cancelled = cancelled

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
        usual = EXPECTED_WITH_EXAMPLES if out_of_scope else EXPECTED_OUT_OF_SCOPE
        self.expected_out_of_scope = usual if self.expects is None else self.expects
        count = len(self.classes_)
        self.uses_encoder_ = encoder.available() if self.use_encoder is None else self.use_encoder
        self._encoder_print = encoder.fingerprint() if self.uses_encoder_ else ""
        many = len(texts) >= MANY_TEXTS
        # Chinese that the encoder would read through a gloss only.
        self.glosses_ = not many
        self.ngrams_ = NgramFeatures(fewest=2 if many else 1, bits=MORE_BITS if many else BITS)
        everything = [*texts, *out_of_scope]
        self.say(f"reading {len(everything)} texts")
        material = self._material(everything, self.ngrams_.fit_transform(everything))
        all_codes = np.concatenate([codes, np.full(len(out_of_scope), count, dtype=np.int64)])
        self.head_ = ExemplarHead() if len(everything) <= self.exemplar_limit else LinearHead(seed=self.seed)
        self.say(f"learning: {self.head_.kind} head")
        scores = self.head_.fit(material.features, all_codes, count + bool(len(out_of_scope)))
        inside, outside = scores[: len(codes)], scores[len(codes) :]
        self._fit_gate(inside, outside, right=inside[:, :count].argmax(1) == codes, codes=codes)
        inside_score, outside_score = self._scope_of_training(inside, outside)
        joined, seen = self._join_members(material.rows(slice(0, len(codes))), codes, inside[:, :count])
        self.kept_rows_ = [self.kept_rows_[row] for row in seen]
        codes, inside_score = codes[seen], inside_score[seen]
        self.calibration_ = Calibration().fit(joined, codes)
        probabilities = cross_fitted(joined, codes, seed=self.seed)
        threshold = self.gate_.threshold_ if self.gate_ else 0.0
        self.out_of_sample_ = OutOfSample(
            classes=self.classes_,
            codes=codes,
            predicted=probabilities.argmax(1),
            confidence=probabilities.max(1),
            probabilities=probabilities,
            served=self.calibration_.probabilities(joined),
            in_scope=inside_score >= threshold,
            scope_score=inside_score,
            outside_score=outside_score,
            outside_refused=outside_score < threshold,
            # The head's scores of these rows are of a head without them; no other member is taught what fits no class.
            outside_served=self.calibration_.probabilities(self._joined_scores(outside, material.rows(slice(len(material.texts) - len(outside), None)))),
        )
        self.candidates_["all joined"] = float((probabilities.argmax(1) == codes).mean())
        return self

    def _join_members(self, material: Material, codes: NDArray[np.int64], primary: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Fit the other members and the blend; return the joined scores (r, k) of the rows (r,) no member has seen."""
        count, rows = len(self.classes_), len(codes)
        self.notes_: list[str] = [] if self.uses_encoder_ else ["No text encoder was available: the model rests on n-grams alone."]
        self.members_: list[Member] = []
        if rows >= FEWEST_TO_JOIN:
            self.members_ = chosen_members(material, codes, classes=count, owner=self)
        # Rows that a member too slow for folds keeps for judging; the same for all of them.
        apart = any(member.needs_held_out for member in self.members_)
        held_out = stratified_folds(codes, folds=HELD_OUT, seed=self.seed) == 0 if apart else np.zeros(rows, dtype=bool)
        scores, wanted = [primary], self.members_
        self.members_ = []
        for member in wanted:
            self.say(f"learning: {member.kind}")
            try:
                scores.append(member.fit(material, codes, count, held_out if member.needs_held_out else np.zeros(rows, dtype=bool)))
                self.members_.append(member)
            except FinetuneCancelled:
                if self.finetune != "auto" or (self.cancelled is not None and self.cancelled()):
                    raise
                self.notes_.append("Fine-tuning was given up: this machine was slower than it seemed. --finetune always does it all the same.")
        if reason := next((why for member in self.members_ if (why := getattr(member, "fell_back_", ""))), ""):
            self.notes_.append(reason)
        seen = np.flatnonzero(np.all([~np.isnan(each[:, 0]) for each in scores], axis=0))
        names = [self.head_.kind, *(member.kind for member in self.members_)]
        self.candidates_ = {name: float((each[seen].argmax(1) == codes[seen]).mean()) for name, each in zip(names, scores, strict=True)}
        commonest = int(np.bincount(codes).argmax())
        self.candidates_["baseline: the commonest label"] = float((codes[seen] == commonest).mean())
        self.blend_: Blend | None = None
        if self.members_:
            self.blend_ = Blend().fit([each[seen] for each in scores], codes[seen], material.read[seen])
            primary = self.blend_.join([each[seen] for each in scores], material.read[seen])
        self.description_ = " + ".join(names)
        return primary, seen

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
        parts = [self._predicted(texts[begin : begin + TOGETHER]) for begin in range(0, max(len(texts), 1), TOGETHER)]
        if len(parts) == 1:
            return parts[0]
        names = ("labels", "confidence", "in_scope", "scope_score", "probabilities", "nearest")
        return Predictions(classes=self.classes_, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def _predicted(self, texts: Sequence[str]) -> Predictions:
        material = self._material(texts, self.ngrams_.transform(texts))
        scores, nearest, rows = self.head_.scores(material.features)
        probabilities = self.calibration_.probabilities(self._joined_scores(scores, material))
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

    def _joined_scores(self, scores: NDArray[np.float32], material: Material) -> NDArray[np.float32]:
        """Return the blended scores (n, k); scores: of the head, with or without an out-of-scope column."""
        inside = scores[:, : len(self.classes_)]
        if self.blend_ is None:
            return inside
        return self.blend_.join([inside, *(member.scores(material) for member in self.members_)], material.read)

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
        given = [text, "", *without, *alone]
        material = self._material(given, self.ngrams_.transform(given))
        inside = self.calibration_.logits(self._joined_scores(self.head_.scores(material.features)[0], material))
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

    def _material(self, texts: Sequence[str], ngrams: Any) -> Material:
        words_from = self.ngrams_.words_from
        if not self.uses_encoder_:
            weight = np.zeros(len(texts), dtype=np.float32)
            return Material(texts=texts, features=TextFeatures(vectors=None, weight=weight, ngrams=ngrams), middle=None, words_from=words_from)
        if encoder.encoder_info().fingerprint != self._encoder_print:
            raise EncoderChanged("The text encoder has changed since this model was trained; retrain the model.")
        vectors, middle, known = encoder.encode_with_middle(texts, skip_glossed=not self.glosses_)
        # Squared: half-known text is mostly noise to the encoder (leave-one-out on the shipped Chinese intents).
        weight = (self.encoder_weight * known**2).astype(np.float32)
        return Material(texts=texts, features=TextFeatures(vectors=vectors, weight=weight, ngrams=ngrams), middle=middle, words_from=words_from)

    def parameters(self) -> dict[str, Any]:
        """Return what was chosen in training, as JSON: weights of the members, threshold and what it promised."""
        found: dict[str, Any] = {"classes": len(self.classes_), "encoder": self._encoder_print[:16], "glosses": self.glosses_}
        if self.blend_ is not None:
            found["weights"] = {"read": self.blend_.weights_[1].tolist(), "unread": self.blend_.weights_[0].tolist()}
        if self.gate_ is not None:
            gate = self.gate_
            found["gate"] = {"threshold": gate.threshold_, "auroc": gate.auroc_, "kept": gate.kept_, "refused": gate.refused_, "expected": gate.expected}
        return found


def _silent(_line: str) -> None:
    return None


def _without_repeats(texts: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Return the row numbers of the pairs without repeats, in order.

    A repeated text would vouch for itself in every out-of-sample figure.
    """
    first: dict[tuple[str, str], int] = {}
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        first.setdefault((clean(text).strip(), label), row)
    return list(first.values())
