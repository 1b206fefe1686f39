"""What every trainer stands on: checkpoints that bring back all to the last bit, the moving average, TOML configs."""

import json
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.rfnet.training.checkpoint import (
    add_prefix,
    load_optimizer_state,
    optimizer_state,
    resume,
    save_state,
    select_prefix,
)
from reliable_ads.rfnet.training.moving_average import MovingAverage
from reliable_ads.rfnet.training.toml_config import make_config, parse_overrides, read_toml_config

MISMATCH = "belongs to a run with other data: delete it to start over."


class Training:
    """A line that learns by AdamW, as small as a training can be."""

    def __init__(self, path, identity: str = "a"):
        torch.manual_seed(0)
        self.layer, self.step, self.path, self.identity = torch.nn.Linear(3, 3), 0, path, identity
        self.optimizer = torch.optim.AdamW(self.layer.parameters(), 1e-2)
        self.average = MovingAverage(dict(self.layer.named_parameters()), 0.9)
        self.resumed = resume(path, identity, self.restore, ValueError, MISMATCH)

    def train(self, steps: int):
        for _ in range(steps):
            x = torch.randn(4, 3, generator=torch.Generator().manual_seed(self.step))
            self.layer(x).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.update(self.step)
            self.step += 1
        save_state(self.path, self.identity, self.state(), {"step": self.step})
        return self

    def state(self) -> dict:
        tensors = add_prefix("weights.", self.layer.state_dict()) | add_prefix("ema.", self.average.shadow)
        return tensors | add_prefix("optimizer.", optimizer_state(self.optimizer))

    def restore(self, tensors: dict, place: dict) -> None:
        self.layer.load_state_dict(select_prefix("weights.", tensors))
        self.average.load_state_dict(select_prefix("ema.", tensors))
        load_optimizer_state(self.optimizer, select_prefix("optimizer.", tensors))
        self.step = place["step"]


def test_two_and_two_steps_are_four(tmp_path):
    whole = Training(tmp_path / "whole").train(4).state()
    Training(tmp_path / "parts").train(2)
    second = Training(tmp_path / "parts")
    assert second.resumed and second.step == 2
    second.train(2)
    assert whole.keys() == second.state().keys()
    assert all(torch.equal(value, second.state()[key]) for key, value in whole.items())


def test_the_average_stands_in_for_the_weights_and_gives_them_back():
    layer = torch.nn.Linear(2, 2)
    average = MovingAverage(dict(layer.named_parameters()), 0.99)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1)
    average.update(0)
    with pytest.raises(KeyboardInterrupt), average.applied():
        assert torch.allclose(layer.weight, start + 0.9)  # the decay begins at 1/10
        raise KeyboardInterrupt
    assert torch.equal(layer.weight, start + 1)
    with pytest.raises(ValueError, match=r"the average of weight is \(1,\), not \(2, 2\)"):
        average.load_state_dict({"weight": torch.ones(1), "bias": torch.ones(2)})


def test_a_checkpoint_that_can_not_be_used_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "run.state"
    assert not Training(path).resumed
    Training(path).train(1)
    with pytest.raises(ValueError, match="belongs to a run with other data: delete it to start over"):
        Training(path, identity="b")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"cut short .*: delete it to start over"):
        Training(path)
    save_file({"weights.weight": torch.ones(1)}, path, {"identity": "a", "place": json.dumps({"step": 1})})
    with pytest.raises(ValueError, match=r"is not a training checkpoint \(.*\)\. Delete it to start over\.$") as error:
        Training(path)
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)


@dataclass
class Config:
    data: str
    rate: float = 0.1
    files: list = field(default_factory=list)

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError(f"rate is {self.rate}: give more than 0.")


def read(tmp_path, text: str, **changes) -> Config:
    (tmp_path / "c.toml").write_text(text)
    return read_toml_config(tmp_path / "c.toml", Config, RuntimeError, ("data", "files", "files.file"), changes)


def test_paths_of_a_config_are_relative_to_it_and_changes_stand_above_it(tmp_path):
    config = read(tmp_path, 'data = "a"\nfiles = ["b", {file = "c", strength = 1}]', rate=0.5, data=None)
    assert config == Config(
        str(tmp_path / "a"), 0.5, [str(tmp_path / "b"), {"file": str(tmp_path / "c"), "strength": 1}]
    )
    assert read(tmp_path, "rate = 1", data="elsewhere").data == "elsewhere"


@pytest.mark.parametrize(
    "text, changes, message",
    [
        ("rate = 1", {}, "lacks data: name it there or on the command line"),
        ('data = "a"\nrat = 1', {}, "unknown keys: rat. Known are rate"),
        ('data = "a"', {"rat": 1}, "no key rat to set. Known are rate"),
        ('data = "a"\nrate = -1', {}, "can't be used: rate is -1"),
        ("data =", {}, "the config .*is no TOML"),
    ],
)
def test_a_config_that_can_not_be_used_says_why(tmp_path, text, changes, message):
    with pytest.raises(RuntimeError, match=message):
        read(tmp_path, text, **changes)
    with pytest.raises(RuntimeError, match="the settings lacks data"):
        make_config({"rate": 1}, Config, RuntimeError, "the settings")


def test_overrides_are_toml_or_words():
    assert parse_overrides(["a=1", "b = [2.5]", "c=word", "d='#'"], ValueError) == {
        "a": 1,
        "b": [2.5],
        "c": "word",
        "d": "#",
    }
    with pytest.raises(ValueError, match='"a" is no change of the config: write key=value'):
        parse_overrides(["a"], ValueError)
