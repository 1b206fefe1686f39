"""Reviewer weights: one safetensors file that says what made it, and a loader that checks all of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta

from .architectures import ArchitectureError, RFNetConfig
from .captions import RobertaVocabulary
from .files import quoted, write_safetensors
from .fusion import parse_fusion
from .head import AddedHead
from .labels import LABELS
from .map_names import parse_maps
from .map_sources import open_maps
from .maps import MapNet
from .memory import PREFIX, Memory, MemoryFault
from .model import RFNet
from .risks import parse_risks
from .sizes import parse_sizes
from .structured import StructureError, from_json, parse_json, shortened
from .tensors import Header, check_finite, check_floats, open_tensors, read_header

FORMAT = "reliable-ads/rfnet"
VERSION = 2  # the newest that is read; a file without an added head and memory is written as version 1
NUMBERS = {  # that decide over verdicts
    "temperature": Annotated[float, Meta(ge=0.01, le=100)],
    "threshold": Annotated[float, Meta(gt=0, le=1)],
}
ADDED = "rfnet.added."  # tensors of an added head
DEFAULT_WEIGHTS = Path(__file__).parent / "weights" / "rfnet_compact.safetensors"


class WeightsError(ValueError):
    """A weights file can't be used; the message names file, fault and remedy."""


def save_reviewer(
    path, rfnet: RFNet, mapnet: MapNet, metadata: dict | None = None, memory: Memory | None = None
) -> None:
    """Write both networks as fp16, whole or not at all.

    metadata may hold temperature, threshold, data_fingerprint, scores (JSON-able, with n, low, high), created_with,
    risks (as risks.parse_risks reads them), sizes (as SizeReader.to_json writes them), maps (the MapSource.name it was
    trained with, if not the built-in one); the rest is filled in, and RoBERTa's vocabulary is kept, so that the file
    needs no other. Raises WeightsError where that is missing, OSError when the disk refuses; a file that was there
    before is then untouched.
    """
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
    texts = {"temperature": "1.0", "threshold": "0.5", "maps": "builtin", **texts}
    texts |= {
        "format": FORMAT,
        "format_version": "1" if rfnet.added is None and memory is None else "2",
        "config": rfnet.config.to_json(),
        "labels": json.dumps(LABELS),
    }
    if rfnet.tokenize.needs_vocabulary:
        if rfnet.tokenize.vocabulary is None:
            raise WeightsError(
                f'"{Path(path).name}" can\'t be written: this RFNet has no vocabulary yet; give it a RoBERTa folder'
                " with load_pretrained."
            )
        texts["vocabulary"] = rfnet.tokenize.vocabulary.text
    tensors = {f"rfnet.{key}": value for key, value in rfnet.state_dict().items()}
    tensors |= {f"maps.{key}": value for key, value in mapnet.state_dict().items()}
    # What is no float is a BatchNorm's count of its batches, which nothing reads and half precision can't hold
    halves = {
        key: (value if value.is_floating_point() else torch.zeros_like(value)).half() for key, value in tensors.items()
    }
    write_safetensors(path, halves | (memory.tensors() if memory else {}), texts)


def change_metadata(source, target, changes: dict) -> None:
    """Write a reviewer file again, its tensors bit by bit, with these keys of its metadata set anew (text, or
    JSON-able).

    target may be the source itself. Raises WeightsError for a source that is no reviewer file, OSError when the disk
    refuses.
    """
    metadata = read_metadata(source) | {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in changes.items()
    }
    with open_tensors(source, WeightsError) as file:
        tensors = {
            key: file.get_tensor(key).clone() for key in file.keys()
        }  # not a view of the file that is about to be replaced
    write_safetensors(target, tensors, metadata)


def read_metadata(path) -> dict:
    """The metadata of a reviewer file, strings as they are stored; refuses every file that isn't one.

    Raises WeightsError.
    """
    return _read_header(path).metadata


def _read_header(path) -> Header:
    """The same with the tensors' names and shapes."""
    path = Path(path)
    name = quoted(path.name)
    header = read_header(
        path,
        WeightsError,
        f"{name} does not exist in {quoted(path.parent)}: check the path, or train one with `rfnet train`.",
    )
    metadata, keys = header.metadata, header.tensors.keys()
    if metadata.get("format") != FORMAT:
        example = f" (its first key is {shortened(min(keys))[1:-1]})" if keys else ""
        raise WeightsError(
            f"{name} holds another model, no RFNet reviewer{example}: choose a file from models/rfnet or one made by"
            " `rfnet train`."
        )
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10) or int(version) > VERSION:
        raise WeightsError(
            f"{name} has format version {shortened(version)[1:-1] or 'unknown'}, this version of Reliable Ads reads up"
            f" to {VERSION}: update Reliable Ads."
        )
    for key in ("config", "labels", "temperature", "threshold", "maps"):
        if key not in metadata:
            raise WeightsError(
                f'{name} has no "{key}" in its metadata: it was not written whole; download or train it again.'
            )
    _check_metadata(metadata, name)
    return header


def _check_metadata(metadata: dict, name: str) -> None:
    for key, kind in NUMBERS.items():
        try:
            from_json(metadata[key], kind, "it")
        except StructureError as error:
            most = "a number above 0 and up to 1" if key == "threshold" else "a number from 0.01 to 100"
            raise WeightsError(
                f"{name} has {shortened(metadata[key])} as its {key}, which must be {most}: download or train it again."
            ) from error
    try:
        labels = parse_json(metadata["labels"], "it")
    except StructureError:
        labels = None
    if labels != list(LABELS):
        raise WeightsError(
            f"{name} was trained on the labels {shortened(metadata['labels'])} instead of {', '.join(LABELS)}: train it"
            " again on these."
        )
    for key, parse, default, way in (
        ("maps", parse_maps, "", "download or train it again"),
        ("risks", parse_risks, "{}", "certify them again with `rfnet calibrate`"),
        ("fusion", parse_fusion, "", "fit it again with `rfnet fuse`"),
        ("sizes", parse_sizes, "", "fit it again with `rfnet sizes`"),
    ):
        try:
            parse(metadata.get(key, default))
        except ValueError as error:
            raise WeightsError(
                f'{name} has "{key}" in its metadata that can\'t be used ({str(error).rstrip(".")[:220]}): {way}.'
            ) from error


def load_networks(path):
    """Read a reviewer file -> (RFNet, MapNet, metadata), fp32, on the CPU, in eval mode. Raises WeightsError."""
    header, name = _read_header(path), quoted(Path(path).name)
    # load_memory reads the others
    kept = {key: entry for key, entry in header.tensors.items() if not key.startswith(PREFIX)}
    header = Header(kept, header.metadata)
    rfnet = _built(header, name)
    sizes = parse_sizes(header.metadata.get("sizes", ""))
    if sizes and len(sizes.weight) != rfnet.feature_width:
        raise WeightsError(
            f"{name} reads sizes off {len(sizes.weight)} features, and its network has {rfnet.feature_width}: fit that"
            " again with `rfnet sizes`."
        )
    networks = {"rfnet": rfnet, "maps": MapNet()}
    _check_shapes(
        header,
        {
            f"{part}.{key}": value.shape
            for part, network in networks.items()
            for key, value in network.state_dict().items()
        },
        name,
    )
    check_floats(header, name, WeightsError)
    with open_tensors(path, WeightsError) as file:
        tensors = {key: file.get_tensor(key).float() for key in kept}
    check_finite(tensors, name, WeightsError)
    for part, network in networks.items():
        network.load_state_dict({key: tensors[f"{part}.{key}"] for key in network.state_dict()})
        network.eval()
    return rfnet, networks["maps"], header.metadata


def load_memory(path, width: int) -> Memory | None:
    """What a reviewer file keeps of its training, for a network with so many features (RFNet.feature_width); None where
    it keeps nothing. Raises WeightsError.
    """
    header = _read_header(path)
    with open_tensors(path, WeightsError) as file:
        tensors = {key: file.get_tensor(key) for key in header.tensors if key.startswith(PREFIX)}
    try:
        return Memory.of(tensors, width)
    except MemoryFault as fault:
        raise WeightsError(
            f"{quoted(Path(path).name)} has a memory that can't be used ({fault}): download it again, or write it anew"
            " with `rfnet remember`."
        ) from fault


def _built(header: Header, name: str) -> RFNet:
    """The network that a header's config names, with random weights.

    Raises WeightsError; where the file is too small for it, before anything large is made.
    """
    try:
        config = RFNetConfig.from_json(header.metadata["config"])
        if config.own_weights > 1.1 * header.count("rfnet."):
            raise WeightsError(
                f"{name} has a config that can't be built (it asks for more weights than the file holds): download or"
                " train it again."
            )
        rfnet = RFNet(config)
        if any(key.startswith(ADDED) for key in header.tensors):
            rfnet.added = AddedHead(rfnet.feature_width)
        if rfnet.tokenize.needs_vocabulary:
            rfnet.tokenize.use(RobertaVocabulary(header.metadata.get("vocabulary", "")))
    except WeightsError:
        raise
    except ArchitectureError as error:
        raise WeightsError(f"{name} has a config that can't be built here: {error}") from error
    except Exception as error:  # what the packages that build towers raise on odd shapes is not bounded
        raise WeightsError(
            f"{name} has a config that can't be built ({shortened(str(error).rstrip('.'), 200)[1:-1]}): update Reliable"
            " Ads, or train it again."
        ) from error
    return rfnet


def _check_shapes(header: Header, expected: dict, name: str) -> None:
    shapes = {key: tuple(entry.shape) for key, entry in header.tensors.items()}
    for fault, keys in (
        ("lacks", expected.keys() - shapes.keys()),
        ("has the unknown", shapes.keys() - expected.keys()),
        (
            "has another shape of",
            {key for key in expected.keys() & shapes.keys() if tuple(expected[key]) != shapes[key]},
        ),
    ):
        if keys:
            raise WeightsError(
                f"{name} {fault} {shortened(min(keys))[1:-1]} ({len(keys)} such keys): it doesn't fit its own config;"
                " download or train it again."
            )


def blend(before, after, share: float, out) -> None:
    """Write the reviewer whose weights lie at `share` of the way from one to another that was trained on from it
    (WiSE-FT, arXiv:2109.01903): most of what the second has learned, and more of what the first knew. What only the
    second has, another encoder of maps, is taken from it as it is, and so is its estimator of depth and saliency. Its
    temperature is 1: calibrate it.

    Raises WeightsError where the two are not of one architecture, or for a share outside of 0 to 1.
    """
    if not 0 <= share <= 1:
        raise WeightsError(
            f"share is {share}: give 1 for the second reviewer, 0 for the first one with the second's estimator, or"
            " what lies between."
        )
    (rfnet, _, first), (later, estimator, second) = load_networks(before), load_networks(after)
    like = replace(rfnet.config, map_size=later.config.map_size, map_encoder=later.config.map_encoder)
    if like != later.config or first["maps"] != second["maps"]:
        raise WeightsError(
            f'"{Path(before).name}" and "{Path(after).name}" are of different architectures or were trained with'
            " different maps: blend a reviewer with one that was trained on from it."
        )
    if rfnet.added is not None or later.added is not None:
        raise WeightsError(
            f'"{Path(before if rfnet.added is not None else after).name}" has an added head, which can\'t be blended:'
            " blend the reviewers that it was adapted from, and adapt the result."
        )
    mine = rfnet.state_dict()
    later.load_state_dict(
        {
            name: torch.lerp(mine[name], value, share) if name in mine else value
            for name, value in later.state_dict().items()
        }
    )
    save_reviewer(out, later, estimator, {"created_with": "rfnet blend", "maps": first["maps"]})


def load_reviewer(path, device="cpu", dtype=torch.float32, depth=None, saliency=None):
    """Read a reviewer file -> Reviewer on device.

    depth: folder of a DPT or Depth-Anything model, saliency: .onnx file of U2-Net or BiRefNet, to look through in the
    place of the built-in maps; where that isn't what the weights were trained with, each Review says so. Raises
    WeightsError, map_sources.MapError.
    """
    from .reviewer import Reviewer

    rfnet, mapnet, metadata = load_networks(path)
    maps = open_maps(mapnet, depth, saliency) if depth or saliency else mapnet
    memory = load_memory(path, rfnet.feature_width)
    return Reviewer(rfnet, maps, metadata, memory.familiarity if memory else None).to(device=device, dtype=dtype)
