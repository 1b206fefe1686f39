"""How much memory a training will take, found out without taking it: the very step of a training, run on tensors that
have shapes but no contents.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .adapter import Adapter
from .config import TrainConfig
from .memory import Rung, ladder
from .models import Models
from .objective import objective
from .rollout import Order, prepare

GIB = 2**30


@dataclass(frozen=True)
class Estimate:
    """Bytes.

    weights: of the frozen networks and the reviewer; training: adapter, its average, gradient and moments; activations:
    the most that a step holds besides.
    """

    rung: Rung
    weights: int
    training: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.training + self.activations

    def __str__(self) -> str:
        return (
            f"{self.total / GIB:6.2f} GiB = {self.weights / GIB:.2f} networks + {self.training / GIB:.2f} adapter and"
            f" optimiser + {self.activations / GIB:.2f} in a step ({self.rung})"
        )


class Ledger(TorchDispatchMode):
    """Counts the bytes of tensors that come into being while it is on: `held` now, `most` at any moment.

    Views and what was there before cost nothing.
    """

    def __init__(self):
        super().__init__()
        self.held = self.most = 0
        self.known = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        given = {
            id(value.untyped_storage()) for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)
        }
        answer = function(*args, **(kwargs or {}))
        for value in tree_leaves(answer):
            if isinstance(value, torch.Tensor) and id(value.untyped_storage()) not in given:
                self.enter(value.untyped_storage())
        return answer

    def enter(self, storage) -> None:
        if storage not in self.known:
            self.known.add(storage)
            size = storage.nbytes()
            self.held += size
            self.most = max(self.most, self.held)
            weakref.finalize(storage, self.leave, size)

    def leave(self, size: int) -> None:
        self.held -= size


def estimates(config: TrainConfig, skeleton, reviewer, briefs: list):
    """Yields an Estimate for every rung of a config's ladder.

    skeleton() -> Models on the meta device, made anew for each; briefs: (canvas, prompt), one is enough.
    """
    for rung in ladder(config):
        yield estimate(config, skeleton(), reviewer, briefs, rung)


def estimate(config: TrainConfig, models: Models, reviewer, briefs: list, rung: Rung) -> Estimate:
    """What one training step needs at its most: forward, losses and backward of as many pictures as the rung takes at
    once.

    Counted are tensors, on the CPU's kernels; a CUDA device adds its context, the kernels' own scratch memory and what
    its allocator leaves unused.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    orders = [Order(*briefs[i % len(briefs)], i) for i in range(rung.pictures)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        dtype = torch.bfloat16 if config.half_base else torch.float32
        for part in models.parts().values():
            empty(part, dtype)
        models.freeze().checkpoint(rung.checkpointing)
        adapter = Adapter(models.controlnet, config.rank)
        learned = sum(p.numel() for p in adapter.parameters())
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            batch = prepare(models, orders, config.training_sampling)
            with Ledger() as ledger:
                objective(models, reviewer, adapter, config, batch, config.sampling_steps - 1, batch.noise)[
                    "total"
                ].backward()
        adapter.remove()
    weights = sum(
        p.numel() * p.element_size() for part in (*models.parts().values(), reviewer) for p in part.parameters()
    )
    moments = 2 if config.optimizer == "adamw8bit" else 8
    return Estimate(
        rung, weights, learned * (4 + 4 + 4 + moments), max(0, ledger.most - 4 * learned)
    )  # the gradients are in both


def empty(module: torch.nn.Module, dtype) -> None:
    """Tensors without contents in the place of a module's own, which may be on the meta device."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = torch.nn.Parameter(torch.empty(value.shape, dtype=dtype), False)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = torch.zeros(
                    value.shape, dtype=dtype if value.is_floating_point() else value.dtype
                )


def outlook(found: list) -> str:
    """Which of the estimates fits the device that is there."""
    if not torch.cuda.is_available():
        return (
            "There is no CUDA device here to compare with. A training begins as configured and goes on with the next"
            " line where memory runs out."
        )
    free, total = torch.cuda.mem_get_info()
    fits = any(row.total < 0.9 * free for row in found)
    remedy = (
        "a training begins as configured and goes on with the next line where memory runs out"
        if fits
        else "even the last line is more: lower size, or set precision to bf16 and half_base to true"
    )
    return f"{torch.cuda.get_device_name()} has {free / GIB:.2f} of {total / GIB:.2f} GiB free: {remedy}."
