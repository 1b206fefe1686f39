"""Evaluation: intervals, distances and colours against hand-computed values; the same figures for the same adapter, a
CC of 0 for the base.
"""

import math

import pytest
import torch

from reliable_ads.rfft.adapter import Adapter
from reliable_ads.rfft.evaluate import (
    EVALUATION_SEEDS,
    Evaluation,
    colour_statistics,
    evaluate,
    evaluation_jobs,
    mean_distance,
    shade,
    wilson,
)
from reliable_ads.rfft.models import Passes
from reliable_ads.rfft.rollout import Sampling, start_noise
from reliable_ads.rfft.selection import front

from .rfft_examples import jobs, models_of, small_reviewer, tiny_pocket

SAMPLING = Sampling(4, 3.0)


def asked(count=2, seeds=2):
    return evaluation_jobs([(o.canvas, o.prompt) for o in jobs(count)], seeds)


def test_wilson_against_published_values():
    assert wilson(0, 10) == pytest.approx({"value": 0, "low": 0, "high": 0.2775, "n": 10}, abs=1e-4)
    assert wilson(8, 10) == pytest.approx({"value": 0.8, "low": 0.4902, "high": 0.9433, "n": 10}, abs=1e-4)


def test_colours_look_only_where_the_weight_is():
    picture = torch.zeros(3, 2, 2)
    picture[0] = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    picture[1], picture[2] = 0.5, 0.5
    top = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert colour_statistics(picture, top).tolist() == pytest.approx([0.5, 0.5, 0.5, 0.5, 0, 0])
    # brightness 2/3 and 1/3, saturation 1/2 in both, deviation of the brightness 1/6
    assert shade(picture, top).tolist() == pytest.approx([0.5, 0.5, 1 / 6])
    picture[:, 1] = 9
    assert shade(picture, top).tolist() == pytest.approx([0.5, 0.5, 1 / 6])


def test_distances_within_and_between_groups():
    values, groups = [0.0, 1.0, 10.0, 14.0], ["a", "a", "b", "b"]

    def distance(i, j):
        return abs(values[i] - values[j])

    assert mean_distance(groups, distance, True) == (1 + 4) / 2
    assert mean_distance(groups, distance, False) == (10 + 14 + 9 + 13) / 4
    assert mean_distance(["a"], distance, True) == 0


def test_front():
    points = [(0.5, 1.0), (0.7, 0.9), (0.6, 0.8), (0.9, 0.2), (0.9, 0.2)]
    assert front(points) == [0, 1, 3] and front([]) == []


def test_triples_are_fixed_and_never_trained_on():
    found = asked(3, 2)
    assert len({o.seed for o in found}) == 6 and min(o.seed for o in found) >= EVALUATION_SEEDS
    assert [(o.seed, o.prompt) for o in found] == [(o.seed, o.prompt) for o in asked(3, 2)]
    first, trained = start_noise([found[0].seed], (4, 8, 8)), start_noise(range(4), (4, 8, 8))
    assert not any(
        torch.equal(first[0], noise) for noise in trained
    )  # a generator that cuts seeds off would make these the same
    with pytest.raises(ValueError, match=r"1 seeds per product.*at least 2"):
        asked(3, 1)


def test_an_evaluation_is_repeatable_and_needs_no_batches():
    models, reviewer = models_of(tiny_pocket()), small_reviewer()
    adapter = Adapter(models.controlnet, 2)
    models.passes = Passes(3, 4)
    before, pictures = evaluate(models, reviewer, asked(), SAMPLING, adapter)
    assert models.passes == Passes(3, 4) and before.evaluation_passes == 4 * (4 * 2 + 2 + 2)
    assert pictures.shape == (4, 3, 64, 64) and before.rate["n"] == 4 and len(before.accepted) == 4
    assert before.cc == 0 and sum(before.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert before.diversity > 0 and before.diversity_colour > 0 and before.diversity_products > 0
    again, _ = evaluate(models, reviewer, asked(), SAMPLING, adapter, batch=1)
    assert {k: v for k, v in again.row().items() if isinstance(v, float)} == pytest.approx(
        {k: v for k, v in before.row().items() if isinstance(v, float)}, rel=1e-3, abs=1e-4
    )
    assert before.drift(again) == pytest.approx({"brightness": 0, "saturation": 0, "contrast": 0}, abs=1e-4)
    assert "diversity" in str(before) and isinstance(before, Evaluation)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.1)
    moved, _ = evaluate(models, reviewer, asked(), SAMPLING, adapter)
    assert moved.cc > 0 and not math.isclose(moved.brightness, before.brightness)
    assert evaluate(models, reviewer, asked(), SAMPLING, threshold=0.0)[0].rate["value"] == 1


def test_equal_pictures_have_no_diversity():
    """Two jobs with one seed stand for a model that has collapsed."""
    from reliable_ads.rfft.rollout import Job

    models, one = models_of(tiny_pocket()), jobs(1)[0]
    collapsed, _ = evaluate(models, small_reviewer(), [Job(one.canvas, one.prompt, 5)] * 2, SAMPLING)
    assert collapsed.diversity == pytest.approx(0, abs=1e-5) and collapsed.diversity_colour == pytest.approx(
        0, abs=1e-5
    )
