"""The benchmark of adapting to the second stand-in: what is labelled, and what its scores say."""

from types import SimpleNamespace

import numpy as np
import torch

from reliable_ads.benchmarks.adapting import Pictures, rewritten
from reliable_ads.benchmarks.photographed import Pool, forgetting, scores
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.training.head import Features

from .rfnet_examples import write_split


def held(count: int = 100) -> tuple[Pictures, np.ndarray]:
    """Pictures asked about, and the probabilities (N, 5) of one who knows their labels."""
    labels = np.random.default_rng(0).integers(5, size=count)
    samples = SimpleNamespace(labels=labels, product_ids=[f"p{row % 20}" for row in range(count)])
    return Pictures(samples, None, np.full((count, 5), 0.2)), np.eye(5)[labels]


def test_scores_tell_who_knows_from_who_does_not():
    pictures, knowing = held()
    found = {(0, "random"): [pictures.before] * 2, (50, "active"): [knowing] * 2, (100, "random"): [knowing] * 2}
    figures = scores(pictures, found)
    assert figures["photographed_ap_after_0_random"].value < 0.4
    assert [figures[f"photographed_{name}_after_100_random"].value for name in ("ap", "worst_defect", "ece")] == [
        1,
        1,
        0,
    ]
    assert "photographed_ece_after_50_active" not in figures and figures["photographed_active_gain"].value == 0


def test_the_worse_of_two_is_what_is_forgotten():
    pictures, knowing = held()
    knew = Pictures(pictures.samples, None, knowing)
    after = [{"drawn": knowing, "scenes": pictures.before}] * 2
    lost = forgetting({"drawn": knew, "scenes": knew}, after)
    assert lost.value > 0.6 and lost.low > 0.5


def test_more_labels_hold_the_fewer_ones(tmp_path):
    samples = open_samples(write_split(tmp_path / "pool", 40), 64)
    random = np.random.default_rng(0)
    features = torch.from_numpy(np.eye(5)[samples.labels] + random.normal(0, 0.3, (40, 5))).float()
    pool = Pool.__new__(Pool)
    pool.pictures = Pictures(samples, None, np.full((40, 5), 0.2))
    pool.features, pool.folder, pool.most = Features(torch.zeros(40, 5), features), tmp_path / "work", 20
    for way in ("random", "active"):
        few, many = (open_samples(pool.labelled(count, way, 0), 64) for count in (8, 20))
        shown = [{each.read(row)["image"].tobytes() for row in range(len(each))} for each in (few, many)]
        assert [len(each) for each in shown] == [8, 20] and shown[0] < shown[1]


def test_pictures_are_rewritten_as_they_were_read(tmp_path):
    samples = open_samples(write_split(tmp_path / "split", 6), 64)
    again = open_samples(rewritten(samples, [4, 1], tmp_path / "again"), 64)
    for row, of in enumerate((4, 1)):
        new, old = again.read(row), samples.read(of)
        assert all(np.array_equal(new[name], old[name]) for name in ("image", "product"))
        assert all(new[name] == old[name] for name in ("label", "caption", "product_id"))
