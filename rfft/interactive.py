"""What user interfaces share where someone tunes a ControlNet on their own machine: settings that suit it, and how a
run shows itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from PIL import Image

from .config import ConfigError, TrainConfig
from .curves import curves, glance

NEEDED = ("accelerate", "diffusers", "transformers")
SHORTER = {"batch": 2, "evaluation_products": 8, "evaluation_seeds": 2}  # the command line has larger defaults
# what a user interface's own inputs decide
OWN = ("checkpoint", "controlnet", "products", "prompts", "folder", "name", "reviewer", "family")


def missing_packages() -> list[str]:
    """What training needs and isn't installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def usual_for(checkpoint, controlnet, cpu: bool) -> dict:
    """Settings that suit a checkpoint of Stable Diffusion. Raises ModelError where the two files don't fit."""
    from .kinds import SDXL, check_models

    kind, _ = check_models(checkpoint, controlnet)
    fast = {} if cpu else {"precision": "bf16", "half_base": kind is SDXL}
    return {**fast, **({"size": 1024, "guidance": 6.0} if kind is SDXL else {})}


def advanced_settings(advanced: str) -> dict:
    """Further settings as TOML. Raises ConfigError on what is no TOML, and on keys that have inputs of their own."""
    from ..rfnet.textfiles import TextError, parse_toml

    try:
        values = parse_toml(advanced, '"advanced"')
    except TextError as error:
        raise ConfigError(f"{str(error).rstrip('.')}; write one key = value per line, such as size = 768.") from error
    if taken := sorted(set(values) & set(OWN)):
        raise ConfigError(
            f'"advanced" sets {", ".join(taken)}: use their own inputs for that, or `rfft train` on the command line.'
        )
    return values


class Progress:
    """A run's `watch`: what it does in words, and as a picture.

    say(text), show(picture, step): where these go; the picture is Pillow's, and comes after each step and measurement.
    """

    def __init__(self, length: int, say: Callable, show: Callable):
        self.length = length
        self.say = say
        self.show = show
        self.run: Any = None
        self.grid: Image.Image | None = None
        self.steps: list[tuple] = []  # (step, p(available)) of each

    def begin(self, run) -> None:
        """run: the train.Run that is about to start."""
        self.run = run
        self.say(f"going on from step {run.step} of {self.length}" if run.history else "measuring the start")

    def __call__(self, event: dict) -> bool:
        """What a run tells."""
        if event["kind"] == "memory":
            self.say(f"memory ran out: going on with {event['plan']}")
        if event["kind"] not in ("step", "evaluation"):
            return False
        if event["kind"] == "step":
            self.steps.append((event["step"], event["loss"]["available"]))
            self.say(f"step {event['step']} of {self.length}: p(available) {event['loss']['available']:.2f}")
        else:
            self.grid = event["grid"]
            self.say(f"step {event['step']} of {self.length}: {event['evaluation']}")
        self.show(self.picture(), event["step"])
        return False

    def picture(self) -> Image.Image:
        """Curves so far, above the pictures of the start and of now."""
        return glance(self.run.history, self.steps, self.length, self.grid)

    def curves(self) -> Image.Image:
        return curves(self.run.history, self.steps, self.length)

    def saved(self) -> str:
        """What a run that is stopped leaves."""
        run = self.run
        files = [run.config.result.name] if run.history and run.best() else []
        files += [run.config.last.name] if run.history and run.updates else []
        usable = f"{' and '.join(files)} can be used as they are" if files else "nothing has been learned yet"
        return f"Stopped after step {run.step} of {self.length}: {usable}. Everything is saved"


def summary(config: TrainConfig, answer: dict, go_on: str) -> str:
    """What came of a training, in a few lines. answer: train.Run's; go_on: how to go on, as a sentence."""
    before = answer["before"]
    after = answer["after"]

    def rate(row):
        return "{value:.0%} ({low:.0%} to {high:.0%}, {n} pictures)".format(**row["rate"])

    lines = [answer["stopped"] or f"{answer['steps']} steps done."]
    if answer["result"]:
        lines += [
            (
                f"Accepted by the reviewer: {rate(before)} before, {rate(after)} at step {after['step']}, which is kept"
                f" in {config.result.name}."
            ),
            (
                f"Diversity {before['diversity']:.3f} before, {after['diversity']:.3f} at that step. These pictures"
                " chose the best step, so measure it on other products, and look at their pictures."
            ),
        ]
    else:
        lines += [
            f"No step was better than the start ({rate(before)}), so there is no {config.result.name}: more steps, more"
            f" products or a smaller beta may help. {config.last.name} holds the last step."
        ]
    more = [] if answer["stopped"] else [go_on]
    return "\n".join([*lines, *more, f"Folder: {config.folder}"])
