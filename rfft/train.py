"""Fine-tuning: draw without gradient, take differentiable steps of the same drawings, update the adapter; measure, keep
the best, stop before it gets dull.

Source: arXiv:2408.00418; several updates per rollout, stopping on diversity and the adapter are additions to it. Runs
on one CPU or GPU, or through `accelerate launch` on many; resumable at any moment.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import torch

from ..rfnet.files import quoted, write_picture, write_safetensors
from ..rfnet.sheets import contact_sheet, to_image
from ..rfnet.structured import shortened
from ..rfnet.tensors import STATE, open_tensors
from ..rfnet.training.processes import accelerator
from .adapter import Adapter, save_adapter, sha256_of
from .config import ConfigError, TrainConfig
from .evaluate import EVALUATION_SEEDS, evaluate, front, triples
from .inputs import check_result, check_reviewer, check_space
from .memory import Climber
from .models import Models, Passes
from .objective import objective
from .rollout import Batch, Order, chosen_steps, prepare, rollout

PLACE = ("step", "updates", "broken", "seconds", "history", "losses", "stopped")  # what a state says besides tensors
BROKEN_UPDATES = 3  # in a row, before a run gives up


class Run:
    """One fine-tuning.

    A step depends on nothing but its number, the weights and the optimiser, so that N + N steps equal 2N, bit for bit
    on one CPU.

    briefs: (canvas, prompt) to train on; evaluation: those to measure on, by default an even choice of the former.
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
        briefs: list,
        evaluation: list | None = None,
        watch=None,
        cpu: bool = False,
    ):
        if not briefs:
            raise ConfigError("there is nothing to train on: give at least one product and one prompt.")
        check_result(config)
        self.reviewer_ap = check_reviewer(
            reviewer.metadata, Path(config.reviewer).name, config.minimum_ap, config.force
        )
        self.config, self.briefs, self.watch = config, briefs, watch or show
        self.accelerator = accelerator(cpu=cpu)
        self.first = self.accelerator.is_main_process
        if config.half_base:
            models.to(torch.bfloat16)
        self.models, self.reviewer = (
            models.freeze().to(self.accelerator.device),
            reviewer.to(self.accelerator.device).eval().requires_grad_(False),
        )
        self.climb = Climber(config, self.models, lambda rung: self.watch({"kind": "memory", "rung": str(rung)}))
        self.base_sha256 = sha256_of(config.controlnet)
        self.adapter = Adapter(models.controlnet, config.rank, seed=config.seed)
        self.parameters = list(self.adapter.parameters())
        self.optimizer = optimizer_of(config, self.parameters)
        self.ema = [p.detach().clone() for p in self.parameters]
        chosen = (evaluation or spread(briefs, config.evaluation_products))[: config.evaluation_products]
        self.orders = triples(chosen, config.evaluation_seeds)
        self.step, self.updates, self.broken, self.passes, self.seconds = 0, 0, 0, Passes(), 0.0
        self.history, self.losses, self.stopped = [], [], ""
        shown = [canvas.fingerprint + prompt for canvas, prompt in (*briefs, *chosen)]
        self.identity = json.dumps(
            [
                config.identity(),
                self.base_sha256,
                EVALUATION_SEEDS,
                hashlib.sha256("\n".join(shown).encode()).hexdigest(),
            ]
        )
        self.pictures_before = None
        try:
            check_space(
                config.folder, 2 * 18 * sum(p.numel() for p in self.parameters)
            )  # weights, average, two moments in fp32, a result in fp16; old and new side by side
            self._resume()
        except BaseException:
            self.adapter.remove()
            raise

    def __call__(self) -> dict:
        """Train to the end -> {"best", "steps", "stopped", "before", "after", "history", "passes", "seconds",
        "result"}.
        """
        cancelled = False
        try:
            while not (cancelled or self.stopped):
                if self.due:
                    cancelled = self._evaluate()
                elif self.step < self.config.steps:
                    cancelled = self._train()
                else:
                    break
            if cancelled:
                self._rescue()
            return self._finish()
        except BaseException:
            self._rescue()
            raise
        finally:
            self.adapter.remove()

    @property
    def due(self) -> bool:
        """Whether to measure before going on."""
        at = self.step % self.config.evaluate_every == 0 or self.step >= self.config.steps
        return not self.history or (at and self.history[-1]["step"] != self.step)

    def _train(self) -> bool:
        """One step. True where the watcher wants an end."""
        started = time.monotonic()
        self._whole(self._step)
        self.step += 1
        self.seconds += time.monotonic() - started
        cancelled = self._tell("step", loss=self.losses[-1], step=self.step)
        if self.step % self.config.save_every == 0:
            self._save_state()
        return cancelled

    def _whole(self, part):
        """part(), or nothing of it: what it throws leaves everything as it was before."""
        before = self._state()
        try:
            return part()
        except BaseException:
            self.optimizer.zero_grad(set_to_none=True)
            self._restore(*before)
            raise

    def _rescue(self) -> None:
        """What a run that is broken off leaves: its state after the last whole step, and the adapter as it then is."""
        if self.first:
            with suppress(OSError):  # what broke it off is more worth telling
                self._save_state()
                if self.updates and self.history:
                    self._write_last()

    # One step

    def _orders(self, step: int) -> list:
        """accumulation batches of Orders for this process: the briefs in an order of their own for each time through,
        seeds never used twice nor in evaluation.
        """
        c, world, rank = self.config, self.accelerator.num_processes, self.accelerator.process_index
        count, orders = c.batch * c.accumulation, []
        for k in range(count):
            place = (step * world + rank) * count + k
            epoch, row = divmod(place, len(self.briefs))
            if epoch != getattr(self, "_epoch", None):
                self._epoch, self._order = (
                    epoch,
                    random.Random(f"{c.seed} {epoch}").sample(range(len(self.briefs)), len(self.briefs)),
                )
            orders.append(Order(*self.briefs[self._order[row]], (c.seed * 1_000_003 + place) % EVALUATION_SEEDS))
        return [orders[start : start + c.batch] for start in range(0, count, c.batch)]

    def _step(self) -> None:
        """Rollouts of every batch, then one update per chosen step.

        Later updates look at drawings a few updates old: at these learning rates they are the same.
        """
        c, sampling = self.config, self.config.training_sampling
        self.models.passes = self.passes
        chosen = chosen_steps(sampling, c.last_steps, c.gradient_steps, c.seed * 1_000_003 + self.step)
        drawn = [
            self.climb(lambda rung: self._draw(orders, chosen, rung), self.step) for orders in self._orders(self.step)
        ]
        found = []
        for i in chosen:
            found.append(
                self.climb(
                    lambda rung: self._gradient(drawn, i, rung),
                    self.step,
                    undo=lambda: self.optimizer.zero_grad(set_to_none=True),
                )
            )
            self._update()
        self.losses.append({name: sum(row[name] for row in found) / len(found) for name in found[0]})

    def _draw(self, orders: list, chosen: list, rung) -> tuple:
        """(a batch, {step: its x_t}), drawn as many pictures at a time as the rung says."""
        with autocast(self.accelerator.device, self.config):
            parts = [
                prepare(self.models, orders[rows], self.config.training_sampling) for rows in rung.slices(len(orders))
            ]
            kept = [
                rollout(self.models, part, self.config.training_sampling, keep=chosen, to_the_end=False)[1]
                for part in parts
            ]
        return Batch.join(parts), {i: torch.cat([drawings[i] for drawings in kept]) for i in chosen}

    def _gradient(self, drawn: list, i: int, rung) -> dict:
        """The gradient of step i, the mean over all batches; returns the mean losses.

        Parts of a batch weigh as many pictures as they hold.
        """
        sums, count = {}, sum(len(batch) for batch, _ in drawn)
        for batch, kept in drawn:
            for rows in rung.slices(len(batch)):
                part = batch.rows(rows)
                with autocast(self.accelerator.device, self.config):
                    losses = self.loss(part, i, kept[i][rows])
                share = len(part) / count
                (losses["total"] * share).backward()
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + share * float(value.detach())
        return sums

    def loss(self, batch: Batch, i: int, x: torch.Tensor) -> dict:
        return objective(self.models, self.reviewer, self.adapter, self.config, batch, i, x)

    @torch.no_grad()
    def _update(self) -> None:
        """One AdamW step on the gradient's mean over all processes, and the moving average.

        A gradient that isn't finite is passed over, in every process alike.
        """
        if self.accelerator.num_processes > 1:
            flat = self.accelerator.reduce(torch.cat([p.grad.flatten() for p in self.parameters]), "mean")
            for p, mean in zip(self.parameters, flat.split([p.numel() for p in self.parameters])):
                p.grad.copy_(mean.view_as(p))
        length = torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        if not torch.isfinite(length):
            self.broken += 1
            self.optimizer.zero_grad(set_to_none=True)
            if self.broken >= BROKEN_UPDATES:
                raise RuntimeError(
                    f"the gradient was not finite {self.broken} times in a row at step {self.step}: the state from"
                    f' before lies in "{self.config.state}"; lower lr, or set precision to no.'
                )
            return
        self.broken = 0
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * min(1.0, (self.updates + 1) / max(1, self.config.warm_up))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(self.config.ema, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.ema, [p.detach() for p in self.parameters], 1 - decay)
        self.updates += 1

    @contextmanager
    def averaged(self):
        """`with run.averaged():` the adapter holds the moving average; afterwards the live weights again."""
        live = [p.detach().clone() for p in self.parameters]
        self._put(self.ema)
        try:
            yield
        finally:
            self._put(live)

    @torch.no_grad()
    def _put(self, values: list) -> None:
        for p, value in zip(self.parameters, values):
            p.copy_(value)

    # Measuring, keeping, stopping

    def _evaluate(self) -> bool:
        """Measure, keep, and save the state. True where the watcher wants an end."""
        event = self._whole(self._measure)
        cancelled = self._tell("evaluation", **event)
        self._save_state()
        return cancelled

    def _measure(self) -> dict:
        """Measure the averaged adapter, write it if it is the best so far, decide whether to stop."""
        start = not self.history
        with self.adapter.off() if start else self.averaged(), autocast(self.accelerator.device, self.config):
            found, pictures = self.climb(
                lambda rung: evaluate(
                    self.models, self.reviewer, self.orders, self.config.sampling, self.adapter, rung.pictures
                ),
                self.step,
            )
        row = {
            "step": self.step,
            "updates": self.updates,
            "passes": self.passes.total,
            "seconds": round(self.seconds, 1),
            **found.row(),
        }
        row |= {
            name: sum(values[name] for values in self.losses) / len(self.losses)
            for name in (self.losses[0] if self.losses else ())
        }
        self.losses = []
        self.history.append(row)
        self.stopped = self._dull() if self._anywhere(bool(self._dull())) else ""
        grid = None
        if self.first:
            grid = self._grid(pictures)
            write_picture(self.config.result.with_suffix(".png"), grid)
            if not start:
                if self.best() == len(self.history) - 1:
                    with self.averaged():
                        self._write(self.config.result)
                self._write_last()
        return {"evaluation": found, "grid": grid, **row}

    def _dull(self) -> str:
        """Why to stop: the last evaluation's rate has risen, and too much of the diversity is gone; else nothing."""
        before, now = self.history[0], self.history[-1]
        if (
            now["diversity"] >= (1 - self.config.diversity_loss) * before["diversity"]
            or now["rate"]["value"] <= before["rate"]["value"]
        ):
            return ""
        return (
            f"stopped at step {now['step']}: the rate rose from {before['rate']['value']:.1%} to"
            f" {now['rate']['value']:.1%}, but diversity fell to {now['diversity'] / before['diversity']:.0%} of the"
            " start's; raise diversity_loss to go on, or begin anew with a larger beta."
        )

    def _write_last(self) -> None:
        with self.averaged():
            self._write(self.config.last)

    def best(self) -> int:
        """Which evaluation is kept: on the front of rate and diversity, the highest rate (then mean p(available)) among
        those that aren't dull.
        """
        points = [(row["rate"]["value"], row["diversity"]) for row in self.history]
        floor = (1 - self.config.diversity_loss) * self.history[0]["diversity"]
        lively = [i for i in range(len(points)) if points[i][1] >= floor]
        return max(lively, key=lambda i: (points[i][0], self.history[i]["probabilities"]["available"]))

    def front(self) -> list:
        """The evaluations that no other beats in both rate and diversity."""
        return [self.history[i] for i in front([(row["rate"]["value"], row["diversity"]) for row in self.history])]

    def _write(self, path: Path) -> None:
        c, before, after = self.config, self.history[0], self.history[-1]
        save_adapter(
            path,
            self.adapter,
            self.base_sha256,
            Path(c.controlnet).name,
            {
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
                "memory": {"rung": str(self.climb.rung), "climbed": self.climb.climbed},
                "config": c.settings(),
                "created_with": "rfft train",
            },
        )

    def _grid(self, pictures: torch.Tensor, columns: int = 8):
        """The first evaluation's pictures above those of now, as a Pillow picture."""

        def row(pictures):
            return torch.cat(list(pictures[:: self.config.evaluation_seeds][:columns]), 2)

        now = row(pictures)
        if self.pictures_before is None:
            self.pictures_before = now
        return contact_sheet([to_image(self.pictures_before), to_image(now)], columns=1)

    def _tell(self, kind: str, **event) -> bool:
        """Whether the first process's watcher wants an end; every process learns its answer."""
        return self._anywhere(bool(self.watch({"kind": kind, **event})) if self.first else False)

    def _anywhere(self, here: bool) -> bool:
        """Whether it is so in any process: what decides how a run goes on must be the same in all."""
        if self.accelerator.num_processes > 1:
            return bool(self.accelerator.reduce(torch.tensor(float(here), device=self.accelerator.device), "sum"))
        return here

    def _finish(self) -> dict:
        self.accelerator.wait_for_everyone()
        best = self.best()
        answer = {
            "best": best,
            "steps": self.step,
            "stopped": self.stopped,
            "before": self.history[0],
            "after": self.history[best],
            "history": self.history,
            "passes": self.passes.total,
            "seconds": self.seconds,
            "result": str(self.config.result) if best and self.config.result.exists() else "",
        }
        self._tell("end", **answer)
        return answer

    # Going on

    def _state(self) -> tuple:
        """(tensors on the CPU, place as JSON): everything that a step changes."""
        tensors = {f"weights.{i}": p for i, p in enumerate(self.parameters)} | {
            f"ema.{i}": p for i, p in enumerate(self.ema)
        }
        for i, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{key}": torch.as_tensor(value) for key, value in values.items()}
        if self.pictures_before is not None:
            tensors["pictures_before"] = self.pictures_before
        place = {key: getattr(self, key) for key in PLACE}
        tensors = {key: value.detach().to("cpu", copy=True) for key, value in tensors.items()}
        return tensors, json.dumps({**place, "passes": asdict(self.passes), "climbed": self.climb.climbed})

    def _restore(self, tensors: dict, place: str) -> None:
        device = self.accelerator.device
        self._put([tensors[f"weights.{i}"].to(device) for i in range(len(self.parameters))])
        self.ema = [tensors[f"ema.{i}"].to(device) for i in range(len(self.parameters))]
        state = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".")
                state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        values = json.loads(place)
        self.passes = Passes(**values.pop("passes"))
        self.climb.go_on(values.pop("climbed", []))
        if values.keys() != set(PLACE):
            raise ValueError("its place is none")
        for key, value in values.items():
            setattr(self, key, value)
        self.pictures_before = tensors.get("pictures_before")

    def _save_state(self) -> None:
        if self.first:
            tensors, place = self._state()
            write_safetensors(self.config.state, tensors, {"identity": self.identity, "place": place})

    def _resume(self) -> None:
        state_file = self.config.state
        if self._anywhere(not state_file.exists()):
            if state_file.exists():
                raise ConfigError(
                    f'"{state_file}" is not at hand for every process: copy it to the other machines, or delete it to'
                    " start anew."
                )
            return
        with open_tensors(state_file, ConfigError, remedy=STATE) as file:
            metadata, tensors = file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}
        if metadata.get("identity") != self.identity:
            raise ConfigError(
                f'"{state_file}" belongs to a run with other settings, products or models: delete it to start anew, or'
                " choose another name."
            )
        try:
            self._restore(tensors, metadata["place"])
        except torch.cuda.OutOfMemoryError:
            raise  # the file is not to blame
        except Exception as error:  # a damaged state trips whatever meets it first
            reason = shortened(str(error), 150)[1:-1] or type(error).__name__
            raise ConfigError(
                f"{quoted(state_file)} is a damaged state of a fine-tuning ({reason}): delete it to start anew."
            ) from error
        if self.stopped and not self._dull():  # diversity_loss was raised: what was too dull to keep may be the best
            self.stopped = ""
            if self.first and self.best() == len(self.history) - 1:
                with self.averaged():
                    self._write(self.config.result)


def autocast(device: torch.device, config: TrainConfig):
    """bfloat16 where the config asks for it.

    Not accelerate's own, whose precision is set once per process: two runs in one program may differ.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def spread(briefs: list, count: int) -> list:
    """At most `count` of the briefs, evenly over them."""
    count = min(count, len(briefs))
    return [briefs[i * len(briefs) // count] for i in range(count)]


def optimizer_of(config: TrainConfig, parameters: list):
    """AdamW, with moments in 32 or 8 bits. Raises ConfigError where bitsandbytes is missing."""
    kind = torch.optim.AdamW
    if config.optimizer == "adamw8bit":
        try:
            from bitsandbytes.optim import AdamW8bit as kind
        except ImportError as error:
            raise ConfigError(
                "optimizer is adamw8bit, which needs bitsandbytes: pip install bitsandbytes, or set optimizer to adamw."
            ) from error
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay)


def show(event: dict) -> None:
    """What a run prints where nobody else watches."""
    if event["kind"] == "step":
        print(
            "step {step}: p(available) {available:.3f}, feedback {feedback:.3f}, regulariser {regulariser:.3f}".format(
                step=event["step"], **event["loss"]
            ),
            flush=True,
        )
    elif event["kind"] == "evaluation":
        print(f"after {event['step']} steps and {event['passes']} UNet passes: {event['evaluation']}", flush=True)
    elif event["kind"] == "memory":
        print(f"memory ran out: going on with {event['rung']}", flush=True)
    else:
        kept = (
            f"the best is from step {event['after']['step']}, in {event['result']}"
            if event["result"]
            else "nothing was better than the start, so no adapter is kept"
        )
        print(f"{event['stopped'] or 'done'}\n{kept}", flush=True)
