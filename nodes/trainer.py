"""RFTrainer: tunes a ControlNet on the reviewer's feedback inside ComfyUI's process (RFFT, arXiv:2408.00418).

Training has networks of its own, in diffusers' classes: what ComfyUI has loaded was made for sampling alone, and is
unloaded first.
"""

import gc
import time
from importlib.util import find_spec
from pathlib import Path

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io, ui
from PIL import Image
from server import PromptServer

from ..rfft.curves import curves, glance
from . import controlnet_loader, pocket_models
from .checked import checked
from .folders import path_of
from .inputs import quoted
from .product_folder import product_folder
from .types import CATEGORY, from_pictures, stop_if_cancelled

LOSSES = {"consistent condition": "cc", "KL": "kl", "plain": "none"}
NEEDED = ("accelerate", "diffusers", "transformers")
OWN = (
    "checkpoint",
    "controlnet",
    "products",
    "prompts",
    "folder",
    "name",
    "reviewer",
    "family",
)  # what the node's inputs decide
PREVIEW = 768  # pixels


@checked(
    checks={
        "checkpoint": lambda name: checkpoint_path(name),
        "control_net_name": lambda name: path_of(controlnet_loader.folder_of(name), name),
        "reviewer_name": lambda name: path_of("rfnet", name),
        "folder": lambda name: product_folder(name, "RF Train ControlNet"),
        "result_name": lambda name: check_name(name),
        "advanced": lambda text: table(text),
    },
    advanced=("learning_rate", "loss", "beta", "training_seed", "advanced"),
    aliases=("train controlnet", "fine-tune controlnet", "RFFT", "reward training"),
)
class RFTrainer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFTrainer",
            display_name="RF Train ControlNet",
            category=CATEGORY,
            description=(
                "Tunes a ControlNet on the reviewer's feedback, so that more of what it draws can be published. The"
                " result is a small adapter for RF Load ControlNet; the ControlNet itself stays as it is."
            ),
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoints(),
                    tooltip=(
                        "The model to draw with: SD 1.5 or SDXL (.safetensors, with its VAE) from models/checkpoints,"
                        " or a pocket checkpoint. It is not changed."
                    ),
                ),
                io.Combo.Input(
                    "control_net_name",
                    options=controlnet_loader.base_files(),
                    tooltip=(
                        "The canny ControlNet to tune, of the same kind as the checkpoint. It is not changed: what is"
                        " learned goes into a file of its own."
                    ),
                ),
                io.Combo.Input(
                    "reviewer_name",
                    options=folder_paths.get_filename_list("rfnet"),
                    tooltip=(
                        "The reviewer to learn from, from models/rfnet. It teaches its mistakes, too: take one that was"
                        " trained on pictures like yours."
                    ),
                ),
                io.String.Input(
                    "folder",
                    default="",
                    tooltip=(
                        "Folder of product cut-outs with transparency, below ComfyUI's input, output or models folder,"
                        " or one that reliable_ads_folders.txt lists; the more the better. demo_products holds four to"
                        " try."
                    ),
                ),
                io.String.Input(
                    "prompts",
                    default="",
                    multiline=True,
                    tooltip=(
                        "One prompt per line, as you will use them. Every product is drawn with every prompt; {caption}"
                        " stands for the product's caption."
                    ),
                ),
                io.String.Input(
                    "result_name",
                    default="my_reliable_canny",
                    tooltip="Name of the file in models/controlnet. Letters, digits, - and _.",
                ),
                io.Int.Input(
                    "steps",
                    default=100,
                    min=0,
                    max=100000,
                    tooltip=(
                        "Steps of training. Each draws a batch and makes four small updates. Queue again with more"
                        " steps and it goes on."
                    ),
                ),
                io.Float.Input(
                    "learning_rate",
                    default=0.0001,
                    min=0.0,
                    max=1.0,
                    step=0.00001,
                    tooltip="How large an update is. 0.0001 suits adapters; lower it when pictures get worse.",
                ),
                io.Combo.Input(
                    "loss",
                    options=list(LOSSES),
                    default="consistent condition",
                    tooltip=(
                        "What keeps the pictures from getting dull. Consistent condition: the prompt goes on meaning"
                        " what it meant. KL: stay near the old pictures. Plain: nothing, and all backgrounds become the"
                        " same."
                    ),
                ),
                io.Float.Input(
                    "beta",
                    default=0.05,
                    min=0.0,
                    max=1000.0,
                    step=0.01,
                    tooltip="How much that loss counts. Raise it when the diversity falls.",
                ),
                io.Int.Input(
                    "training_seed",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    tooltip="The same seed and settings give the same training.",
                ),
                io.String.Input(
                    "advanced",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip=(
                        "Further settings as TOML, one per line, such as: size = 768. All keys of rfft/config.py but"
                        " those above, the main ones explained in docs/rfft.md; they stand above the inputs."
                    ),
                ),
            ],
            outputs=[
                io.ControlNet.Output(
                    "control_net",
                    display_name="CONTROL_NET",
                    tooltip=(
                        "The ControlNet with what was learned, for Apply ControlNet; the ControlNet as it was where"
                        " nothing got better."
                    ),
                ),
                io.String.Output(
                    "adapter",
                    display_name="adapter",
                    tooltip=(
                        "The result's file in models/controlnet, for RF Load ControlNet; empty where nothing got"
                        " better."
                    ),
                ),
                io.Image.Output(
                    "samples",
                    display_name="samples",
                    tooltip="Above the pictures of the start, below the same products, prompts and seeds at the end.",
                ),
                io.Image.Output(
                    "curves", display_name="curves", tooltip="p(available), rate and diversity over the steps."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What was measured before and after, and where the files lie.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return time.time()  # how far a training has got lies on disk

    @classmethod
    def execute(
        cls,
        checkpoint,
        control_net_name,
        reviewer_name,
        folder,
        prompts,
        result_name,
        steps,
        learning_rate,
        loss,
        beta,
        training_seed,
        advanced="",
    ) -> io.NodeOutput:
        check_packages()
        settings = {
            "name": result_name,
            "steps": steps,
            "lr": learning_rate,
            "loss": LOSSES[loss],
            "beta": beta,
            "seed": training_seed,
        }
        with torch.inference_mode(False), torch.enable_grad():  # ComfyUI runs nodes without gradients
            job = Job(checkpoint, control_net_name, reviewer_name, settings, advanced)
            watch = Watch(cls.hidden.unique_id, job.config)
            try:
                answer = job(folder, prompts, watch)
            finally:
                watch.end()
                folder_paths.filename_list_cache.pop(
                    "controlnet", None
                )  # a new file may come too quickly for ComfyUI to notice it by the folder's time
                gc.collect()
                comfy.model_management.soft_empty_cache()
        if watch.cancelled:
            raise comfy.model_management.InterruptProcessingException()
        return output(job, answer, watch)


def checkpoints() -> list[str]:
    """The .safetensors in models/checkpoints, and the pocket checkpoints whose names aren't taken there."""
    own = [name for name in folder_paths.get_filename_list("checkpoints") if name.endswith(".safetensors")]
    return own + [name for name in pocket_models.pocket_files(pocket_models.CHECKPOINT_KEY) if name not in own]


def check_name(name: str) -> None:
    from ..rfft.config import NAME

    if not NAME.fullmatch(name):
        raise ValueError(
            f"the result's name is {quoted(name)}: use letters, digits, - and _ only, without folder and ending."
        )


def is_pocket(checkpoint: str) -> bool:
    return (
        folder_paths.get_full_path("checkpoints", checkpoint) is None
        and folder_paths.get_full_path("pocket", checkpoint) is not None
    )


def checkpoint_path(name: str) -> str:
    """Raises FileNotFoundError naming file and folder."""
    return path_of("pocket" if is_pocket(name) else "checkpoints", name)


def check_packages() -> None:
    """Raises ImportError with one sentence that names what to install."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ImportError(
            f"training needs {', '.join(missing)}: install with ComfyUI's Python, `python -m pip install"
            f" {' '.join(missing)}`, and restart ComfyUI."
        )


class Job:
    """One training as the node's inputs ask for it. What is wrong with them is said before anything large is loaded."""

    def __init__(self, checkpoint: str, controlnet: str, reviewer: str, settings: dict, advanced: str):
        from ..pocket import tuning
        from ..rfft.config import config_of
        from ..rfft.loading import FAMILIES, check_models

        self.pocket = is_pocket(checkpoint)
        self.family = tuning.FAMILY["pocket"] if self.pocket else FAMILIES["diffusers"]
        self.checkpoint = checkpoint_path(checkpoint)
        self.controlnet = path_of(controlnet_loader.folder_of(controlnet), controlnet)
        usual = tuning.SAMPLING if self.pocket else usual_for(check_models(self.checkpoint, self.controlnet)[0])
        files = {
            "checkpoint": self.checkpoint,
            "controlnet": self.controlnet,
            "reviewer": path_of("rfnet", reviewer),
            "products": "",
            "prompts": "",
            "family": "pocket" if self.pocket else "diffusers",
        }
        shorter = {
            "batch": 2,
            "evaluation_products": 8,
            "evaluation_seeds": 2,
        }  # one user's machine; the command line has larger defaults
        place = {"folder": folder_paths.get_folder_paths("controlnet")[0]}
        self.config = config_of(
            {**usual, **shorter, **settings, **table(advanced), **files, **place}, "RF Train ControlNet's settings"
        )
        self.config.loras = [{**lora, "file": path_of("loras", lora["file"])} for lora in self.config.loras]

    def __call__(self, folder: str, prompts: str, watch) -> dict:
        """Train; returns train.Run's answer."""
        from ..rfft.inputs import check_result, check_reviewer, open_products, pairs, products_of, prompts_of
        from ..rfft.lora import fold_loras
        from ..rfft.train import Run
        from ..rfnet.weights import load_reviewer, read_metadata

        config = self.config
        check_result(config)
        check_reviewer(read_metadata(config.reviewer), Path(config.reviewer).name, config.minimum_ap, config.force)
        texts = prompts_of(prompts.splitlines(), "the prompts of RF Train ControlNet")
        listed = open_products(product_folder(folder, "RF Train ControlNet"))
        found = pairs(products_of(listed), texts, config)
        self.left_out = listed.sentences
        comfy.model_management.unload_all_models()
        comfy.model_management.soft_empty_cache()
        models, reviewer = (
            fold_loras(self.family.load(config.checkpoint, config.controlnet), config.loras),
            load_reviewer(config.reviewer),
        )
        models.unet.register_forward_pre_hook(watch.on_pass)
        run = Run(config, models, reviewer, found, watch=watch, cpu=comfy.model_management.cpu_mode())
        watch.begin(run)
        try:
            return run()
        except comfy.model_management.InterruptProcessingException:
            watch.say_what_is_saved()
            raise


def usual_for(kind) -> dict:
    """Settings that suit a kind of checkpoint on this device."""
    from ..rfft.loading import SDXL

    fast = {} if comfy.model_management.cpu_mode() else {"precision": "bf16", "half_base": kind is SDXL}
    return {**fast, **({"size": 1024, "guidance": 6.0} if kind is SDXL else {})}


def table(advanced: str) -> dict:
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


class Watch:
    """Shows a training on its node, and ends it when the user cancels."""

    def __init__(self, node_id: str, config):
        self.node_id, self.config, self.run, self.grid, self.steps, self.cancelled, self.spoke = (
            node_id,
            config,
            None,
            None,
            [],
            False,
            0.0,
        )
        self.bar = comfy.utils.ProgressBar(config.steps, node_id=node_id)

    def begin(self, run) -> None:
        self.run = run
        self.show(f"going on from step {run.step} of {self.config.steps}" if run.history else "measuring the start")

    def on_pass(self, *_) -> None:
        """Before each UNet pass: a cancel needn't wait for the end of a step."""
        stop_if_cancelled()
        if self.run and time.monotonic() - self.spoke > 1:
            self.show(
                f"{'measuring' if self.run.due else f'training step {self.run.step + 1} of {self.config.steps}'},"
                f" {self.run.models.passes.total} UNet passes"
            )

    def __call__(self, event: dict) -> bool:
        """What train.Run tells; True ends it."""
        if event["kind"] == "memory":
            self.show(f"memory ran out: going on with {event['rung']}")
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
            self.curves, self.run = curves(self.run.history, self.steps, self.config.steps), None

    def picture(self):
        return glance(self.run.history, self.steps, self.config.steps, self.grid)

    def show(self, text: str) -> None:
        self.spoke = time.monotonic()
        PromptServer.instance.send_progress_text(text, self.node_id, PromptServer.instance.client_id)

    def say_what_is_saved(self) -> None:
        run = self.run
        files = [self.config.result.name] if run.history and run.best() else []
        files += [self.config.last.name] if run.history and run.updates else []
        kept = f"{' and '.join(files)} can be used as they are" if files else "nothing has been learned yet"
        self.show(
            f"Stopped after step {run.step} of {self.config.steps}: {kept}. Everything is saved: queue the same again"
            " to go on from there."
        )


def output(job: Job, answer: dict, watch: Watch) -> io.NodeOutput:
    """The node's outputs, and what it shows."""
    config, better = job.config, bool(answer["result"])
    control_net = controlnet_loader.load(job.controlnet, [(config.result, 1.0)] if better else [])
    report = "\n".join([words(config, answer), *job.left_out])
    watch.show(report)
    with Image.open(config.result.with_suffix(".png")) as grid:
        samples = from_pictures([grid])
    shown = {**ui.PreviewImage(samples, cls=RFTrainer).as_dict(), **ui.PreviewText(report).as_dict()}
    return io.NodeOutput(
        control_net, config.result.name if better else "", samples, from_pictures([watch.curves]), report, ui=shown
    )


def words(config, answer: dict) -> str:
    """What came of a training."""
    before, after = answer["before"], answer["after"]

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
                f"Diversity {before['diversity']:.3f} before, {after['diversity']:.3f} then. These are the pictures"
                " that the best step was chosen by: measure on other products, and look at them."
            ),
        ]
    else:
        lines += [
            f"No step was better than the start ({rate(before)}), so there is no {config.result.name}: more steps, more"
            f" products or a smaller beta may help. {config.last.name} holds the last step."
        ]
    more = [] if answer["stopped"] else ["Queue again with more steps to go on."]
    return "\n".join([*lines, *more, f"Folder: {config.folder}"])
