"""Checkpoints and ControlNets of users, SD 1.5 and SDXL, read without a network: as diffusers' folders, or as single
files by means of the configs in rfft/configs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from .families import loading as families
from .files import open_safetensors
from .kinds import CONFIGS, Kind, check_models, part_config, shapes
from .models import ModelError, Models, Text
from .names import layers_of, ldm_key
from .schedule import Schedule, scaled_linear
from .tokens import tokenize
from .union import is_union, union_config


@dataclass(frozen=True)
class Family:
    """How a family of models is read.

    load(checkpoint, controlnet) -> Models; skeleton: the same without a weight, on the meta device, or None. flow:
    whether these are flow-matching models, whose loaders also take parts, and load a dtype.
    """

    load: Callable
    skeleton: Callable | None = None
    flow: bool = False


def load(checkpoint, controlnet, configs=None) -> Models:
    """A checkpoint of SD 1.5 or SDXL and its canny ControlNet -> Models, float32 on the CPU.

    checkpoint: a single .safetensors file, or a diffusers folder with unet, vae and its text encoders; controlnet: a
    .safetensors file in diffusers' or either ldm layout. Everything that doesn't fit is refused from the files'
    headers, before a weight is read. configs: a folder of shapes instead of the shipped one. Raises ModelError.
    """
    checkpoint, controlnet = Path(checkpoint), Path(controlnet)
    kind, prediction = check_models(checkpoint, controlnet, configs)
    configs = configs or CONFIGS / kind.folder
    parts = _from_folder(checkpoint, kind) if checkpoint.is_dir() else _from_file(checkpoint, kind, configs)
    return _models(
        parts["unet"], _controlnet(controlnet, configs), parts["vae"], [parts[name] for name in kind.texts], prediction
    )


def skeleton(checkpoint, controlnet, configs=None) -> Models:
    """What `load` would give, without a weight: every tensor on the meta device. Raises ModelError."""
    kind, prediction = check_models(checkpoint, controlnet, configs)
    shipped = configs or CONFIGS / kind.folder
    with torch.device("meta"):
        folder = Path(checkpoint) if Path(checkpoint).is_dir() else shipped
        return untrained(kind, folder, shipped, prediction, controlnet)


def untrained(
    kind: Kind, configs=None, controlnet_configs=None, prediction: str = "epsilon", controlnet=None
) -> Models:
    """Models of a kind's shapes with random weights, on the default device; controlnet: a file that says whether it is
    a union ControlNet.
    """
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    configs, controlnet_configs = configs or CONFIGS / kind.folder, controlnet_configs or CONFIGS / kind.folder

    def build(type, folder, part):
        return type.from_config(part_config(folder, part))

    # in the order in which weights are drawn: unet, vae, controlnet
    unet = build(UNet2DConditionModel, configs, "unet")
    vae = build(AutoencoderKL, configs, "vae")
    return _models(
        unet,
        _empty_controlnet(controlnet, controlnet_configs)
        if controlnet
        else build(ControlNetModel, controlnet_configs, "controlnet"),
        vae,
        [_text_class(name)(_text_config(configs, name)) for name in kind.texts],
        prediction,
    )


FAMILIES = {
    "diffusers": Family(load, skeleton),
    **{
        name: Family(partial(families.load, family), partial(families.skeleton, family), flow=True)
        for name, family in families.FLOW_FAMILIES.items()
    },
}


def _from_folder(folder: Path, kind: Kind) -> dict:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    types = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, **{name: _text_class(name) for name in kind.texts}}
    try:
        return {
            name: type.from_pretrained(folder / name, local_files_only=True, use_safetensors=True).float()
            for name, type in types.items()
        }
    except (OSError, ValueError) as error:
        raise ModelError(
            f'the checkpoint folder "{folder}" can\'t be read ({error}): save it again with diffusers, as safetensors.'
        ) from error


def _from_file(checkpoint: Path, kind: Kind, configs) -> dict:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    def read(type, part):
        return type.from_single_file(
            str(checkpoint), config=str(configs), subfolder=part, local_files_only=True, torch_dtype=torch.float32
        )

    try:
        parts = {"unet": read(UNet2DConditionModel, "unet"), "vae": read(AutoencoderKL, "vae")}
    except (KeyError, NotImplementedError, SingleFileComponentError, ValueError) as error:
        # weights are missing, or of other shapes
        raise ModelError(
            f'"{checkpoint.name}" has not the shape of {kind.name} ({str(error).splitlines()[0]}): copy or download it'
            " again, or choose another."
        ) from error
    return {**parts, **{name: _text_encoder(checkpoint, name, prefix, configs) for name, prefix in kind.texts.items()}}


def _controlnet(path: Path, configs):
    """A ControlNet in diffusers' or either ldm layout; diffusers' own reader leaves out what SDXL has besides."""
    with torch.device("meta"):
        model = _empty_controlnet(path, configs)
    own = model.state_dict().keys()
    with open_safetensors(path, ModelError, f'"{path}" does not exist: check the path.') as file:
        keys = set(file.keys())
        prefix = "control_model." if "control_model.zero_convs.0.0.weight" in keys else ""
        names = (
            {name: name for name in own}
            if "controlnet_cond_embedding.conv_in.weight" in keys
            else {name: prefix + ldm_key(name, layers_of(own)) for name in own}
        )
        return _filled(
            model, {name: file.get_tensor(key).float() for name, key in names.items() if key in keys}, path.name
        )


def _empty_controlnet(path, configs):
    """A ControlNet of the file's kind and the configs' shapes, on the default device."""
    from diffusers import ControlNetModel

    config = part_config(configs, "controlnet")
    keys = shapes(path)
    if is_union(keys):
        from diffusers import ControlNetUnionModel  # not in the oldest versions

        return ControlNetUnionModel.from_config(union_config(config, keys))
    return ControlNetModel.from_config(config)


def _text_encoder(checkpoint: Path, part: str, prefix: str, configs):
    """A CLIP text tower out of a single file. The names of its weights begin with "text_model." in transformers before
    5.6, and not since.
    """
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        model = _text_class(part)(_text_config(configs, part))
    with open_safetensors(checkpoint, ModelError, f'"{checkpoint}" does not exist: check the path.') as file:
        stored = {
            key.removeprefix(prefix): file.get_tensor(key).float() for key in file.keys() if key.startswith(prefix)
        }
    stored = (
        from_open_clip(stored)
        if part == "text_encoder_2"
        else {key.removeprefix("text_model."): value for key, value in stored.items()}
    )
    short = {key: key.removeprefix("text_model.") for key in model.state_dict() if not key.endswith("position_ids")}
    return _filled(model, {key: stored[name] for key, name in short.items() if name in stored}, checkpoint.name)


OPEN_CLIP = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
    "text_projection.weight": "text_projection.weight",
}
BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def from_open_clip(tensors: dict) -> dict:
    """open_clip's text tower -> transformers' names; queries, keys and values lie in one tensor there, and the
    projection is turned.
    """
    renamed = {}
    for key, value in tensors.items():
        if key in OPEN_CLIP:
            renamed[OPEN_CLIP[key]] = value
        elif key == "text_projection":
            renamed["text_projection.weight"] = value.T.contiguous()
        elif m := re.fullmatch(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)", key):
            renamed |= {
                f"encoder.layers.{m[1]}.self_attn.{name}_proj.{m[2]}": part for name, part in zip("qkv", value.chunk(3))
            }
        elif m := re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias)", key):
            renamed[f"encoder.layers.{m[1]}.{BLOCK.get(m[2], m[2])}.{m[3]}"] = value
    return renamed


def _filled(model: torch.nn.Module, tensors: dict, file: str):
    """A model without weights, given all of them. Raises ModelError where one is missing or has another shape."""
    wanted = {key: value.shape for key, value in model.state_dict().items() if not key.endswith("position_ids")}
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise ModelError(
            f'"{file}" lacks {len(missing)} of {len(wanted)} weights (as {missing[0]}): it is not whole, or of another'
            " kind; choose the full file."
        )
    for key, shape in wanted.items():
        if tensors[key].shape != shape:
            raise ModelError(
                f'"{file}" has another shape than is known ({key}: {tuple(tensors[key].shape)}, not {tuple(shape)}):'
                " choose a full-size file."
            )
    model.load_state_dict(tensors, strict=False, assign=True)
    return model.eval()


def _text_class(part: str):
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    return CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel


def _text_config(configs, part: str):
    from transformers import CLIPTextConfig

    return CLIPTextConfig(**part_config(configs, part))


# Together


def _models(unet, controlnet, vae, texts: list, prediction: str) -> Models:
    def encode_prompts(prompts: list) -> Text:
        return encode_one(texts[0], prompts) if len(texts) == 1 else encode_two(texts[0], texts[1], prompts)

    text_encoder = texts[0] if len(texts) == 1 else torch.nn.ModuleList(texts)
    schedule = Schedule(scaled_linear(), prediction)
    return Models(unet, controlnet, vae, encode_prompts, schedule, text_encoder=text_encoder)


def encode_one(encoder, prompts: list) -> Text:
    """SD 1.x: the last layer's words."""
    return Text(encoder(tokenize(prompts).to(encoder.device)).last_hidden_state)


def encode_two(first, second, prompts: list) -> Text:
    """SDXL: both encoders' words before their last layer, side by side, and the second one's summary."""
    one = first(tokenize(prompts).to(first.device), output_hidden_states=True)
    two = second(tokenize(prompts, padding=0).to(second.device), output_hidden_states=True)
    return Text(torch.cat([one.hidden_states[-2], two.hidden_states[-2]], -1), two.text_embeds)
