"""The kinds of Stable Diffusion that can be tuned, and the check that a checkpoint and a ControlNet are of one kind.

Only headers of files are read, so that what doesn't fit is refused before a weight is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..rfnet.files import quoted
from ..rfnet.structured import from_json
from ..rfnet.textfiles import read_text
from .adapter import AdapterError
from .files import check_precision, open_safetensors
from .merge import BY_WIDTH, weight_names
from .models import ModelError
from .union import is_union

CONFIGS = Path(__file__).parent / "configs"
UNET, VAE = "model.diffusion_model.", "first_stage_model."
KNOWN_NOISE = {
    "prediction_type": ("epsilon", "v_prediction"),
    "beta_schedule": ("scaled_linear",),
    "beta_start": (0.00085,),
    "beta_end": (0.012,),
    "rescale_betas_zero_snr": (False, None),
    "sigma_data": (None,),
}


@dataclass(frozen=True)
class Kind:
    """A kind of Stable Diffusion.

    texts: {part of diffusers' folder: where its weights begin in a single file}; those of the second encoder are in
    open_clip's layout.
    """

    name: str
    folder: str
    texts: dict
    example: str  # a ControlNet that fits


SD15 = Kind("SD 1.5", "sd15", {"text_encoder": "cond_stage_model.transformer."}, "control_v11p_sd15_canny")
SDXL = Kind(
    "SDXL",
    "sdxl",
    {"text_encoder": "conditioner.embedders.0.transformer.", "text_encoder_2": "conditioner.embedders.1.model."},
    "diffusers' controlnet-canny-sdxl-1.0",
)


def shapes(path) -> dict:
    """{key: shape} of a safetensors file, from its header alone. Raises ModelError, also where weights are rounded to
    few bits.
    """
    with open_safetensors(path, ModelError, f'"{path}" does not exist: check the path.') as file:
        check_precision(file.keys(), Path(path).name, ModelError)
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}


def check_models(checkpoint, controlnet, configs=None) -> tuple:
    """(Kind, prediction) of a checkpoint and a ControlNet that fit each other, from their headers.

    Raises ModelError.
    """
    kind, prediction = check_folder(checkpoint, configs) if Path(checkpoint).is_dir() else check_checkpoint(checkpoint)
    check_controlnet(controlnet, kind, configs)
    return kind, prediction


def check_checkpoint(path) -> tuple:
    """(SD15 or SDXL, what its UNet predicts: "epsilon" or, where the file says so, "v_prediction").

    Raises ModelError for every other kind of file.
    """
    keys, name = shapes(path), Path(path).name

    def has(prefix):
        return any(key.startswith(prefix) for key in keys)

    if not has(UNET):
        raise ModelError(
            f'"{name}" holds no UNet of Stable Diffusion (no key begins with {UNET}): choose a whole checkpoint of SD'
            " 1.5 or SDXL."
        )
    kind = SDXL if has("conditioner.embedders.") else SD15
    channels = keys.get(f"{UNET}input_blocks.0.0.weight", (0, 4))[1]
    if channels != 4:
        raise ModelError(
            f'"{name}" is an inpainting checkpoint (its UNet takes {channels} channels): products are kept by blending'
            " latents; choose the normal checkpoint."
        )
    if not has(VAE):
        raise ModelError(
            f'"{name}" holds no VAE (no key begins with {VAE}): choose a checkpoint with its VAE baked in.'
        )
    if has("cond_stage_model.model."):
        raise ModelError(
            f'"{name}" is an SD 2.x checkpoint: this version tunes ControlNets of SD 1.5 and SDXL; choose a checkpoint'
            " of one of these."
        )
    if has("conditioner.embedders.0.model."):
        raise ModelError(f'"{name}" is the refiner of SDXL: choose the base checkpoint.')
    if odd := {"ztsnr", "edm_mean", "edm_vpred.sigma_max"} & keys.keys():
        raise ModelError(
            f'"{name}" was trained with a noise schedule of its own ({min(odd)}), which RFFT doesn\'t know: choose'
            " another checkpoint."
        )
    for prefix in kind.texts.values():
        if not has(prefix):
            raise ModelError(
                f'"{name}" holds no text encoder (no key begins with {prefix}): choose a whole {kind.name} checkpoint.'
            )
    return kind, "v_prediction" if "v_pred" in keys else "epsilon"


def check_folder(folder, configs=None) -> tuple:
    """The same of a diffusers folder."""
    folder = Path(folder)
    kind = SDXL if (folder / "text_encoder_2").is_dir() else SD15
    for part in ("unet", "vae", *kind.texts):
        if not (folder / part).is_dir():
            raise ModelError(
                f'the checkpoint folder "{folder}" has no {part}: give a whole diffusers folder, or a single'
                " .safetensors file."
            )
    try:
        unet = part_config(folder, "unet")
        scheduler = read_json(folder / "scheduler" / "scheduler_config.json") if (folder / "scheduler").is_dir() else {}
    except ValueError as error:
        raise ModelError(
            f"the checkpoint folder has a config that can't be read ({str(error).rstrip('.')}): copy or download it"
            " again."
        ) from error
    channels = unet.get("in_channels", 4)
    if channels != 4:
        raise ModelError(
            f'"{folder}" is an inpainting checkpoint (its UNet takes {channels} channels): choose the normal'
            " checkpoint."
        )
    wanted = part_config(configs or CONFIGS / kind.folder, "unet")["cross_attention_dim"]
    width = unet.get("cross_attention_dim")
    if width not in (None, wanted):
        raise ModelError(
            f'"{folder}" is no {kind.name} checkpoint (its context is {width} wide, not {wanted}): this version tunes'
            " ControlNets of SD 1.5 and SDXL; choose a checkpoint of one of these."
        )
    for name, known in KNOWN_NOISE.items():
        if scheduler.get(name, known[0]) not in known:
            raise ModelError(
                f'"{folder}" was trained with a noise schedule of its own ({name} is {scheduler[name]}), which RFFT'
                " doesn't know: choose another checkpoint."
            )
    return kind, scheduler.get("prediction_type", "epsilon")


def check_controlnet(path, kind: Kind = SD15, configs=None) -> None:
    """Raises ModelError unless a file is a full ControlNet for this kind's text encoders."""
    keys, name = shapes(path), Path(path).name
    try:
        weight_names(keys, name)
    except AdapterError as error:
        raise ModelError(str(error)) from error
    if is_union(keys) and "controlnet_cond_embedding.conv_in.weight" not in keys:
        raise ModelError(
            f'"{name}" is a union ControlNet in another layout than diffusers\': choose the file in that layout, or one'
            f" for canny alone, such as {kind.example}."
        )
    wanted = part_config(configs or CONFIGS / kind.folder, "controlnet")["cross_attention_dim"]
    widths = {shape[1] for key, shape in keys.items() if key.endswith("attn2.to_k.weight")}
    if widths != {wanted}:
        width = max(widths, default=0)
        other = BY_WIDTH[width] if width in BY_WIDTH and width != wanted else "another family"
        raise ModelError(
            f'"{name}" is a ControlNet of {other} (its context is {width} wide, not {wanted}), and the checkpoint is'
            f" {kind.name}: choose one for {kind.name}, such as {kind.example}."
        )


def part_config(configs, part: str) -> dict:
    """The config of a part in a folder like diffusers'. Raises ValueError where it can't be read."""
    return read_json(Path(configs) / part / "config.json")


def read_json(path: Path) -> dict:
    return from_json(read_text(path, 1 << 20), dict, quoted(path))
