"""A text classifier for a few hundred to many thousand examples that knows when a text is none of its business.

Joins the encoder's vectors with hashed n-grams, learns a head, calibrates its probabilities on out-of-sample scores and
fits a gate that refuses texts unlike anything taught.  Used for support intents and for review sentiment.  Without an
encoder it works on n-grams alone and says so (`uses_encoder_`).

Two languages in one training set need nothing special: each text's vector counts as far as the encoder knows its
characters, the n-grams have the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from crm.core.errors import CrmError
from crm.core.learning.evaluation import stratified_folds
from crm.core.text import encoder, names, reasons, upper
from crm.core.text.blend import Blend
from crm.core.text.finetune import FinetuneCancelled
from crm.core.text.gating import fitted_gate
from crm.core.text.heads import ExemplarHead, LinearHead, TextFeatures
from crm.core.text.members import Material
from crm.core.text.ngrams import BITS, MANY_TEXTS, MORE_BITS, NgramFeatures, clean
from crm.core.text.results import Explanation, OutOfSample, Predictions
from crm.core.text.roster import FEW_CLASSES, Member, chosen_members, upper_layers
from crm.core.text.scope import OF_ALL, Calibration, cross_fitted, expected_share, restraint_for, signals
from crm.core.text.stored import Stored
from crm.core.text.upper import UpperLayersMember

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# Rows up to which the kernel head is used. At 16,000 it takes 80 s and 2.6 GB on one core; it grows with the cube.
EXEMPLAR_LIMIT = 16_000
# Of a text whose characters the encoder all knows, the vector makes up this part and the n-grams the rest.
ENCODER_WEIGHT = 0.8
# Fewer rows than this give the other members nothing to be weighed on.
FEWEST_TO_JOIN = 150
# With a member too slow for folds one row in this many is kept out of its learning, to weigh and calibrate on; of many
# rows fewer suffice. (rows up to, one in)
HELD_OUT = ((5_000, 7), (10**9, 10))
# Texts predicted at a time: their kernel with 16,000 exemplars takes 130 MB.
TOGETHER = 2_048


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
    linear head is used.  finetune: a fine-tuned transformer joins too; "auto" = the encoder's upper layers
    where roster.py finds that they pay.  base: the transformer it starts from, see finetune.  say: told of progress.  cancelled: asked whether to stop.

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

        A text given twice with one label counts once; where examples are few, a class's name is one more (names.py).
        Without out-of-scope texts the gate is fitted on classes left out in turn, which is stricter than life.  Takes
        about 20 s for 3,000 texts on one core, most of it encoding.
        """
        self.kept_rows_ = _without_repeats(texts, labels)
        texts, labels = [texts[row] for row in self.kept_rows_], [labels[row] for row in self.kept_rows_]
        classes, codes = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
        if len(classes) < 2:
            raise TooFewExamples(f"There are texts of {len(classes)} classes; at least two are needed.", classes=len(classes))
        self.classes_ = tuple(str(name) for name in classes)
        self.expected_out_of_scope = expected_share(len(texts), len(out_of_scope)) if self.expects is None else self.expects
        count = len(self.classes_)
        self.uses_encoder_ = encoder.available() if self.use_encoder is None else self.use_encoder
        self._encoder_print = encoder.fingerprint() if self.uses_encoder_ else ""
        many = len(texts) >= MANY_TEXTS
        # Of a few classes, many texts teach the n-grams all that a gloss of Chinese would tell; of many classes they do not.
        self.glosses_ = not many or count > FEW_CLASSES
        self.ngrams_ = NgramFeatures(fewest=2 if many else 1, bits=MORE_BITS if many else BITS)
        given = len(texts) + len(out_of_scope)
        everything = [*texts, *out_of_scope, *(names.spoken(self.classes_, rows=len(texts)) if self.uses_encoder_ and count > FEW_CLASSES else [])]
        self.notes_: list[str] = [] if self.uses_encoder_ else ["No text encoder was available: the model rests on n-grams alone."]
        self.members_: list[Member] = []
        self.say(f"reading {given} texts")
        layers = upper_layers(texts, classes=count, owner=self) if self.finetune == "auto" and self.uses_encoder_ else 0
        material = self._material(everything, self.ngrams_.fit_transform(everything), layers=layers)
        all_codes = np.concatenate([codes, np.full(len(out_of_scope), count, dtype=np.int64), np.arange(len(everything) - given)])
        if len(everything) > given and not names.telling(material.rows(slice(0, len(codes))).features, codes, material.rows(slice(given, None)).features):
            material, all_codes = material.rows(slice(0, given)), all_codes[:given]
        self.head_ = ExemplarHead() if len(all_codes) <= self.exemplar_limit else LinearHead(seed=self.seed)
        self.say(f"learning: {self.head_.kind} head")
        scores = self.head_.fit(material.features, all_codes, count + bool(len(out_of_scope)))
        inside, outside = scores[: len(codes)], scores[len(codes) : given]
        joined, seen = self._join_members(material.rows(slice(0, len(codes))), codes, inside[:, :count])
        # The head's scores of these rows are of a head without them; no other member is taught what fits no class.
        strange = self._joined_scores(outside, material.rows(slice(len(codes), given)))
        self.kept_rows_ = [self.kept_rows_[row] for row in seen]
        every_code, codes, nearest = codes, codes[seen], self.head_.nearest_of_exemplars_
        # Classes left out in turn are left out of the head only, so an imagined gate looks at the head only.
        self.gate_sees_all_ = self.blend_ is not None and len(outside) > 0
        inside_signals = self._signals(inside[seen], joined, nearest[seen])
        outside_signals = self._signals(outside, strange, nearest[len(every_code) : given])
        self.gate_ = fitted_gate(
            self.head_,
            every_code,
            inside=inside_signals,
            outside=outside_signals,
            right=joined.argmax(1) == codes,
            expected=self.expected_out_of_scope,
            seed=self.seed,
        )
        inside_score, outside_score = (self.gate_.score(each) if self.gate_ else np.ones(len(each)) for each in (inside_signals, outside_signals))
        # By the rows it is learned from: where a member kept rows out of its learning, those alone.
        restraint = restraint_for(len(codes), count)
        self.calibration_ = Calibration(restraint=restraint).fit(joined, codes)
        probabilities = cross_fitted(joined, codes, seed=self.seed, restraint=restraint)
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
            outside_served=self.calibration_.probabilities(strange),
        )
        self.candidates_["all joined"] = float((probabilities.argmax(1) == codes).mean())
        return self

    def _signals(self, scores: NDArray[np.float32], joined: NDArray[np.float32], nearest: NDArray[np.float32]) -> NDArray[Any]:
        """Return what the gate looks at; scores: of the head, with or without an out-of-scope column, joined: of all members."""
        count = len(self.classes_)
        of_head = signals(scores, nearest, classes=count)
        # How far all members together prefer the winner. On the shipped intents .955 against .953 AUROC out of sample.
        return np.column_stack([of_head, signals(joined, nearest, classes=count)[:, :OF_ALL]]) if self.gate_sees_all_ else of_head

    def _join_members(self, material: Material, codes: NDArray[np.int64], primary: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Fit the other members and the blend; return the joined scores (r, k) of the rows (r,) no member has seen."""
        count, rows = len(self.classes_), len(codes)
        if rows >= FEWEST_TO_JOIN:
            self.members_ = chosen_members(material, codes, classes=count, owner=self)
        # Rows that a member too slow for folds keeps for judging; the same for all of them.
        apart = any(member.needs_held_out for member in self.members_)
        held_out = (
            stratified_folds(codes, folds=next(part for most, part in HELD_OUT if rows <= most), seed=self.seed) == 0 if apart else np.zeros(rows, dtype=bool)
        )
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
                self.notes_.append("Training the encoder's upper layers was given up: this machine was slower than it seemed.")
        if reason := next((why for member in self.members_ if (why := getattr(member, "fell_back_", ""))), ""):
            self.notes_.append(reason)
        seen = np.flatnonzero(np.all([~np.isnan(each[:, 0]) for each in scores], axis=0))
        kinds = [self.head_.kind, *(member.kind for member in self.members_)]
        self.candidates_ = {name: float((each[seen].argmax(1) == codes[seen]).mean()) for name, each in zip(kinds, scores, strict=True)}
        commonest = int(np.bincount(codes).argmax())
        self.candidates_["baseline: the commonest label"] = float((codes[seen] == commonest).mean())
        self.blend_: Blend | None = None
        if self.members_:
            self.blend_ = Blend().fit(scores, codes, material.read)
            primary = self.blend_.join([each[seen] for each in scores], material.read[seen])
        self.description_ = " + ".join(kinds)
        return primary, seen

    def predict(self, texts: Sequence[str]) -> Predictions:
        """Return label, confidence and scope of each text; raises EncoderMissing, EncoderCorrupt or EncoderChanged."""
        parts = [self._predicted(texts[begin : begin + TOGETHER]) for begin in range(0, max(len(texts), 1), TOGETHER)]
        if len(parts) == 1:
            return parts[0]
        fields = ("labels", "confidence", "in_scope", "scope_score", "probabilities", "nearest")
        return Predictions(classes=self.classes_, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})

    def _predicted(self, texts: Sequence[str]) -> Predictions:
        material = self._material(texts, self.ngrams_.transform(texts))
        scores, nearest, rows = self.head_.scores(material.features)
        joined = self._joined_scores(scores, material)
        probabilities = self.calibration_.probabilities(joined)
        best = probabilities.argmax(1)
        scope = self.gate_.score(self._signals(scores, joined, nearest)) if self.gate_ else np.ones(len(texts))
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
        """Return what each word contributes to the text's label (or to `label`); see reasons.py."""
        return reasons.explain(self, text, label=label)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the scores whose softmax the probabilities start from, (n, k)."""
        material = self._material(texts, self.ngrams_.transform(texts))
        return self.calibration_.logits(self._joined_scores(self.head_.scores(material.features)[0], material))

    def _material(self, texts: Sequence[str], ngrams: Any, *, layers: int | None = None) -> Material:
        """Return what the head and the members look at. layers: with the token states so many upper layers go on from; None = as the members need."""
        words_from = self.ngrams_.words_from
        if not self.uses_encoder_:
            weight = np.zeros(len(texts), dtype=np.float32)
            return Material(texts=texts, features=TextFeatures(vectors=None, weight=weight, ngrams=ngrams), middle=None, words_from=words_from)
        if encoder.encoder_info().fingerprint != self._encoder_print:
            raise EncoderChanged("The text encoder has changed since this model was trained; retrain the model.")
        if layers is None:
            layers = next((member.layers for member in self.members_ if isinstance(member, UpperLayersMember)), 0)
        found = encoder.read(texts, skip_glossed=not self.glosses_, states_at=upper.states_at(layers) if layers else None)
        # Squared: half-known text is mostly noise to the encoder (leave-one-out on the shipped Chinese intents).
        weight = (self.encoder_weight * found.known**2).astype(np.float32)
        features = TextFeatures(vectors=found.vectors, weight=weight, ngrams=ngrams)
        return Material(texts=texts, features=features, middle=found.middle, words_from=words_from, states=found.states, layers=layers)

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
