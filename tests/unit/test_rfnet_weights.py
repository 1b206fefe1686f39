"""Weights files: a round trip, a sentence for each file that doesn't fit, and nothing half-written."""

import json
import os
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reliable_ads.rfnet import cli
from reliable_ads.rfnet.architectures import RFNetConfig
from reliable_ads.rfnet.reviewer import Reviewer
from reliable_ads.rfnet.weights import WeightsError, blend, load_networks, load_reviewer, read_metadata, save_reviewer

from .rfnet_examples import SMALL, small_networks


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    save_reviewer(
        path,
        *small_networks(),
        {"temperature": "1.5", "threshold": "0.6", "scores": {"ap": {"value": 0.9, "low": 0.8, "high": 0.95}, "n": 10}},
    )
    return path


def rewritten(good, folder, tensors=None, **metadata):
    """A copy of the good file with other tensors or metadata; None drops a key."""
    with safe_open(good, "pt") as file:
        texts = {key: value for key, value in {**file.metadata(), **metadata}.items() if value is not None}
    path = folder / "changed.safetensors"
    save_file(load_file(good) if tensors is None else tensors, path, texts)
    return path


def test_what_is_saved_is_loaded(good):
    reviewer = load_reviewer(good)
    assert isinstance(reviewer, Reviewer) and reviewer.rfnet.config == SMALL
    assert (reviewer.temperature, reviewer.threshold) == (1.5, 0.6)
    for key, value in small_networks()[0].state_dict().items():
        assert torch.equal(reviewer.rfnet.state_dict()[key], value.half().float())


def test_metadata_says_what_made_it(good):
    metadata = read_metadata(good)
    assert (
        metadata["format"] == "reliable-ads/rfnet"
        and metadata["format_version"] == "1"
        and metadata["maps"] == "builtin"
    )
    assert json.loads(metadata["labels"])[0] == "available" and json.loads(metadata["scores"])["n"] == 10


@pytest.mark.slow(reason="blends reviewers of full size")
def test_a_blend_lies_between_two_reviewers(good, tmp_path):
    other, out = tmp_path / "other.safetensors", tmp_path / "between.safetensors"
    save_reviewer(other, *small_networks(seed=3))
    for share in (0.0, 0.25, 1.0):
        blend(good, other, share, out)
        (one, _), (two, estimator), (between, taken) = (
            [network.state_dict() for network in load_networks(path)[:2]] for path in (good, other, out)
        )
        assert all(torch.allclose(between[key], (1 - share) * one[key] + share * two[key], atol=1e-3) for key in one)
        assert all(torch.equal(taken[key], value) for key, value in estimator.items())
    assert read_metadata(out)["temperature"] == "1.0"


def test_a_blend_of_what_does_not_belong_together_is_refused(good, tmp_path):
    other, out = tmp_path / "other.safetensors", tmp_path / "between.safetensors"
    save_reviewer(other, *small_networks(config=replace(SMALL, fusion_layers=2)))
    with pytest.raises(WeightsError, match="different architectures"):
        blend(good, other, 0.5, out)
    with pytest.raises(WeightsError, match=r"share is 1.5"):
        blend(good, good, 1.5, out)
    assert not out.exists()
    with pytest.raises(SystemExit):
        cli.main(["blend", str(good), str(good), "--share", "2", "--out", str(out)])
    assert cli.main(["blend", str(good), str(good), "--out", str(out)]) == 0 and out.exists()


def refused(path, message):
    with pytest.raises(WeightsError, match=message) as caught:
        load_reviewer(path)
    assert f'"{path.name}"' in str(caught.value)  # the sentence names the file


def test_a_missing_file(tmp_path):
    refused(tmp_path / "none.safetensors", "does not exist in .*rfnet train")


@pytest.mark.parametrize("length", [0, 4, 100, -1000])
def test_a_truncated_file(good, tmp_path, length):
    path = tmp_path / "cut.safetensors"
    content = good.read_bytes()
    path.write_bytes(content[:length])
    refused(path, "cut short.*download it again")


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    for name, write in (
        ("old.safetensors", lambda path: path.write_bytes(pickle.dumps(Trap()))),
        ("new.safetensors", lambda path: torch.save({"a": Trap()}, path)),
    ):
        write(tmp_path / name)
        refused(tmp_path / name, "is a pickle")
    assert not (tmp_path / "sprung").exists()


def test_another_model(tmp_path):
    path = tmp_path / "lora.safetensors"
    save_file({"lora_unet.weight": torch.zeros(2)}, path)
    refused(path, "another model.*lora_unet.weight")


@pytest.mark.parametrize(
    "version, message", [("3", "format version 3.*update"), ("x", "update"), (None, "version unknown")]
)
def test_a_newer_or_unknown_format(good, tmp_path, version, message):
    refused(rewritten(good, tmp_path, format_version=version), message)


def test_other_labels(good, tmp_path):
    refused(rewritten(good, tmp_path, labels=json.dumps(["good", "bad"])), "labels")


@pytest.mark.parametrize("key", ["config", "labels", "temperature", "threshold", "maps"])
def test_missing_metadata(good, tmp_path, key):
    refused(rewritten(good, tmp_path, **{key: None}), f'no "{key}"')


@pytest.mark.parametrize(
    "config", ['{"flavour": 1}', "not json", '{"backbone": "no_such_net"}', '{"width": "wide"}', '{"stride": 5}']
)
def test_a_config_that_cannot_be_built(good, tmp_path, config):
    refused(rewritten(good, tmp_path, config=config), "config that can't be built")


@pytest.mark.parametrize("text", ["", "warm", "nan", "0", "-1"])
def test_a_temperature_that_is_no_positive_number(good, tmp_path, text):
    refused(rewritten(good, tmp_path, temperature=text), "temperature")


def test_keys_that_do_not_fit(good, tmp_path):
    tensors = load_file(good)
    refused(
        rewritten(good, tmp_path, {k: v for k, v in tensors.items() if k != "rfnet.head.bias"}), "lacks rfnet.head.bias"
    )
    refused(rewritten(good, tmp_path, {**tensors, "rfnet.extra": torch.zeros(1)}), "unknown rfnet.extra")
    refused(
        rewritten(good, tmp_path, {**tensors, "rfnet.head.bias": torch.zeros(6)}), "another shape of rfnet.head.bias"
    )
    refused(
        rewritten(good, tmp_path, config=RFNetConfig(**{**vars(SMALL), "image_size": 128}).to_json()), "another shape"
    )


def test_a_full_disk_leaves_the_old_file_and_nothing_else(good, tmp_path, monkeypatch):
    path = tmp_path / "kept.safetensors"
    path.write_bytes(good.read_bytes())
    full = OSError(28, "No space left on device")

    def refuse(*_):
        raise full

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        save_reviewer(path, *small_networks(1))
    assert [file.name for file in tmp_path.iterdir()] == ["kept.safetensors"]
    assert path.read_bytes() == good.read_bytes()


def test_a_file_whose_length_begins_like_a_pickle_is_none(tmp_path):
    """A safetensors file begins with the length of its header: one in 32 begins with the byte of a pickle."""
    path = tmp_path / "reviewer.safetensors"
    for padding in range(0, 256, 8):
        save_reviewer(path, *small_networks(), {"created_with": "x" * padding})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80 and load_reviewer(path)
