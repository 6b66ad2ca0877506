"""How a text classifier becomes a safetensors and a JSON file, and comes back the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from crm.core.text.blend import Blend
from crm.core.text.heads import ExemplarHead, LinearHead
from crm.core.text.ngrams import NgramFeatures
from crm.core.text.roster import KINDS, Member
from crm.core.text.scope import OF_ALL, OF_HEAD, Calibration, ScopeGate

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Stored:
    """The part of TextClassifier that saves and restores it."""

    # 2: members beside the head.
    format = 2

    if TYPE_CHECKING:
        seed: int
        classes_: tuple[str, ...]
        uses_encoder_: bool
        _encoder_print: str
        encoder_weight: float
        expected_out_of_scope: float
        exemplar_limit: int
        glosses_: bool
        ngrams_: NgramFeatures
        head_: ExemplarHead | LinearHead
        members_: list[Member]
        blend_: Blend | None
        calibration_: Calibration
        gate_: ScopeGate | None
        gate_sees_all_: bool
        candidates_: dict[str, float]
        notes_: list[str]
        description_: str

        def __init__(self, **options: Any) -> None: ...

    def to_tensors(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return (tensors, config): all that `from_tensors` needs, fit for a safetensors and a JSON file."""
        tensors = {f"ngrams.{name}": value for name, value in self.ngrams_.to_tensors().items()}
        tensors |= {f"head.{name}": value for name, value in self.head_.to_tensors().items()}
        calibration = self.calibration_
        tensors |= {"calibration.bias": calibration.bias_, "calibration.stated": calibration.stated_, "calibration.observed": calibration.observed_}
        for number, member in enumerate(self.members_):
            tensors |= {f"member{number}.{name}": value for name, value in member.to_tensors().items()}
        config: dict[str, Any] = {
            "format": self.format,
            "seed": self.seed,
            "classes": list(self.classes_),
            "encoder": self._encoder_print,
            "encoder_weight": self.encoder_weight,
            "glosses": self.glosses_,
            "members": [{"kind": member.kind, **member.to_config()} for member in self.members_],
            "blend": self.blend_.to_config() if self.blend_ else None,
            "candidates": self.candidates_,
            "notes": self.notes_,
            "description": self.description_,
            "expected_out_of_scope": self.expected_out_of_scope,
            "exemplar_limit": self.exemplar_limit,
            "temperature": self.calibration_.temperature_,
            "ngrams": self.ngrams_.to_config(),
            "head": self.head_.to_config(),
            "gate": None,
            "gate_sees_all": self.gate_sees_all_,
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
        model.expected_out_of_scope = config["expected_out_of_scope"]
        model.glosses_ = bool(config["glosses"])
        model.candidates_, model.notes_, model.description_ = config["candidates"], list(config["notes"]), config["description"]
        model.members_ = [KINDS[each["kind"]].from_tensors(under(f"member{number}."), each) for number, each in enumerate(config["members"])]
        model.blend_ = Blend.from_config(config["blend"]) if config["blend"] else None
        model.ngrams_ = NgramFeatures.from_tensors(under("ngrams."), config["ngrams"])
        heads: dict[str, type[ExemplarHead] | type[LinearHead]] = {kind.kind: kind for kind in (ExemplarHead, LinearHead)}
        model.head_ = heads[config["head"]["kind"]].from_tensors(under("head."), config["head"])
        calibration = model.calibration_ = Calibration()
        calibration.temperature_ = config["temperature"]
        calibration.bias_, calibration.stated_, calibration.observed_ = (tensors[f"calibration.{name}"] for name in ("bias", "stated", "observed"))
        model.gate_ = None
        model.gate_sees_all_ = bool(config.get("gate_sees_all", False))
        if config["gate"] is not None:
            gate = model.gate_ = ScopeGate(expected=model.expected_out_of_scope, seed=model.seed)
            gate.mean_, gate.spread_, gate.weights_ = (tensors[f"gate.{name}"] for name in ("mean", "spread", "weights"))
            for name, value in config["gate"].items():
                setattr(gate, f"{name}_", value)
            # A gate of another development state: better no model than an error with every message.
            wanted = OF_HEAD + OF_ALL * model.gate_sees_all_
            if len(gate.weights_) != wanted:
                raise ValueError(f"its gate weighs {len(gate.weights_)} signals instead of {wanted}")
        return model
