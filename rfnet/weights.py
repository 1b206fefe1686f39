"""Reviewer weights: one safetensors file that says what made it, and a loader that checks all of it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import torch

from .architectures import ArchitectureError, RFNetConfig
from .captions import RobertaVocabulary
from .files import write_safetensors
from .labels import LABELS
from .map_sources import open_maps, parse_maps
from .maps import MapNet
from .model import RFNet
from .risks import parse_risks

FORMAT = "reliable-ads/rfnet"
VERSION = 1
DEFAULT_WEIGHTS = Path(__file__).parent / "weights" / "rfnet_compact.safetensors"


class WeightsError(ValueError):
    """A weights file can't be used; the message names file, fault and remedy."""


def save_reviewer(path, rfnet: RFNet, mapnet: MapNet, metadata: dict | None = None) -> None:
    """Write both networks as fp16, whole or not at all.

    metadata may hold temperature, threshold, data_fingerprint, scores (JSON-able, with n, low, high), created_with, risks (as
    risks.parse_risks reads them), maps (the MapSource.name it was trained with, if not the built-in one); the rest is filled in, and
    RoBERTa's vocabulary is kept, so that the file needs no other. Raises WeightsError where that is missing, OSError when the disk refuses; a file that was there before is then untouched.
    """
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}
    texts = {"temperature": "1.0", "threshold": "0.5", "maps": "builtin", **texts}
    texts |= {"format": FORMAT, "format_version": str(VERSION), "config": rfnet.config.to_json(), "labels": json.dumps(LABELS)}
    if rfnet.tokenize.needs_vocabulary:
        if rfnet.tokenize.vocabulary is None:
            raise WeightsError(f'"{Path(path).name}" can\'t be written: this RFNet has no vocabulary yet; give it a RoBERTa folder with load_pretrained.')
        texts["vocabulary"] = rfnet.tokenize.vocabulary.text
    tensors = {f"rfnet.{key}": value for key, value in rfnet.state_dict().items()}
    tensors |= {f"maps.{key}": value for key, value in mapnet.state_dict().items()}
    write_safetensors(path, {key: value.half() for key, value in tensors.items()}, texts)


def change_metadata(source, target, changes: dict) -> None:
    """Write a reviewer file again, its tensors bit by bit, with these keys of its metadata set anew (text, or JSON-able).

    target may be the source itself. Raises WeightsError for a source that is no reviewer file, OSError when the disk refuses.
    """
    metadata = read_metadata(source) | {key: value if isinstance(value, str) else json.dumps(value) for key, value in changes.items()}
    with _open(source) as file:
        tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # not a view of the file that is about to be replaced
    write_safetensors(target, tensors, metadata)


def read_metadata(path) -> dict:
    """The metadata of a reviewer file, strings as they are stored; refuses every file that isn't one. Raises WeightsError."""
    path = Path(path)
    name = f'"{path.name}"'
    if not path.is_file():
        raise WeightsError(f"{name} does not exist in {path.parent}: check the path, or train one with `rfnet train`.")
    with open(path, "rb") as file:
        start = file.read(9)
    if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):  # the length that a safetensors file begins with can begin like that, too
        raise WeightsError(f"{name} is a pickle, which can run code when it is opened: use a .safetensors file of RFNet weights.")
    with _open(path) as file:
        metadata = file.metadata() or {}
        keys = list(file.keys())
    if metadata.get("format") != FORMAT:
        example = f" (its first key is {min(keys)})" if keys else ""
        raise WeightsError(f"{name} holds another model, no RFNet reviewer{example}: choose a file from models/rfnet or one made by `rfnet train`.")
    version = metadata.get("format_version", "")
    if not version.isdigit() or int(version) > VERSION:
        raise WeightsError(f"{name} has format version {version or 'unknown'}, this version of Reliable Ads reads up to {VERSION}: update Reliable Ads.")
    for key in ("config", "labels", "temperature", "threshold", "maps"):
        if key not in metadata:
            raise WeightsError(f'{name} has no "{key}" in its metadata: it was not written whole; download or train it again.')
    for key in ("temperature", "threshold"):
        try:
            fits = 0 < float(metadata[key]) < math.inf
        except ValueError:
            fits = False
        if not fits:
            raise WeightsError(f'{name} has "{metadata[key]}" as its {key}, which must be a positive number: download or train it again.')
    if json.loads(metadata["labels"]) != list(LABELS):
        raise WeightsError(f"{name} was trained on the labels {metadata['labels']} instead of {', '.join(LABELS)}: train it again on these.")
    try:
        parse_maps(metadata["maps"])
    except ValueError as error:
        raise WeightsError(f'{name} has "maps" in its metadata that can\'t be read ({error}): download or train it again.') from error
    try:
        parse_risks(metadata.get("risks", "{}"))
    except ValueError as error:
        raise WeightsError(f'{name} has "risks" that can\'t be used ({error}): certify them again with `rfnet calibrate`.') from error
    return metadata


def load_networks(path):
    """Read a reviewer file -> (RFNet, MapNet, metadata), fp32, on the CPU, in eval mode. Raises WeightsError."""
    metadata, name = read_metadata(path), f'"{Path(path).name}"'
    try:
        rfnet = RFNet(RFNetConfig.from_json(metadata["config"]))
        if rfnet.tokenize.needs_vocabulary:
            rfnet.tokenize.use(RobertaVocabulary(metadata.get("vocabulary", "")))
    except ArchitectureError as error:
        raise WeightsError(f"{name} has a config that can't be built here: {error}") from error
    except (ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{name} has a config that can't be built ({error}): update Reliable Ads, or train it again.") from error
    networks = {"rfnet": rfnet, "maps": MapNet()}
    with _open(path) as file:
        tensors = {key: file.get_tensor(key).float() for key in file.keys()}
    expected = {f"{part}.{key}": value.shape for part, network in networks.items() for key, value in network.state_dict().items()}
    for fault, keys in (
        ("lacks", expected.keys() - tensors.keys()),
        ("has the unknown", tensors.keys() - expected.keys()),
        ("has another shape of", {key for key in expected.keys() & tensors.keys() if expected[key] != tensors[key].shape}),
    ):
        if keys:
            raise WeightsError(f"{name} {fault} {min(keys)} ({len(keys)} such keys): it doesn't fit its own config; download or train it again.")
    for part, network in networks.items():
        network.load_state_dict({key: tensors[f"{part}.{key}"] for key in network.state_dict()})
        network.eval()
    return rfnet, networks["maps"], metadata


def blend(before, after, share: float, out) -> None:
    """Write the reviewer whose weights lie at `share` of the way from one to another that was trained on from it (WiSE-FT, arXiv:2109.01903):
    most of what the second has learned, and more of what the first knew. What only the second has, another encoder of maps, is taken from it
    as it is, and so is its estimator of depth and saliency. Its temperature is 1: calibrate it.

    Raises WeightsError where the two are not of one architecture, or for a share outside of 0 to 1.
    """
    if not 0 <= share <= 1:
        raise WeightsError(f"share is {share}: give 1 for the second reviewer, 0 for the first one with the second's estimator, or what lies between.")
    (rfnet, _, first), (later, estimator, second) = load_networks(before), load_networks(after)
    like = replace(rfnet.config, map_size=later.config.map_size, map_encoder=later.config.map_encoder)
    if like != later.config or first["maps"] != second["maps"]:
        raise WeightsError(f'"{Path(before).name}" and "{Path(after).name}" are of different architectures or were trained with different maps: blend a reviewer with one that was trained on from it.')
    mine = rfnet.state_dict()
    later.load_state_dict({name: torch.lerp(mine[name], value, share) if name in mine else value for name, value in later.state_dict().items()})
    save_reviewer(out, later, estimator, {"created_with": "rfnet blend", "maps": first["maps"]})


def load_reviewer(path, device="cpu", dtype=torch.float32, depth=None, saliency=None):
    """Read a reviewer file -> Reviewer on device.

    depth: folder of a DPT or Depth-Anything model, saliency: .onnx file of U2-Net or BiRefNet, to look through in the place of the
    built-in maps; where that isn't what the weights were trained with, each Review says so. Raises WeightsError, map_sources.MapError.
    """
    from .reviewer import Reviewer

    rfnet, mapnet, metadata = load_networks(path)
    maps = open_maps(mapnet, depth, saliency) if depth or saliency else mapnet
    return Reviewer(rfnet, maps, metadata).to(device=device, dtype=dtype)


def _open(path):
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f'"{Path(path).name}" is cut short or is no safetensors file ({error}): download it again.') from error
