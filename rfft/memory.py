"""Less memory for the same gradient: the plans that a training falls back to when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from .config import ConfigError, TrainConfig
from .models import Models

T = TypeVar("T")


@dataclass(frozen=True)
class MemoryPlan:
    """How a step is taken.

    checkpointing: activations are computed again in the backward pass; pictures: so many at once, out of a batch.
    """

    checkpointing: bool
    pictures: int

    def __str__(self) -> str:
        activations = "activations recomputed" if self.checkpointing else "activations kept"
        return f"{activations}, {self.pictures} picture{'s' * (self.pictures > 1)} at a time"

    def slices(self, count: int) -> list[slice]:
        """`count` pictures in parts of this size."""
        return [slice(start, min(count, start + self.pictures)) for start in range(0, count, self.pictures)]


def memory_plans(config: TrainConfig) -> list[MemoryPlan]:
    """The plans of a config, each with less memory than the one before: as configured, with recomputed activations,
    then with ever smaller parts of a batch.

    All give the same gradient, but for rounding. Fewer differentiable steps would save nothing: each is taken, and
    forgotten, by itself.
    """
    plans = [MemoryPlan(config.checkpointing, config.batch)]
    if not config.checkpointing:
        plans.append(MemoryPlan(True, config.batch))
    while plans[-1].pictures > 1:
        plans.append(MemoryPlan(True, (plans[-1].pictures + 1) // 2))
    return plans


class MemoryFallback:
    """Does work by a memory plan, and again by the next one whenever memory runs out.

    fallbacks: [{"step", "rung"}], the plans that memory made it fall back to ("rung" is what files call a plan), and at
    which step; tell(plan) hears of each.
    """

    def __init__(self, config: TrainConfig, models: Models, tell: Callable = lambda plan: None):
        self.plans = memory_plans(config)
        self.place = 0
        self.fallbacks: list[dict] = []
        self.models = models
        self.tell = tell
        self._apply()

    @property
    def plan(self) -> MemoryPlan:
        return self.plans[self.place]

    def __call__(self, work: Callable[[MemoryPlan], T], step: int, undo: Callable = lambda: None) -> T:
        """work(plan) -> its answer.

        undo(): removes what half of a work has left behind. Raises ConfigError where the last plan needs too much.
        """
        while True:
            try:
                return work(self.plan)
            except torch.cuda.OutOfMemoryError as error:  # torch.OutOfMemoryError, by a name that older versions have
                reason = str(error).splitlines()[0]
            undo()  # outside of the except: the error holds on to the frames that hold the tensors
            self._fall_back(step, reason)

    def _fall_back(self, step: int, reason: str) -> None:
        if self.place + 1 == len(self.plans):
            raise ConfigError(
                f"memory ran out at step {step} with every saving in use ({self.plan}; {reason}): set precision to bf16"
                " and half_base to true, close other programs, or use a larger device. What was trained is safe, and"
                " goes on from there. A smaller size starts over, under another name."
            )
        self.place += 1
        self.fallbacks.append({"step": step, "rung": str(self.plan)})
        self._apply()
        self.tell(self.plan)

    def resume(self, fallbacks: list[dict]) -> None:
        """Go on where a run before this one had got to."""
        names = [str(plan) for plan in self.plans]
        self.fallbacks = fallbacks
        self.place = max([names.index(row["rung"]) for row in fallbacks if row["rung"] in names], default=0)
        self._apply()

    def _apply(self) -> None:
        self.models.checkpoint(self.plan.checkpointing)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
