"""Hostile pocket files and profiles of early rejection: refused in one short sentence."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.cyclic.early_rejection import Profile, ProfileError
from reliable_ads.pocket.ldm import CONTROLNET, PocketFileError, read_file

from .hostile_examples import CONFIG, DEEP, GATES, LONG, refused


@pytest.mark.parametrize(
    "part, key, value",
    [
        (None, "format_version", None),
        (None, "format_version", "1"),
        (None, "unet", None),
        (None, "unet", []),
        (None, "extra", 1),
        ("unet", "channels", [10**9, 64, 128]),
        ("unet", "channels", [64, 64]),
        ("unet", "channels", 64),
        ("unet", "channels", [640, 640, 640]),
        ("unet", "heads", 7),
        ("unet", "heads", 0),
        ("unet", "layers", 10**19),
        ("unet", "attention", [0, 1, 1]),
        ("unet", "context", True),
        ("vae", "channels", 10**6),
        ("vae", "encoder_blocks", [9, 9, 9, 9]),
        ("clip", "hidden_size", None),
        ("clip", "num_attention_heads", []),
        ("clip", "num_attention_heads", 3),
        ("clip", "vocab_size", 10**12),
        ("clip", "num_hidden_layers", 10**9),
        ("clip", "hidden_act", "exec"),
        ("clip", "torch_dtype", "x"),
        ("clip", "layer_norm_eps", 0),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_pocket_config_has_bounds(tmp_path, part, key, value):
    config = {**CONFIG, part: {**CONFIG[part], key: value}} if part else {**CONFIG, key: value}
    save_file(load_file(CONTROLNET), tmp_path / "odd.safetensors", {"pocket": json.dumps(config)})
    refused(
        lambda: read_file(tmp_path / "odd.safetensors"), PocketFileError, "odd.safetensors", "config that can't be used"
    )


@pytest.mark.parametrize(
    "text", ["null", "7", "[]", DEEP, LONG, "not json", '{"unet": 1, "unet": 2}'], ids=lambda text: text[:16]
)
def test_a_pocket_config_that_is_none(tmp_path, text):
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", {"pocket": text})
    refused(lambda: read_file(tmp_path / "odd.safetensors"), PocketFileError, "config that can't be used")


def test_spoilt_pocket_weights(tmp_path):
    tensors = load_file(CONTROLNET)
    key = min(tensors)
    save_file(
        {**tensors, key: torch.full_like(tensors[key], math.nan)},
        tmp_path / "odd.safetensors",
        {"pocket": json.dumps(CONFIG)},
    )
    refused(lambda: read_file(tmp_path / "odd.safetensors"), PocketFileError, key, "NaN")


@pytest.mark.parametrize(
    "change",
    [
        {"share": math.nan},
        {"share": True},
        {"preview": math.inf},
        {"preview": [[1.0, 2.0]]},
        {"progress": [0.1, math.nan]},
        {"progress": [True]},
        {"gates": [{"progress": 0.1, "threshold": 2}]},
        {"gates": [{"progress": True, "threshold": 0.5}]},
        {"gates": [{"progress": 0.1}]},
        {"gates": {}},
        {"gates": [7]},
        {"x" * 5000: 1},
        {"settings": None},
        {"settings": {}},
        {"scores": [[0.5]]},
        {"scores": [["0.5"]]},
        {"accepted": []},
        {"look": -1},
        {"format": None},
        {"model": 7},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_profiles_have_bounds(change):
    values = {**json.loads(GATES.read_text()), **change}
    text = json.dumps(values)
    refused(lambda: Profile.from_json(text, "odd.gates.json"), ProfileError, '"odd.gates.json"', "profile again")


@pytest.mark.parametrize("key", ["steps", "cfg", "denoise", "threshold", "sampler_name"])
def test_settings_of_a_profile_have_types(key):
    values = json.loads(GATES.read_text())
    values["settings"][key] = {"sampler_name": 7}.get(key, "20")
    refused(lambda: Profile.from_json(json.dumps(values), "odd.gates.json"), ProfileError, key)


@pytest.mark.parametrize(
    "text",
    [DEEP, LONG, "null", "7", b"\x80abc", b"\0" * 9, '{"format": 1, "format": 2}'],
    ids=lambda text: repr(text[:16]),
)
def test_profiles_that_are_none(text):
    refused(lambda: Profile.from_json(text, "odd.gates.json"), ProfileError, '"odd.gates.json"')
