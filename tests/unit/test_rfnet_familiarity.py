"""What a reviewer remembers of its training: which pictures are unlike it, and some labelled ones to learn on with."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.familiarity import UNFAMILIAR, fit_familiarity
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.reviewer import verdict
from reliable_ads.rfnet.training.adapt import adapt
from reliable_ads.rfnet.training.remember import remember, spread
from reliable_ads.rfnet.weights import (
    WeightsError,
    load_memory,
    load_networks,
    load_reviewer,
    read_metadata,
    save_reviewer,
)
from reliable_ads.sdwebui.words import said_of

from .rfnet_examples import bottle, labelled, small_networks, write_split


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write_split(tmp_path_factory.mktemp("split"), 40)


@pytest.fixture(scope="module")
def remembering(split, tmp_path_factory):
    """A reviewer file that remembers ten of forty scenes."""
    path = tmp_path_factory.mktemp("weights") / "reviewer.safetensors"
    save_reviewer(path, *small_networks(), {"threshold": "0.3"})
    report = remember(path, [split], path, count=10)
    assert report == {"sets": {str(split): 40}, "kept": 10, "findings": [], "damaged": 0}
    return path


def cloud(count, centre, seed):
    return centre + torch.randn(count, 20, generator=torch.Generator().manual_seed(seed))


def test_shares_are_calibrated_and_two_kinds_are_both_familiar():
    centres = torch.zeros(20), torch.full((20,), 5.0)
    sets = [cloud(300, centre, number) for number, centre in enumerate(centres)]
    products = [[f"{kind}{number // 3}" for number in range(300)] for kind in "ab"]
    known = fit_familiarity(sets, products)
    for centre in centres:
        shares = known.share_further(cloud(500, centre, 7))
        assert 0.4 < shares.mean() < 0.6 and (shares < UNFAMILIAR).float().mean() < 0.06
    between = cloud(50, torch.full((20,), 2.5), 8)
    assert (known.share_further(between) < UNFAMILIAR).all()
    assert (known.with_more(between).share_further(between) > UNFAMILIAR).float().mean() > 0.9


def test_a_few_pictures_of_one_product_are_enough_for_something():
    known = fit_familiarity([cloud(5, torch.zeros(20), 0)], [["p"] * 5])
    assert known.distance(cloud(5, torch.zeros(20), 1)).isfinite().all()


def test_what_is_remembered_is_spread_over_labels(split):
    samples = open_samples(split, 64)
    rows = spread(samples, 16, np.random.default_rng(0))
    assert len(set(rows)) == 16 and sorted(samples.labels[rows].tolist()) == [0] * 8 + [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_memory_is_kept_beside_unchanged_weights(remembering, tmp_path):
    rfnet, _, metadata = load_networks(remembering)
    assert metadata["threshold"] == "0.3" and metadata["format_version"] == "2"
    assert torch.equal(rfnet.head.weight, small_networks()[0].head.weight.half().float())
    memory = load_memory(remembering, rfnet.feature_width)
    kept = open_samples(memory.unpack(tmp_path), 64)
    assert len(kept) == 10 and len(kept.without_broken()) == 10
    save_reviewer(tmp_path / "none.safetensors", *small_networks())
    assert load_memory(tmp_path / "none.safetensors", rfnet.feature_width) is None


def test_a_review_says_which_pictures_are_unfamiliar(remembering):
    canvas = place(bottle(), 64, 64)
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    images = canvas.alpha * canvas.rgb + (1 - canvas.alpha) * noise
    reviewer = load_reviewer(remembering)
    assert 0 <= reviewer.review(images, canvas).rows()[0]["familiar"] <= 1
    reviewer.familiarity.distances /= 1000  # as if all that it learned from lay close together
    row = reviewer.review(images, canvas).rows()[0]
    assert row["familiar"] < UNFAMILIAR and row["unfamiliar"]
    assert "label a few" in " ".join(row["notes"]) and verdict(row) == "unfamiliar picture"
    assert said_of(row).endswith("(unfamiliar picture: label a few)")
    reviewer.familiarity.distances *= 1e6
    row = reviewer.review(images, canvas).rows()[0]
    assert row["familiar"] == 1 and "unfamiliar" not in row and "notes" not in row


def test_without_a_memory_nothing_is_said_of_it(tmp_path):
    save_reviewer(tmp_path / "none.safetensors", *small_networks())
    canvas = place(bottle(), 64, 64)
    row = load_reviewer(tmp_path / "none.safetensors").review(canvas.rgb[None], canvas).rows()[0]
    assert row.keys() == {"label", "probabilities", "accepted"}


def test_adapting_learns_with_what_is_remembered_and_makes_ones_own_familiar(remembering, tmp_path):
    labels = labelled(tmp_path / "labels", 24)
    found = adapt(remembering, labels, tmp_path / "mine.safetensors", method="head", keep_worse=True)
    assert found.report["mixed_in"] > 0 and 0 <= found.report["unfamiliar_before"] <= 1
    width = load_networks(found.path)[0].feature_width
    before, after = load_memory(remembering, width), load_memory(found.path, width)
    assert after.shard == before.shard and len(after.familiarity.means) == len(before.familiarity.means) + 1


def test_the_command_writes_it_and_certificates_name_the_share(remembering, split, tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    assert main(["remember", str(remembering), "--data", str(split), "--count", "5", "--out", str(out)]) == 0
    assert "5 pictures are kept" in capsys.readouterr().out
    assert main(["calibrate", str(out), "--data", str(split), "--json"]) == 0
    assert 0 <= json.loads(read_metadata(out)["risks"])["0.05"]["unfamiliar"] <= 1
    assert main(["remember", str(out), "--data", str(split), str(split)]) == 1
    assert "a data set is named twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t | {"memory.means": t["memory.means"][:, :-1].contiguous()},
        lambda t: t | {"memory.floor": torch.zeros(())},
        lambda t: t | {"memory.floor": torch.full((), float("nan"))},
        lambda t: t | {"memory.distances": t["memory.distances"].flip(0)},
        lambda t: t | {"memory.directions": t["memory.directions"].int()},
        lambda t: t | {"memory.shard": t["memory.shard"].float()},
        lambda t: t | {"memory.more": torch.zeros(1)},
        lambda t: {key: value for key, value in t.items() if key != "memory.shard"},
    ],
)
def test_a_memory_that_makes_no_sense_is_refused(remembering, tmp_path, change):
    path = tmp_path / "bad.safetensors"
    save_file(change(load_file(remembering)), path, read_metadata(remembering))
    with pytest.raises(WeightsError, match=r'"bad.safetensors" has a memory that can\'t be used .*rfnet remember'):
        load_reviewer(path)


def test_pictures_that_are_no_archive_are_said_when_they_are_needed(remembering, tmp_path):
    path = tmp_path / "bad.safetensors"
    save_file(
        load_file(remembering) | {"memory.shard": torch.zeros(50, dtype=torch.uint8)}, path, read_metadata(remembering)
    )
    assert load_reviewer(path)  # reviewing needs none
    with pytest.raises(ValueError, match="label"):
        adapt(path, labelled(tmp_path / "labels", 24), tmp_path / "mine.safetensors", method="head")
