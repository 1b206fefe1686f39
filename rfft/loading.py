"""Checkpoints and ControlNets of users, read without a network: as diffusers' folders, or as single files by means of the configs in rfft/configs."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from .files import opened
from .models import ModelError, Models
from .schedule import Schedule

CONFIGS = Path(__file__).parent / "configs"
UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."


def load_sd15(checkpoint, controlnet, configs=CONFIGS / "sd15") -> Models:
    """An SD 1.5 checkpoint and its canny ControlNet -> Models, float32 on the CPU.

    checkpoint: a single .safetensors file, or a diffusers folder with unet, vae and text_encoder; controlnet: a .safetensors file in any layout that diffusers reads.
    Everything that doesn't fit is refused from the files' headers, before a weight is read. Raises ModelError.
    """
    checkpoint, controlnet = Path(checkpoint), Path(controlnet)
    check_controlnet(controlnet, configs)
    if checkpoint.is_dir():
        return _from_folder(checkpoint, controlnet, configs)
    prediction = check_checkpoint(checkpoint)
    from diffusers import AutoencoderKL, UNet2DConditionModel

    read = lambda kind, part: kind.from_single_file(str(checkpoint), config=str(configs), subfolder=part, local_files_only=True, torch_dtype=torch.float32)
    text_encoder = _text_encoder(checkpoint, configs)
    return _models(read(UNet2DConditionModel, "unet"), _controlnet(controlnet, configs), read(AutoencoderKL, "vae"), text_encoder, prediction)


FAMILIES = {"diffusers": load_sd15}


def shapes(path) -> dict:
    """{key: shape} of a safetensors file, from its header alone. Raises ModelError."""
    with opened(path, ModelError, f'"{path}" does not exist: check the path.') as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}


def check_checkpoint(path) -> str:
    """What the UNet of an SD 1.5 checkpoint predicts: "epsilon" or, where the file says so, "v_prediction". Raises ModelError for every other kind of file."""
    found, name = shapes(path), Path(path).name
    has = lambda prefix: any(key.startswith(prefix) for key in found)
    if has("conditioner.embedders."):
        raise ModelError(f'"{name}" is an SDXL checkpoint: this version tunes ControlNets of SD 1.5; choose an SD 1.5 checkpoint.')
    if not has(UNET):
        raise ModelError(f'"{name}" holds no UNet of Stable Diffusion (no key begins with {UNET}): choose a whole SD 1.5 checkpoint.')
    channels = found.get(f"{UNET}input_blocks.0.0.weight", (0, 4))[1]
    if channels != 4:
        raise ModelError(f'"{name}" is an inpainting checkpoint (its UNet takes {channels} channels): products are kept by blending latents; choose the normal checkpoint.')
    if not has(VAE):
        raise ModelError(f'"{name}" holds no VAE (no key begins with {VAE}): choose a checkpoint with its VAE baked in.')
    if has("cond_stage_model.model."):
        raise ModelError(f'"{name}" is an SD 2.x checkpoint: this version tunes ControlNets of SD 1.5; choose an SD 1.5 checkpoint.')
    if not has(TEXT):
        raise ModelError(f'"{name}" holds no text encoder (no key begins with {TEXT}): choose a whole SD 1.5 checkpoint.')
    return "v_prediction" if "v_pred" in found else "epsilon"


def check_controlnet(path, configs=CONFIGS / "sd15") -> None:
    """Raises ModelError unless a file is a full ControlNet for the text encoder's width that the configs name."""
    from .adapter import AdapterError
    from .merge import BY_WIDTH, weight_names

    found, name = shapes(path), Path(path).name
    try:
        weight_names(found, name)
    except AdapterError as error:
        raise ModelError(str(error)) from error
    wanted = _json(configs, "controlnet")["cross_attention_dim"]
    widths = {shape[1] for key, shape in found.items() if key.endswith("attn2.to_k.weight")}
    if widths != {wanted}:
        width = max(widths, default=0)
        kind = BY_WIDTH[width] if width in BY_WIDTH and width != wanted else "another family"
        raise ModelError(f'"{name}" is a ControlNet of {kind} (its context is {width} wide, not {wanted}): choose one for SD 1.5, such as control_v11p_sd15_canny.')


def _from_folder(folder: Path, controlnet: Path, configs) -> Models:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    for part in ("unet", "vae", "text_encoder"):
        if not (folder / part).is_dir():
            raise ModelError(f'the checkpoint folder "{folder}" has no {part}: give a whole diffusers folder, or a single .safetensors file.')
    try:
        parts = [kind.from_pretrained(folder, subfolder=part, local_files_only=True, use_safetensors=True) for kind, part in
                 ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae"))]
        text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ModelError(f'the checkpoint folder "{folder}" can\'t be read ({error}): save it again with diffusers, as safetensors.') from error
    if parts[0].config.in_channels != 4:
        raise ModelError(f'"{folder}" is an inpainting checkpoint (its UNet takes {parts[0].config.in_channels} channels): choose the normal checkpoint.')
    scheduler = folder / "scheduler" / "scheduler_config.json"
    prediction = json.loads(scheduler.read_text(encoding="utf-8")).get("prediction_type", "epsilon") if scheduler.is_file() else "epsilon"
    return _models(parts[0], _controlnet(controlnet, configs), parts[1], text_encoder, prediction)


def _controlnet(path: Path, configs):
    from diffusers import ControlNetModel

    return ControlNetModel.from_single_file(str(path), config=str(configs), subfolder="controlnet", local_files_only=True, torch_dtype=torch.float32)


def _text_encoder(checkpoint: Path, configs):
    """CLIP's text tower out of a checkpoint: transformers names its weights with text_model. before 5.6 and without it since."""
    from safetensors import safe_open
    from transformers import CLIPTextConfig, CLIPTextModel

    model = CLIPTextModel(CLIPTextConfig(**_json(configs, "text_encoder")))
    with safe_open(checkpoint, "pt") as file:
        stored = {key.removeprefix(TEXT).removeprefix("text_model."): file.get_tensor(key).float() for key in file.keys() if key.startswith(TEXT)}
    wanted = {key: key.removeprefix("text_model.") for key in model.state_dict() if not key.endswith("position_ids")}
    if missing := sorted(name for name in wanted.values() if name not in stored):
        raise ModelError(f'"{checkpoint.name}" lacks {TEXT}text_model.{missing[0]}: its text encoder isn\'t SD 1.5\'s; choose a whole SD 1.5 checkpoint.')
    model.load_state_dict({key: stored[name] for key, name in wanted.items()}, strict=False)
    return model


def _models(unet, controlnet, vae, text_encoder, prediction: str) -> Models:
    betas = torch.linspace(0.00085 ** 0.5, 0.012 ** 0.5, 1000, dtype=torch.float64) ** 2  # SD 1.x's scaled_linear
    encode = lambda prompts: text_encoder(tokenize(prompts).to(text_encoder.device)).last_hidden_state
    return Models(unet, controlnet, vae, encode, Schedule(torch.cumprod(1 - betas, 0).float(), prediction), text_encoder=text_encoder)


def tokenize(prompts: list) -> torch.Tensor:
    """Prompts -> (B, 77) ids of CLIP's vocabulary: start, words, end, and ends as padding, as SD 1.x has it. Longer prompts lose their tail."""
    from open_clip.tokenizer import SimpleTokenizer

    global _bpe
    if _bpe is None:
        _bpe = SimpleTokenizer()
    start, end, length = 49406, 49407, 77
    rows = [[start, *_bpe.encode(prompt)[:length - 2], end] for prompt in prompts]
    return torch.tensor([row + [end] * (length - len(row)) for row in rows], dtype=torch.long)


_bpe = None


def _json(configs, part: str) -> dict:
    return json.loads((Path(configs) / part / "config.json").read_text(encoding="utf-8"))
