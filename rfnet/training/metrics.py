"""How good the verdicts are, with 95 % bootstrap intervals over products, since scenes of one product are no
independent draws.
"""

import warnings
from collections.abc import Callable

import numpy as np

from ..labels import LABELS

BINS = 15  # of p(available), for the calibration error and its diagram
RECALLS = np.linspace(0, 1, 101)


def intervals(statistic: Callable, products, resamples: int = 300, seed: int = 0) -> list:
    """Each number of statistic(weights) as {"value", "low", "high"}, with 95 % percentile intervals of a bootstrap over
    products.

    products: N product ids; weights (N,): how often each scene was drawn, all 1 for the value itself. NaN stays NaN.
    """
    units, unit = np.unique(np.asarray(products), return_inverse=True)
    random = np.random.default_rng(seed)
    value = np.asarray(statistic(np.ones(len(unit))), float)
    draws = [value]
    for _ in range(resamples):
        times_drawn = np.bincount(random.integers(len(units), size=len(units)), minlength=len(units))
        draws.append(statistic(times_drawn[unit].astype(float)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a score that is NaN in every draw stays NaN
        low, high = np.nanpercentile(np.array(draws, float), (2.5, 97.5), axis=0)
    return [{"value": float(v), "low": float(a), "high": float(b)} for v, a, b in zip(value, low, high)]


def classification_report(
    probabilities: np.ndarray, labels: np.ndarray, products, threshold: float = 0.5, resamples: int = 300, seed: int = 0
) -> dict:
    """Scores of (N, 5) probabilities against (N,) label ids; products: N product ids, the unit of resampling.

    {"n", "products", "threshold", "ap", "precision", "recall", "f1": of "available" against the rest, "accuracy":
    five-way, "ece": of p(available), "defects": {label: AP}, "confusion": counts, rows truth, columns argmax,
    "confusion_shares": the same as shares of their row}; each score and share is {"value", "low", "high"}, NaN where a
    class is missing.
    """
    probabilities = np.asarray(probabilities, np.float64)
    labels = np.asarray(labels)
    called = probabilities.argmax(1)

    def statistic(weights):
        return [
            *_scores(probabilities, labels, threshold, weights),
            *_shares(labels, called, weights).flat,
        ]

    score = intervals(statistic, products, resamples, seed)
    names = ("ap", "precision", "recall", "f1", "accuracy", "ece")
    size = len(LABELS)
    cells = score[len(names) + size - 1 :]
    return {
        "n": len(labels),
        "products": len(set(products)),
        "threshold": threshold,
        **dict(zip(names, score)),
        "defects": dict(zip(LABELS[1:], score[len(names) :])),
        "confusion": _counts(labels, called, np.ones(len(labels))).astype(int).tolist(),
        "confusion_shares": [cells[row * size : (row + 1) * size] for row in range(size)],
    }


def at_threshold(
    p: np.ndarray, labels: np.ndarray, products, threshold: float, resamples: int = 300, seed: int = 0
) -> dict:
    """What accepting from p(available) >= threshold does: {"threshold", "accepted": count, "bad": share of the accepted
    that is not available, "recall": share of the available that is accepted}, the shares with intervals.
    """
    p = np.asarray(p)
    available = np.asarray(labels) == 0
    accepted = p >= threshold

    def statistic(weights):
        return [
            _ratio((weights * (accepted & ~available)).sum(), (weights * accepted).sum()),
            _ratio((weights * (accepted & available)).sum(), (weights * available).sum()),
        ]

    bad, recall = intervals(statistic, products, resamples, seed)
    return {"threshold": threshold, "accepted": int(accepted.sum()), "bad": bad, "recall": recall}


def reliability(p: np.ndarray, labels: np.ndarray, products, resamples: int = 300, seed: int = 0) -> list:
    """The reliability diagram of p(available): per bin that holds scenes {"n", "confidence": mean p, "share": available
    among them}.
    """
    p = np.asarray(p, np.float64)
    available = np.asarray(labels) == 0
    bin_of = _bins(p)
    sizes = np.bincount(bin_of, minlength=BINS)
    sums = np.bincount(bin_of, p, minlength=BINS)

    def statistic(weights):
        whole = np.bincount(bin_of, weights, minlength=BINS)
        return np.divide(
            np.bincount(bin_of, weights * available, minlength=BINS), whole, out=np.full(BINS, np.nan), where=whole > 0
        )

    shares = intervals(statistic, products, resamples, seed)
    return [
        {"n": int(n), "confidence": float(total / n), "share": share}
        for n, total, share in zip(sizes, sums, shares)
        if n
    ]


def precision_recall(
    probabilities: np.ndarray, labels: np.ndarray, products, resamples: int = 300, seed: int = 0
) -> dict:
    """{"recall": RECALLS, label: its precision at each, "low", "high": the interval of "available"}; lists of 101, NaN
    for a missing class.
    """
    probabilities = np.asarray(probabilities, np.float64)
    labels = np.asarray(labels)
    band = intervals(lambda weights: precision_at(labels == 0, probabilities[:, 0], weights), products, resamples, seed)
    ones = np.ones(len(labels))
    lines = {
        name: precision_at(labels == index, probabilities[:, index], ones).tolist() for index, name in enumerate(LABELS)
    }
    return {
        "recall": RECALLS.tolist(),
        **lines,
        "low": [point["low"] for point in band],
        "high": [point["high"] for point in band],
    }


def average_precision(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """AP = sum of (R_k - R_{k-1}) P_k over the distinct scores from the highest down, as in scikit-learn but an order
    of magnitude faster, which the bootstrap needs; NaN where there is nothing to find.
    """
    recall, precision = _curve(truth, scores, weights)
    return float((np.diff(recall, prepend=0) * precision).sum()) if len(recall) else float("nan")


def precision_within(folds: np.ndarray, truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """AP within each of the folds (N,), weighted by what there is to find in it.

    The scores of cross-validation come from several fits, and the one that judges a fold with many to find has seen
    few: over all folds together its order would be worse than it is on new pictures (by 0.07 on 50 labels of
    validation products).
    """
    found = [(weights * truth)[folds == fold].sum() for fold in np.unique(folds)]
    aps = [
        average_precision(truth[rows], scores[rows], weights[rows])
        for rows in (folds == fold for fold in np.unique(folds))
    ]
    there = [(ap, count) for ap, count in zip(aps, found) if count > 0]
    return float(sum(ap * count for ap, count in there) / sum(found)) if there else float("nan")


def precision_at(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Precision (101,) where each of RECALLS is first reached, from the highest score down: the curve whose area is
    AP.
    """
    recall, precision = _curve(truth, scores, weights)
    if not len(recall):
        return np.full(len(RECALLS), np.nan)
    return precision[np.minimum(np.searchsorted(recall, RECALLS - 1e-12), len(recall) - 1)]


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error: mean |confidence - share right| over BINS equal-width bins, weighted by their size.

    Chance alone makes it positive, in a bootstrap draw more so than in the data: its interval lies high.
    """
    gaps = np.bincount(_bins(confidence), weights * (confidence - right), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _bins(p: np.ndarray) -> np.ndarray:
    return np.minimum((p * BINS).astype(int), BINS - 1)


def _curve(truth, scores, weights):
    """(recall, precision) at each distinct score that was drawn, from the highest down; empty where there is nothing to
    find.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum((weights * truth)[order])[last_of_tie]
    drawn = np.cumsum(weights[order])[last_of_tie]
    hits = hits[drawn > 0]
    drawn = drawn[drawn > 0]
    if not len(hits) or not hits[-1]:
        return np.zeros(0), np.zeros(0)
    return hits / hits[-1], hits / drawn


def _counts(labels, called, weights) -> np.ndarray:
    return np.bincount(labels * len(LABELS) + called, weights, minlength=len(LABELS) ** 2).reshape(len(LABELS), -1)


def _shares(labels, called, weights) -> np.ndarray:
    counts = _counts(labels, called, weights)
    whole = counts.sum(1, keepdims=True)
    return np.divide(counts, whole, out=np.full(counts.shape, np.nan), where=whole > 0)


def _scores(probabilities, labels, threshold, weights) -> list:
    """[ap, precision, recall, f1, accuracy, ece, AP per defect] with sample weights."""
    available = labels == 0
    p = probabilities[:, 0]
    accepted = p >= threshold
    hits = (weights * (available & accepted)).sum()
    precision = _ratio(hits, (weights * accepted).sum())
    recall = _ratio(hits, (weights * available).sum())
    return [
        average_precision(available, p, weights),
        precision,
        recall,
        _ratio(2 * precision * recall, precision + recall),
        _ratio((weights * (probabilities.argmax(1) == labels)).sum(), weights.sum()),
        calibration_error(p, available, weights),
        *(average_precision(labels == defect, probabilities[:, defect], weights) for defect in range(1, len(LABELS))),
    ]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def without_nan(report):
    """The report with None for NaN, which JSON doesn't know."""
    if isinstance(report, dict):
        return {key: without_nan(value) for key, value in report.items()}
    if isinstance(report, (list, tuple)):
        return [without_nan(value) for value in report]
    return None if isinstance(report, float) and report != report else report


def format_report(report: dict) -> str:
    """The report as lines to print: each score in percent with its interval, the confusion matrix in shares of its
    rows.
    """

    def line(name, score):
        return f"{name:<22}{score['value'] * 100:6.2f}  [{score['low'] * 100:.2f}, {score['high'] * 100:.2f}]"

    lines = [
        f"{report['n']} scenes of {report['products']} products, accepted from p(available) >= {report['threshold']:g}"
    ]
    lines += [line(name, report[name]) for name in ("ap", "precision", "recall", "f1", "accuracy", "ece")]
    lines += [line(f"ap {name}", score) for name, score in report["defects"].items()]
    if "unfamiliar" in report:
        lines.append(f"{'unfamiliar pictures':<22}{report['unfamiliar'] * 100:6.2f}")
    for risk, entry in report.get("risks", {}).items():
        lines.append(
            f"risk {risk}: not certified"
            if "refused" in entry
            else line(f"bad at risk {risk}", entry["bad"]) + f"  of {entry['accepted']} accepted"
        )
    lines += ["", "truth, and the share called " + ", ".join(LABELS)]
    lines += [
        f"{name:<22}" + "".join(f"{cell['value'] * 100:7.1f}" for cell in row)
        for name, row in zip(LABELS, report["confusion_shares"])
    ]
    return "\n".join(lines)
