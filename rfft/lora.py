"""LoRAs of users, folded into the frozen networks: the ControlNet is then tuned for the pictures that the checkpoint
draws with them (arXiv:2106.09685).

Read is kohya's layout, which most files have: lora_unet_* by diffusers' or by ldm's names of the UNet's layers, and
lora_te_* (SD 1.5) or lora_te1_*, lora_te2_* (SDXL).
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..rfnet.files import quoted
from .adapter import delta, fault_of
from .files import open_safetensors
from .models import ModelError, Models
from .names import attention_of, unet_name

INSTEAD = "take a plain LoRA, or merge it into the checkpoint with another program"
UP, DOWN, ALPHA = ".lora_up.weight", ".lora_down.weight", ".alpha"
OTHER = {
    ".hada_": "a LoHa",
    ".lokr_": "a LoKr",
    ".dora_scale": "a DoRA",
    ".lora_mid.weight": "a LoCon with middle weights",
    ".diff": "a difference of weights",
    ".diff_b": "a difference of biases",
    ".w_norm": "trained norms",
    ".b_norm": "trained norms",
    ".a1.weight": "a GLoRA",
    ".a2.weight": "a GLoRA",
    ".b1.weight": "a GLoRA",
    ".b2.weight": "a GLoRA",
    ".oft_": "an OFT",
    ".on_input": "an IA3",
    ".bias": "trained biases",
}


def fold_loras(models: Models, loras: list, checkpoint="") -> Models:
    """Adds strength * alpha / rank * up @ down of every LoRA to the UNet and text encoders, in place.

    loras: [{"file", "strength" (1 by default)}]; checkpoint: the file of these networks, for sentences. Raises
    ModelError.
    """
    layers = names_of(models) if loras else {}
    for lora in loras:
        for layer, update in updates(lora["file"], layers, Path(checkpoint).name).items():
            with torch.no_grad():
                weight, strength = layer.weight, lora.get("strength", 1.0)
                folded = (weight.float() + strength * update.view_as(weight)).to(weight.dtype)
                if not torch.isfinite(folded).all():
                    name = Path(lora["file"]).name
                    raise ModelError(
                        f'"{name}" at strength {strength:g} makes weights that aren\'t finite: lower the strength.'
                    )
                weight.copy_(folded)
    return models


def check_layout(path) -> None:
    """Raises ModelError where a file's header already shows that it is no plain LoRA in kohya's layout."""
    path = Path(path)
    with open_safetensors(path, ModelError, f'the LoRA "{path}" does not exist: check the path.') as file:
        modules_of(dict.fromkeys(file.keys()), path.name)


def updates(path, layers: dict, checkpoint: str = "") -> dict:
    """{layer: its update, float32} of a LoRA file, every tensor of which is used. layers: what names_of gives;
    checkpoint: what they are called in sentences.

    Raises ModelError where the file is another thing or holds more than a plain LoRA, where a layer isn't there or has
    another shape, and where values aren't finite.
    """
    path = Path(path)
    with open_safetensors(path, ModelError, f'the LoRA "{path}" does not exist: check the path.') as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    modules = modules_of(tensors, path.name)
    if unknown := [module for module in modules if module not in layers]:
        more = f"{unknown[0][:100]} and {len(unknown) - 1} more layers"
        raise ModelError(f'"{path.name}" changes {more} that this checkpoint doesn\'t have: choose a LoRA of its kind.')
    by_layer: dict[torch.nn.Module, torch.Tensor] = {}
    for module in modules:
        if module + DOWN not in tensors:
            raise ModelError(f'"{path.name}" lacks {module}{DOWN}: it is not whole; copy or download it again.')
        up, down = tensors[module + UP], tensors[module + DOWN]
        layer = layers[module]
        alpha = tensors.get(module + ALPHA, len(down) if down.ndim else 0)
        if fault := fault_of(up, down, alpha):
            raise ModelError(
                f'"{path.name}" has an update of {module} that can\'t be used ({fault}): copy or download it again, or'
                " take another LoRA."
            )
        if len(up) != len(layer.weight) or _core(down) != _core(layer.weight):
            given, layer_shape = (len(up), *down.shape[1:]), tuple(layer.weight.shape)
            raise ModelError(
                f'"{path.name}" was made for another kind of checkpoint than {quoted(checkpoint or "this one")} (an'
                f" update of {given} for weights of {layer_shape}): choose a LoRA that was trained on this kind."
            )
        if layer in by_layer:
            raise ModelError(f'"{path.name}" changes {module} twice, by two names of one layer: take another LoRA.')
        by_layer[layer] = delta(up, down, alpha)
    return by_layer


def modules_of(tensors: dict, file: str) -> list:
    """The layers' names of a LoRA in kohya's layout.

    Raises ModelError, which names the first tensor that is no part of it.
    """
    modules = sorted(key.removesuffix(UP) for key in tensors if key.endswith(UP))
    parts = {module + end for module in modules for end in (UP, DOWN, ALPHA)}

    def signed(key, sign):
        return key.endswith(sign) or (sign.endswith("_") and sign in key)

    kinds = {kind for key in tensors.keys() - parts for sign, kind in OTHER.items() if signed(key, sign)}
    if kinds and not modules:
        raise ModelError(f'"{file}" is {min(kinds)}, which RFFT doesn\'t fold: {INSTEAD}.')
    if not modules or not all(module.startswith("lora_") for module in modules):
        raise ModelError(
            f'"{file}" is no LoRA in kohya\'s layout (keys such as lora_unet_..._to_q.lora_up.weight): convert it, or'
            " take another."
        )
    if more := sorted(tensors.keys() - parts):
        kind = f" ({min(kinds)})" if kinds else ""
        raise ModelError(
            f'"{file}" holds more than a plain LoRA: {more[0][:100]}{kind} is the first of {len(more)} tensors'
            f" that RFFT doesn't fold; {INSTEAD}."
        )
    return modules


def _core(weight: torch.Tensor) -> tuple:
    """The shape of one output's weights, the same for a linear layer and for a convolution of 1x1."""
    shape = tuple(weight.shape[1:])
    return shape[:1] if set(shape[1:]) <= {1} else shape


def names_of(models: Models) -> dict:
    """{kohya's name: layer} of the UNet, by both layouts' names, and of the text encoders."""
    names: dict[str, torch.nn.Module] = {}
    config = models.unet.config
    attention = attention_of(config.down_block_types)
    for name, layer in layers_of(models.unet).items():
        names["lora_unet_" + name.replace(".", "_")] = layer
        names["lora_unet_" + unet_name(name, config.layers_per_block, attention).replace(".", "_")] = layer
    encoders = list(models.text_encoder) if isinstance(models.text_encoder, torch.nn.ModuleList) else []
    if not encoders and models.text_encoder is not None:
        encoders = [models.text_encoder]
    prefixes = ("lora_te",) if len(encoders) == 1 else ("lora_te1", "lora_te2")
    for prefix, encoder in zip(prefixes, encoders):
        for name, layer in layers_of(encoder).items():
            inside = name.removeprefix("text_model.").replace(".", "_")
            names[f"{prefix}_{inside}" if inside == "text_projection" else f"{prefix}_text_model_{inside}"] = layer
    return names


def layers_of(module: torch.nn.Module) -> dict:
    return {
        name: layer for name, layer in module.named_modules() if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d))
    }
