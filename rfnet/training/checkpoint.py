"""What a training resumes from: one safetensors file with weights, optimiser state and, as texts, the place in the run.

It is written whole or not at all (files.write_safetensors), and what it brings back is equal to the last bit.
"""

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch

from ..files import quoted, write_safetensors
from ..structured import shortened
from ..tensors import open_tensors

Tensors = dict[str, torch.Tensor]
START_OVER = "delete it to start over"


def write_checkpoint(path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """tensors: on any device, none of which may share its memory with another; metadata: texts."""
    write_safetensors(path, tensors, metadata)


def read_checkpoint(
    path, error: type[Exception], missing: str | None = None, name: str | None = None
) -> tuple[Tensors, dict[str, str]]:
    """(tensors on the CPU, metadata). Raises `error`.

    missing: the sentence for a file that isn't there; name: what sentences call the file, by default its name in
    quotes.
    """
    with open_tensors(path, error, missing, name=name, remedy=START_OVER) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}


def save_state(path, identity: str, tensors: Tensors, place: dict) -> None:
    """Write what `resume` reads. identity: the settings and data that a run must have to resume; place: JSON values."""
    write_checkpoint(path, tensors, {"identity": identity, "place": json.dumps(place)})


def resume(
    path, identity: str, restore: Callable[[Tensors, dict], None], error: type[Exception], mismatch: str
) -> bool:
    """restore(tensors, place) with what `save_state` wrote; False where there is no file.

    mismatch: how the sentence goes on about the checkpoint of another run, such as 'belongs to a run with other data:
    delete it.' Raises `error` for that one, and for a damaged one.
    """
    if not Path(path).exists():
        return False
    tensors, metadata = read_checkpoint(path, error)
    if metadata.get("identity") != identity:
        raise error(f"{quoted(path)} {mismatch}")
    with refusing_damaged(path, error):
        restore(tensors, json.loads(metadata["place"]))
    return True


@contextmanager
def refusing_damaged(path, error: type[Exception]):
    """Inside, a checkpoint is put back; whatever a damaged one trips over is raised as `error`, in one sentence."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise  # the file is not to blame
    except Exception as cause:  # what meets a damaged file first is not bounded
        reason = shortened(str(cause), 150)[1:-1] or type(cause).__name__
        raise error(not_a_checkpoint(quoted(path), reason)) from cause


def not_a_checkpoint(name: str, reason: str) -> str:
    """name: what the sentence calls the file; reason: what is wrong with it."""
    return f"{name} is not a training checkpoint ({reason.rstrip('.')}). {START_OVER.capitalize()}."


def copied(tensors: Tensors) -> Tensors:
    """The same values on the CPU, in memory of their own: what is trained on doesn't change them."""
    return {key: value.detach().to("cpu", copy=True) for key, value in tensors.items()}


def add_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{key}": value for key, value in tensors.items()}


def select_prefix(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors whose names begin so, under the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def optimizer_state(optimizer) -> Tensors:
    """{"0.exp_avg": moments of the first parameter, "0.step": ...}; learning rates are left to the schedule."""
    states = optimizer.state_dict()["state"]
    return {f"{index}.{key}": torch.as_tensor(value) for index, state in states.items() for key, value in state.items()}


def load_optimizer_state(optimizer, tensors: Tensors) -> None:
    """Put back what optimizer_state gave; the optimiser moves it to where its parameters are."""
    states: dict[int, Tensors] = {}
    for name, value in tensors.items():
        index, key = name.split(".")
        states.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
