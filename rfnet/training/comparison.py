"""Two reviewers on the same labelled pictures: what each scores, and by how much they differ."""

import numpy as np

from ..labels import LABELS
from .metrics import average_precision, classification_report, intervals, without_nan

SCORES = ("ap", "accuracy", "precision", "recall", "f1", "ece", "defects")


def loss(probabilities: np.ndarray, labels) -> float:
    """Mean cross-entropy of (N, 5) probabilities against (N,) label ids, in nats."""
    chosen = probabilities[np.arange(len(probabilities)), np.asarray(labels, int)]
    return float(-np.log(np.clip(chosen, 1e-9, 1)).mean())


def compare(before: np.ndarray, after: np.ndarray, labels, products, thresholds=(0.5, 0.5)) -> dict:
    """{"before", "after": {"n", "products", and SCORES}, "difference": {"ap", "defects": {label: }}}, JSON-able; each
    score is {"value", "low", "high"}, a difference is paired: after minus before, on the same products.

    before, after: probabilities (N, 5); labels (N,) label ids; products: N product ids.
    """
    labels = np.asarray(labels)
    reports = [
        classification_report(probabilities, labels, products, threshold)
        for probabilities, threshold in zip((before, after), thresholds)
    ]

    def gained(weights):
        return [
            average_precision(labels == label, after[:, label], weights)
            - average_precision(labels == label, before[:, label], weights)
            for label in range(len(LABELS))
        ]

    differences = dict(zip(LABELS, intervals(gained, products)))
    shown = [{"n": one["n"], "products": one["products"], **{name: one[name] for name in SCORES}} for one in reports]
    return without_nan(
        {
            "before": shown[0],
            "after": shown[1],
            "difference": {"ap": differences.pop(LABELS[0]), "defects": differences},
        }
    )
