"""Where a fine-tuning run stands, on disk: weights and optimizer state as safetensors, the rest as JSON; no pickle.

A checkpoint is a folder written beside the old one and renamed over it, so that a run killed at any moment finds either
the former or the new one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

WEIGHTS, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"
FORMAT = 1


def write(folder: Path, *, identity: str, step: int, loss: float, model: Any, optimizer: Any) -> None:
    """Write the checkpoint whole. identity: what the run is of; another run will not go on from it."""
    from safetensors.torch import save_file

    waiting = folder.with_name(folder.name + ".new")
    shutil.rmtree(waiting, ignore_errors=True)
    waiting.mkdir(parents=True)
    save_file({name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}, waiting / WEIGHTS)
    state = {
        f"{number}.{name}": value.detach().contiguous().clone()
        for number, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state.get(parameter, {}).items()
    }
    save_file(state, waiting / OPTIMIZER)
    (waiting / STATE).write_text(json.dumps({"format": FORMAT, "identity": identity, "step": step, "loss": loss}), encoding="utf-8")
    former = folder.with_name(folder.name + ".old")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    waiting.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def resume(folder: Path, *, identity: str, model: Any, optimizer: Any) -> tuple[int, float]:
    """Load the run's last checkpoint into model and optimizer; return (step, loss), (0, nan) where there is none.

    One of another run, format or a damaged one is passed over: the run then starts afresh.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for place in (folder, folder.with_name(folder.name + ".old")):
        try:
            state = json.loads((place / STATE).read_text(encoding="utf-8"))
            if state["format"] != FORMAT or state["identity"] != identity:
                continue
            weights, moments = load_file(place / WEIGHTS), load_file(place / OPTIMIZER)
            model.load_state_dict(weights)
            for number, parameter in enumerate(_parameters(optimizer)):
                prefix = f"{number}."
                found = {name.removeprefix(prefix): value for name, value in moments.items() if name.startswith(prefix)}
                if found:
                    optimizer.state[parameter] = found
            return int(state["step"]), float(state["loss"])
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError):
            continue
    return 0, float("nan")


def remove(folder: Path) -> None:
    for place in (folder, folder.with_name(folder.name + ".old"), folder.with_name(folder.name + ".new")):
        shutil.rmtree(place, ignore_errors=True)


def _parameters(optimizer: Any) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
