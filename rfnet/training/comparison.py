"""Two reviewers on the same labelled pictures: what each scores, and by how much they differ."""

import numpy as np

from ..labels import LABELS
from .metrics import classification_report, intervals, precision_within, without_nan

SCORES = ("accuracy", "precision", "recall", "f1", "ece")


def loss(probabilities: np.ndarray, labels) -> float:
    """Mean cross-entropy of (N, 5) probabilities against (N,) label ids, in nats."""
    chosen = probabilities[np.arange(len(probabilities)), np.asarray(labels, int)]
    return float(-np.log(np.clip(chosen, 1e-9, 1)).mean())


def compare(before: np.ndarray, after: np.ndarray, labels, products, folds: np.ndarray, thresholds=(0.5, 0.5)) -> dict:
    """{"before", "after": {"n", "products", and SCORES}, "difference": {"ap", "defects": {label: }}}, JSON-able; each
    score is {"value", "low", "high"}, a difference is paired: after minus before, on the same products. Average
    precision is taken within the folds (metrics.precision_within), of both.

    before, after: probabilities (N, 5); labels (N,) label ids; products: N product ids; folds (N,) of cross-validation.
    """
    labels = np.asarray(labels)

    def precisions(weights):
        old, new = (
            np.array([precision_within(folds, labels == label, p[:, label], weights) for label in range(len(LABELS))])
            for p in (before, after)
        )
        return [*old, *new, *(new - old)]

    found = intervals(precisions, products)
    parts = [dict(zip(LABELS, found[start : start + len(LABELS)])) for start in range(0, len(found), len(LABELS))]
    shown = []
    for probabilities, threshold, precision in zip((before, after), thresholds, parts):
        report = classification_report(probabilities, labels, products, threshold)
        shown.append({"n": report["n"], "products": report["products"], **{name: report[name] for name in SCORES}})
        shown[-1] |= _by_defect(precision)
    return without_nan({"before": shown[0], "after": shown[1], "difference": _by_defect(parts[2])})


def _by_defect(scores: dict) -> dict:
    """{"ap": that of "available", "defects": {label: }}."""
    return {"ap": scores[LABELS[0]], "defects": {label: scores[label] for label in LABELS[1:]}}
