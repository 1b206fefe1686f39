"""RFPocketModels: the pocket family as ordinary ComfyUI models.

The files are in the layout of Stable Diffusion 1.x, only smaller, and ComfyUI recognises SD 1.x by its size. So the
shape is detected by ComfyUI from the weights, as for any checkpoint, and handed to the same classes that SD 1.5 runs
on; nothing of ComfyUI is patched. What the weights don't show (heads, VAE and text encoder shapes) stands in the file's
metadata.
"""

from functools import lru_cache

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_base
import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from .checked import checked
from .folders import path_of, state_of
from .types import CATEGORY

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CHECKPOINT_KEY = UNET + "input_blocks.0.0.weight"
CONTROLNET_KEY = "zero_convs.0.0.weight"
# Never in SD 1.x files, so never missing: the text projection is not used there, the logit scale belongs to CLIP's
# training.
ABSENT_BY_DESIGN = {"clip_l.logit_scale", "clip_l.transformer.text_projection.weight"}


@checked(
    checks=dict.fromkeys(("ckpt_name", "control_net_name"), lambda name: path_of("pocket", name)),
    aliases=("small model", "demo model", "try without a checkpoint"),
)
class RFPocketModels(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFPocketModels",
            display_name="RF Pocket Models",
            category=CATEGORY,
            description=(
                "Loads the small model family that ships with the pack: 256 by 256 pixels, seconds on a laptop, to try"
                " the whole method before a big model."
            ),
            inputs=[
                io.Combo.Input(
                    "ckpt_name",
                    options=pocket_files(CHECKPOINT_KEY),
                    tooltip=(
                        "A pocket checkpoint: the one that ships with the pack, or one of yours from models/pocket."
                    ),
                ),
                io.Combo.Input(
                    "control_net_name",
                    options=pocket_files(CONTROLNET_KEY),
                    tooltip=(
                        "A pocket canny ControlNet: the one that ships with the pack, or one of yours from"
                        " models/pocket."
                    ),
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model", display_name="MODEL", tooltip="For the cyclic sampler, stock KSampler or a LoRA loader."
                ),
                io.Clip.Output(
                    "clip",
                    display_name="CLIP",
                    tooltip="For CLIP Text Encode. It knows surfaces, rooms, light and styles.",
                ),
                io.Vae.Output("vae", display_name="VAE", tooltip="For VAE Encode, VAE Decode and the cyclic sampler."),
                io.ControlNet.Output(
                    "control_net",
                    display_name="CONTROL_NET",
                    tooltip="For Apply ControlNet, with RF Product's canny hint.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, ckpt_name, control_net_name):
        return state_of("pocket", ckpt_name), state_of("pocket", control_net_name)

    @classmethod
    def execute(cls, ckpt_name, control_net_name) -> io.NodeOutput:
        return io.NodeOutput(*load_family(path_of("pocket", ckpt_name), path_of("pocket", control_net_name)))


def pocket_files(key: str) -> list[str]:
    """The files of models/pocket that hold this key: told apart by what is in them, never by their names."""
    return [
        name
        for name in folder_paths.get_filename_list("pocket")
        if holds(key, folder_paths.get_full_path("pocket", name), state_of("pocket", name))
    ]


@lru_cache(maxsize=256)
def holds(key: str, path: str, state: str) -> bool:
    """Reads the file's header only; `state` makes the answer forgotten when the file changes."""
    from ..rfnet.tensors import read_header

    try:
        return key in read_header(path, ValueError).tensors
    except ValueError:  # an unreadable file is left out of the list here, and named when it is asked for
        return False


class PocketSD(comfy.supported_models.SD15):
    """SD 1.5 of another size that predicts v, or matches flows; `clip` is the text encoder's shape."""

    def __init__(self, unet_config: dict, clip: dict, flow: bool):
        super().__init__(unet_config)
        self.clip, self.flow = clip, flow

    def model_type(self, state_dict, prefix=""):
        return comfy.model_base.ModelType.FLOW if self.flow else comfy.model_base.ModelType.V_PREDICTION

    def clip_target(self, state_dict=None):
        return comfy.supported_models_base.ClipTarget(*text_encoder_classes(self.clip))


def text_encoder_classes(config: dict) -> tuple[type, type]:
    """SD 1's tokenizer and text encoder with the shape in `config` (hidden_size, num_hidden_layers, ...)."""

    class PocketTextModel(comfy.sd1_clip.SDClipModel):
        def __init__(self, **options):
            super().__init__(return_projected_pooled=False, textmodel_json_config=dict(config), **options)

    class PocketTextEncoder(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, **options):
            super().__init__(clip_model=PocketTextModel, **options)

    class PocketTokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, **options):
            super().__init__(**options)
            self.clip_l.embedding_size = config["hidden_size"]  # for textual inversions

    return PocketTokenizer, PocketTextEncoder


def load_family(checkpoint: str, controlnet: str):
    """Two pocket files → (MODEL, CLIP, VAE, CONTROL_NET).

    Raises PocketFileError, a sentence with file, fault and remedy.
    """
    from ..pocket.ldm import PocketFileError, check_pair, is_flow, read_file

    check_pair(checkpoint, controlnet)
    weights, config = read_file(checkpoint)
    hints, _ = read_file(controlnet)
    for path, key, found, kind in (
        (checkpoint, CHECKPOINT_KEY, weights, "checkpoint"),
        (controlnet, CONTROLNET_KEY, hints, "ControlNet"),
    ):
        if key not in found:
            raise PocketFileError(
                f"{path} is not a pocket {kind}; choose a file that RF Pocket Models lists as {kind.lower()}"
            )

    family = PocketSD(comfy.model_detection.detect_unet_config(weights, UNET), config["clip"], is_flow(config))
    return (
        load_unet(family, weights),
        load_text_encoder(family, weights, checkpoint),
        load_vae(weights),
        load_controlnet(hints, controlnet),
    )


def load_unet(family: PocketSD, weights: dict) -> comfy.model_patcher.ModelPatcher:
    device = comfy.model_management.get_torch_device()
    dtype = comfy.model_management.unet_dtype(
        model_params=comfy.utils.calculate_parameters(weights, UNET), supported_dtypes=family.supported_inference_dtypes
    )
    family.set_inference_dtype(
        dtype, comfy.model_management.unet_manual_cast(dtype, device, family.supported_inference_dtypes)
    )
    model = family.get_model(weights, UNET, device=comfy.model_management.unet_offload_device())
    model.load_model_weights(dict(weights), UNET)
    return comfy.model_patcher.ModelPatcher(
        model, load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )


def load_vae(weights: dict) -> comfy.sd.VAE:
    return comfy.sd.VAE(sd=comfy.utils.state_dict_prefix_replace(dict(weights), {VAE: ""}, filter_keys=True))


def load_text_encoder(family: PocketSD, weights: dict, path: str) -> comfy.sd.CLIP:
    own = family.process_clip_state_dict(dict(weights))
    clip = comfy.sd.CLIP(
        family.clip_target(),
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        tokenizer_data=own,
        parameters=comfy.utils.calculate_parameters(own),
    )
    missing, unexpected = clip.load_sd(own, full_model=True)
    complain(path, set(missing) - ABSENT_BY_DESIGN, unexpected)
    with torch.no_grad():  # what the file lacks by design would stay uninitialised memory
        projection = clip.cond_stage_model.clip_l.transformer.text_projection.weight
        projection.copy_(torch.eye(len(projection)))
    return clip


def load_controlnet(weights: dict, path: str) -> comfy.controlnet.ControlNet:
    device = comfy.model_management.get_torch_device()
    dtype = comfy.model_management.unet_dtype(supported_dtypes=PocketSD.supported_inference_dtypes)
    manual_cast = comfy.model_management.unet_manual_cast(dtype, device, PocketSD.supported_inference_dtypes)

    # A ControlNet is the UNet's first half: ComfyUI detects that half as it does for a UNet, only there is nothing to
    # put out.
    shape = {**comfy.model_detection.detect_unet_config(weights, ""), **PocketSD.unet_extra_config}
    shape.pop("out_channels", None)
    network = comfy.cldm.cldm.ControlNet(
        **shape,
        hint_channels=weights["input_hint_block.0.weight"].shape[1],
        dtype=dtype,
        device=comfy.model_management.unet_offload_device(),
        operations=comfy.ops.pick_operations(dtype, manual_cast),
    )
    complain(path, *network.load_state_dict(weights, strict=False))
    return comfy.controlnet.ControlNet(network, load_device=device, manual_cast_dtype=manual_cast)


def complain(path: str, missing, unexpected) -> None:
    """Stock loaders only log a key that does not fit; the model then paints noise. Here the file is named instead."""
    from ..pocket.ldm import PocketFileError

    if missing or unexpected:
        raise PocketFileError(
            f"{path} does not fit the pocket family: {len(missing)} weights are missing, {len(unexpected)} unknown "
            f"(first: {sorted([*missing, *unexpected])[0]}); copy or export it again"
        )
