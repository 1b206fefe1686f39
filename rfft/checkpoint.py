"""What a run goes on from: everything that a step changes, as tensors and as a JSON text, in memory and as a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import torch

from ..rfnet.files import quoted, write_safetensors
from ..rfnet.structured import shortened
from ..rfnet.tensors import STATE, open_tensors
from .config import ConfigError
from .models import Passes

if TYPE_CHECKING:
    from .train import Run


@dataclass
class Progress:
    """How far a run got.

    history: a row per evaluation; losses: of the steps since the last one; stopped: why it stopped by itself, or "";
    seconds: of training, without evaluations; pictures_before: those of the first evaluation, (3, H, W).
    """

    step: int = 0
    seconds: float = 0.0
    history: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    stopped: str = ""
    passes: Passes = field(default_factory=Passes)
    pictures_before: torch.Tensor | None = None


SAVED = ("step", "updates", "broken", "seconds", "history", "losses", "stopped", "passes", "climbed")  # the JSON's keys


def snapshot(run: Run) -> tuple[dict, str]:
    """(copies of the tensors on the CPU, the rest as JSON) of a run as it is."""
    learner, progress = run.learner, run.progress
    tensors = {f"weights.{i}": p for i, p in enumerate(learner.parameters)}
    tensors |= {f"ema.{i}": p for i, p in enumerate(learner.average)}
    for i, values in learner.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{key}": torch.as_tensor(value) for key, value in values.items()}
    if progress.pictures_before is not None:
        tensors["pictures_before"] = progress.pictures_before
    rest = {
        "step": progress.step,
        "updates": learner.updates,
        "broken": learner.broken,
        "seconds": progress.seconds,
        "history": progress.history,
        "losses": progress.losses,
        "stopped": progress.stopped,
        "passes": asdict(progress.passes),
        "climbed": run.fallback.fallbacks,
    }
    return {key: value.detach().to("cpu", copy=True) for key, value in tensors.items()}, json.dumps(rest)


def restore(run: Run, tensors: dict, rest: str) -> None:
    """A run as it was at a snapshot. Raises whatever a damaged one trips over."""
    learner, device = run.learner, run.accelerator.device
    learner.put([tensors[f"weights.{i}"].to(device) for i in range(len(learner.parameters))])
    learner.average = [tensors[f"ema.{i}"].to(device) for i in range(len(learner.parameters))]
    moments: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    values = {"climbed": [], **json.loads(rest)}  # files of the first versions have no such key
    if values.keys() != set(SAVED):
        raise ValueError("its place is none")
    run.fallback.resume(values.pop("climbed"))
    learner.updates = values.pop("updates")
    learner.broken = values.pop("broken")
    passes = Passes(**values.pop("passes"))
    run.progress = Progress(**values, passes=passes, pictures_before=tensors.get("pictures_before"))


def save(run: Run) -> None:
    """Write the run's checkpoint, whole or not at all. Raises OSError."""
    tensors, rest = snapshot(run)
    write_safetensors(run.config.state, tensors, {"identity": run.identity, "place": rest})


def resume(run: Run) -> bool:
    """Go on from the run's checkpoint -> whether there is one. Raises ConfigError where it is damaged, or another's."""
    file = run.config.state
    if run.in_any_process(not file.exists()):
        if file.exists():
            raise ConfigError(
                f'"{file}" is not at hand for every process: copy it to the other machines, or delete it to start over.'
            )
        return False
    with open_tensors(file, ConfigError, remedy=STATE) as opened:
        metadata, tensors = opened.metadata() or {}, {key: opened.get_tensor(key) for key in opened.keys()}
    if metadata.get("identity") != run.identity:
        raise ConfigError(
            f'"{file}" belongs to a run with other settings, products or models: delete it to start over, or choose'
            " another name."
        )
    try:
        restore(run, tensors, metadata["place"])
    except torch.cuda.OutOfMemoryError:
        raise  # the file is not to blame
    except Exception as error:  # a damaged file trips whatever meets it first
        reason = shortened(str(error), 150)[1:-1] or type(error).__name__
        raise ConfigError(f"{quoted(file)} is a damaged checkpoint ({reason}): delete it to start over.") from error
    return True
