"""One training of RFTrainer: what the node's inputs mean, and what the user sees while it runs."""

import time
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
from server import PromptServer

from ..rfft.interactive import SHORTER, Progress, advanced_settings, missing_packages, usual_for
from . import controlnet_loader
from .folders import path_of
from .product_folder import product_folder
from .types import stop_if_cancelled

PREVIEW = 768  # pixels


def check_packages() -> None:
    """Raises ImportError with one sentence that names what to install."""
    if missing := missing_packages():
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
        from ..pocket.ldm import check_pair
        from ..rfft.config import config_of
        from ..rfft.loading import FAMILIES

        pocket = is_pocket(ckpt_name)
        self.family = tuning.FAMILY["pocket"] if pocket else FAMILIES["diffusers"]
        self.checkpoint = checkpoint_path(ckpt_name)
        self.controlnet = path_of(controlnet_loader.folder_of(control_net_name), control_net_name)
        usual = tuning.SAMPLING
        if pocket:
            check_pair(self.checkpoint, self.controlnet)
        else:
            usual = usual_for(self.checkpoint, self.controlnet, comfy.model_management.cpu_mode())
        files = {
            "checkpoint": self.checkpoint,
            "controlnet": self.controlnet,
            "reviewer": path_of("rfnet", reviewer_name),
            "products": "",
            "prompts": "",
            "family": "pocket" if pocket else "diffusers",
        }
        place = {"folder": folder_paths.get_folder_paths("controlnet")[0]}
        self.config = config_of(
            {**usual, **SHORTER, **settings, **advanced_settings(advanced), **files, **place},
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
        models = self.family.load(config.checkpoint, config.controlnet)
        fold_loras(models, config.loras, config.checkpoint)
        models.unet.register_forward_pre_hook(progress.on_pass)
        reviewer = load_reviewer(config.reviewer)
        run = Run(config, models, reviewer, inputs, watch=progress, cpu=comfy.model_management.cpu_mode())
        progress.begin(run)
        try:
            return run()
        except comfy.model_management.InterruptProcessingException:
            progress.say_what_is_saved()
            raise


class TrainingProgress(Progress):
    """Shows a training on its node, and ends it when the user cancels."""

    def __init__(self, node_id: str, config):
        super().__init__(config.steps, self.tell, self.show_step)
        self.node_id = node_id
        self.cancelled = False
        self.spoke = 0.0  # when, so that passes don't speak too often
        self.bar = comfy.utils.ProgressBar(config.steps, node_id=node_id)

    def on_pass(self, *_) -> None:
        """Before each UNet pass: a cancel needn't wait for the end of a step."""
        stop_if_cancelled()
        if self.run and time.monotonic() - self.spoke > 1:
            doing = "measuring" if self.run.due else f"training step {self.run.step + 1} of {self.length}"
            self.tell(f"{doing}, {self.run.models.passes.total} UNet passes")

    def __call__(self, event: dict) -> bool:
        """What rfft.train.Run tells; True ends it."""
        try:
            super().__call__(event)
            if event["kind"] in ("step", "evaluation"):
                stop_if_cancelled()
        except comfy.model_management.InterruptProcessingException:
            self.cancelled = True
            self.say_what_is_saved()
        return self.cancelled

    def end(self) -> None:
        """Let go of the networks; what is shown of the run stays."""
        if self.run:
            self.last_curves = self.curves()
            self.run = None

    def show_step(self, picture, step: int) -> None:
        self.bar.update_absolute(step, self.length, ("JPEG", picture, PREVIEW))

    def tell(self, text: str) -> None:
        self.spoke = time.monotonic()
        PromptServer.instance.send_progress_text(text, self.node_id, PromptServer.instance.client_id)

    def say_what_is_saved(self) -> None:
        self.tell(f"{self.saved()}: queue the same again to go on from there.")
