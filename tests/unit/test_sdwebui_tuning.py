"""What a web UI's tab hands to `rfft train`."""

import dataclasses
from pathlib import Path

import pytest

from reliable_ads.pocket.family import PICTURE_SIZE
from reliable_ads.rfft.config import read_config
from reliable_ads.rfnet.textfiles import parse_toml
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS
from reliable_ads.sdwebui.tuning import Asked, prepare, toml

POCKET = Path(__file__).resolve().parents[2] / "pocket"


@pytest.fixture
def asked(tmp_path) -> Asked:
    (tmp_path / "loras").mkdir()
    (tmp_path / "elsewhere.safetensors").write_bytes(b"")
    (tmp_path / "loras" / "style.safetensors").write_bytes(b"")
    return Asked(
        checkpoint=POCKET / "weights" / "pocket_sd.safetensors",
        controlnet=POCKET / "weights" / "pocket_canny.safetensors",
        reviewer=Path(DEFAULT_WEIGHTS),
        products=POCKET / "demo_products",
        prompts="a {caption}\n\n# a remark\non “Café” \U0001f3e0",
        folder=tmp_path / "ControlNet",
        settings={"name": "mine", "steps": 7, "lr": 1e-4, "loss": "kl", "beta": 0.5, "seed": 3},
        advanced="sampling_steps = 12\nloras = [{file = 'style.safetensors', strength = 0.5}]",
        loras=tmp_path / "loras",
        pocket=True,
        cpu=True,
    )


def test_the_config_says_what_was_asked(asked, tmp_path):
    prepared = prepare(asked, tmp_path / "tuning")
    own = tmp_path / "tuning" / "mine"
    config = read_config(own / "config.toml")
    assert prepared.arguments[:2] == ["rfft", "train"] and prepared.arguments[2] == own / "config.toml"
    assert config.result == tmp_path / "ControlNet" / "mine.safetensors"
    assert (config.steps, config.lr, config.loss, config.beta, config.seed) == (7, 1e-4, "kl", 0.5, 3)
    assert (config.size, config.sampling_steps, config.batch, config.family) == (PICTURE_SIZE, 12, 2, "pocket")
    assert config.loras == [{"file": str(tmp_path / "loras" / "style.safetensors"), "strength": 0.5}]
    assert Path(config.prompts).read_text("utf-8") == "a {caption}\non “Café” \U0001f3e0\n"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"settings": {"name": "../up"}}, 'name is "../up": use letters'),
        ({"settings": {"name": "mine", "steps": 0}}, "steps is 0: it must be a whole number"),
        ({"settings": {"name": "mine", "lr": float("nan")}}, "lr holds nan"),
        ({"advanced": "folder = '/etc'"}, '"advanced" sets folder: use their own inputs'),
        ({"advanced": "sizes = 64"}, "unknown keys: sizes"),
        ({"advanced": "loras = [{file = '../elsewhere.safetensors'}]"}, "there is no LoRA"),
        ({"advanced": "loras = [{file = '/etc/passwd'}]"}, "there is no LoRA"),
        ({"prompts": "\n# a remark\n"}, "hold no line with a prompt"),
    ],
)
def test_what_can_not_be_trained_is_refused_and_nothing_is_written(asked, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words) as refusal:
        prepare(dataclasses.replace(asked, **changes), tmp_path / "tuning")
    assert len(str(refusal.value)) < 400 and not (tmp_path / "tuning").exists()


def test_a_result_of_another_run_is_never_overwritten(asked, tmp_path):
    (tmp_path / "ControlNet").mkdir()
    (tmp_path / "ControlNet" / "mine.safetensors").write_bytes(b"precious")
    with pytest.raises(ValueError, match="exists: choose another name"):
        prepare(asked, tmp_path / "tuning")


def test_toml_reads_back_as_it_was():
    values = {
        "text": 'C:\\a "b"\x7fé\U0001f3e0',
        "whole": 3,
        "real": 1e-05,
        "large": 1e22,
        "yes": True,
        "list": [{"file": "x", "strength": 0.5}, {"a b": []}],
    }
    assert parse_toml(toml(values), "it") == values
