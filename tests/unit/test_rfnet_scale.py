"""The second task of training: reading how large the product is and how large the scene makes it look."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.training.augment import make_batch
from reliable_ads.rfnet.training.config import TrainConfig
from reliable_ads.rfnet.training.scale import ScaleReader, log_sizes, scale_loss
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import load_networks

from .rfnet_examples import SMALL, scene

DEEP = replace(SMALL, fusion_layers=3)


def images(count=2):
    return (
        torch.rand(count, 3, 64, 64),
        torch.rand(count, 3, 64, 64),
        torch.rand(count, 1, 64, 64),
        torch.rand(count, 1, 64, 64),
    )


def sized(number, **sizes):
    return {**scene(number, LABELS[number % 5], f"p{number % 7}"), **sizes}


def test_sizes_come_from_the_shards_into_the_batch(tmp_path):
    write_shard(tmp_path / "a.zip", [sized(0, metres=0.25, shown_metres=2.5), sized(1, metres=0.25), sized(2)])
    sizes = make_batch(open_samples(tmp_path, 64), range(3)).sizes
    expected = torch.tensor([[math.log(0.25), math.log(2.5)], [math.log(0.25), math.nan], [math.nan, math.nan]])
    torch.testing.assert_close(sizes, expected, equal_nan=True)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none()))
def test_what_is_no_size_is_unknown_and_never_an_error(value):
    metres, shown = log_sizes({"metres": value})
    assert math.isnan(shown)
    assert math.isnan(metres) or math.isclose(math.exp(metres), float(value), rel_tol=1e-6, abs_tol=1e-300)


def test_the_loss_looks_at_known_sizes_only():
    truth = torch.tensor([[0.0, math.nan], [1.0, 2.0]])
    found = torch.tensor([[0.0, 50.0], [1.0, 4.0]], requires_grad=True)
    loss = scale_loss(found, truth)
    loss.backward()
    assert loss.item() == pytest.approx((2 - 0.25) / 3)  # Huber's: 2 away, straight from 0.5 on
    assert found.grad[0, 1] == 0 and found.grad[1, 1] > 0
    assert scale_loss(found, torch.full((2, 2), math.nan)).item() == 0


def test_the_last_layer_is_left_to_compare_the_sizes():
    torch.manual_seed(0)
    reader = ScaleReader(RFNet(DEEP))
    tokens = reader.rfnet.tokenize(["a cup", "a car"])
    _, sizes = reader(*images(), tokens)
    sizes.sum().backward()
    touched = [
        any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())
        for layer in reader.rfnet.fusion.layers
    ]
    assert touched == [True, True, False]


def test_the_reader_gives_the_verdicts_that_rfnet_gives():
    torch.manual_seed(0)
    for config in (SMALL, DEEP):
        reader = ScaleReader(RFNet(config)).eval()
        inputs = (*images(), reader.rfnet.tokenize(["a cup", "a car"]))
        with torch.no_grad():
            assert torch.equal(reader(*inputs)[0], reader.rfnet(*inputs))


def test_hooks_on_rfnet_see_its_training():
    reader, seen = ScaleReader(RFNet(SMALL)), []
    reader.rfnet.register_forward_hook(lambda *_: seen.append(1))  # RF Adapt Reviewer tells its progress and cancels so
    reader(*images(), reader.rfnet.tokenize(["a cup", "a car"]))
    assert seen == [1]


@pytest.mark.slow(reason="a training")
def test_training_learns_the_sizes_and_leaves_their_head_out_of_the_weights(tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 10)):
        (tmp_path / split).mkdir()
        write_shard(
            tmp_path / split / "a.zip",
            [
                sized(number, metres=float(size), shown_metres=float(size) * 3)
                for number, size in enumerate(random.uniform(3, 5, count))
            ],
        )
    config = TrainConfig(
        train=tmp_path / "train",
        val=tmp_path / "val",
        out=tmp_path / "w.safetensors",
        architecture=DEEP,
        init="random",
        batch=8,
        epochs=8,
        map_epochs=0,
    )
    run = Run(config)
    batch = make_batch(run.train, range(24))
    inputs = (batch.shown, batch.image, *run.networks.mapnet(batch.image), run.networks.rfnet.tokenize(batch.captions))
    error = torch.no_grad()(lambda: scale_loss(run.networks.reader(*inputs)[1], batch.sizes).item())
    before = error()
    run()
    assert error() < before / 2
    assert set(load_networks(config.out)[0].state_dict()) == set(run.networks.rfnet.state_dict())


def test_a_weight_below_zero_is_refused():
    with pytest.raises(DataError, match="scale is -1"):
        TrainConfig(train=["a"], val=["b"], out="c", scale=-1)
