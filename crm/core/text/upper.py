"""The encoder's upper layers, taught the task: fine-tuning at a third of its cost, in training and in use.

Lower layers of a transformer hold what any text needs, upper ones what the task does (Howard & Ruder 2018; Lee, Tang &
Lin 2019, "What would Elsa do?").  The lower ones stay as they are, so a text's states after them are computed once, by
the very pass that gives its vector, and only copies of the upper layers are trained and run beside it.  The new layer on
their mean starts as the classes' mean directions, so that learning begins where a nearest-centroid classifier stands.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from django.conf import settings

from crm.core.text import encoder
from crm.core.text.finetune import FinetuneCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from crm.core.text.members import Material

    Floats = NDArray[np.float32]
    Codes = NDArray[np.int64]
    States = Sequence[NDArray[np.float16]]

# Layers that are trained, from the top: of many classes those that hold what a text is about, of few ones all, because
# the tone of a text is lost on the way up (see Reading.middle).
TRAINED = 3
BATCH = 32
RATE, HEAD_RATE, DECAY, WARMUP, SMOOTHING = 2e-4, 2e-3, 0.01, 0.1, 0.05
# Where lower layers are trained too, each learns this much more slowly than the one above (Howard & Ruder 2018).
FALLING = 0.85
# Length of the mean's direction before the new layer: softmax over cosines of 1 at most could be sure of nothing.
SCALE = 15.0
# Passes over the rows: few rows need more of them. (rows up to, epochs)
EPOCHS = ((4_000, 6), (20_000, 4))
# Of fewer rows too few are left to weigh and calibrate on; more do not fit in memory (up to 70 kB each) and time.
FEWEST_ROWS, MOST_ROWS = 1_000, 20_000
# One pass of training costs this many bare forward passes of the whole encoder: with half-precision arithmetic, without.
PASS_COST = (0.6, 1.1)
# Architectures whose layers are BERT's, whatever their vocabulary.
ALIKE = ("bert", "roberta", "xlm-roberta")


def fits() -> bool:
    """Return whether the encoder's layers are of the kind this module knows."""
    config: Any = encoder.parts()[0].config
    return config.model_type in ALIKE and config.hidden_act == "gelu" and int(config.num_hidden_layers) > TRAINED


def all_layers() -> int:
    """Return how many layers the encoder has."""
    return int(encoder.parts()[0].config.num_hidden_layers)


def states_at(layers: int) -> int:
    """Return the layer after which the states are taken that the uppermost `layers` go on from, counted from 1; 0 = the embeddings."""
    return all_layers() - layers


def seconds_needed(texts: Sequence[str], layers: int) -> float:
    """Return about how long training that many layers takes here, from the time of a few bare passes over texts from all over the set."""
    sample = [texts[row] for row in range(0, len(texts), max(1, len(texts) // 64))][:64]
    encoder.bare(sample[:4])
    began = time.perf_counter()
    encoder.bare(sample)
    each = (time.perf_counter() - began) / len(sample)
    # Two threads are not twice as quick.
    passes = PASS_COST[not _computes_in_half()] * layers / TRAINED * epochs_for(len(texts))
    return float(passes * len(texts) * each / max(_threads() / settings.CRM_ENCODER_THREADS, 1) ** 0.8)


def epochs_for(rows: int) -> int:
    return next((passes for most, passes in EPOCHS if rows <= most), EPOCHS[-1][1])


class UpperLayersMember:
    """layers: how many are trained, from the top.  epochs: passes over the rows, 0 = by their number.  say: told of progress.

    seconds: it may take, 0 = any.  On a machine too slow for all passes the steps shrink to nothing by then all the same, and
    what was learned is kept; with less than one pass it gives up.  Only there does the result depend on the machine.

    After `fit`: `arrays_`, the trained layers' and the new layer's weights by name, `shape_`, what they are made of, and
    `fell_back_`, why there were fewer passes than wanted, '' where there were not.
    Texts the encoder gave no states for score 0 everywhere.
    """

    kind = "upper layers"
    needs_held_out = True

    def __init__(self, *, layers: int = TRAINED, epochs: int = 0, seconds: float = 0.0, seed: int = 0, say: Callable[[str], None] | None = None) -> None:
        self.layers = layers
        self.epochs = epochs
        self.seconds = seconds
        self.seed = seed
        self.say = say
        self.fell_back_ = ""

    def fit(self, material: Material, codes: Codes, classes: int, held_out: NDArray[np.bool_]) -> Floats:
        import torch

        states = _states_of(material)
        there = np.array([len(each) > 0 for each in states])
        kept = np.flatnonzero(there & ~held_out).tolist()
        before = torch.get_num_threads()
        torch.set_num_threads(_threads())
        try:
            # The model of a run must not depend on what drew numbers before it, nor disturb what draws after it.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                config: Any = encoder.parts()[0].config
                self.shape_ = {
                    "width": int(config.hidden_size),
                    "heads": int(config.num_attention_heads),
                    "inner": int(config.intermediate_size),
                    "epsilon": float(config.layer_norm_eps),
                    "layers": self.layers,
                    "classes": classes,
                }
                network = _network(self.shape_)
                network.layers.load_state_dict(_copied(encoder.parts()[0], self.layers))
                self._learn(network, [states[row] for row in kept], codes[kept])
        finally:
            torch.set_num_threads(before)
        # What is judged is what will be stored.
        self._open({name: value.detach().numpy().astype(np.float16) for name, value in network.state_dict().items()})
        scores = np.full((len(codes), classes), np.nan, dtype=np.float32)
        scores[held_out] = self._scores([states[row] for row in np.flatnonzero(held_out).tolist()])
        return scores

    def _learn(self, network: Any, states: States, codes: Codes) -> None:
        import torch
        from torch.nn.functional import cross_entropy, normalize

        targets = torch.from_numpy(codes)
        with torch.no_grad():
            centres = torch.zeros_like(network.out.weight).index_add_(0, targets, torch.from_numpy(_run(network.eval(), states, network.direction)))
            network.out.weight.copy_(normalize(centres, dim=1))
        falling = FALLING if self.layers > TRAINED else 1.0
        optimizer = torch.optim.AdamW(
            [
                *({"params": layer.parameters(), "base": RATE * falling**below} for below, layer in enumerate(reversed(network.layers))),
                {"params": network.out.parameters(), "base": HEAD_RATE},
            ],
            weight_decay=DECAY,
        )
        generator = np.random.default_rng(self.seed)
        epochs = self.epochs or epochs_for(len(states))
        steps, step, began = epochs * -(-len(states) // BATCH), 0, time.monotonic()
        halved = _computes_in_half()
        network.train()
        for epoch in range(epochs):
            for part in _by_length(states, generator):
                gone = max(step / steps, (time.monotonic() - began) / self.seconds if self.seconds else 0.0)
                if gone >= 1.0:
                    self._stop(passes=step * epochs / steps, epochs=epochs)
                    return
                scale = min((step + 1) / max(1.0, WARMUP * steps), (1 - gone) / (1 - WARMUP))
                for group in optimizer.param_groups:
                    group["lr"] = group["base"] * scale
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
                    logits = network(*_padded([states[row] for row in part]))
                loss = cross_entropy(logits.float(), targets[part], label_smoothing=SMOOTHING)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                step += 1
            if self.say:
                self.say(f"upper layers: pass {epoch + 1} of {epochs}, {time.monotonic() - began:.0f} s")

    def _stop(self, *, passes: float, epochs: int) -> None:
        """Keep what the time allowed, and say so. Raises FinetuneCancelled where that is next to nothing."""
        if passes < 1:
            raise FinetuneCancelled(f"Training the upper layers took longer than {self.seconds:.0f} s.")
        self.fell_back_ = f"The encoder's upper layers were trained for {passes:.1f} of {epochs} passes: this machine was slower than it seemed."

    def scores(self, material: Material) -> Floats:
        return self._scores(_states_of(material))

    def _scores(self, states: States) -> Floats:
        from torch import log_softmax

        result = np.zeros((len(states), int(self.shape_["classes"])), dtype=np.float32)
        there = [row for row, each in enumerate(states) if len(each)]
        if there:
            network = self._network
            result[there] = _run(network, [states[row] for row in there], lambda *given: log_softmax(network(*given), dim=1))
        return result

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        return dict(self.arrays_)

    def to_config(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "seed": self.seed, "shape": self.shape_}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        member = cls(layers=int(config["shape"]["layers"]), epochs=int(config["epochs"]), seed=int(config["seed"]))
        member.shape_ = config["shape"]
        member._open(dict(tensors))
        return member

    def _open(self, arrays: dict[str, NDArray[np.float16]]) -> None:
        import torch

        self.arrays_ = arrays
        network = _network(self.shape_)
        network.load_state_dict({name: torch.from_numpy(np.asarray(value, dtype=np.float32)) for name, value in arrays.items()})
        self._network: Any = network.eval()


def _network(shape: dict[str, Any]) -> Any:
    from torch import nn

    class Network(nn.Module):
        """states (n, t, width) and blank (n, t), true where there is no token -> logits (n, classes)."""

        def __init__(self) -> None:
            super().__init__()
            kind = {"dropout": 0.1, "activation": "gelu", "layer_norm_eps": shape["epsilon"], "batch_first": True}
            self.layers = nn.ModuleList(nn.TransformerEncoderLayer(shape["width"], shape["heads"], shape["inner"], **kind) for _ in range(shape["layers"]))
            self.out = nn.Linear(shape["width"], shape["classes"])
            nn.init.zeros_(self.out.bias)

        def direction(self, states: Any, blank: Any) -> Any:
            for layer in self.layers:
                states = layer(states, src_key_padding_mask=blank)
            there = (~blank).unsqueeze(-1).to(states.dtype)
            return nn.functional.normalize((states * there).sum(1) / there.sum(1), dim=1)

        def forward(self, states: Any, blank: Any) -> Any:
            return self.out(nn.functional.dropout(SCALE * self.direction(states, blank), 0.1, self.training))

    return Network()


def _copied(model: Any, layers: int) -> dict[str, Any]:
    """Return the weights of the encoder's uppermost `layers` under torch's names for the same layer."""
    import torch

    given = model.state_dict()
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    found = {}
    for place in range(layers):
        layer = f"encoder.layer.{int(model.config.num_hidden_layers) - layers + place}."
        for kind in ("weight", "bias"):
            found[f"{place}.self_attn.in_proj_{kind}"] = torch.cat([given[f"{layer}attention.self.{part}.{kind}"] for part in ("query", "key", "value")])
            found |= {f"{place}.{ours}.{kind}": given[f"{layer}{theirs}.{kind}"] for ours, theirs in names.items()}
    return found


def _run(network: Any, states: States, of: Callable[..., Any]) -> Floats:
    """Return `of` every text's states, (n, ...), in batches of like length."""
    import torch

    result: list[Any] = [None] * len(states)
    order = sorted(range(len(states)), key=lambda row: len(states[row]))
    network.eval()
    with torch.inference_mode():
        for begin in range(0, len(order), 2 * BATCH):
            part = order[begin : begin + 2 * BATCH]
            for row, each in zip(part, of(*_padded([states[row] for row in part])).numpy(), strict=True):
                result[row] = each
    return np.stack(result).astype(np.float32)


def _padded(states: States) -> tuple[Any, Any]:
    import torch

    whole = np.zeros((len(states), max(map(len, states)), states[0].shape[1]), dtype=np.float32)
    blank = np.ones(whole.shape[:2], dtype=bool)
    for place, each in enumerate(states):
        whole[place, : len(each)], blank[place, : len(each)] = each, False
    return torch.from_numpy(whole), torch.from_numpy(blank)


def _by_length(states: States, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return batches of like length in random order: padding is work."""
    order, batches = generator.permutation(len(states)), []
    for begin in range(0, len(order), 20 * BATCH):
        part = sorted(order[begin : begin + 20 * BATCH].tolist(), key=lambda row: len(states[row]))
        batches += [np.array(part[at : at + BATCH]) for at in range(0, len(part), BATCH)]
    return [batches[place] for place in generator.permutation(len(batches))]


def _states_of(material: Material) -> States:
    if len(material.states) != len(material.texts):
        raise ValueError("the upper layers go on from the encoder's token states, and there are none")
    return material.states


def _threads() -> int:
    return int(settings.CRM_FINETUNE_THREADS or os.cpu_count() or 1)


def _computes_in_half() -> bool:
    """Return whether this processor multiplies bfloat16 itself: training then takes half the time."""
    import torch

    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
