"""Fine-tuning: take steps, measure, keep the best, stop before the pictures get dull.

Source: arXiv:2408.00418; several updates per rollout, stopping on diversity and the adapter are additions to it. Runs
on one CPU or GPU, or through `accelerate launch` on many; resumable at any moment.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from ..rfnet.files import write_picture
from ..rfnet.training.processes import accelerator
from . import checkpoint, selection
from .adapter import save_adapter, sha256_of
from .config import ConfigError, TrainConfig
from .curves import before_and_after
from .evaluate import EVALUATION_SEEDS, evaluate, evaluation_jobs
from .inputs import check_result, check_reviewer, check_space
from .learner import Learner
from .memory import MemoryFallback
from .models import Models
from .step import TrainingStep, autocast

COLUMNS = 8  # pictures of the start, and as many of now, that NAME.png shows
BYTES = 2 * 18  # on the disk, of each weight: itself, its average, two moments in fp32, a result in fp16; old and new


class Run:
    """One fine-tuning.

    A step depends on nothing but its number, the weights and the optimiser, so that N + N steps equal 2N, bit for bit
    on one CPU.

    pairs: (canvas, prompt) to train on; evaluation: those to measure on, by default an even choice of the former.
    watch(event), called after every step and evaluation with a dict that has "kind" ("step", "evaluation", "memory" or
    "end"), may return True to end the run; whatever it or a hook on the models raises passes through. Nothing is lost
    either way: the last whole step is saved, and what the adapter had become by then. cpu: stay off the accelerator
    that is there.
    """

    def __init__(
        self,
        config: TrainConfig,
        models: Models,
        reviewer,
        pairs: list,
        evaluation: list | None = None,
        watch: Callable | None = None,
        cpu: bool = False,
    ):
        if not pairs:
            raise ConfigError("there is nothing to train on: give at least one product and one prompt.")
        check_result(config)
        name = Path(config.reviewer).name
        self.reviewer_ap = check_reviewer(reviewer.metadata, name, config.minimum_ap, config.force)
        self.config = config
        self.pairs = pairs
        self.watch = watch or show
        self.accelerator = accelerator(cpu=cpu)
        self.first = self.accelerator.is_main_process
        if config.half_base:
            models.to(torch.bfloat16)
        self.models = models.freeze().to(self.accelerator.device)
        self.reviewer = reviewer.to(self.accelerator.device).eval().requires_grad_(False)
        self.fallback = MemoryFallback(config, models, lambda plan: self.watch({"kind": "memory", "plan": str(plan)}))
        self.base_sha256 = sha256_of(config.controlnet)
        measured_on = (evaluation or spread(pairs, config.evaluation_products))[: config.evaluation_products]
        self.evaluation_jobs = evaluation_jobs(measured_on, config.evaluation_seeds)
        self.identity = identity(config, self.base_sha256, [*pairs, *measured_on])
        self.progress = checkpoint.Progress()
        self.learner = Learner(config, models.controlnet, self.accelerator)
        self.take_step = TrainingStep(
            config, models, self.reviewer, self.learner, self.fallback, self.accelerator, pairs
        )
        try:
            check_space(config.folder, BYTES * sum(p.numel() for p in self.learner.parameters))
            if checkpoint.resume(self):
                self._allow_more_loss()
        except BaseException:
            self.learner.adapter.remove()
            raise

    def __call__(self) -> dict:
        """Train to the end -> {"best", "steps", "stopped", "before", "after", "history", "passes", "seconds",
        "result"}.
        """
        cancelled = False
        try:
            while not (cancelled or self.progress.stopped):
                if self.due:
                    cancelled = self._evaluate()
                elif self.step < self.config.steps:
                    cancelled = self._train()
                else:
                    break
            if cancelled:
                self._save_on_the_way_out()
            return self._finish()
        except BaseException:
            self._save_on_the_way_out()
            raise
        finally:
            self.learner.adapter.remove()

    # How far it got, for who watches

    @property
    def step(self) -> int:
        return self.progress.step

    @property
    def updates(self) -> int:
        return self.learner.updates

    @property
    def history(self) -> list:
        return self.progress.history

    @property
    def due(self) -> bool:
        """Whether to measure before going on."""
        at = self.step % self.config.evaluate_every == 0 or self.step >= self.config.steps
        return not self.history or (at and self.history[-1]["step"] != self.step)

    def best(self) -> int:
        """Which evaluation is kept, see selection.best."""
        return selection.best(self.history, self.config.diversity_loss)

    def front(self) -> list:
        """The evaluations that no other beats in both rate and diversity."""
        points = [(row["rate"]["value"], row["diversity"]) for row in self.history]
        return [self.history[i] for i in selection.front(points)]

    # Training

    def _train(self) -> bool:
        """One step. True where the watcher wants an end."""
        started = time.monotonic()
        self.models.passes = self.progress.passes
        losses = self._whole_or_nothing(lambda: self.take_step(self.step))
        self.progress.losses.append(losses)
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - started
        cancelled = self._tell("step", loss=losses, step=self.step)
        if self.step % self.config.save_every == 0:
            self._save()
        return cancelled

    def _whole_or_nothing(self, work: Callable):
        """work(), or nothing of it: when it raises, everything is as it was before."""
        before = checkpoint.snapshot(self)
        try:
            return work()
        except BaseException:
            self.learner.forget_gradient()
            checkpoint.restore(self, *before)
            raise

    # Measuring

    def _evaluate(self) -> bool:
        """Measure, keep, and save the state. True where the watcher wants an end."""
        event = self._whole_or_nothing(self._measure)
        cancelled = self._tell("evaluation", **event)
        self._save()
        return cancelled

    def _measure(self) -> dict:
        """Measure the averaged adapter, write it if it is the best so far, decide whether to stop."""
        c = self.config
        progress = self.progress
        start = not self.history
        with (
            self.learner.adapter.off() if start else self.learner.average.applied(),
            autocast(self.accelerator.device, c),
        ):
            evaluation, pictures = self.fallback(
                lambda plan: evaluate(
                    self.models, self.reviewer, self.evaluation_jobs, c.sampling, self.learner.adapter, plan.pictures
                ),
                self.step,
            )
        row = {
            "step": self.step,
            "updates": self.updates,
            "passes": progress.passes.total,
            "gradient_passes": progress.passes.gradient,
            "seconds": round(progress.seconds, 1),
            **evaluation.row(),
            **means(progress.losses),
        }
        progress.losses = []
        self.history.append(row)
        collapse = selection.collapse(self.history, c.diversity_loss)
        progress.stopped = collapse if self.in_any_process(bool(collapse)) else ""
        grid = self._keep(pictures) if self.first else None
        return {"evaluation": evaluation, "grid": grid, **row}

    def _keep(self, pictures: torch.Tensor):
        """Write the pictures and, where there is something learned, the adapter -> the pictures in one."""
        shown = torch.cat(list(pictures[:: self.config.evaluation_seeds][:COLUMNS]), 2)
        if self.progress.pictures_before is None:
            self.progress.pictures_before = shown
        grid = before_and_after(self.progress.pictures_before, shown)
        write_picture(self.config.result.with_suffix(".png"), grid)
        if len(self.history) > 1:
            if self.best() == len(self.history) - 1:
                self._write(self.config.result)
            self._write(self.config.last)
        return grid

    # Writing

    def _write(self, path: Path) -> None:
        """The averaged adapter, and what it came from."""
        c = self.config
        before, after = self.history[0], self.history[-1]
        about = {
            "reviewer": {
                "file": Path(c.reviewer).name,
                "ap": self.reviewer_ap,
                "data_fingerprint": self.reviewer.metadata.get("data_fingerprint", ""),
            },
            "checkpoint": Path(c.checkpoint).name,
            "losses": {
                name: getattr(c, name) for name in ("loss", "beta", "gradient_steps", "last_steps", "through_maps")
            },
            "steps": str(self.step),
            "rates": {"before": before["rate"], "after": after["rate"]},
            "diversity": {"before": before["diversity"], "after": after["diversity"]},
            "history": [{key: value for key, value in row.items() if key != "accepted"} for row in self.history],
            "memory": {"rung": str(self.fallback.plan), "climbed": self.fallback.fallbacks},
            "config": c.settings(),
            "created_with": "rfft train",
        }
        with self.learner.average.applied():
            save_adapter(path, self.learner.adapter, self.base_sha256, Path(c.controlnet).name, about)

    def _save(self) -> None:
        if self.first:
            checkpoint.save(self)

    def _save_on_the_way_out(self) -> None:
        """What a run that is broken off leaves: its state after the last whole step, and the adapter as it then is."""
        if self.first:
            with suppress(OSError):  # what broke it off is more worth telling
                self._save()
                if self.updates and self.history:
                    self._write(self.config.last)

    def _allow_more_loss(self) -> None:
        """A run that had stopped goes on where diversity_loss was raised; what was too dull may now be the best."""
        if self.progress.stopped and not selection.collapse(self.history, self.config.diversity_loss):
            self.progress.stopped = ""
            if self.first and self.best() == len(self.history) - 1:
                self._write(self.config.result)

    def _finish(self) -> dict:
        self.accelerator.wait_for_everyone()
        best = self.best()
        answer = {
            "best": best,
            "steps": self.step,
            "stopped": self.progress.stopped,
            "before": self.history[0],
            "after": self.history[best],
            "history": self.history,
            "passes": self.progress.passes.total,
            "seconds": self.progress.seconds,
            "result": str(self.config.result) if best and self.config.result.exists() else "",
        }
        self._tell("end", **answer)
        return answer

    # Many processes

    def _tell(self, kind: str, **event) -> bool:
        """Whether the first process's watcher wants an end; every process learns its answer."""
        return self.in_any_process(bool(self.watch({"kind": kind, **event})) if self.first else False)

    def in_any_process(self, here: bool) -> bool:
        """Whether it is so in any process: what decides how a run goes on must be the same in all."""
        if self.accelerator.num_processes > 1:
            return bool(self.accelerator.reduce(torch.tensor(float(here), device=self.accelerator.device), "sum"))
        return here


def identity(config: TrainConfig, base_sha256: str, pairs: list) -> str:
    """A text that a checkpoint must have in common with a run that goes on from it."""
    shown = "\n".join(canvas.fingerprint + prompt for canvas, prompt in pairs)
    return json.dumps([config.identity(), base_sha256, EVALUATION_SEEDS, hashlib.sha256(shown.encode()).hexdigest()])


def spread(pairs: list, count: int) -> list:
    """At most `count` of the pairs, evenly over them."""
    count = min(count, len(pairs))
    return [pairs[i * len(pairs) // count] for i in range(count)]


def means(rows: list[dict]) -> dict:
    """{name: mean} of rows that have the same names."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in (rows[0] if rows else ())}


def show(event: dict) -> None:
    """What a run prints where nobody else watches."""
    if event["kind"] == "step":
        losses = ", ".join(f"{name} {event['loss'][name]:.3f}" for name in ("feedback", "regulariser"))
        print(f"step {event['step']}: p(available) {event['loss']['available']:.3f}, {losses}", flush=True)
    elif event["kind"] == "evaluation":
        print(f"after {event['step']} steps and {event['passes']} UNet passes: {event['evaluation']}", flush=True)
    elif event["kind"] == "memory":
        print(f"memory ran out: going on with {event['plan']}", flush=True)
    else:
        kept = (
            f"The best is from step {event['after']['step']}, in {event['result']}."
            if event["result"]
            else "Nothing was better than the start, so no adapter is kept."
        )
        print(f"{event['stopped'] or 'done'}\n{kept}", flush=True)
