"""Maps that are read by convolutions of their own and lie on the generated picture's tokens."""

from dataclasses import replace

import pytest
import torch

from reliable_ads.rfnet.architectures import INPUTS, MAPS, ArchitectureError, RFNetConfig
from reliable_ads.rfnet.explain import explain
from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.reviewer import Reviewer
from reliable_ads.rfnet.towers import MapStem
from reliable_ads.rfnet.training.config import TrainConfig
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import blend, load_networks, save_reviewer

from .rfnet_examples import SMALL, small_networks, write_split

STEM = replace(SMALL, map_size=64, map_encoder="stem")


def trained_a_little(config=STEM):
    """An RFNet whose stems say something."""
    torch.manual_seed(0)
    rfnet = RFNet(config).eval()
    for stem in rfnet.stems.values():
        torch.nn.init.normal_(stem[-1].weight, std=0.3)
    return rfnet


def example(rfnet, batch=3):
    torch.manual_seed(1)

    def images(channels):
        return torch.rand(batch, channels, 96, 64)

    return [images(3), images(3), images(1), images(1), rfnet.tokenize(["a shoe", "a cup", ""][:batch])]


@torch.no_grad()
def test_an_untrained_stem_changes_no_verdict():
    torch.manual_seed(0)
    rfnet = RFNet(STEM).eval()
    inputs = example(rfnet)
    others = [*inputs[:2], 1 - inputs[2], 1 - inputs[3], inputs[4]]
    assert torch.equal(rfnet(*inputs), rfnet(*others))


@torch.no_grad()
@pytest.mark.parametrize("name", MAPS)
def test_each_map_counts_at_its_place(name):
    rfnet = trained_a_little()
    inputs = example(rfnet)
    at = INPUTS.index(name)
    corner = inputs[at].clone()
    corner[:, :, -24:, -16:] = 0.5
    before, after = (rfnet.token_maps(*inputs[:at], value, *inputs[at + 1 :])[name] for value in (inputs[at], corner))
    changed = (before - after).abs().amax((0, 1)) > 1e-6
    assert changed[-1, -1] and not changed[0, 0]
    assert (rfnet(*inputs) - rfnet(*inputs[:at], corner, *inputs[at + 1 :])).abs().max() > 1e-6


@torch.no_grad()
def test_a_batch_is_judged_as_its_images_one_by_one():
    rfnet = trained_a_little()
    inputs = example(rfnet)
    alone = torch.cat([rfnet(*(value[row : row + 1] for value in inputs)) for row in range(3)])
    assert torch.allclose(rfnet(*inputs), alone, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("left_out", INPUTS)
def test_any_input_can_be_left_out(left_out):
    rfnet = trained_a_little(replace(STEM, inputs=tuple(name for name in INPUTS if name != left_out)))
    inputs = example(rfnet)
    changed = list(inputs)
    changed[INPUTS.index(left_out)] = inputs[INPUTS.index(left_out)].roll(1, 0)
    assert torch.equal(rfnet(*inputs), rfnet(*changed)) and rfnet(*inputs).isfinite().all()


def test_reasons_name_the_maps(canvas):
    images = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    found = explain(Reviewer(trained_a_little(), MapNet().eval(), {"temperature": "1.0"}), images, canvas)
    assert all(
        set(shares) == {"product", "generated", "depth", "saliency"} and shares["depth"] > 0 for shares in found.inputs
    )


def test_another_side_than_the_pictures_is_refused():
    with pytest.raises(ValueError, match="stem with map_size=64"):
        replace(SMALL, map_encoder="stem")
    with pytest.raises(ValueError, match='map_encoder is "magic"'):
        replace(SMALL, map_encoder="magic")
    with pytest.raises(ArchitectureError, match="can't meet stride 14"):
        MapStem(replace(STEM, stride=14))


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_a_stem_gives_as_many_tokens_as_the_picture_has(stride):
    assert MapStem(replace(STEM, stride=stride))(torch.rand(1, 1, 64, 64)).shape[-1] == 64 // stride


def test_files_from_before_there_were_stems_keep_their_network():
    old = SMALL.to_json().replace(', "map_encoder": "shared"', "")
    assert "map_encoder" not in old and RFNetConfig.from_json(old) == SMALL


@pytest.mark.slow(reason="trainings")
def test_a_run_goes_on_from_a_reviewer_without_stems_and_the_two_blend(tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_reviewer(first, *small_networks())
    train, val = write_split(tmp_path / "train", 24), write_split(tmp_path / "val", 10, start=100)
    run = Run(
        TrainConfig(
            train=train,
            val=val,
            out=second,
            architecture=STEM,
            weights=first,
            frozen=[],
            batch=8,
            epochs=1,
            map_epochs=0,
        )
    )
    old = load_networks(first)[0]
    assert torch.equal(run.networks.rfnet.head.weight, old.head.weight)
    run()
    blend(first, second, 0.25, tmp_path / "between.safetensors")
    new, between = (load_networks(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("second", "between"))
    for name, value in between.items():
        expected = old.state_dict()[name].lerp(new[name], 0.25) if name in old.state_dict() else new[name]
        assert torch.allclose(value, expected, atol=1e-3), name
