"""An adapter folded into its base: one full ControlNet file, in the layout of the base, for programs that know no adapters."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..rfnet.files import write_safetensors
from .adapter import AdapterError, delta, read_adapter, read_file, sha256_of, updates_of
from .names import layers_of, ldm_name

LDM = "control_model."


def weight_names(keys, file: str) -> dict:
    """{ldm module: name of its weight} for a ControlNet in diffusers', ldm's or prefixed ldm's layout. Raises AdapterError for what can't take an adapter."""
    keys = set(keys)
    if "lora_controlnet" in keys:
        raise AdapterError(f'"{file}" is a control-LoRA, which is relative to each checkpoint\'s own UNet: choose a full ControlNet file.')
    if "difference" in keys:
        raise AdapterError(f'"{file}" holds the difference to a UNet and not a ControlNet: choose a full ControlNet file.')
    weights = [key.removesuffix(".weight") for key in keys if key.endswith(".weight")]
    if "controlnet_cond_embedding.conv_in.weight" in keys:
        return {ldm_name(name, layers_of(keys)): f"{name}.weight" for name in weights if not _is_norm(name)}
    for prefix in ("", LDM):
        if f"{prefix}zero_convs.0.0.weight" in keys:
            return {name[len(prefix):]: f"{name}.weight" for name in weights if name.startswith(prefix)}
    raise AdapterError(f'"{file}" is no ControlNet: choose the file that the adapter was trained on.')


def _is_norm(module: str) -> bool:
    return module.rsplit(".", 1)[-1].startswith("norm")


def merge_states(base: dict, adapters: list, base_file: str) -> dict:
    """W + sum of strength * delta for every layer of a base's tensors, in the base's own dtype; whatever has no update stays as it is.

    adapters: (tensors, strength, file name) each. Raises AdapterError where one doesn't fit.
    """
    names, merged, sums = weight_names(base.keys(), base_file), dict(base), {}
    for tensors, strength, file in adapters:
        for module, parts in updates_of(tensors, file).items():
            update = delta(*parts)
            if module not in names or base[names[module]].shape != update.shape:
                shape = tuple(base[names[module]].shape) if module in names else "no such layer"
                raise AdapterError(f'"{file}" does not fit "{base_file}" ({module}: {tuple(update.shape)} and {shape}): choose the ControlNet that it was trained on.')
            if strength:
                sums[module] = sums.get(module, 0) + strength * update
    for module, total in sums.items():
        weight = base[names[module]]
        merged[names[module]] = (weight.float() + total).to(weight.dtype)
    return merged


def merge_files(base, adapter_files: list, out, strengths: list | None = None) -> None:
    """Write base + adapters as one ControlNet file. strengths: one per adapter, 1 by default. Raises AdapterError, OSError when the disk refuses."""
    strengths = strengths or [1.0] * len(adapter_files)
    if len(strengths) != len(adapter_files):
        raise AdapterError(f"there are {len(adapter_files)} adapters and {len(strengths)} strengths: give one strength for each.")
    out = Path(out)
    if out.suffix != ".safetensors":
        raise AdapterError(f'"{out.name}" must end in .safetensors: the merged ControlNet is written in that format only.')
    if out.exists():
        raise AdapterError(f'"{out}" exists: choose another name, or delete it first.')
    read = [(path, *read_adapter(path, base)) for path in adapter_files]
    tensors, _ = read_file(base, "ControlNet", "choose the one that the adapter was trained on")
    merged = merge_states(tensors, [(values, strength, Path(path).name) for (path, values, _), strength in zip(read, strengths)], Path(base).name)
    about = [{"file": Path(path).name, "strength": strength, **metadata} for (path, _, metadata), strength in zip(read, strengths)]
    write_safetensors(out, merged, {"format": "reliable-ads/rfft-controlnet", "base_sha256": sha256_of(base), "base_name": Path(base).name, "adapters": json.dumps(about)})
