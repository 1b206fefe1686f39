"""RFOpinions: what else than the reviewer looks at finished pictures."""

from pathlib import Path

import comfy.model_management
import comfy.model_patcher
import folder_paths
from comfy_api.latest import io

from .checked import checked
from .folders import language_models, model_path, segmentation_models, servers
from .types import CATEGORY, BackgroundRemoval, Opinions

OFF = "off"


def chosen(name: str, known: list):
    """The path of a model in one of the lists; None for "off". Raises FileNotFoundError."""
    return None if name == OFF else model_path(name, known)


@checked(
    checks={
        "expansion": lambda name: chosen(name, segmentation_models()),
        "language": lambda name: chosen(name, language_models()),
        "server": lambda name: chosen(name, servers()),
    },
    aliases=("second opinion", "contact shadow", "ask a language model", "VLM review"),
)
class RFOpinions(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFOpinions",
            display_name="RF Opinions",
            category=CATEGORY,
            description="Second opinions for RF Review and the samplers: measurements, and models that you have.",
            inputs=[
                io.Boolean.Input(
                    "contact",
                    default=True,
                    tooltip="Does the ground darken under the product's foot, and is it as near? Costs nearly nothing.",
                ),
                io.Boolean.Input(
                    "own_label",
                    default=True,
                    tooltip=(
                        "Is the product's own lettering still there? Other letters reject a picture at once. Use it"
                        " where something repaints the whole picture, such as an upscaler."
                    ),
                ),
                io.Combo.Input(
                    "expansion",
                    options=[OFF, *segmentation_models()],
                    default=OFF,
                    tooltip=(
                        "Has the product grown? Asks a segmentation network: a BiRefNet or U2-Net .onnx file below"
                        " models/rembg, models/u2net or models/birefnet, or a SAM folder below models/sam or"
                        " models/sams."
                    ),
                ),
                io.Combo.Input(
                    "language",
                    options=[OFF, *language_models()],
                    default=OFF,
                    tooltip=(
                        "Asks a vision-language model one yes/no question for each defect: a folder of transformers"
                        " below models/LLM or models/VLM. Slow: try it on few pictures first."
                    ),
                ),
                io.Combo.Input(
                    "server",
                    options=[OFF, *servers()],
                    default=OFF,
                    tooltip=(
                        "Asks the same of an OpenAI-compatible server that a .json file in models/rfnet/servers names."
                        " The pictures are sent there. Only this machine is asked, unless the file allows another."
                    ),
                ),
                text_model_input(),
                size_input(),
                segmentation_model_input(),
            ],
            outputs=[
                Opinions.Output("opinions", display_name="opinions", tooltip="For RF Review and the cyclic samplers.")
            ],
        )

    @classmethod
    def fingerprint_inputs(
        cls, expansion=OFF, language=OFF, server=OFF, text_model=None, segmentation_model=None, **measures
    ):
        """Changes when a file does, such as the one that names the server."""
        names = [name for name in (expansion, language, server) if isinstance(name, str) and name != OFF]
        files = [path for path in (Path(folder_paths.models_dir) / name for name in names) if path.is_file()]
        return f"{measures} {names} {[path.stat().st_mtime_ns for path in files]}"

    @classmethod
    def execute(
        cls, contact, own_label, expansion, language, server, text_model=None, size=False, segmentation_model=None
    ) -> io.NodeOutput:
        from ..rfnet.opinions.opening import open_opinions, with_networks
        from .segmenter import expansion_of
        from .text_model import TextModel

        files = {
            "expansion": chosen(expansion, segmentation_models()) if segmentation_model is None else None,
            "language": chosen(language, language_models()),
            "server": chosen(server, servers()),
        }
        measures = {"contact": contact, "own_label": own_label, "size": size}
        asked = [name for name, wanted in measures.items() if wanted]
        asked += [f"{name}={path}" for name, path in files.items() if path]
        own = [TextModel(text_model)] if text_model is not None else []
        own += [expansion_of(segmentation_model)] if segmentation_model is not None else []
        opinions = open_opinions(asked)
        for model in with_networks(opinions):
            on_device(model)
        return io.NodeOutput([*opinions, *own])


def text_model_input() -> io.Clip.Input:
    """Optional and last, so that graphs saved before there was one still run."""
    return io.Clip.Input(
        "text_model",
        optional=True,
        tooltip=(
            "Asks the same of a model that ComfyUI itself runs: one that writes text and sees pictures,"
            " such as Qwen3-VL or Gemma 3, from Load CLIP. Its answers count once `rfnet fuse --recorded"
            " text_model` has fitted them to your labels."
        ),
    )


def size_input() -> io.Boolean.Input:
    """Optional and last, as well."""
    return io.Boolean.Input(
        "size",
        default=False,
        optional=True,
        tooltip=(
            "Does the product look as large as it is? Compares what the reviewer sees with what"
            " is usual by the caption. Needs a reviewer that `rfnet sizes` was run on."
        ),
    )


def segmentation_model_input():
    """Optional and last, as well."""
    return BackgroundRemoval.Input(
        "segmentation_model",
        optional=True,
        tooltip=(
            "Has the product grown? Asks a BiRefNet that ComfyUI itself runs, from Load Background Removal Model, in"
            " the place of the file at expansion."
        ),
    )


def on_device(model) -> None:
    """Lets ComfyUI move a model's network to the device when it is asked, and away when room is needed."""
    patcher = comfy.model_patcher.ModelPatcher(
        model.network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    model.ready = lambda: comfy.model_management.load_models_gpu([patcher], force_full_load=True)
