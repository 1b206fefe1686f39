"""Pocket weights on disk, in the "ldm" layout that ComfyUI and most other tools read, and back into diffusers' modules.

rfft.names has the rules that turn diffusers' names into ldm's.
Source of the layout: the original Stable Diffusion and ControlNet repositories, as ComfyUI reads them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta

from ..rfft.names import ldm_key, unet_key
from ..rfnet.files import quoted, write_safetensors
from ..rfnet.structured import StructureError, convert, parse_json, shortened
from ..rfnet.tensors import Header, check_finite, check_floats, open_tensors, read_header
from .configs import check_config, least_weights
from .family import (
    PICTURE_SIZE,
    POCKET,
    SCALE_FACTOR,
    Pocket,
    build_controlnet,
    build_text_encoder,
    build_unet,
    build_vae,
    is_flow,
)

FORMAT_VERSION = 1
FORMER = (64, 64, 128)  # the UNet of the family that shipped before
LARGEST = 1 << 30  # bytes of a file: the family that ships has 51 million
WEIGHTS = Path(__file__).parent / "weights"
CHECKPOINT, CONTROLNET = WEIGHTS / "pocket_sd.safetensors", WEIGHTS / "pocket_canny.safetensors"
UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer.text_model."


MODELS, HINTS = "reliable-ads/pocket", "reliable-ads/pocket-controlnet"  # what a file's metadata call its format
WHAT = {MODELS: "checkpoint", HINTS: "ControlNet"}


class PocketFileError(ValueError):
    """A weights file that can't be used; the sentence says which file, what is wrong and what to do."""


def vae_key(name: str) -> str:
    """diffusers' AutoencoderTiny name → the name in a TAESD file, whose decoder counts its clamp as layer 0."""
    side, _, layer, leaf = name.split(".", 3)
    return f"taesd_{side}.{int(layer) + (side == 'decoder')}.{leaf}"


def key_maps(config: dict, unet=None, controlnet=None, vae=None, text_encoder=None) -> dict[str, dict[str, str]]:
    """For each module given: {its own parameter name: its name in the file}.

    The ControlNet's file is its own, without prefix.
    """
    layers, attention = config["unet"]["layers"], config["unet"]["attention"]
    maps = {}
    if unet is not None:
        maps["unet"] = {k: UNET_PREFIX + unet_key(k, layers, attention) for k in unet.state_dict()}
    if vae is not None:
        maps["vae"] = {k: VAE_PREFIX + vae_key(k) for k in vae.state_dict()}
    if text_encoder is not None:  # transformers before 5.6 says text_model., later ones don't
        maps["text_encoder"] = {
            k: TEXT_PREFIX + k.removeprefix("text_model.")
            for k in text_encoder.state_dict()
            if not k.endswith("position_ids")
        }
    if controlnet is not None:
        maps["controlnet"] = {k: ldm_key(k, layers) for k in controlnet.state_dict()}
    return maps


def to_ldm(module: torch.nn.Module, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """A module's weights under their ldm names."""
    state = module.state_dict()
    return {new: state[k] for k, new in names.items()}


def from_ldm(module: torch.nn.Module, names: dict[str, str], tensors: dict[str, torch.Tensor], path) -> None:
    """Loads ldm-named tensors into a module, every one of them or none."""
    own = module.state_dict()
    new_state = {}
    for name, key in names.items():
        if key not in tensors:
            raise PocketFileError(
                f"{quoted(path)[1:-1]}: the weight {key} is missing, so this is not a whole pocket file; write it again"
                " with `pocket train export`"
            )
        if tensors[key].numel() != own[name].numel():
            raise PocketFileError(
                f"{quoted(path)[1:-1]}: the weight {key} has shape {tuple(tensors[key].shape)} where"
                f" {tuple(own[name].shape)} is expected; use a checkpoint and a ControlNet from the same export"
            )
        new_state[name] = tensors[key].reshape(own[name].shape).to(own[name].dtype)
    module.load_state_dict(new_state, strict=False)


def save_checkpoint(path, pocket: Pocket, metadata: dict[str, str] | None = None) -> None:
    """UNet, VAE and text encoder as one fp16 file; the metadata key "pocket" holds the configs as JSON."""
    maps = key_maps(pocket.config, unet=pocket.unet, vae=pocket.vae, text_encoder=pocket.text_encoder)
    tensors = {k: v.half() for part, names in maps.items() for k, v in to_ldm(pocket.parts()[part], names).items()}
    # ComfyUI divides latents by SD's factor outside of the model: with these two its VAE gives what its UNet expects
    tensors |= {VAE_PREFIX + "vae_scale": torch.tensor(SCALE_FACTOR), VAE_PREFIX + "vae_shift": torch.tensor(0.0)}
    write_safetensors(
        path,
        tensors,
        {
            **(metadata or {}),
            "format": MODELS,
            "pocket": json.dumps({"format_version": FORMAT_VERSION, **pocket.config}),
        },
    )


def save_controlnet(path, pocket: Pocket, metadata: dict[str, str] | None = None) -> None:
    """The ControlNet as one fp16 file in the bare ldm layout."""
    names = key_maps(pocket.config, controlnet=pocket.controlnet)["controlnet"]
    tensors = {k: v.half() for k, v in to_ldm(pocket.controlnet, names).items()}
    write_safetensors(
        path,
        tensors,
        {
            **(metadata or {}),
            "format": HINTS,
            "pocket": json.dumps({"format_version": FORMAT_VERSION, **pocket.config}),
        },
    )


def read_file(path) -> tuple[dict[str, torch.Tensor], dict]:
    """(tensors, config) of a pocket file; PocketFileError when it is missing, broken, of another model or of a newer
    format.
    """
    name = quoted(path)[1:-1]
    header = header_of(path, name)
    config = read_config(header, name)
    check_floats(header, name, PocketFileError)
    with open_tensors(path, PocketFileError, name=name) as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}
    check_finite(tensors, name, PocketFileError)
    return tensors, config


def header_of(path, name: str) -> Header:
    """The header of a pocket file; PocketFileError where there is none."""
    header = read_header(
        path,
        PocketFileError,
        f"{name} does not exist; train it with `pocket train`, or restore the file that came with the project",
        LARGEST,
        name,
    )
    if "pocket" not in header.metadata:
        raise PocketFileError(
            f'{name} is not a pocket file (its metadata has no "pocket"); choose pocket_sd or pocket_canny'
        )
    return header


def read_config(header: Header, name: str) -> dict:
    """The config in a header's metadata; PocketFileError where it is of a newer format, or no config."""
    try:
        config = parse_json(header.metadata["pocket"], 'its "pocket"')
        if not isinstance(config, dict):
            raise StructureError(f"it is {shortened(config)}, not a table")
        version = convert(
            config.pop("format_version", 0), Annotated[int, Meta(ge=0, le=1_000_000)], "its format_version"
        )
        if version > FORMAT_VERSION:
            raise PocketFileError(
                f"{name} has format version {version}, this program reads up to {FORMAT_VERSION}; update Reliable Ads"
            )
        check_config(config)
        for asked, held in zip(
            least_weights(config),
            (header.count(UNET_PREFIX) or header.count("input_blocks."), header.count(TEXT_PREFIX)),
        ):
            if asked > held > 0:
                raise StructureError("it asks for more weights than the file holds")
    except StructureError as error:
        raise PocketFileError(
            f"{name} has a config that can't be used ({str(error).rstrip('.')[:220]}); copy or export it again"
        ) from error
    return config


def family_name(channels, flow: bool = False) -> str:
    """A pocket family in words, by its UNet's channels: "64-128-256 channels, pictures of 256 pixels"."""
    sizes = {tuple(POCKET["unet"]["channels"]): PICTURE_SIZE, FORMER: 128}
    size = sizes.get(tuple(channels))
    about = [f"{'-'.join(map(str, channels))} channels", f"pictures of {size} pixels" if size else ""]
    return ", ".join(filter(None, [*about, "flow matching" if flow else ""]))


def check_diffusion(config: dict, path) -> None:
    """PocketFileError for a family that matches flows, from which no training of a pocket family goes on."""
    if is_flow(config):
        raise PocketFileError(
            f"{quoted(path)[1:-1]} was turned into a family that matches flows, which is not trained on; begin with one"
            f" that predicts v, such as the {CHECKPOINT.name} that ships"
        )


def config_in(path) -> dict:
    """The config in a file's header; PocketFileError where there is none. No weight is read."""
    name = quoted(path)[1:-1]
    return read_config(header_of(path, name), name)


def check_pair(checkpoint, controlnet) -> None:
    """PocketFileError unless the headers of two files say that they are one family; no weight is read."""
    names = [quoted(path)[1:-1] for path in (controlnet, checkpoint)]
    headers = [header_of(path, name) for path, name in zip((controlnet, checkpoint), names)]
    for header, name, kind, other in zip(headers, names, (HINTS, MODELS), (MODELS, HINTS)):
        if header.metadata.get("format") == other:
            raise PocketFileError(
                f"{name} is a {WHAT[other]}, and was given as the {WHAT[kind]}; give pocket_sd as the checkpoint and"
                " pocket_canny as the ControlNet"
            )
    hints, config = (read_config(header, name) for header, name in zip(headers, names))
    if hints["unet"] != config["unet"] or is_flow(hints) != is_flow(config):
        families = [family_name(each["unet"]["channels"], is_flow(each)) for each in (hints, config)]
        raise PocketFileError(
            f"{names[0]} ({families[0]}) is of another pocket family than {names[1]} ({families[1]}); choose two files"
            " of the same export"
        )
    if config["unet"]["context"] != config["clip"]["hidden_size"]:
        raise PocketFileError(f"the text encoder in {names[1]} does not fit its UNet; copy or export it again")


def load_pocket(checkpoint=CHECKPOINT, controlnet=CONTROLNET) -> Pocket:
    """The two files → diffusers' modules, float32, in eval mode, without gradients."""
    check_pair(checkpoint, controlnet)
    tensors, config = read_file(checkpoint)
    hints, _ = read_file(controlnet)
    unet = build_unet(config)
    pocket = Pocket(unet, build_controlnet(unet), build_vae(config), build_text_encoder(config), config)
    maps = key_maps(config, **pocket.parts())
    for part, module in pocket.parts().items():
        from_ldm(
            module,
            maps[part],
            hints if part == "controlnet" else tensors,
            controlnet if part == "controlnet" else checkpoint,
        )
    return pocket.eval()
