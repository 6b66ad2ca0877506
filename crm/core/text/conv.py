"""A small convolutional network over characters (Kim 2014; Zhang, Zhao & LeCun 2015), learned from nothing on many rows.

For texts the encoder cannot read: n-grams count what occurs, this sees in which order and with what around it.  Units are
Han characters, words of other scripts and signs; each is embedded with the pair it forms with its successor.  Trained in
torch with Adam on all but the held-out rows, and restored without it being anything but arrays.
"""

from __future__ import annotations

import re
import time
import zlib
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from crm.core.text.ngrams import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from crm.core.text.members import Material

    Floats = NDArray[np.float32]
    Codes = NDArray[np.int64]

_UNIT = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+|[^\w\s]")
# Units and pairs that are embedded, the commonest first; the rest share one row.
UNITS, PAIRS = 6_000, 40_000
# Of longer texts the beginning and the end are read: opinions stand there.
LONGEST = 240
WIDTHS = (2, 3, 4)
BATCH = 64


class ConvolutionMember:
    """size: numbers per embedding and per filter width.  epochs: passes; more learn the rows by heart.

    Texts the encoder reads score 0 everywhere.

    After `fit`: `units_`, `pairs_` (kept hashes, ascending) and `arrays_`, the network's weights by name.
    """

    kind = "convolution"
    needs_held_out = True

    def __init__(self, *, size: int = 96, epochs: int = 3, seed: int = 0, say: Callable[[str], None] | None = None) -> None:
        self.size = size
        self.epochs = epochs
        self.seed = seed
        self.say = say

    def fit(self, material: Material, codes: Codes, classes: int, held_out: NDArray[np.bool_]) -> Floats:
        import torch
        from torch.nn.functional import cross_entropy

        texts = [_units(text) for text in material.texts]
        # Texts the encoder reads are left to members that live on it; all of them then stay rows to weigh those by.
        kept = np.flatnonzero(~held_out & ~material.read)
        self.units_ = _commonest([unit for row in kept for unit in texts[row][0].tolist()], UNITS)
        self.pairs_ = _commonest([pair for row in kept for pair in texts[row][1].tolist()], PAIRS)
        self.classes_ = classes
        ids = [self._ids(*each) for each in texts]
        # The model of a run must not depend on what drew numbers before it, nor disturb what draws after it.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = _network(len(self.units_) + 2, len(self.pairs_) + 2, self.size, classes)
            optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
            generator = np.random.default_rng(self.seed)
            targets = torch.from_numpy(codes)
            batches, step, began = max(1, -(-len(kept) // BATCH)), 0, time.monotonic()
            network.train()
            for epoch in range(self.epochs):
                for part in _by_length(generator.permutation(kept), ids, generator):
                    for group in optimizer.param_groups:
                        group["lr"] = 2e-3 * max(1 - step / (self.epochs * batches), 0.01)
                    loss = cross_entropy(network(*_padded([ids[row] for row in part])), targets[part], label_smoothing=0.05)
                    optimizer.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    step += 1
                if self.say:
                    self.say(f"convolution: pass {epoch + 1} of {self.epochs}, {time.monotonic() - began:.0f} s")
        self.arrays_ = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
        self._network: Any = network.eval()
        scores = np.full((len(codes), classes), np.nan, dtype=np.float32)
        judged = np.flatnonzero(held_out & ~material.read)
        scores[judged] = self._scores([ids[row] for row in judged])
        scores[material.read] = 0
        return scores

    def scores(self, material: Material) -> Floats:
        result = np.zeros((len(material.texts), self.classes_), dtype=np.float32)
        unread = np.flatnonzero(~material.read).tolist()
        if unread:
            result[unread] = self._scores([self._ids(*_units(material.texts[row])) for row in unread])
        return result

    def _scores(self, ids: Sequence[NDArray[np.int64]]) -> Floats:
        import torch

        result = np.zeros((len(ids), self.classes_), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda row: ids[row].shape[1])
        with torch.inference_mode():
            for begin in range(0, len(order), 4 * BATCH):
                part = order[begin : begin + 4 * BATCH]
                result[part] = self._network(*_padded([ids[row] for row in part])).numpy()
        return result

    def _ids(self, units: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (2, length) row numbers of units and pairs: 0 pads, 1 stands for all that are not kept."""
        return np.stack([_places(units, self.units_), _places(pairs, self.pairs_)])

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        return {f"network.{name}": value.astype(np.float16) for name, value in self.arrays_.items()} | {"units": self.units_, "pairs": self.pairs_}

    def to_config(self) -> dict[str, Any]:
        return {"size": self.size, "epochs": self.epochs, "seed": self.seed, "classes": self.classes_}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        import torch

        member = cls(size=int(config["size"]), epochs=int(config["epochs"]), seed=int(config["seed"]))
        member.units_, member.pairs_, member.classes_ = tensors["units"], tensors["pairs"], int(config["classes"])
        member.arrays_ = {name.removeprefix("network."): np.asarray(value, dtype=np.float32) for name, value in tensors.items() if name.startswith("network.")}
        network = _network(len(member.units_) + 2, len(member.pairs_) + 2, member.size, member.classes_)
        network.load_state_dict({name: torch.from_numpy(value) for name, value in member.arrays_.items()})
        member._network = network.eval()
        return member


def _network(units: int, pairs: int, size: int, classes: int) -> Any:
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.units, self.pairs = nn.Embedding(units, size, padding_idx=0), nn.Embedding(pairs, size, padding_idx=0)
            for table in (self.units, self.pairs):
                nn.init.normal_(table.weight, std=0.1)
            self.filters = nn.ModuleList(nn.Conv1d(size, size, width, padding=width // 2) for width in WIDTHS)
            self.out = nn.Linear((len(WIDTHS) + 1) * size, classes)

        def forward(self, unit_ids: Any, pair_ids: Any) -> Any:
            mask = (unit_ids > 0).unsqueeze(-1).float()
            states = nn.functional.dropout((self.units(unit_ids) + self.pairs(pair_ids)) * mask, 0.3, self.training)
            seen = [nn.functional.relu(layer(states.transpose(1, 2))).max(2).values for layer in self.filters]
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            return self.out(nn.functional.dropout(torch.cat([*seen, mean], 1), 0.5, self.training))

    return Network()


def _units(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the hashes of a text's units, and of each unit with its successor, at most LONGEST."""
    found = _UNIT.findall(clean(text))
    if len(found) > LONGEST:
        found = found[: LONGEST // 2] + found[-LONGEST // 2 :]
    found = found or [""]
    units = np.array([zlib.crc32(unit.encode("utf-8", "replace")) for unit in found], dtype=np.int64)
    pairs = (units * 31 + np.append(units[1:], 7)) % (1 << 40)
    return units, pairs


def _commonest(hashes: list[int], most: int) -> NDArray[np.int64]:
    values, counts = np.unique(np.asarray(hashes, dtype=np.int64), return_counts=True)
    often = np.flatnonzero(counts >= 2)
    return np.sort(values[often[np.argsort(-counts[often], kind="stable")[:most]]])


def _places(hashes: NDArray[np.int64], kept: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(kept):
        return np.ones(len(hashes), dtype=np.int64)
    place = np.minimum(np.searchsorted(kept, hashes), len(kept) - 1)
    return np.where(kept[place] == hashes, place + 2, 1)


def _by_length(rows: NDArray[np.int64], ids: Sequence[NDArray[np.int64]], generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return batches of like length in random order: padding is work."""
    batches = []
    for begin in range(0, len(rows), BATCH * 50):
        part = sorted(rows[begin : begin + BATCH * 50].tolist(), key=lambda row: ids[row].shape[1])
        batches += [np.array(part[at : at + BATCH]) for at in range(0, len(part), BATCH)]
    return [batches[place] for place in generator.permutation(len(batches))]


def _padded(ids: Sequence[NDArray[np.int64]]) -> tuple[Any, Any]:
    import torch

    # The widest filter needs that many places.
    whole = np.zeros((2, len(ids), max(max(each.shape[1] for each in ids), max(WIDTHS))), dtype=np.int64)
    for place, each in enumerate(ids):
        whole[:, place, : each.shape[1]] = each
    return torch.from_numpy(whole[0]), torch.from_numpy(whole[1])
