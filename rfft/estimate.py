"""How much memory a training will take, found out without taking it: the step of a training, run on tensors that have
shapes but no contents.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .adapter import Adapter
from .config import TrainConfig
from .memory import MemoryPlan, memory_plans
from .models import Models
from .objective import objective
from .rollout import Job, prepare

GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """Bytes.

    weights: of the frozen networks and the reviewer; training: adapter, its average, gradient and moments; activations:
    the most that a step holds besides.
    """

    plan: MemoryPlan
    weights: int
    training: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.training + self.activations

    def __str__(self) -> str:
        return (
            f"{self.total / GIB:6.2f} GiB = {self.weights / GIB:.2f} networks + {self.training / GIB:.2f} adapter and"
            f" optimiser + {self.activations / GIB:.2f} in a step ({self.plan})"
        )


class MemoryTracker(TorchDispatchMode):
    """Counts the bytes of tensors that are made while it is on: `held` now, `most` at any moment.

    Views and what was there before cost nothing.
    """

    def __init__(self):
        super().__init__()
        self.held = self.most = 0
        self.known: weakref.WeakSet = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        inputs = {
            id(value.untyped_storage()) for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)
        }
        outputs = function(*args, **(kwargs or {}))
        for value in tree_leaves(outputs):
            if isinstance(value, torch.Tensor) and id(value.untyped_storage()) not in inputs:
                self.add(value.untyped_storage())
        return outputs

    def add(self, storage) -> None:
        if storage not in self.known:
            self.known.add(storage)
            size = storage.nbytes()
            self.held += size
            self.most = max(self.most, self.held)
            weakref.finalize(storage, self.release, size)

    def release(self, size: int) -> None:
        self.held -= size


def estimates(config: TrainConfig, skeleton: Callable[[], Models], reviewer, pairs: list):
    """Yields an Estimate for each of a config's memory plans.

    skeleton() -> Models on the meta device, made anew for each; pairs: (canvas, prompt), one is enough.
    """
    for plan in memory_plans(config):
        yield estimate(config, skeleton(), reviewer, pairs, plan)


def estimate(config: TrainConfig, models: Models, reviewer, pairs: list, plan: MemoryPlan) -> Estimate:
    """What one training step needs at its most: forward, losses and backward of as many pictures as the plan takes at
    once.

    Counted are tensors, on the CPU's kernels; a CUDA device adds its context, the kernels' own scratch memory and what
    its allocator leaves unused.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    cycled = itertools.islice(itertools.cycle(pairs), plan.pictures)
    jobs = [Job(canvas, prompt, seed) for seed, (canvas, prompt) in enumerate(cycled)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        dtype = torch.bfloat16 if config.half_base else torch.float32
        for part in models.parts().values():
            replace_weights(part, dtype)
        models.freeze().checkpoint(plan.checkpointing)
        adapter = Adapter(models.controlnet, config.rank)
        learned = sum(p.numel() for p in adapter.parameters())
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            batch = prepare(models, jobs, config.training_sampling)
            with MemoryTracker() as tracker:
                losses = objective(models, reviewer, adapter, config, batch, config.sampling_steps - 1, batch.noise)
                losses["total"].backward()
        adapter.remove()
    frozen = (*models.parts().values(), reviewer)
    weights = sum(p.numel() * p.element_size() for part in frozen for p in part.parameters())
    moments = 2 if config.optimizer == "adamw8bit" else 8
    gradient = 4 * learned  # bytes; the tracker saw it, too
    return Estimate(plan, weights, learned * (4 + 4 + moments) + gradient, max(0, tracker.most - gradient))


def replace_weights(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Tensors without contents in the place of a module's own, which may be on the meta device."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = torch.nn.Parameter(torch.empty(value.shape, dtype=dtype), False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                kind = dtype if buffer.is_floating_point() else buffer.dtype
                part._buffers[name] = torch.zeros(buffer.shape, dtype=kind)


def advice(rows: list[Estimate]) -> str:
    """Which of the estimates fits the device that is there."""
    goes_on = "A training begins as configured, and falls back to the next line when memory runs out."
    if not torch.cuda.is_available():
        return f"There is no CUDA device here to compare with. {goes_on}"
    free, total = torch.cuda.mem_get_info()
    fits = any(row.total < 0.9 * free for row in rows)
    too_much = "Even the last line needs more: lower size, or set precision to bf16 and half_base to true."
    device = torch.cuda.get_device_name()
    return f"{device} has {free / GIB:.2f} of {total / GIB:.2f} GiB free. {goes_on if fits else too_much}"
