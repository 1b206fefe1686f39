"""Files of the flow-matching families, read without a network: diffusers' folders, or a transformer's file with the
files of its VAE and text encoders, which are told apart by their keys.

Everything that doesn't fit is refused from the files' headers, before a weight is read.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..files import open_safetensors
from ..kinds import CONFIGS, shapes
from ..layouts import layout_of, modules_in
from ..models import ModelError, Text
from . import flux, qwen_image, sd35, z_image
from .base import FlowFamily, FlowModels, Network

FLOW_FAMILIES: dict[str, FlowFamily] = {
    module.FAMILY.folder: module.FAMILY for module in (sd35, flux, qwen_image, z_image)
}
# Where a text encoder's own names may begin in a file
INSIDE = ("", "text_model.", "model.language_model.", "model.", "language_model.")


@dataclass
class Sources:
    """Where the networks of a family lie, from headers alone.

    networks: {name: (file, prefix), or (folder, "")}; configs: {name: its config}; tokenizers: {name: folder}; control:
    the ControlNet's config.
    """

    networks: dict[str, tuple[Path, str]] = field(default_factory=dict)
    configs: dict[str, dict] = field(default_factory=dict)
    tokenizers: dict[str, Path] = field(default_factory=dict)
    control: dict = field(default_factory=dict)
    scheduler: dict = field(default_factory=dict)


def load(
    family: FlowFamily, checkpoint, controlnet, parts: Sequence = (), dtype=torch.float32, configs=None
) -> FlowModels:
    """A checkpoint of a family and its ControlNet -> its FlowModels on the CPU.

    checkpoint: a diffusers folder, or a .safetensors file; parts: further files, where that file holds the transformer
    alone, and the folder of a tokenizer; configs: a folder of shapes instead of the shipped one. Raises ModelError.
    """
    found = find(family, checkpoint, controlnet, parts, configs)
    # The smallest network first
    control = _filled(empty_controlnet(family, found), _tensors(Path(controlnet), "", dtype), Path(controlnet).name)
    networks = {}
    for name, (path, prefix) in found.networks.items():
        networks[name] = _read(family.networks[name], found.configs[name], path, prefix, dtype)
    return assemble(family, networks, control, found)


def skeleton(family: FlowFamily, checkpoint, controlnet, parts: Sequence = (), configs=None) -> FlowModels:
    """What `load` would give, without a weight: every parameter on the meta device. Raises ModelError."""
    found = find(family, checkpoint, controlnet, parts, configs)
    networks = {name: unfilled(family.networks[name], found.configs[name]) for name in found.networks}
    return assemble(family, networks, empty_controlnet(family, found), found)


def assemble(family: FlowFamily, networks: dict, control, found: Sources) -> FlowModels:
    """The models of networks that were read."""
    from ..flow import from_diffusers

    try:
        schedule = from_diffusers(found.scheduler, **family.schedule)
    except ValueError as error:
        raise ModelError(
            f"the scheduler of this checkpoint can't be used: {error}; choose another checkpoint."
        ) from error
    texts = {name: network.eval() for name, network in networks.items() if name.startswith("text_encoder")}
    tokenizers = {name: _tokenizer(folder) for name, folder in found.tokenizers.items()}

    def encode_prompts(prompts: list) -> Text:
        return family.encode(texts, tokenizers, prompts)

    return family.models(
        networks["transformer"].eval(),
        control.eval(),
        networks["vae"].eval(),
        encode_prompts,
        schedule,
        text_encoder=torch.nn.ModuleList(texts.values()),
    )


# What is there, from headers


def find(family: FlowFamily, checkpoint, controlnet, parts: Sequence = (), configs=None) -> Sources:
    """Where everything lies. Raises ModelError, which names the file, what it lacks and what to do."""
    checkpoint, controlnet = Path(checkpoint), Path(controlnet)
    configs = Path(configs or CONFIGS / family.folder)
    found = _in_folder(family, checkpoint) if checkpoint.is_dir() else _in_files(family, checkpoint, parts, configs)
    control = shapes(controlnet)
    check_controlnet(family, control, controlnet.name)
    transformer = found.configs["transformer"]
    if extra := family.extra_channels(control, transformer):
        raise ModelError(
            f'"{controlnet.name}" takes {extra} channels more than a hint has, as inpainting ControlNets do: choose one'
            f" for canny, such as {family.example}."
        )
    beside = _config(controlnet.parent, "", controlnet.name) if controlnet.with_name("config.json").is_file() else {}
    ours = beside.get("_class_name") == family.controlnet
    found.control = beside if ours else family.control_config(control, transformer)
    return found


def _in_folder(family: FlowFamily, folder: Path) -> Sources:
    found = Sources()
    for name, network in family.networks.items():
        if (folder / name).is_dir():
            found.networks[name] = (folder / name, "")
            found.configs[name] = _config(folder, name, folder.name)
        elif network.needed:
            raise ModelError(
                f'the checkpoint folder "{folder}" has no {name}: give a whole diffusers folder of {family.name}.'
            )
    kind = found.configs["transformer"].get("_class_name", family.networks["transformer"].kind)
    if kind != family.networks["transformer"].kind:
        raise ModelError(
            f'"{folder}" holds a {kind}, which is not {family.name}: choose a checkpoint of that family, or set family.'
        )
    for name, encoder in family.tokenizers.items():
        if encoder in found.networks:
            if not (folder / name).is_dir():
                raise ModelError(f'the checkpoint folder "{folder}" has no {name}: give a whole diffusers folder.')
            found.tokenizers[name] = folder / name
    found.scheduler = _config(folder, "scheduler", folder.name, "scheduler_config.json")
    return found


def _in_files(family: FlowFamily, checkpoint: Path, parts: Sequence, configs: Path) -> Sources:
    found = Sources(scheduler=_config(configs, "scheduler", configs.name, "scheduler_config.json"))
    files = {path: shapes(path) for path in map(Path, (checkpoint, *parts)) if not path.is_dir()}
    folders = [path for path in map(Path, parts) if path.is_dir()]
    for name, network in family.networks.items():
        config = _config(configs, name, configs.name)
        places = [
            (path, prefix)
            for path, keys in files.items()
            for prefix in network.prefixes
            if _holds(keys, prefix, network, config)
        ]
        if places:
            found.networks[name], found.configs[name] = places[0], config
        elif name == "transformer":
            raise ModelError(
                f'"{checkpoint.name}" holds no transformer of {family.name}'
                f"{_instead(files[checkpoint], family)}: choose a checkpoint of that family, or a diffusers folder."
            )
        elif network.needed:
            raise ModelError(
                f'"{checkpoint.name}" holds no {_in_words(name)}: name the file that does in parts, such as'
                ' parts = ["vae.safetensors", "text_encoder.safetensors"], or give a diffusers folder of'
                f" {family.name}."
            )
    for name, encoder in family.tokenizers.items():
        if encoder in found.networks:
            if not folders:
                raise ModelError(
                    f'"{checkpoint.name}" comes without the tokenizer of its text encoder: add its folder to parts, as'
                    f" {name} of the diffusers folder of {family.name} or the one in ComfyUI's comfy/text_encoders."
                )
            found.tokenizers[name] = folders[0]
    return found


def _in_words(name: str) -> str:
    if name == "vae":
        return "VAE"
    number = name.removeprefix("text_encoder").removeprefix("_")
    return f"text encoder {number}".strip() + (" (it is a transformer alone)" if not number else "")


def _holds(keys: dict, prefix: str, network: Network, config: dict) -> bool:
    """Whether a file has a network below a prefix, of the width that its config says."""
    if not all(prefix + mark in keys for mark in network.marks):
        return False
    width = config.get("hidden_size")
    return width is None or keys[prefix + network.marks[0]][-1] == width


def _instead(keys: dict, family: FlowFamily) -> str:
    """Which other family a file's transformer is of, for a sentence."""
    for other in FLOW_FAMILIES.values():
        network = other.networks["transformer"]
        if other is not family and any(_holds(keys, prefix, network, {}) for prefix in network.prefixes):
            return f" but one of {other.name}"
    return ""


def _config(folder: Path, name: str, source: str, file: str = "config.json") -> dict:
    from ..kinds import read_json

    try:
        return read_json(folder / name / file)
    except (OSError, ValueError) as error:
        raise ModelError(
            f'"{source}" has a config that can\'t be read ({str(error).rstrip(".")}): copy or download it again.'
        ) from error


def check_controlnet(family: FlowFamily, keys: dict, file: str) -> None:
    """Raises ModelError unless a file with these keys is a ControlNet of the family in diffusers' layout."""
    found = layout_of(modules_in(keys))
    if found == family.name:
        return
    if any(key.startswith("rfft.") for key in keys):
        kind = "an RFFT adapter and not a ControlNet"
    elif found:
        kind = f"a ControlNet of {found}"
    elif any("zero_convs.0.0.weight" in key or "controlnet_cond_embedding.conv_in.weight" in key for key in keys):
        kind = "a ControlNet of Stable Diffusion"
    else:
        kind = f"no ControlNet of {family.name} in diffusers' layout"
    raise ModelError(f'"{file}" is {kind}: choose one for {family.name}, such as {family.example}.')


# Reading


def class_of(network: Network):
    try:
        return getattr(importlib.import_module(network.library), network.kind)
    except AttributeError as error:
        raise ModelError(
            f"this version of {network.library} has no {network.kind}: pip install -U {network.library}."
        ) from error


def _read(network: Network, config: dict, path: Path, prefix: str, dtype) -> torch.nn.Module:
    """A network with the weights of a file below a prefix, or of a folder's files."""
    tensors: dict[str, torch.Tensor] = {}
    for file in _weight_files(path) if path.is_dir() else [path]:
        tensors |= _tensors(file, prefix, dtype)
    model = unfilled(network, config)
    if network.library == "transformers":
        tensors = _by_own_names(model, tensors)
    elif path.is_file():
        tensors = _converted(network, tensors, config, path.name)
    return _filled(model, tensors, path.name)


def _weight_files(folder: Path) -> list[Path]:
    """The .safetensors files of one network; of several variants the one without a name."""
    files = sorted(folder.glob("*.safetensors"))
    plain = [file for file in files if file.stem.count(".") == 0]
    if not files:
        raise ModelError(f'"{folder}" holds no .safetensors file: save the checkpoint again with diffusers.')
    return plain or files


def _by_own_names(model: torch.nn.Module, tensors: dict) -> dict:
    """A text encoder's weights by the names that this version of transformers has for them."""
    stored = {}
    for key in model.state_dict():
        names = [start + key.removeprefix("text_model.") for start in INSIDE]
        if found := [name for name in names if name in tensors]:
            stored[key] = tensors[found[0]]
    if "shared.weight" in stored:
        stored["encoder.embed_tokens.weight"] = stored["shared.weight"]
    return stored


def _converted(network: Network, tensors: dict, config: dict, file: str) -> dict:
    """A diffusers network's weights by its names, from those of the original layouts."""
    from diffusers.loaders import single_file_utils as utils

    convert = {
        "SD3Transformer2DModel": utils.convert_sd3_transformer_checkpoint_to_diffusers,
        "FluxTransformer2DModel": utils.convert_flux_transformer_checkpoint_to_diffusers,
        "ZImageTransformer2DModel": getattr(utils, "convert_z_image_transformer_checkpoint_to_diffusers", None),
        "AutoencoderKL": utils.convert_ldm_vae_checkpoint,
        "AutoencoderKLQwenImage": getattr(utils, "convert_wan_vae_to_diffusers", None),
    }.get(network.kind)
    try:
        return convert(tensors, config=config) if convert else tensors
    except (KeyError, IndexError, ValueError) as error:
        raise ModelError(
            f'"{file}" has not the shape of a {network.kind} ({error}): copy or download it again, or choose another.'
        ) from error


def _tensors(path: Path, prefix: str, dtype) -> dict:
    with open_safetensors(path, ModelError, f'"{path}" does not exist: check the path.') as file:
        return {
            key.removeprefix(prefix): file.get_tensor(key).to(dtype) for key in file.keys() if key.startswith(prefix)
        }


def unfilled(network: Network, config: dict) -> torch.nn.Module:
    """A network whose parameters are on the meta device; what it computes in its constructor is real."""
    from accelerate import init_empty_weights

    kind = class_of(network)
    with init_empty_weights(include_buffers=False):
        if network.library == "diffusers":
            return kind.from_config(config)
        model = kind(kind.config_class(**(config.get("text_config") or config)))
    if hasattr(model, "shared"):  # T5's embedding of words, under both of its names
        model.set_input_embeddings(model.shared)
    return model


def empty_controlnet(family: FlowFamily, found: Sources) -> torch.nn.Module:
    network = Network("diffusers", family.controlnet, ())
    known = inspect.signature(class_of(network).__init__).parameters
    return unfilled(network, {name: value for name, value in found.control.items() if name in known})


def _filled(model: torch.nn.Module, tensors: dict, file: str) -> torch.nn.Module:
    """A network, given all of its weights. Raises ModelError where one is missing or has another shape."""
    wanted = {key: value for key, value in model.state_dict().items() if not key.endswith("position_ids")}
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise ModelError(
            f'"{file}" lacks {len(missing)} of {len(wanted)} weights (as {missing[0]}): it is not whole, or of another'
            " kind; choose the full file."
        )
    for key, value in wanted.items():
        if tensors[key].shape != value.shape:
            raise ModelError(
                f'"{file}" has another shape than is known ({key}: {tuple(tensors[key].shape)}, not'
                f" {tuple(value.shape)}): choose a full-size file."
            )
    model.load_state_dict({key: tensors[key] for key in wanted}, strict=False, assign=True)
    return model


def _tokenizer(folder: Path):
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(
            f'the tokenizer folder "{folder}" can\'t be read ({str(error).splitlines()[0]}): copy it whole, with its'
            " tokenizer_config.json."
        ) from error
