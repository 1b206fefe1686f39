"""LoRAs of users, folded into the frozen networks: the ControlNet is then tuned for the pictures that the checkpoint draws with them (arXiv:2106.09685).

Read is kohya's layout, which most files have: lora_unet_* by diffusers' or by ldm's names of the UNet's layers, and lora_te_* (SD 1.5) or lora_te1_*, lora_te2_* (SDXL).
"""

from __future__ import annotations

from pathlib import Path

import torch

from .adapter import delta
from .files import opened
from .models import ModelError, Models
from .names import attention_of, unet_name

UP, DOWN, ALPHA = ".lora_up.weight", ".lora_down.weight", ".alpha"
OTHER = {".hada_w1_a": "a LoHa", ".lokr_w1": "a LoKr", ".lokr_w1_a": "a LoKr", ".dora_scale": "a DoRA", ".lora_mid.weight": "a LoCon with middle weights", ".diff": "a difference of weights"}


def fold_loras(models: Models, loras: list) -> Models:
    """Adds strength * alpha / rank * up @ down of every LoRA to the UNet and text encoders, in place. loras: [{"file", "strength" (1 by default)}]. Raises ModelError."""
    layers = names_of(models) if loras else {}
    for lora in loras:
        for layer, update in updates(lora["file"], layers).items():
            with torch.no_grad():
                weight = layer.weight
                if update.numel() != weight.numel():
                    raise ModelError(f'"{Path(lora["file"]).name}" was made for another kind of checkpoint (an update of {tuple(update.shape)} for weights of {tuple(weight.shape)}): choose one for this one.')
                weight.copy_((weight.float() + lora.get("strength", 1.0) * update.view_as(weight)).to(weight.dtype))
    return models


def updates(path, layers: dict) -> dict:
    """{layer: its update, float32} of a LoRA file. Raises ModelError where it is another thing, or where a layer isn't there."""
    path = Path(path)
    with opened(path, ModelError, f'the LoRA "{path}" does not exist: check the path.') as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    for end, kind in OTHER.items():
        if any(key.endswith(end) for key in tensors):
            raise ModelError(f'"{path.name}" is {kind}, which RFFT doesn\'t fold: take a plain LoRA, or merge it into the checkpoint with another program.')
    modules = sorted(key.removesuffix(UP) for key in tensors if key.endswith(UP))
    if not modules or not all(module.startswith("lora_") for module in modules):
        raise ModelError(f'"{path.name}" is no LoRA in kohya\'s layout (keys such as lora_unet_..._to_q.lora_up.weight): convert it, or take another.')
    if unknown := [module for module in modules if module not in layers]:
        raise ModelError(f'"{path.name}" changes {unknown[0]} and {len(unknown) - 1} more layers that this checkpoint doesn\'t have: choose a LoRA of its kind.')
    if missing := [module for module in modules if module + DOWN not in tensors]:
        raise ModelError(f'"{path.name}" lacks {missing[0]}{DOWN}: it is not whole; copy or download it again.')
    found = {}
    for module in modules:
        up, down = tensors[module + UP], tensors[module + DOWN]
        found[layers[module]] = delta(up, down, tensors.get(module + ALPHA, len(down)))
    return found


def names_of(models: Models) -> dict:
    """{kohya's name: layer} of the UNet, by both layouts' names, and of the text encoders."""
    config, found = models.unet.config, {}
    attention = attention_of(config.down_block_types)
    for name, layer in layers_of(models.unet).items():
        found["lora_unet_" + name.replace(".", "_")] = layer
        found["lora_unet_" + unet_name(name, config.layers_per_block, attention).replace(".", "_")] = layer
    encoders = models.text_encoder if isinstance(models.text_encoder, torch.nn.ModuleList) else [models.text_encoder]
    prefixes = ("lora_te",) if len(encoders) == 1 else ("lora_te1", "lora_te2")
    for prefix, encoder in zip(prefixes, encoders):
        for name, layer in layers_of(encoder).items():
            inside = name.removeprefix("text_model.").replace(".", "_")
            found[f"{prefix}_{inside}" if inside == "text_projection" else f"{prefix}_text_model_{inside}"] = layer
    return found


def layers_of(module: torch.nn.Module) -> dict:
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d))}
