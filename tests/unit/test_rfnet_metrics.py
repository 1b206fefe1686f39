"""Scores: the textbook values, intervals by product, and missing classes."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.training.evaluate import fit_temperature
from reliable_ads.rfnet.training.metrics import (
    RECALLS,
    at_threshold,
    average_precision,
    calibration_error,
    classification_report,
    format_report,
    intervals,
    precision_at,
    precision_recall,
    reliability,
    without_nan,
)


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

    def width(products):
        return (lambda ap: ap["high"] - ap["low"])(
            classification_report(probabilities, labels, products, resamples=100)["accuracy"]
        )

    by_correctness = np.where(probabilities.argmax(1) == labels, np.arange(400) % 5, 5 + np.arange(400) % 5)
    assert width(by_correctness) > 2 * width(np.arange(400))


def test_value_lies_in_its_interval_and_repeats_exactly():
    labels = np.random.default_rng(2).integers(0, 5, 200)
    one, two = (classification_report(verdicts(labels), labels, np.arange(200) // 4, resamples=50) for _ in range(2))
    assert one == two
    assert one["ap"]["low"] <= one["ap"]["value"] <= one["ap"]["high"]
    assert "ap shape_hallucination" in format_report(one)


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
        assert math.isclose(
            ours, sklearn_metrics.average_precision_score(truth, scores, sample_weight=weights), abs_tol=1e-9
        )


def test_calibration_error_of_known_gaps():
    confidence = np.array([0.9] * 10 + [0.3] * 10)
    right = np.array([1] * 9 + [0] + [1] * 5 + [0] * 5)
    assert math.isclose(calibration_error(confidence, right, np.ones(20)), 0.1)


def test_temperature_undoes_overconfidence():
    torch.manual_seed(0)
    truth = torch.randn(4000, 5)
    labels = torch.distributions.Categorical(logits=truth).sample()
    assert abs(fit_temperature(truth * 3, labels) - 3) < 0.3


def test_shares_of_the_confusion_matrix_have_intervals():
    labels = np.random.default_rng(4).integers(0, 4, 300)  # nothing is labelled shape_hallucination
    report = classification_report(verdicts(labels), labels, np.arange(300) // 3, resamples=50)
    counts = np.array(report["confusion"])
    for row, cells in enumerate(report["confusion_shares"][:4]):
        assert [cell["value"] for cell in cells] == pytest.approx(counts[row] / counts[row].sum())
        assert (
            all(0 <= cell["low"] <= cell["value"] <= cell["high"] <= 1 for cell in cells)
            and cells[row]["low"] < cells[row]["high"]
        )
    assert all(math.isnan(cell["value"]) for cell in report["confusion_shares"][4])


def test_an_interval_covers_the_truth_nineteen_times_in_twenty():
    random = np.random.default_rng(5)
    covered = 0
    for seed in range(100):
        values = np.repeat(
            random.normal(size=60), 4
        )  # four copies of each product's value: 60 independent draws, not 240

        def weighted_mean(weights, values=values):
            return [(weights * values).sum() / weights.sum()]

        (mean,) = intervals(weighted_mean, np.arange(240) // 4, 200, seed)
        covered += mean["low"] <= 0 <= mean["high"]
    assert 87 <= covered <= 99


def test_what_a_threshold_does():
    p, labels = np.array([0.9, 0.8, 0.7, 0.2]), np.array([0, 3, 0, 0])
    result = at_threshold(p, labels, range(4), 0.7, resamples=0)
    assert result["accepted"] == 3 and result["bad"]["value"] == 1 / 3 and result["recall"]["value"] == 2 / 3
    assert math.isnan(at_threshold(p, labels, range(4), 0.95, resamples=5)["bad"]["value"])
    report = classification_report(verdicts(labels), labels, range(4), resamples=5)
    lines = format_report(report | {"risks": {"0.05": result, "0.1": {"refused": "too few"}}}).splitlines()
    assert (
        any("bad at risk 0.05" in line and "33.33" in line and "of 3 accepted" in line for line in lines)
        and "risk 0.1: not certified" in lines
    )


def test_the_reliability_diagram_adds_up_to_the_calibration_error():
    random = np.random.default_rng(6)
    p, labels = random.random(500), random.integers(0, 3, 500)
    bins = reliability(p, labels, np.arange(500) // 5, resamples=20)
    assert sum(part["n"] for part in bins) == 500
    error = sum(part["n"] * abs(part["confidence"] - part["share"]["value"]) for part in bins) / 500
    assert math.isclose(error, calibration_error(p, labels == 0, np.ones(500)))
    assert all(part["share"]["low"] <= part["share"]["value"] <= part["share"]["high"] for part in bins)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40))
def test_precision_at_each_recall_is_that_of_the_first_cut_that_reaches_it(rows):
    truth, scores, weights = (np.array(column, float) for column in zip(*rows))
    precision, found = precision_at(truth, scores, weights), (truth * weights).sum()
    if not found:
        assert np.isnan(precision).all()
        return
    for place in (1, 37, 50, 100):
        cut = next(
            c
            for c in sorted(set(scores), reverse=True)
            if (truth * weights)[scores >= c].sum() / found >= RECALLS[place] - 1e-9
        )
        assert math.isclose(precision[place], (truth * weights)[scores >= cut].sum() / weights[scores >= cut].sum())


def test_the_curve_of_available_lies_in_its_band():
    labels = np.random.default_rng(7).integers(0, 5, 300)
    curve = precision_recall(verdicts(labels), labels, np.arange(300), resamples=30)
    assert all(low <= value <= high for low, value, high in zip(curve["low"], curve["available"], curve["high"]))
    assert len(curve["size_mismatch"]) == len(RECALLS)


def test_reports_are_json_that_every_reader_knows():
    report = classification_report(verdicts(np.zeros(20, int)), np.zeros(20, int), range(20), resamples=5)
    assert without_nan(report)["defects"]["size_mismatch"] == {"value": None, "low": None, "high": None}
    json.dumps(without_nan(report), allow_nan=False)
