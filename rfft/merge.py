"""An adapter folded into its base: one full ControlNet file, in the layout of the base, for programs that know no
adapters.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ..rfnet.files import quoted, write_safetensors
from ..rfnet.structured import shortened
from ..rfnet.tensors import check_finite
from .adapter import (
    DOWN,
    PREFIX,
    UP,
    AdapterError,
    check_base,
    delta,
    read_adapter,
    read_file,
    sha256_of,
    updates_of,
)
from .layouts import layout_of
from .names import channels_of, layers_of, ldm_name

LDM = "control_model."
BY_WIDTH = {768: "SD 1.5", 1024: "SD 2.x", 2048: "SDXL"}  # by how wide the text is that the attention layers look at


def weight_names(keys, file: str) -> dict:
    """{module, as adapters call it: name of its weight} for a ControlNet in diffusers', ldm's or prefixed ldm's layout.

    Raises AdapterError for what can't take an adapter.
    """
    keys = set(keys)
    if "lora_controlnet" in keys:
        raise AdapterError(
            f'"{file}" is a control-LoRA, which is relative to each checkpoint\'s own UNet: choose a full ControlNet'
            " file."
        )
    if "difference" in keys:
        raise AdapterError(
            f'"{file}" holds the difference to a UNet and not a ControlNet: choose a full ControlNet file.'
        )
    weights = [key.removesuffix(".weight") for key in keys if key.endswith(".weight")]
    if layout_of(weights):
        return {name: f"{name}.weight" for name in weights}
    if "controlnet_cond_embedding.conv_in.weight" in keys:
        names = {_known(name, layers_of(keys)): f"{name}.weight" for name in weights if not _is_norm(name)}
        return {ldm: name for ldm, name in names.items() if ldm}
    for prefix in ("", LDM):
        if f"{prefix}zero_convs.0.0.weight" in keys:
            return {name[len(prefix) :]: f"{name}.weight" for name in weights if name.startswith(prefix)}
    kind = " but an RFFT adapter" if any(key.startswith(PREFIX) for key in keys) else ""
    raise AdapterError(
        f'"{file}" is no ControlNet of Stable Diffusion{kind}: choose a full ControlNet file, for an adapter the one'
        " that it was trained on."
    )


def _known(module: str, layers: int):
    """Its ldm name, or None: union ControlNets have layers of their own, which no adapter changes."""
    try:
        return ldm_name(module, layers)
    except KeyError:
        return None


def _is_norm(module: str) -> bool:
    return module.rsplit(".", 1)[-1].startswith("norm")


def merge_states(base: dict, adapters: list, base_file: str) -> dict:
    """W + sum of strength * delta for every layer of a base's tensors, in the base's own dtype; whatever has no update
    stays as it is.

    adapters: (tensors, strength, file name) each. Raises AdapterError where one doesn't fit.
    """
    names, merged = weight_names(base.keys(), base_file), dict(base)
    sums: dict[str, torch.Tensor] = {}
    for tensors, strength, file in adapters:
        for module, parts in updates_of(tensors, file).items():
            update = delta(*parts)
            if module not in names or base[names[module]].shape != update.shape:
                shape = tuple(base[names[module]].shape) if module in names else "no such layer"
                raise AdapterError(
                    f'"{file}" does not fit "{base_file}" ({shortened(module)[1:-1]}: {tuple(update.shape)} and'
                    f" {shape}): choose the ControlNet that it was trained on."
                )
            if strength:
                sums[module] = sums[module] + strength * update if module in sums else strength * update
    for module, total in sums.items():
        weight = base[names[module]]
        merged[names[module]] = (weight.float() + total).to(weight.dtype)
    return merged


def family_of(tensors: dict, names: dict) -> str:
    """The family of a ControlNet's tensors or an adapter's, as "SD 1.5", or "64-64-128 channels" where it has no name;
    empty where they don't show it.

    names: {ldm module: the tensor that has as many rows as it puts out channels}.
    """
    widths = {
        value.shape[1] for key, value in tensors.items() if key.endswith(("attn2.to_k.weight", "attn2.to_k" + DOWN))
    }
    channels = channels_of({module: len(tensors[name]) for module, name in names.items() if tensors[name].ndim})
    named = BY_WIDTH.get(max(widths, default=0), "")
    return layout_of(names) or named or (f"{'-'.join(map(str, channels))} channels" if channels else "")


def family_of_adapter(tensors: dict) -> str:
    return family_of(tensors, {key[len(PREFIX) : -len(UP)]: key for key in tensors if key.endswith(UP)})


def fold(base, adapters: list) -> tuple:
    """(tensors, metadata) of a ControlNet file with adapter files added: what `rfft merge` writes, and what ComfyUI
    gets without a file in between.

    adapters: (path, strength) each; with none, or at strength 0, the tensors are the base's own. Raises AdapterError
    where one doesn't belong to this base.
    """
    base = Path(base)
    given: list[tuple] = []
    tensors, metadata = read_file(base, "ControlNet", "choose the one that the adapter was trained on")
    names = weight_names(tensors, base.name)
    check_finite(tensors, quoted(base.name), AdapterError)
    for path, strength in adapters:
        path = Path(path)
        values, about = read_adapter(path)
        families = family_of_adapter(values), family_of(tensors, names)
        if all(families) and families[0] != families[1]:
            raise AdapterError(
                f'"{path.name}" is an adapter for ControlNets of {families[0]}, and "{base.name}" is one of'
                f" {families[1]}: choose the ControlNet that it was trained on,"
                f" {quoted(about.get('base_name', 'unknown'), 60)}."
            )
        check_base(about, path, base)
        given.append((path.name, values, strength, about))
    if given:
        adapted = [{"file": file, "strength": strength, **about} for file, _, strength, about in given]
        metadata = {
            **metadata,
            "format": "reliable-ads/rfft-controlnet",
            "base_sha256": sha256_of(base),
            "base_name": base.name,
            "adapters": json.dumps(adapted),
        }
    return merge_states(tensors, [(values, strength, file) for file, values, strength, _ in given], base.name), metadata


def merge_files(base, adapter_files: list, out, strengths: list | None = None) -> None:
    """Write base + adapters as one ControlNet file.

    strengths: one per adapter, 1 by default. Raises AdapterError, OSError when the disk refuses.
    """
    strengths = strengths or [1.0] * len(adapter_files)
    if len(strengths) != len(adapter_files):
        raise AdapterError(
            f"there are {len(adapter_files)} adapters and {len(strengths)} strengths: give one strength for each."
        )
    out = Path(out)
    if out.suffix != ".safetensors":
        raise AdapterError(
            f'"{out.name}" must end in .safetensors: the merged ControlNet is written in that format only.'
        )
    if out.exists():
        raise AdapterError(f'"{out}" exists: choose another name, or delete it first.')
    write_safetensors(out, *fold(base, list(zip(adapter_files, strengths))))
