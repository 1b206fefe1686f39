"""A reviewer that reads larger pictures than the one that ships: everything that takes a reviewer takes it, too."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reliable_ads.benchmarks import input_size, networks
from reliable_ads.cyclic.early_rejection import EarlyThreshold
from reliable_ads.cyclic.preview_check import PreviewCheck, StoppedEarly
from reliable_ads.rfnet.architectures import ARCHITECTURES, RFNetConfig
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.explain import explain
from reliable_ads.rfnet.training.adapt import adapt
from reliable_ads.rfnet.training.config import read_config
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.networks import start_networks
from reliable_ads.rfnet.training.remember import remember
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_memory, load_networks, load_reviewer, save_reviewer

from .network_examples import judged, logits_for, split
from .rfnet_examples import small_networks, write_split

SIZE = 224
SMALL = RFNetConfig(
    image_size=SIZE,
    map_size=SIZE,
    map_encoder="stem",
    width=32,
    heads=4,
    fusion_layers=1,
    text_width=32,
    text_layers=1,
    text_heads=2,
)
TABLE = '[architecture]\nimage_size = 224\nmap_size = 224\nmap_encoder = "stem"\n'  # as docs/reviewer.md has it


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("larger") / "reviewer.safetensors"
    save_reviewer(path, *small_networks(config=SMALL))
    return path


def test_it_reviews_and_says_why(weights, canvas, images):
    reviewer = load_reviewer(weights)
    review = reviewer.review(images, canvas)
    assert review.probabilities.shape == (3, 5) and review.depth.shape[-2:] == images.shape[-2:]
    assert explain(reviewer, images, canvas, review=review).heat.shape[0] == 3


def test_it_checks_previews(weights, canvas, images):
    reviewer = load_reviewer(weights)
    check = PreviewCheck(lambda image: reviewer.review(image[None], canvas).rows()[0], [EarlyThreshold(0.5, 1.0)])
    check(1, 4, lambda: images[0])
    with pytest.raises(StoppedEarly):
        check(2, 4, lambda: images[0])


def test_rfft_gets_a_gradient_from_it(weights, canvas, images):
    images = images.clone().requires_grad_()
    product, alpha = canvas.rgb.expand(3, -1, -1, -1), canvas.alpha.expand(3, -1, -1)
    load_reviewer(weights).logits(images, product, alpha, ["a bottle"] * 3)[:, 0].sum().backward()
    assert images.grad.abs().amax() > 0


@pytest.mark.slow(reason="fits heads")
def test_it_remembers_and_gets_an_added_head(weights, tmp_path):
    data = write_split(tmp_path / "shop", 40)
    remember(weights, [data], tmp_path / "remembering.safetensors", count=10)
    memory = load_memory(tmp_path / "remembering.safetensors", load_networks(weights)[0].feature_width)
    kept = open_samples(memory.unpack(tmp_path / "unpacked"), 64)
    assert len(kept) == 10
    out = tmp_path / "mine.safetensors"
    assert adapt(tmp_path / "remembering.safetensors", data, out, method="head", keep_worse=True).path == out
    assert load_networks(out)[0].added is not None and load_networks(out)[0].config == SMALL


@pytest.mark.parametrize("name", ["compact", "drawn"])
def test_a_shipped_config_trains_it_with_a_table_in_the_place_of_the_name(tmp_path, name):
    shipped = Path(input_size.__file__).parents[1] / "rfnet" / "configs" / f"{name}.toml"
    text = shipped.read_text(encoding="utf-8").replace('architecture = "compact"\n', "") + TABLE
    (tmp_path / "larger.toml").write_text(text.replace("../weights/rfnet_compact.safetensors", str(DEFAULT_WEIGHTS)))
    config = read_config(tmp_path / "larger.toml")
    assert config.architecture == replace(ARCHITECTURES["compact"], image_size=SIZE, map_size=SIZE)
    rfnet = start_networks(config, torch.device("cpu")).rfnet  # with what the shipped one knows, or ImageNet does
    assert rfnet.images.position.shape[-1] == SIZE // 16
    if name == "drawn":
        assert torch.equal(rfnet.head.weight, load_networks(DEFAULT_WEIGHTS)[0].head.weight)


def test_maps_have_to_be_as_large_as_the_picture():
    with pytest.raises(ValueError, match="map_size=224, as large as the picture"):
        replace(ARCHITECTURES["compact"], image_size=SIZE)
    assert {input_size.at(size).map_size for size in input_size.INPUT_SIZES} == set(input_size.INPUT_SIZES)


def test_the_benchmark_reads_pictures_at_each_size(weights, tmp_path):
    samples = open_samples(write_split(tmp_path, 6), 64)
    assert samples.resized(SIZE).read(0)["image"].shape == (SIZE, SIZE, 3)
    rfnet, mapnet, _ = load_networks(weights)
    assert predict(rfnet, mapnet, samples.resized(SIZE)).shape == (6, 5)


def test_the_benchmark_says_how_far_larger_pictures_are_ahead(monkeypatch):
    monkeypatch.setattr(networks, "RESAMPLES", 50)
    scenes = split()
    found = {
        size: judged(scenes, *(logits_for(scenes, sure, seed=seed) for seed in range(2)))
        for size, sure in ((160, 0.5), (224, 0.5), (256, 2.0))
    }
    figures = input_size.scores(scenes, found)
    for label in input_size.SIZE_SCORES:
        assert figures[f"input_224_ahead_{label}"].value == figures[f"input_224_ahead_{label}"].high == 0
        assert figures[f"input_256_ahead_{label}"].low > 0
        gap = figures[f"input_256_ap_{label}"].value - figures[f"input_160_ap_{label}"].value
        assert figures[f"input_256_ahead_{label}"].value == pytest.approx(gap)
    assert figures["input_160_ap_available"].value == pytest.approx(networks.scores(scenes, found[160])["ap"]["value"])


def test_every_figure_of_the_benchmark_has_a_definition_and_a_place():
    from reliable_ads.benchmarks.figures import REGISTRY

    known = [definition for key, definition in REGISTRY["reviewer"].items() if key.startswith("input_")]
    assert len(known) == 3 * 4 + 2 * 3 and all("input_size" in definition.shown for definition in known)
    page = Path(input_size.__file__).parents[1] / "docs" / "reviewer.md"
    assert "<!-- input_size -->" in page.read_text(encoding="utf-8")


def test_what_a_training_saw_is_counted(tmp_path):
    about = {"history": json.dumps([{"step": 3}, {"step": 7}])}
    save_reviewer(tmp_path / "160px-0.safetensors", *small_networks(), about)
    training = networks.Training(tmp_path, tmp_path, minutes=1)
    assert input_size.pictures_seen(training, "160px", 0) == 7 * input_size.BATCH


def test_a_review_is_timed_at_each_size():
    figures = input_size.milliseconds((32, SIZE), 2)
    assert 0 < figures["input_32_ms"].value < figures[f"input_{SIZE}_ms"].value
    assert np.isfinite(figures["input_32_ms"].high)
