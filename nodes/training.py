"""One training of RFTrainer: what the node's inputs mean, and what the user sees while it runs."""

import time
from importlib.util import find_spec
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
from server import PromptServer

from ..rfft.curves import curves, glance
from . import controlnet_loader
from .folders import path_of
from .product_folder import product_folder
from .types import stop_if_cancelled

NEEDED = ("accelerate", "diffusers", "transformers")
# what the node's inputs decide
OWN = ("checkpoint", "controlnet", "products", "prompts", "folder", "name", "reviewer", "family")
PREVIEW = 768  # pixels


def check_packages() -> None:
    """Raises ImportError with one sentence that names what to install."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ImportError(
            f"training needs {', '.join(missing)}: install with ComfyUI's Python, `python -m pip install"
            f" {' '.join(missing)}`, and restart ComfyUI."
        )


def is_pocket(checkpoint: str) -> bool:
    return (
        folder_paths.get_full_path("checkpoints", checkpoint) is None
        and folder_paths.get_full_path("pocket", checkpoint) is not None
    )


def checkpoint_path(name: str) -> str:
    """Raises FileNotFoundError naming file and folder."""
    return path_of("pocket" if is_pocket(name) else "checkpoints", name)


class Training:
    """A training as the node's inputs ask for it. What is wrong with them is said before anything large is loaded."""

    def __init__(self, ckpt_name: str, control_net_name: str, reviewer_name: str, settings: dict, advanced: str):
        from ..pocket import tuning
        from ..rfft.config import config_of
        from ..rfft.kinds import check_models
        from ..rfft.loading import FAMILIES

        pocket = is_pocket(ckpt_name)
        self.family = tuning.FAMILY["pocket"] if pocket else FAMILIES["diffusers"]
        self.checkpoint = checkpoint_path(ckpt_name)
        self.controlnet = path_of(controlnet_loader.folder_of(control_net_name), control_net_name)
        usual = tuning.SAMPLING if pocket else usual_for(check_models(self.checkpoint, self.controlnet)[0])
        files = {
            "checkpoint": self.checkpoint,
            "controlnet": self.controlnet,
            "reviewer": path_of("rfnet", reviewer_name),
            "products": "",
            "prompts": "",
            "family": "pocket" if pocket else "diffusers",
        }
        # for one user's machine; the command line has larger defaults
        shorter = {"batch": 2, "evaluation_products": 8, "evaluation_seeds": 2}
        place = {"folder": folder_paths.get_folder_paths("controlnet")[0]}
        self.config = config_of(
            {**usual, **shorter, **settings, **advanced_settings(advanced), **files, **place},
            "RF Train ControlNet's settings",
        )
        self.config.loras = [{**lora, "file": path_of("loras", lora["file"])} for lora in self.config.loras]

    def __call__(self, folder: str, prompts: str, progress) -> dict:
        """Trains; returns rfft.train.Run's answer."""
        from ..rfft.inputs import check_result, check_reviewer, open_products, pairs, products_of, prompts_of
        from ..rfft.lora import fold_loras
        from ..rfft.train import Run
        from ..rfnet.weights import load_reviewer, read_metadata

        config = self.config
        check_result(config)
        check_reviewer(read_metadata(config.reviewer), Path(config.reviewer).name, config.minimum_ap, config.force)
        texts = prompts_of(prompts.splitlines(), "the prompts of RF Train ControlNet")
        listed = open_products(product_folder(folder, "RF Train ControlNet"))
        inputs = pairs(products_of(listed), texts, config)
        self.left_out = listed.sentences
        comfy.model_management.unload_all_models()
        comfy.model_management.soft_empty_cache()
        models = fold_loras(self.family.load(config.checkpoint, config.controlnet), config.loras)
        models.unet.register_forward_pre_hook(progress.on_pass)
        reviewer = load_reviewer(config.reviewer)
        run = Run(config, models, reviewer, inputs, watch=progress, cpu=comfy.model_management.cpu_mode())
        progress.begin(run)
        try:
            return run()
        except comfy.model_management.InterruptProcessingException:
            progress.say_what_is_saved()
            raise


def usual_for(kind) -> dict:
    """Settings that suit a kind of checkpoint on this device."""
    from ..rfft.kinds import SDXL

    fast = {} if comfy.model_management.cpu_mode() else {"precision": "bf16", "half_base": kind is SDXL}
    return {**fast, **({"size": 1024, "guidance": 6.0} if kind is SDXL else {})}


def advanced_settings(advanced: str) -> dict:
    """The node's TOML text. Raises ConfigError on what is no TOML, and on keys that the node's own inputs decide."""
    from ..rfft.config import ConfigError
    from ..rfnet.textfiles import TextError, parse_toml

    try:
        values = parse_toml(advanced, '"advanced"')
    except TextError as error:
        raise ConfigError(f"{str(error).rstrip('.')}; write one key = value per line, such as size = 768.") from error
    if taken := sorted(set(values) & set(OWN)):
        raise ConfigError(
            f'"advanced" sets {", ".join(taken)}: use the node\'s own inputs for that, or `rfft train` on the command'
            " line."
        )
    return values


class TrainingProgress:
    """Shows a training on its node, and ends it when the user cancels."""

    def __init__(self, node_id: str, config):
        self.node_id = node_id
        self.config = config
        self.run = self.grid = None
        self.steps: list[tuple] = []  # (step, p(available)) of each
        self.cancelled = False
        self.spoke = 0.0  # when, so that passes don't speak too often
        self.bar = comfy.utils.ProgressBar(config.steps, node_id=node_id)

    def begin(self, run) -> None:
        self.run = run
        self.show(f"going on from step {run.step} of {self.config.steps}" if run.history else "measuring the start")

    def on_pass(self, *_) -> None:
        """Before each UNet pass: a cancel needn't wait for the end of a step."""
        stop_if_cancelled()
        if self.run and time.monotonic() - self.spoke > 1:
            doing = "measuring" if self.run.due else f"training step {self.run.step + 1} of {self.config.steps}"
            self.show(f"{doing}, {self.run.models.passes.total} UNet passes")

    def __call__(self, event: dict) -> bool:
        """What rfft.train.Run tells; True ends it."""
        if event["kind"] == "memory":
            self.show(f"memory ran out: going on with {event['plan']}")
        if event["kind"] not in ("step", "evaluation"):
            return False
        if event["kind"] == "step":
            self.steps.append((event["step"], event["loss"]["available"]))
            self.show(f"step {event['step']} of {self.config.steps}: p(available) {event['loss']['available']:.2f}")
        else:
            self.grid = event["grid"]
            self.show(f"step {event['step']} of {self.config.steps}: {event['evaluation']}")
        try:
            self.bar.update_absolute(event["step"], self.config.steps, ("JPEG", self.picture(), PREVIEW))
            stop_if_cancelled()
        except comfy.model_management.InterruptProcessingException:
            self.cancelled = True
            self.say_what_is_saved()
        return self.cancelled

    def end(self) -> None:
        """Let go of the networks; what is shown of the run stays."""
        if self.run:
            self.curves = curves(self.run.history, self.steps, self.config.steps)
            self.run = None

    def picture(self):
        return glance(self.run.history, self.steps, self.config.steps, self.grid)

    def show(self, text: str) -> None:
        self.spoke = time.monotonic()
        PromptServer.instance.send_progress_text(text, self.node_id, PromptServer.instance.client_id)

    def say_what_is_saved(self) -> None:
        run = self.run
        files = [self.config.result.name] if run.history and run.best() else []
        files += [self.config.last.name] if run.history and run.updates else []
        usable = f"{' and '.join(files)} can be used as they are" if files else "nothing has been learned yet"
        self.show(
            f"Stopped after step {run.step} of {self.config.steps}: {usable}. Everything is saved: queue the same again"
            " to go on from there."
        )
