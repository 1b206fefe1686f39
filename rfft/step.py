"""One training step: draw without gradient, then take a few differentiable steps of the same drawings, each with an
update (arXiv:2408.00418, which takes one).
"""

from __future__ import annotations

import random
from functools import cache, partial

import torch

from .config import TrainConfig
from .evaluate import EVALUATION_SEEDS
from .learner import Learner
from .memory import MemoryFallback, MemoryPlan
from .models import Models
from .objective import objective
from .rollout import Batch, Job, chosen_steps, prepare, rollout

SPREAD = 1_000_003  # a prime that keeps the random choices of neighbouring seeds apart


class TrainingStep:
    """`TrainingStep(...)(step)` takes step number `step`; it depends on nothing but this number, the weights and the
    optimiser.

    pairs: the (canvas, prompt) to train on.
    """

    def __init__(
        self,
        config: TrainConfig,
        models: Models,
        reviewer,
        learner: Learner,
        fallback: MemoryFallback,
        accelerator,
        pairs: list,
    ):
        self.config = config
        self.models = models
        self.reviewer = reviewer
        self.learner = learner
        self.fallback = fallback
        self.accelerator = accelerator
        self.pairs = pairs

    def __call__(self, step: int) -> dict:
        """Rollouts of every batch, then one update per chosen step -> the mean losses.

        Later updates see drawings that are a few updates old: at these learning rates they are the same.
        """
        c = self.config
        chosen = chosen_steps(c.training_sampling, c.last_steps, c.gradient_steps, c.seed * SPREAD + step)
        drawings = [self.fallback(partial(self.draw, jobs, chosen), step) for jobs in self.jobs(step)]
        losses = []
        for i in chosen:
            losses.append(self.fallback(partial(self.gradient, drawings, i), step, undo=self.learner.forget_gradient))
            self.learner.update(step)
        return {name: sum(row[name] for row in losses) / len(losses) for name in losses[0]}

    def jobs(self, step: int) -> list[list[Job]]:
        """accumulation batches of jobs for this process: the pairs in another order each time through; seeds are never
        used twice, nor in evaluation.
        """
        c = self.config
        count = c.batch * c.accumulation
        first = (step * self.accelerator.num_processes + self.accelerator.process_index) * count
        shuffled = cache(self._shuffled)
        jobs = []
        for place in range(first, first + count):
            epoch, row = divmod(place, len(self.pairs))
            canvas, prompt = self.pairs[shuffled(epoch)[row]]
            jobs.append(Job(canvas, prompt, (c.seed * SPREAD + place) % EVALUATION_SEEDS))
        return [jobs[start : start + c.batch] for start in range(0, count, c.batch)]

    def _shuffled(self, epoch: int) -> list[int]:
        count = len(self.pairs)
        return random.Random(f"{self.config.seed} {epoch}").sample(range(count), count)

    def draw(self, jobs: list[Job], chosen: list[int], plan: MemoryPlan) -> tuple[Batch, dict]:
        """(a batch, {step: its x_t}), drawn as many pictures at a time as the plan says."""
        sampling = self.config.training_sampling
        with autocast(self.accelerator.device, self.config):
            parts = [prepare(self.models, jobs[rows], sampling) for rows in plan.slices(len(jobs))]
            kept = [rollout(self.models, part, sampling, keep=chosen, to_the_end=False)[1] for part in parts]
        return Batch.join(parts), {i: torch.cat([drawing[i] for drawing in kept]) for i in chosen}

    def gradient(self, drawings: list, i: int, plan: MemoryPlan) -> dict:
        """The gradient of step i, the mean over all batches; returns the mean losses.

        Parts of a batch weigh as many pictures as they hold.
        """
        sums: dict[str, float] = {}
        count = sum(len(batch) for batch, _ in drawings)
        for batch, kept in drawings:
            for rows in plan.slices(len(batch)):
                part = batch.rows(rows)
                with autocast(self.accelerator.device, self.config):
                    losses = self.losses(part, i, kept[i][rows])
                share = len(part) / count
                (losses["total"] * share).backward()
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + share * float(value.detach())
        return sums

    def losses(self, batch: Batch, i: int, x: torch.Tensor) -> dict:
        return objective(self.models, self.reviewer, self.learner.adapter, self.config, batch, i, x)


def autocast(device: torch.device, config: TrainConfig):
    """bfloat16 where the config asks for it.

    Not accelerate's own, whose precision is set once per process: two runs in one program may differ.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")
