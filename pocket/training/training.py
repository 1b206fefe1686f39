"""What the pocket trainers share: a resumable run (weights, their moving average, optimiser, step, clock, random state
in one file), its log and its sheets.
"""

from __future__ import annotations

import json
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta

from ...rfnet.files import quoted, sha256_of, write_picture
from ...rfnet.sheets import contact_sheet, to_image
from ...rfnet.structured import StructureError, from_json
from ...rfnet.training.checkpoint import (
    add_prefix,
    copied,
    load_optimizer_state,
    not_a_checkpoint,
    optimizer_state,
    read_checkpoint,
    select_prefix,
    write_checkpoint,
)
from ...rfnet.training.moving_average import MovingAverage
from ..ldm import PocketFileError
from .muon import Muon

SAVE_EVERY_SECONDS = 120
REPORT_SECONDS = 30
WARM_UP_STEPS = 50
MOST_LEFT_OUT = 10  # steps in a row that aren't finite: one can happen in bfloat16, so many come of weights gone wrong
FLAT_UNTIL = 0.4  # share of the budget at full learning rate; a cosine leads to zero from there


def learning_rate(base: float, step: int, progress: float) -> float:
    """Linear warm-up, flat, cosine to (almost) zero at progress 1."""
    tail = min(1.0, max(0.0, (progress - FLAT_UNTIL) / (1 - FLAT_UNTIL)))
    return base * min(1.0, (step + 1) / WARM_UP_STEPS) * max(0.01, 0.5 * (1 + math.cos(math.pi * tail)))


@dataclass
class State:
    """Where a training was when it was saved."""

    name: str
    step: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0)]
    extra: dict


def read_state(path) -> tuple[dict, dict[str, torch.Tensor]]:
    """({name, step, seconds, extra}, tensors) of a state file; PocketFileError when it can't be read."""
    name = quoted(path)[1:-1]
    missing = f"{name} does not exist; run the training that makes it first"
    tensors, metadata = read_checkpoint(path, PocketFileError, missing, name)
    try:
        return vars(from_json(metadata.get("state", ""), State, "its state")), tensors
    except StructureError as error:
        raise PocketFileError(not_a_checkpoint(name, str(error)[:200])) from error


def read_averages(path, modules: dict[str, torch.nn.Module]) -> dict:
    """Puts a state's weights into `modules`, the moving average wherever there is one, and returns its {name, step,
    seconds, extra}.
    """
    state, tensors = read_state(path)
    for part, module in modules.items():
        try:
            module.load_state_dict(
                {k: tensors.get(f"ema.{part}.{k}", tensors[f"weights.{part}.{k}"]) for k in module.state_dict()}
            )
        except (KeyError, RuntimeError) as error:
            raise PocketFileError(
                f"{path} does not hold this {part} ({error}); train it with the same version of Reliable Ads"
            ) from error
    return state


class Training:
    """One run with a budget of minutes or of steps, kept in `work/NAME.state.safetensors`.

    With a budget of steps a stopped and resumed run is equal to an unbroken one to the last bit; with minutes only the
    learning rate can differ, since it follows the clock. `random` draws everything that is random, on the modules'
    device. `matrices(key, parameter)` says which parameters Muon takes; AdamW has the rest. bf16: whether `cast`
    computes in bfloat16, by default on an accelerator. settings: what a resumed training must have as it had before,
    JSON values; PocketFileError where it has not. beside: {name: (module, optimiser)} that are stepped and saved
    along, at a rate that stays; neither clipped nor averaged.
    """

    def __init__(
        self,
        work,
        name: str,
        modules: dict[str, torch.nn.Module],
        lr: float,
        minutes: float | None = None,
        steps: int | None = None,
        ema_decay: float = 0.998,
        weight_decay: float = 0.01,
        seed: int = 0,
        matrices=lambda key, parameter: False,
        betas: tuple[float, float] = (0.9, 0.99),
        bf16: bool | None = None,
        beside: dict[str, tuple[torch.nn.Module, torch.optim.Optimizer]] | None = None,
        settings: dict | None = None,
    ):
        self.path = Path(work) / f"{name}.state.safetensors"
        self.work = Path(work)
        self.name = name
        self.modules = modules
        self.lr = lr
        self.minutes = minutes
        self.steps = steps
        self.parameters = {
            f"{part}.{key}": p
            for part, module in modules.items()
            for key, p in module.named_parameters()
            if p.requires_grad
        }
        self.optimisers = {}
        if by_muon := [p for key, p in self.parameters.items() if matrices(key, p)]:
            self.optimisers["muon"] = Muon(by_muon, lr, weight_decay=weight_decay)
        rest = [p for key, p in self.parameters.items() if not matrices(key, p)]
        self.device = rest[0].device
        self.bf16 = self.device.type != "cpu" if bf16 is None else bf16
        self.optimisers["adamw"] = torch.optim.AdamW(
            rest, lr=lr, betas=betas, weight_decay=weight_decay, fused=self.device.type in ("cpu", "cuda")
        )
        self.beside = beside or {}
        self.average = MovingAverage(self.parameters, ema_decay)
        self.random = torch.Generator(self.device).manual_seed(seed)
        self.step = 0
        self.seconds = 0.0
        self.extra = {}
        self._clock = self._saved_at = self._logged_at = self._sheeted_at = time.monotonic()
        self._logged_step = 0
        self._losses: list[float] = []
        self._left_out = 0
        if self.path.exists():
            self._resume(settings or {})
        self.extra["settings"] = settings or {}

    @property
    def progress(self) -> float:
        return self.step / self.steps if self.steps else min(1.0, self.seconds / (60 * self.minutes))

    @property
    def running(self) -> bool:
        return self.progress < 1.0

    def cast(self):
        """`with run.cast():` around the networks' work, not around a loss's sums."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def update(self, loss: torch.Tensor) -> None:
        """One optimiser step, the moving average, the clock; saves every two minutes. A step that isn't finite is left
        out; FloatingPointError after MOST_LEFT_OUT in a row.
        """
        loss.backward()
        value = loss.detach() + 0 * torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self._losses.append(float(value))
        if math.isfinite(self._losses[-1]):
            self._left_out = 0
            self._step()
        else:
            self._leave_out()
        for optimiser in self._all_optimisers().values():
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
        if now - self._saved_at > SAVE_EVERY_SECONDS:
            self.save()

    def _step(self) -> None:
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(self.lr, self.step, self.progress)
        for optimiser in self._all_optimisers().values():
            optimiser.step()
        self.average.update(self.step)

    def _leave_out(self) -> None:
        self._losses.pop()
        self._left_out += 1
        print(f"{self.name} step {self.step} is left out: its loss or its gradient is not finite", flush=True)
        if self._left_out == MOST_LEFT_OUT:
            raise FloatingPointError(
                f"the {self.name} loss is not finite for {MOST_LEFT_OUT} steps, the last of them {self.step}; the state"
                f" from before lies in {self.path}: run the command again with a smaller --lr"
            )

    def _all_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return self.optimisers | {name: optimiser for name, (_, optimiser) in self.beside.items()}

    def _all_modules(self) -> dict[str, torch.nn.Module]:
        return self.modules | {name: module for name, (module, _) in self.beside.items()}

    def off_the_clock(self) -> None:
        """Forgets the time since the last step: sheets and validation don't count against the budget."""
        self._clock = self._logged_at = time.monotonic()
        self._logged_step = self.step

    def report(self, pictures_per_step: int, sheet, sheet_seconds: float) -> None:
        """After a step: a line every REPORT_SECONDS, and sheet() every `sheet_seconds`."""
        now = time.monotonic()
        if now - self._logged_at > REPORT_SECONDS:
            self.log(pictures_per_step)
        if now - self._sheeted_at > sheet_seconds:
            sheet()
            self._sheeted_at = time.monotonic()

    def log(self, pictures_per_step: int, note: str = "") -> None:
        """Prints a line with the mean loss and the speed since the last line."""
        now = time.monotonic()
        loss = f"{np.mean(self._losses):.4f}" if self._losses else "none"
        speed = (self.step - self._logged_step) / max(1e-9, now - self._logged_at)
        print(
            f"{self.name} step {self.step} · {100 * self.progress:.0f} % · loss {loss} ·"
            f" {speed:.2f} steps/s · {speed * pictures_per_step:.1f} pictures/s{note}",
            flush=True,
        )
        self._losses = []
        self._logged_at = now
        self._logged_step = self.step

    def save(self) -> None:
        tensors = add_prefix("ema.", self.average.shadow) | {"random": self.random.get_state()}
        for part, module in self._all_modules().items():
            tensors |= add_prefix(f"weights.{part}.", module.state_dict())
        for name, optimiser in self._all_optimisers().items():
            tensors |= add_prefix(f"{name}.", optimizer_state(optimiser))
        state = {"name": self.name, "step": self.step, "seconds": self.seconds, "extra": self.extra}
        write_checkpoint(self.path, copied(tensors), {"state": json.dumps(state)})
        self._saved_at = time.monotonic()

    def _resume(self, settings: dict) -> None:
        state, tensors = read_state(self.path)
        before = state["extra"].get("settings", {})
        differs = [name for name in before if before[name] != settings.get(name)]
        if differs:
            said = "; ".join(f"{name} was {before[name]}, is {settings.get(name)}" for name in differs[:3])
            raise PocketFileError(
                f"{self.path} is the state of a training with other settings ({said}): give the same again, delete it"
                " to start over, or choose another folder."
            )
        try:
            for part, module in self._all_modules().items():
                module.load_state_dict(select_prefix(f"weights.{part}.", tensors))
            self.average.load_state_dict(select_prefix("ema.", tensors))
        except (KeyError, RuntimeError, ValueError) as error:
            raise PocketFileError(
                f"{self.path} belongs to another training ({error}): delete it to start over, or choose another --work"
                " folder."
            ) from error
        for name, optimiser in self._all_optimisers().items():
            load_optimizer_state(optimiser, select_prefix(f"{name}.", tensors))
            lay_out_alike(optimiser)
        self.random.set_state(tensors["random"])
        self.step = state["step"]
        self.seconds = state["seconds"]
        self.extra = state["extra"]
        self._logged_step = self.step
        print(
            f"{self.name} goes on from step {self.step} after {self.seconds / 60:.1f} minutes of training", flush=True
        )

    @contextmanager
    def averaged(self):
        """`with training.averaged():` the modules hold the moving average; afterwards the live weights again."""
        with self.average.applied():
            for module in self.modules.values():
                module.eval()
            try:
                yield
            finally:
                for module in self.modules.values():
                    module.train()


def named(file) -> str | None:
    """A file by name and content, for `settings`; None stays None."""
    return None if file is None else f"{Path(file).name} {sha256_of(file)[:8]}"


def lay_out_alike(optimiser: torch.optim.Optimizer) -> None:
    """Moments as their parameters lie in memory (channels last), which fused steps take for granted."""
    for parameter, state in optimiser.state.items():
        for key, value in state.items():
            if value.shape == parameter.shape:
                state[key] = torch.empty_like(parameter).copy_(value)


def to_unit(pictures: np.ndarray, device=None) -> torch.Tensor:
    """uint8 (N, H, W, C) → float (N, C, H, W) in [0, 1], channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).to(device).movedim(-1, 1).float() / 255


def write_sheet(path, rows: list[torch.Tensor]) -> None:
    """Rows of (N, 3, H, W) pictures in [0, 1] → one PNG, written atomically."""
    write_picture(path, contact_sheet([to_image(picture.cpu()) for row in rows for picture in row], len(rows[0])))
