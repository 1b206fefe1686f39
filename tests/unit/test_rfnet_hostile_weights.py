"""Weights files from outside: names that lead to a hub or a folder, sizes without bounds, odd metadata, damaged
headers, files that are none.
"""

import json
import math
import os
from functools import partial

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reliable_ads.cyclic.early_rejection import Profile, ProfileError
from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET, PocketFileError, read_file
from reliable_ads.rfnet.architectures import ARCHITECTURES, ArchitectureError, RFNetConfig
from reliable_ads.rfnet.backbones import check_timm
from reliable_ads.rfnet.depth_model import check_depth_config
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, WeightsError, load_networks, save_reviewer

from .hostile_examples import CONFIG, DEEP, GATES, LONG, refused
from .rfnet_examples import SMALL, small_networks


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    save_reviewer(path, *small_networks())
    return path


@pytest.fixture(scope="module")
def parts(good):
    with safe_open(good, "pt") as file:
        return load_file(good), file.metadata()


def is_refused(tensors, metadata, folder, *names):
    path = folder / "odd.safetensors"
    save_file(tensors, path, metadata)
    refused(lambda: load_networks(path), WeightsError, '"odd.safetensors"', *names)


NAMES = [
    "hf_hub:timm/resnet18",
    "hf-hub:timm/resnet18",
    "local-dir:/etc",
    "open_clip/hf-hub:laion/x",
    "open_clip/local-dir:/etc",
    "open_clip/../x",
    "/etc/passwd",
    "vit_giant_patch14_dinov2",
    "open_clip/ViT-bigG-14",
    "resnetv2_152x4_bit",
    "a\nb",
    "x" * 5000,
    "",
    7,
    None,
    ["resnet50"],
]


@pytest.mark.parametrize("key", ["backbone", "text"])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:24])
def test_names_reach_no_hub_and_no_folder(parts, tmp_path, monkeypatch, key, name):
    import huggingface_hub

    def reached(*_, **__):
        raise AssertionError("a hub was asked")

    for door in ("hf_hub_download", "snapshot_download"):
        monkeypatch.setattr(huggingface_hub, door, reached)
    tensors, metadata = parts
    is_refused(
        tensors,
        {**metadata, "config": json.dumps({**json.loads(metadata["config"]), key: name})},
        tmp_path,
        "config that can't be built",
    )


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0",
        "tf_efficientnet_lite2",
        "resnet18",
        "resnet50",
        "resnet50.a1_in1k",
        "resnext50_32x4d",
        "hrnet_w18_small",
        "vit_tiny_patch16_224",
        "vit_base_patch14_dinov2",
        "convnext_tiny",
        "mobilenetv3_large_100",
        "efficientnet_b3",
        "swin_tiny_patch4_window7_224",
        "regnety_016",
        "deit_small_patch16_224",
    ],
)
def test_usual_backbones_are_taken(name):
    check_timm(name)


@pytest.mark.parametrize(
    "change",
    [
        {"map_size": 10**9},
        {"map_size": 10**19},
        {"fusion_layers": 10**19},
        {"fusion_layers": 0},
        {"width": 33},
        {"heads": 3},
        {"heads": 0},
        {"text_heads": 5},
        {"vocabulary": 10**12},
        {"vocabulary": 65_536, "text_width": 1280, "text_heads": 1},
        {"image_size": 1024, "stride": 1},
        {"stride": 0},
        {"width": True},
        {"width": "32"},
        {"width": 32.5},
        {"width": None},
        {"width": {}},
        {"inputs": "product"},
        {"inputs": [1]},
        {"inputs": []},
        {"inputs": None},
        {"context": -1},
        {"x" * 5000: 1},
        {"a\nb": 1},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_a_config_has_bounds(parts, tmp_path, change):
    tensors, metadata = parts
    is_refused(
        tensors,
        {**metadata, "config": json.dumps({**json.loads(metadata["config"]), **change})},
        tmp_path,
        "config that can't be built",
    )


@pytest.mark.parametrize(
    "text",
    ["null", "[]", "7", '"x"', DEEP, f'{{"width": {LONG}}}', '{"width": 32, "width": 64}', '{"width": NaN}', "\0"],
    ids=lambda text: text[:16],
)
def test_a_config_that_is_none(parts, tmp_path, text):
    is_refused(
        parts[0],
        {**parts[1], "config": text},
        tmp_path,
        "invalid characters" if text == "\0" else "config that can't be built",
    )


@pytest.mark.parametrize(
    "key, text",
    [
        (key, text)
        for key in ("temperature", "threshold")
        for text in ("true", "null", "[]", "NaN", "Infinity", "1e308", "-1", "0", LONG, "1_0", DEEP)
    ]
    + [
        ("threshold", "7"),
        ("threshold", "1.0000001"),
        ("labels", DEEP),
        ("labels", "null"),
        ("labels", LONG),
        ("maps", DEEP),
        ("maps", '{"depth": 1, "saliency": "x"}'),
        ("maps", '{"depth": "x"}'),
        ("maps", "x" * 5000),
        ("maps", "a\nb"),
        ("risks", DEEP),
        ("risks", "[]"),
        ("risks", '{"0.05": {"refused": null}}'),
        ("risks", '{"NaN": {}}'),
        ("risks", '{"0.05": {"threshold": true}}'),
        ("risks", '{"0.05": {"threshold": 1.5, "accepted": 9, "bad": 0, "bound": 0.04, "confidence": 0.95}}'),
        ("format_version", "9" * 5000),
        ("format_version", "²"),
    ],
    ids=lambda text: text[:16],
)
def test_metadata_have_bounds(parts, tmp_path, key, text):
    is_refused(parts[0], {**parts[1], key: text}, tmp_path, "labels" if key == "labels" else key.replace("_", " "))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_spoilt_weights_are_refused_by_name(parts, tmp_path, value):
    tensors = {**parts[0], "rfnet.head.bias": torch.full((5,), value).half()}
    is_refused(tensors, parts[1], tmp_path, '"rfnet.head.bias"', "NaN")


def test_whole_numbers_and_odd_names_are_refused(parts, tmp_path):
    tensors, metadata = parts
    is_refused(
        {**tensors, "rfnet.head.bias": tensors["rfnet.head.bias"].int()},
        metadata,
        tmp_path,
        '"rfnet.head.bias" as "I32"',
    )
    for name in ("x" * 5000, "a\nb", "\u202e"):
        is_refused({**tensors, name: torch.zeros(1)}, metadata, tmp_path, "unknown")


def write_header(path, header, rest=b"\0" * 64, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + rest)


HEADERS = (
    [
        b"",
        b"null",
        b"[]",
        b"[" * 200_000,
        b"9" * 5000,
        b'{"a": 1}',
        b"\xff\xfe",
        b'{"__metadata__": null}',
        b'{"__metadata__": {"a": 1}}',
    ]
    + [
        json.dumps({"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4], **change}}).encode()
        for change in (
            {"shape": [10**19]},
            {"shape": [-1]},
            {"shape": [10**12], "data_offsets": [0, 2 * 10**12]},
            {"dtype": "X99"},
            {"dtype": None},
            {"data_offsets": [4, 0]},
            {"data_offsets": [0, 10**18]},
            {"data_offsets": [0]},
            {"shape": [1] * 50},
            {"shape": "x"},
        )
    ]
    + [
        b'{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}, "a": {"dtype": "F16", "shape": [2],'
        b' "data_offsets": [0, 4]}}'
    ]
)


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: repr(header[-60:]))
def test_damaged_headers(tmp_path, header):
    path = tmp_path / "odd.safetensors"
    write_header(path, header)
    refused(lambda: load_networks(path), WeightsError, '"odd.safetensors" ')
    refused(lambda: read_file(path), PocketFileError, "odd.safetensors ")


@pytest.mark.parametrize("length", [2**31, 2**40, 2**64 - 1])
def test_a_header_of_gigabytes_is_not_read(tmp_path, length):
    path = tmp_path / "odd.safetensors"
    write_header(path, {}, length=length)
    refused(lambda: load_networks(path), WeightsError, "cut short or not a whole safetensors file")
    with open(path, "r+b") as file:
        file.truncate(3 << 30)  # sparse
    refused(lambda: load_networks(path), WeightsError, "cut short or not a whole safetensors file")


def test_only_regular_files_are_opened(tmp_path):
    pipe, circle = tmp_path / "pipe.safetensors", tmp_path / "circle.safetensors"
    os.mkfifo(pipe)
    circle.symlink_to(circle)
    for path, words in (
        (pipe, "pipe or a device"),
        ("/dev/zero", "pipe or a device"),
        (tmp_path, "is a folder"),
        (circle, "leads to itself"),
        (tmp_path / "a\0b", "does not exist"),
    ):
        refused(partial(load_networks, path), WeightsError, words)
        refused(partial(read_file, path), PocketFileError)
        refused(partial(Profile.read, path), ProfileError, words)


def test_what_ships_is_read_as_ever():
    assert Profile.read(GATES).to_json() == GATES.read_text()
    assert RFNetConfig.from_json(SMALL.to_json()) == SMALL and all(
        RFNetConfig.from_json(config.to_json()) == config for config in ARCHITECTURES.values()
    )
    rfnet, maps, _ = load_networks(DEFAULT_WEIGHTS)
    for key, value in load_file(DEFAULT_WEIGHTS).items():
        part, _, name = key.partition(".")
        assert part == "memory" or torch.equal({"rfnet": rfnet, "maps": maps}[part].state_dict()[name], value.float())
    for path in (CHECKPOINT, CONTROLNET):
        tensors, config = read_file(path)
        assert config["unet"] == CONFIG["unet"] and all(
            torch.equal(value, tensors[key]) for key, value in load_file(path).items()
        )


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "microsoft/x"},
        {"use_timm_backbone": True},
        {"backbone_config": {"use_pretrained_backbone": True}},
        {"hidden_size": 10**9},
        {"num_hidden_layers": 10**6},
    ],
)
def test_a_depth_model_names_no_other(change):
    with pytest.raises(ValueError, match="its "):
        check_depth_config({"model_type": "dpt", "backbone": None, "hidden_size": 64, **change})


def test_a_backbone_that_timm_would_fetch_is_refused_where_it_is_built():
    from reliable_ads.rfnet.towers import timm_pyramid

    with pytest.raises(ArchitectureError, match="none of the networks"):
        timm_pyramid("hf_hub:timm/resnet18", (16,))
