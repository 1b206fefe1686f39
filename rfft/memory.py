"""Less memory for the same gradient: a ladder that a training climbs when memory runs out."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import torch

from .config import ConfigError, TrainConfig


@dataclass(frozen=True)
class Rung:
    """One way of taking a step.

    checkpointing: activations are computed again in the backward pass; pictures: so many at once, out of a batch.
    """

    checkpointing: bool
    pictures: int

    def __str__(self) -> str:
        return (
            f"{'activations recomputed' if self.checkpointing else 'activations kept'}, {self.pictures}"
            f" picture{'s' * (self.pictures > 1)} at a time"
        )

    def slices(self, count: int) -> list:
        """`count` pictures in parts of this size."""
        return [slice(start, min(count, start + self.pictures)) for start in range(0, count, self.pictures)]


def ladder(config: TrainConfig) -> list:
    """The rungs of a config, each with less memory than the one before: as configured, with recomputed activations,
    then with ever smaller parts of a batch.

    All give the same gradient, but for rounding. Fewer differentiable steps would save nothing: each is taken, and
    forgotten, by itself.
    """
    rungs = [Rung(config.checkpointing, config.batch)]
    if not config.checkpointing:
        rungs.append(Rung(True, config.batch))
    while rungs[-1].pictures > 1:
        rungs.append(Rung(True, (rungs[-1].pictures + 1) // 2))
    return rungs


class Climber:
    """Does work on a rung of the ladder, and again on the next one whenever memory runs out.

    climbed: [{"step", "rung"}] of every rung that was left behind for want of memory; tell(rung) hears of each new one.
    """

    def __init__(self, config: TrainConfig, models, tell=lambda rung: None):
        self.rungs, self.place, self.climbed, self.models, self.tell = ladder(config), 0, [], models, tell
        self._apply()

    @property
    def rung(self) -> Rung:
        return self.rungs[self.place]

    def __call__(self, work, step: int, undo=lambda: None):
        """work(rung) -> its answer.

        undo(): what half of a work has left behind. Raises ConfigError where the last rung needs too much.
        """
        while True:
            try:
                return work(self.rung)
            except (
                torch.cuda.OutOfMemoryError
            ) as error:  # torch.OutOfMemoryError, by a name that older versions have too
                said = str(error).splitlines()[0]
            undo()  # outside of the except: the error holds on to the frames that hold the tensors
            self._climb(step, said)

    def _climb(self, step: int, said: str) -> None:
        if self.place + 1 == len(self.rungs):
            raise ConfigError(
                f"memory ran out at step {step} with every saving in use ({self.rung}; {said}): set precision to bf16"
                " and half_base to true, close other programs, or use a larger device; what was trained is safe and"
                " goes on from there. A smaller size begins anew, under another name."
            )
        self.place += 1
        self.climbed.append({"step": step, "rung": str(self.rung)})
        self._apply()
        self.tell(self.rung)

    def go_on(self, climbed: list) -> None:
        """Where a run before this one had got to."""
        names = [str(rung) for rung in self.rungs]
        self.climbed = climbed
        self.place = max([names.index(row["rung"]) for row in climbed if row["rung"] in names], default=0)
        self._apply()

    def _apply(self) -> None:
        self.models.checkpoint(self.rung.checkpointing)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
