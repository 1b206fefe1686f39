"""RFTrainer: tunes a ControlNet on the reviewer's feedback inside ComfyUI's process (RFFT, arXiv:2408.00418).

Training has networks of its own, in diffusers' classes: what ComfyUI has loaded was made for sampling alone, and is
unloaded first.
"""

import gc
import time

import comfy.model_management
import folder_paths
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..rfft.interactive import advanced_settings, summary
from ..rfft.losses import LOSSES, titles
from . import controlnet_loader, pocket_models
from .checked import checked
from .folders import path_of
from .inputs import quoted
from .product_folder import product_folder
from .training import Training, TrainingProgress, check_packages, checkpoint_path
from .types import CATEGORY, from_pictures


@checked(
    checks={
        "ckpt_name": lambda name: checkpoint_path(name),
        "control_net_name": lambda name: path_of(controlnet_loader.folder_of(name), name),
        "reviewer_name": lambda name: path_of("rfnet", name),
        "folder": lambda name: product_folder(name, "RF Train ControlNet"),
        "result_name": lambda name: check_name(name),
        "advanced": lambda text: advanced_settings(text),
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
                "Tunes a ControlNet on the reviewer's feedback, so that the reviewer accepts more of what it draws. The"
                " result is a small adapter for RF Load ControlNet; the ControlNet itself stays as it is."
            ),
            inputs=[*model_inputs(), *data_inputs(), *training_inputs()],
            outputs=training_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return time.time()  # how far a training has got lies on disk

    @classmethod
    def execute(
        cls,
        ckpt_name,
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
            "loss": titles()[loss],
            "beta": beta,
            "seed": training_seed,
        }
        with torch.inference_mode(False), torch.enable_grad():  # ComfyUI runs nodes without gradients
            training = Training(ckpt_name, control_net_name, reviewer_name, settings, advanced)
            progress = TrainingProgress(cls.hidden.unique_id, training.config)
            try:
                answer = training(folder, prompts, progress)
            finally:
                progress.end()
                # a new file may come too quickly for ComfyUI to notice it by the folder's time
                folder_paths.filename_list_cache.pop("controlnet", None)
                gc.collect()
                comfy.model_management.soft_empty_cache()
        if progress.cancelled:
            raise comfy.model_management.InterruptProcessingException()
        return output(training, answer, progress)


def model_inputs() -> list:
    """What is trained, and who teaches."""
    return [
        io.Combo.Input(
            "ckpt_name",
            options=checkpoints(),
            tooltip=(
                "The model to draw with: SD 1.5 or SDXL (.safetensors, with its VAE) from models/checkpoints, or the"
                " small pocket checkpoint that ships. It is not changed."
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
    ]


def data_inputs() -> list:
    """What is drawn for it, and where the result goes."""
    return [
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
    ]


def training_inputs() -> list:
    """How it is trained."""
    return [
        io.Int.Input(
            "steps",
            default=100,
            min=0,
            max=100000,
            tooltip=(
                "Steps of training. Each draws a batch and makes four small updates. To go on, queue again with more"
                " steps."
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
            options=list(titles()),
            default=LOSSES["cc"].title,
            tooltip=f"What keeps the pictures from getting alike. {' '.join(map(str, LOSSES.values()))}",
        ),
        io.Float.Input(
            "beta",
            default=0.05,
            min=0.0,
            max=1000.0,
            step=0.01,
            tooltip="How much that loss counts. Raise it when diversity falls.",
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
                "Further settings as TOML, one per line, such as: size = 768. They override the inputs. docs/rfft.md"
                " explains the main ones, rfft/config.py lists all."
            ),
        ),
    ]


def training_outputs() -> list:
    return [
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
            tooltip=("The result's file in models/controlnet, for RF Load ControlNet; empty where nothing got better."),
        ),
        io.Image.Output(
            "samples",
            display_name="samples",
            tooltip="Above: pictures at the start. Below: the same products, prompts and seeds at the end.",
        ),
        io.Image.Output(
            "curves",
            display_name="curves",
            tooltip="Probability of being available, acceptance rate and diversity over the steps.",
        ),
        io.String.Output(
            "report",
            display_name="report",
            tooltip="What was measured before and after, and where the files lie.",
        ),
    ]


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


def output(training: Training, answer: dict, progress: TrainingProgress) -> io.NodeOutput:
    """The node's outputs, and what it shows."""
    config = training.config
    better = bool(answer["result"])
    control_net = controlnet_loader.load(training.controlnet, [(config.result, 1.0)] if better else [])
    report = "\n".join([summary(config, answer, "Queue again with more steps to go on."), *training.left_out])
    progress.tell(report)
    with Image.open(config.result.with_suffix(".png")) as grid:
        samples = from_pictures([grid])
    shown = {**ui.PreviewImage(samples, cls=RFTrainer).as_dict(), **ui.PreviewText(report).as_dict()}
    return io.NodeOutput(
        control_net,
        config.result.name if better else "",
        samples,
        from_pictures([progress.last_curves]),
        report,
        ui=shown,
    )
