"""What a run goes on from: everything that a step changes, as a copy in memory or as a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Protocol

import torch

from ..rfnet.training import checkpoint
from ..rfnet.training.checkpoint import add_prefix, copied, load_optimizer_state, optimizer_state, select_prefix
from .config import ConfigError, TrainConfig
from .learner import Learner
from .memory import MemoryFallback
from .models import Passes

PLACE = {"step", "updates", "broken", "seconds", "history", "losses", "stopped", "passes", "climbed"}  # keys in a file
MISMATCH = "belongs to a run with other settings, products or models: delete it to start over, or choose another name."


@dataclass
class Progress:
    """How far a run got.

    seconds: of training, without evaluations; history: a row per evaluation; losses: of the steps since the last one;
    stopped: why it stopped by itself, or ""; pictures_before: those of the first evaluation, (3, H, W).
    """

    step: int = 0
    seconds: float = 0.0
    history: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    stopped: str = ""
    passes: Passes = field(default_factory=Passes)
    pictures_before: torch.Tensor | None = None


class Resumable(Protocol):
    """What a checkpoint reads and writes of a train.Run."""

    config: TrainConfig
    identity: str
    learner: Learner
    fallback: MemoryFallback
    progress: Progress

    def in_any_process(self, value: bool) -> bool:
        """Whether it is true in one of the processes at least."""


def tensors_of(run: Resumable) -> dict[str, torch.Tensor]:
    """All that a step changes that is a tensor, and the pictures of the start."""
    learner = run.learner
    tensors = {f"weights.{i}": p.detach() for i, p in enumerate(learner.parameters)}
    tensors |= add_prefix("ema.", learner.average.shadow)
    tensors |= add_prefix("optimizer.", optimizer_state(learner.optimizer))
    if run.progress.pictures_before is not None:
        tensors["pictures_before"] = run.progress.pictures_before
    return tensors


def place_of(run: Resumable) -> dict:
    """The rest of it, JSON-able. "climbed" is what files call the plans that memory made the run fall back to."""
    progress = run.progress
    return {
        "step": progress.step,
        "updates": run.learner.updates,
        "broken": run.learner.broken,
        "seconds": progress.seconds,
        "history": list(progress.history),
        "losses": list(progress.losses),
        "stopped": progress.stopped,
        "passes": asdict(progress.passes),
        "climbed": list(run.fallback.fallbacks),
    }


def snapshot(run: Resumable) -> tuple[dict, dict]:
    """What `restore` takes back, whatever becomes of the run."""
    return copied(tensors_of(run)), place_of(run)


@torch.no_grad()
def restore(run: Resumable, tensors: dict, place: dict) -> None:
    """A run as it was. Raises whatever a damaged checkpoint trips over."""
    learner = run.learner
    values = {"climbed": [], **place}  # the first files had no such key
    if values.keys() != PLACE:
        raise ValueError("its place in the training can't be read")
    for i, p in enumerate(learner.parameters):
        p.copy_(tensors[f"weights.{i}"])
    learner.average.load_state_dict(select_prefix("ema.", tensors))
    load_optimizer_state(learner.optimizer, select_prefix("optimizer.", tensors))
    run.fallback.resume(values.pop("climbed"))
    learner.updates = values.pop("updates")
    learner.broken = values.pop("broken")
    passes = Passes(**values.pop("passes"))
    run.progress = Progress(**values, passes=passes, pictures_before=tensors.get("pictures_before"))


def save(run: Resumable) -> None:
    """Write the run's checkpoint, whole or not at all. Raises OSError."""
    checkpoint.save_state(run.config.state, run.identity, tensors_of(run), place_of(run))


def resume(run: Resumable) -> bool:
    """Go on from the run's checkpoint -> whether there is one. Raises ConfigError where it is damaged, or another's."""
    file = run.config.state
    if run.in_any_process(not file.exists()):
        if file.exists():
            raise ConfigError(
                f'"{file}" is not at hand for every process: copy it to the other machines, or delete it to start over.'
            )
        return False
    return checkpoint.resume(
        file, run.identity, lambda tensors, place: restore(run, tensors, place), ConfigError, MISMATCH
    )
