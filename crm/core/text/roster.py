"""Which members join the head of a text classifier, for how many texts of how many classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from crm.core.text import encoder, upper
from crm.core.text.conv import ConvolutionMember
from crm.core.text.finetuned import FinetunedMember
from crm.core.text.members import Material, NgramMember, ToneMember
from crm.core.text.scope import FEWEST_OF_A_CLASS
from crm.core.text.upper import UpperLayersMember

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Up to this many classes the tone of a text may be what is asked for.
FEW_CLASSES = 8
# The upper layers join where this machine seems to train them in so many seconds, and are given up after so many.
AFFORDABLE_SECONDS, MOST_SECONDS = 420.0, 600.0
# Rows from which a network that starts from nothing learns more than the n-grams know already.
FEWEST_TO_CONVOLVE = 3_000
# Texts the encoder reads, for the tone of them to be learned.
FEWEST_READ = 100


class Member(Protocol):
    """See members.py; needs_held_out: it is too slow for folds and judges held-out rows only."""

    kind: str
    needs_held_out: bool

    def fit(self, material: Material, codes: NDArray[Any], classes: int, held_out: NDArray[Any]) -> NDArray[Any]: ...
    def scores(self, material: Material) -> NDArray[Any]: ...
    def to_tensors(self) -> dict[str, NDArray[Any]]: ...
    def to_config(self) -> dict[str, Any]: ...
    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self: ...


KINDS: dict[str, type[Member]] = {kind.kind: kind for kind in (NgramMember, ToneMember, ConvolutionMember, UpperLayersMember, FinetunedMember)}


def upper_layers(texts: Sequence[str], *, classes: int, owner: Any) -> int:
    """Return how many of the encoder's layers to train, from the top, 0 = none; why they are left alone is noted.

    Of few classes all of them, where this machine is quick enough, else as of many.
    """
    taught = [text for text in texts if owner.glosses_ or encoder.reads(text)]
    if not (upper.FEWEST_ROWS <= len(taught) <= upper.MOST_ROWS and upper.fits()):
        return 0
    # Of a few bare passes; by layers it is proportional.
    seconds = upper.seconds_needed(taught, upper.TRAINED)
    depths = [upper.all_layers(), upper.TRAINED] if classes <= FEW_CLASSES else [upper.TRAINED]
    for layers in depths:
        if seconds * layers / upper.TRAINED <= AFFORDABLE_SECONDS:
            return layers
    owner.notes_.append(f"The encoder's upper layers were left as they are: training them would take about {seconds:.0f} s here.")
    return 0


def chosen_members(material: Material, codes: NDArray[Any], *, classes: int, owner: Any) -> list[Member]:
    """Return the members to fit, by what is known before any of them is: rows, classes, languages and settings."""
    few, rows = classes <= FEW_CLASSES, len(codes)
    members: list[Member] = []
    # With 10 texts of each of many classes, words alone cost 0.6 points on banking77's few-shot validation file, 0.2 on hwu64's.
    if few or not owner.uses_encoder_ or rows >= FEWEST_OF_A_CLASS * classes:
        members.append(NgramMember(words_only=not few, penalty=0.3 if few else 0.5, seed=owner.seed))
    read = int(material.read.sum())
    if few and material.middle is not None and read >= FEWEST_READ:
        members.append(ToneMember(seed=owner.seed))
    if few and rows - read >= FEWEST_TO_CONVOLVE:
        members.append(ConvolutionMember(seed=owner.seed, say=owner.say))
    if material.layers and read >= upper.FEWEST_ROWS:
        members.append(UpperLayersMember(layers=material.layers, seed=owner.seed, seconds=MOST_SECONDS, say=owner.say))
    if owner.finetune is True and read > rows / 2:
        members.append(FinetunedMember(base=owner.base, seed=owner.seed, folder=owner.folder, say=owner.say, cancelled=owner.cancelled))
    elif owner.finetune is True:
        owner.notes_.append("Fine-tuning was left out: the encoder reads fewer than half of the texts.")
    return members
