"""Scores: the textbook values, intervals by product, and missing classes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.evaluate import fit_temperature
from reliable_ads.rfnet.metrics import average_precision, calibration_error, classification_report, table


def verdicts(labels, right=0.8, seed=0):
    """Probabilities that favour the truth in a share `right` of the cases."""
    random = np.random.default_rng(seed)
    shown = np.where(random.random(len(labels)) < right, labels, random.integers(0, 5, len(labels)))
    scores = random.random((len(labels), 5)) * 0.5
    scores[np.arange(len(labels)), shown] += 1
    return scores / scores.sum(1, keepdims=True)


def test_perfect_verdicts_score_one():
    labels = np.arange(50) % 5
    report = classification_report(np.eye(5)[labels], labels, np.arange(50), resamples=20)
    for name in ("ap", "precision", "recall", "f1", "accuracy"):
        assert report[name] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert report["ece"]["value"] == 0 and np.trace(report["confusion"]) == 50
    assert all(score["value"] == 1 for score in report["defects"].values())


def test_precision_recall_and_f1_are_those_of_available():
    labels = np.array([0, 0, 0, 1, 2])
    p = np.array([0.9, 0.8, 0.2, 0.7, 0.1])
    probabilities = np.column_stack([p, *[(1 - p) / 4] * 4])
    report = classification_report(probabilities, labels, range(5), resamples=0)
    assert report["precision"]["value"] == report["recall"]["value"] == 2 / 3
    assert math.isclose(report["f1"]["value"], 2 / 3)
    assert math.isclose(report["ap"]["value"], (1 + 1 + 3 / 4) / 3)


def test_intervals_are_wider_when_scenes_share_products():
    labels = np.random.default_rng(1).integers(0, 5, 400)
    probabilities = verdicts(labels)
    width = lambda products: (lambda ap: ap["high"] - ap["low"])(classification_report(probabilities, labels, products, resamples=100)["accuracy"])
    by_correctness = np.where(probabilities.argmax(1) == labels, np.arange(400) % 5, 5 + np.arange(400) % 5)
    assert width(by_correctness) > 2 * width(np.arange(400))


def test_value_lies_in_its_interval_and_repeats_exactly():
    labels = np.random.default_rng(2).integers(0, 5, 200)
    one, two = (classification_report(verdicts(labels), labels, np.arange(200) // 4, resamples=50) for _ in range(2))
    assert one == two
    assert one["ap"]["low"] <= one["ap"]["value"] <= one["ap"]["high"]
    assert "ap shape_hallucination" in table(one)


def test_a_missing_class_is_nan_not_a_crash():
    report = classification_report(verdicts(np.zeros(20, int)), np.zeros(20, int), range(20), resamples=5)
    assert math.isnan(report["defects"]["size_mismatch"]["value"])
    assert math.isnan(average_precision(np.zeros(3, bool), np.ones(3), np.ones(3)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40))
def test_average_precision_is_that_of_scikit_learn(rows):
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    truth, scores, weights = (np.array(column, float) for column in zip(*rows))
    ours = average_precision(truth, scores, weights)
    if not (truth * weights).any():
        assert math.isnan(ours)
    else:
        assert math.isclose(ours, sklearn_metrics.average_precision_score(truth, scores, sample_weight=weights), abs_tol=1e-9)


def test_calibration_error_of_known_gaps():
    confidence = np.array([0.9] * 10 + [0.3] * 10)
    right = np.array([1] * 9 + [0] + [1] * 5 + [0] * 5)
    assert math.isclose(calibration_error(confidence, right, np.ones(20)), 0.1)


def test_temperature_undoes_overconfidence():
    torch.manual_seed(0)
    truth = torch.randn(4000, 5)
    labels = torch.distributions.Categorical(logits=truth).sample()
    assert abs(fit_temperature(truth * 3, labels) - 3) < 0.3
