"""The benchmark of labelling: its arms differ in the pictures alone, and a round's time is one of learning."""

import numpy as np
import torch

from reliable_ads.benchmarks.labelling import COUNTS, Pictures, learned, round_seconds, scores
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.training.head import Features

from .rfnet_examples import scene


def pictures(seed: int, count: int) -> Pictures:
    """Pictures whose features tell their labels, which the logits don't."""
    random = np.random.default_rng(seed)
    found = Pictures.__new__(Pictures)
    found.labels = random.integers(5, size=count)
    features = np.eye(5)[found.labels] + random.normal(0, 0.4, (count, 5))
    found.features = Features(torch.zeros(count, 5), torch.from_numpy(features).float())
    found.products = [f"p{row % 20}" for row in range(count)]
    return found


def test_both_arms_learn_and_are_compared():
    pool, held = pictures(0, 160), pictures(1, 100)
    found = learned(pool, len(pool), held, (0, 1), COUNTS)
    assert found.keys() == {f"{count}_{way}" for count in COUNTS for way in ("random", "active")}
    assert all(len(each) == 2 and each[0].shape == (100,) for each in found.values())
    figures = scores(held, found, 20)
    assert all(figures[f"ap_after_{name}"].value > 0.5 for name in found)
    gain = figures["ap_after_50_active"].value - figures["ap_after_100_random"].value
    assert figures["active_gain"].value == gain and figures["active_gain"].low <= gain <= figures["active_gain"].high


def test_seeds_draw_from_the_first_pictures_of_the_pool_alone():
    pool, held = pictures(0, 160), pictures(1, 40)
    first = Pictures.__new__(Pictures)
    first.labels, first.products = pool.labels[:80], pool.products[:80]
    first.features = pool.features.select(np.arange(80))
    some, whole = (learned(each, 80, held, (0,), (20,)) for each in (pool, first))
    assert all(np.array_equal(some[name], whole[name]) for name in some) and some.keys() == {"20_random", "20_active"}


def test_a_round_is_timed(tmp_path):
    scenes = [scene(number, LABELS[number % 5], f"p{number % 4}") for number in range(12)]
    figure = round_seconds(scenes, tmp_path / "labels", 1)
    assert figure.n == 1 and 0 < figure.low <= figure.value <= figure.high
