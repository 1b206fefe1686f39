"""What belongs to the former family of 128-pixel pictures is refused beside the one that ships, and the other way
round, by a sentence that names both.
"""

import dataclasses
from pathlib import Path

import pytest

from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET, PocketFileError, check_pair, load_pocket
from reliable_ads.pocket.tuning import models_of, skeleton
from reliable_ads.rfft.adapter import AdapterError, load_adapter
from reliable_ads.rfft.lora import fold_loras
from reliable_ads.rfft.merge import fold
from reliable_ads.rfft.models import ModelError
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS
from reliable_ads.sdwebui.tuning import Asked, prepare

from ..former_family import write_adapter, write_family, write_lora

OLD, NEW = "64-64-128 channels, pictures of 128 pixels", "64-128-256 channels, pictures of 256 pixels"


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    write_family(folder)
    return folder


@pytest.fixture(scope="module")
def new():
    return load_pocket()


def pairs(old: Path) -> list:
    """(checkpoint, controlnet, what the sentence says of the ControlNet, and of the checkpoint)"""
    return [(CHECKPOINT, old / "old_canny.safetensors", OLD, NEW), (old / "old_sd.safetensors", CONTROLNET, NEW, OLD)]


@pytest.mark.parametrize("way", [0, 1], ids=["old ControlNet", "old checkpoint"])
@pytest.mark.parametrize("load", [load_pocket, skeleton])
def test_checkpoint_and_controlnet_of_two_families(old, way, load):
    checkpoint, controlnet, of_controlnet, of_checkpoint = pairs(old)[way]
    with pytest.raises(PocketFileError) as caught:
        load(checkpoint, controlnet)
    said = str(caught.value)
    assert f"{controlnet} ({of_controlnet}) is of another pocket family than {checkpoint} ({of_checkpoint})" in said
    assert "choose two files of the same export" in said and len(said) < 400


@pytest.mark.parametrize("way", [0, 1], ids=["old ControlNet", "old checkpoint"])
def test_a_web_ui_tunes_no_two_families(old, tmp_path, way):
    checkpoint, controlnet, *_ = pairs(old)[way]
    asked = Asked(
        checkpoint=checkpoint,
        controlnet=controlnet,
        reviewer=DEFAULT_WEIGHTS,
        products=CHECKPOINT.parent.parent / "demo_products",
        prompts="on sand",
        folder=tmp_path / "ControlNet",
        settings={"name": "mine", "steps": 1},
        advanced="",
        loras=tmp_path,
        pocket=True,
        cpu=True,
    )
    with pytest.raises(PocketFileError, match="is of another pocket family than"):
        prepare(asked, tmp_path / "tuning")
    assert not (tmp_path / "tuning").exists()
    assert prepare(dataclasses.replace(asked, checkpoint=CHECKPOINT, controlnet=CONTROLNET), tmp_path / "tuning")


def test_an_adapter_of_the_other_family(old, new, tmp_path):
    write_adapter(tmp_path / "new_tuned.safetensors", new, CONTROLNET)
    for adapter, base, families in (
        (old / "old_tuned.safetensors", CONTROLNET, ("64-64-128", "64-128-256")),
        (tmp_path / "new_tuned.safetensors", old / "old_canny.safetensors", ("64-128-256", "64-64-128")),
    ):
        with pytest.raises(AdapterError) as caught:
            fold(base, [(adapter, 1.0)])
        said = str(caught.value)
        assert f'"{adapter.name}" is an adapter for ControlNets of {families[0]} channels' in said
        assert f'"{base.name}" is one of {families[1]} channels' in said and len(said) < 400


@pytest.fixture(scope="module")
def former(old):
    """By itself it still loads."""
    return load_pocket(old / "old_sd.safetensors", old / "old_canny.safetensors")


def test_an_adapter_of_a_former_file_of_the_same_name(old, former, new):
    """The file that ships kept its name when the family changed."""
    base = old / CONTROLNET.name
    base.write_bytes((old / "old_canny.safetensors").read_bytes())
    write_adapter(old / "tuned.safetensors", former, base)
    with pytest.raises(AdapterError, match=rf'belongs to another "{CONTROLNET.name}" .* not to "{CONTROLNET.name}"'):
        load_adapter(new.controlnet, old / "tuned.safetensors", CONTROLNET)


def test_a_lora_of_the_other_family(old, former, new, tmp_path):
    write_lora(tmp_path / "new_style.safetensors", new)
    for lora, pocket, checkpoint in (
        (old / "old_style.safetensors", new, CHECKPOINT),
        (tmp_path / "new_style.safetensors", former, old / "old_sd.safetensors"),
    ):
        words = f'"{lora.name}" was made for another kind of checkpoint than "{checkpoint.name}"'
        with pytest.raises(ModelError, match=words):
            fold_loras(models_of(pocket), [{"file": lora}], checkpoint)


def test_checkpoint_and_controlnet_the_wrong_way_round_are_named():
    with pytest.raises(PocketFileError, match=r"pocket_canny.safetensors is a ControlNet, and was given as the checkp"):
        check_pair(CONTROLNET, CONTROLNET)
    with pytest.raises(
        PocketFileError, match=r"pocket_sd.safetensors is a checkpoint, and was given as the ControlNet"
    ):
        check_pair(CHECKPOINT, CHECKPOINT)
