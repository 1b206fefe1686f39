"""The networks: shapes, independence of the batch, ablations, gradients, captions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.architectures import INPUTS, RFNetConfig
from reliable_ads.rfnet.captions import clip_tokens
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.towers import fold_batch_norm

from .rfnet_examples import SMALL, small_networks

CONTEXT = RFNetConfig().context


def tokenize(captions):
    return clip_tokens(captions, CONTEXT)


def example(batch=3, size=64):
    torch.manual_seed(1)

    def images(channels):
        return torch.rand(batch, channels, size, size)

    return [images(3), images(3), images(1), images(1), tokenize(["a red shoe", "", "保湿面霜 50ml"][:batch])]


def test_default_architecture_gives_five_logits_and_fits_20_mb():
    rfnet = RFNet()
    assert rfnet.eval()(*example(2, 128)).shape == (2, 5)
    assert sum(p.numel() for p in rfnet.parameters()) * 2 < 20e6


def test_each_image_is_judged_by_itself():
    rfnet, _ = small_networks()
    batch = example()
    with torch.no_grad():
        together = rfnet(*batch)
        for index in range(3):
            assert torch.allclose(rfnet(*[x[index : index + 1] for x in batch]), together[index : index + 1], atol=1e-5)
        assert torch.allclose(rfnet(*[x.flip(0) for x in batch]), together.flip(0), atol=1e-5)


def test_product_features_can_be_computed_once_for_many_attempts():
    rfnet, _ = small_networks()
    product, generated, depth, saliency, tokens = example()
    with torch.no_grad():
        features = rfnet.encode_product(product[:1], tokens[:1])
        cached = rfnet(None, generated, depth, saliency, None, product_features=features)
        expected = rfnet(product[:1].expand(3, -1, -1, -1), generated, depth, saliency, tokens[:1].expand(3, -1))
    assert torch.allclose(cached, expected, atol=1e-5)


@pytest.mark.parametrize("left_out", INPUTS)
def test_an_input_left_out_is_never_looked_at(left_out):
    config = RFNetConfig(**{**vars(SMALL), "inputs": tuple(name for name in INPUTS if name != left_out)})
    rfnet, _ = small_networks(config=config)
    batch = example()
    changed = list(batch)
    index = ("product", "generated", "depth", "saliency", "caption").index(left_out)
    changed[index] = torch.roll(batch[index], 1, 0)
    with torch.no_grad():
        assert torch.equal(rfnet(*batch), rfnet(*changed))


@pytest.mark.parametrize("index", range(5))
def test_every_input_matters_when_it_is_there(index):
    rfnet, _ = small_networks()
    batch = example()
    changed = list(batch)
    changed[index] = torch.roll(batch[index], 1, 0)
    with torch.no_grad():
        assert (rfnet(*batch) - rfnet(*changed)).abs().max() > 1e-7


def test_gradients_reach_the_generated_image_through_the_maps():
    rfnet, mapnet = small_networks()
    product, generated, _, _, tokens = example()
    generated.requires_grad_()
    rfnet(product, generated, *mapnet(generated), tokens)[:, 0].sum().backward()
    assert torch.isfinite(generated.grad).all() and generated.grad.abs().sum() > 0


def test_maps_have_the_size_of_the_image():
    _, mapnet = small_networks()
    for size in ((64, 64), (128, 128), (200, 136)):
        depth, saliency = mapnet(torch.rand(2, 3, *size))
        assert depth.shape == saliency.shape == (2, 1, *size)
        assert depth.min() >= 0 and depth.max() <= 1


def test_folding_batch_norm_changes_nothing():
    norm = torch.nn.BatchNorm2d(4)
    (
        norm.running_mean.normal_(),
        norm.running_var.uniform_(0.5, 2),
        torch.nn.init.normal_(norm.weight),
        torch.nn.init.normal_(norm.bias),
    )
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), norm, torch.nn.ReLU()).eval()
    x = torch.rand(2, 3, 8, 8)
    expected = network(x)
    fold_batch_norm(network)
    assert torch.allclose(network(x), expected, atol=1e-5)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_config_survives_json_and_refuses_what_it_does_not_know():
    assert RFNetConfig.from_json(SMALL.to_json()) == SMALL
    with pytest.raises(ValueError, match="unknown keys: flavour"):
        RFNetConfig.from_json('{"flavour": 1}')
    for inputs in (("caption",), ("product", "smell"), ()):
        with pytest.raises(ValueError, match="name at least one image"):
            RFNetConfig(inputs=inputs)


def test_empty_caption_reads_a_product():
    assert torch.equal(tokenize(["", "  "]), tokenize(["a product", "a product"]))


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=400))
def test_any_caption_is_tokens(caption):
    tokens = tokenize([caption])
    assert tokens.shape == (1, CONTEXT) and tokens[0, 0] == 49406 and (tokens == 49407).any()
    assert tokens.min() >= 0 and tokens.max() == 49407


def test_very_long_and_chinese_captions_are_cut_not_refused():
    rfnet, _ = small_networks()
    batch = example(2)
    batch[4] = tokenize(["a shoe " * 100_000, "红色运动鞋" * 500])
    assert torch.isfinite(rfnet(*batch)).all()
    assert (batch[4][:, -1] == 49407).all()
