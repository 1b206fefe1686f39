"""How good the verdicts are, with 95 % bootstrap intervals over products, since scenes of one product are no independent draws."""

import warnings

import numpy as np

from .labels import LABELS


def classification_report(probabilities: np.ndarray, labels: np.ndarray, products, threshold: float = 0.5,
                          resamples: int = 300, seed: int = 0) -> dict:
    """Scores of (N, 5) probabilities against (N,) label ids; products: N product ids, the unit of resampling.

    {"n", "products", "threshold", "ap", "precision", "recall", "f1": of "available" against the rest, "accuracy": five-way,
    "ece": of p(available), "defects": {label: AP}, "confusion": rows truth, columns argmax}; each score is
    {"value", "low", "high"}, NaN where a class is missing.
    """
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    units, unit = np.unique(np.asarray(products), return_inverse=True)
    value = _scores(probabilities, labels, threshold, np.ones(len(labels)))
    random = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        times_drawn = np.bincount(random.integers(len(units), size=len(units)), minlength=len(units))
        draws.append(_scores(probabilities, labels, threshold, times_drawn[unit].astype(float)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a score that is NaN in every draw stays NaN
        low, high = np.nanpercentile(np.array(draws + [value]), (2.5, 97.5), axis=0)
    score = [{"value": float(v), "low": float(a), "high": float(b)} for v, a, b in zip(value, low, high)]
    confusion = np.zeros((len(LABELS), len(LABELS)), int)
    np.add.at(confusion, (labels, probabilities.argmax(1)), 1)
    names = ("ap", "precision", "recall", "f1", "accuracy", "ece")
    return {
        "n": len(labels), "products": len(units), "threshold": threshold, **dict(zip(names, score)),
        "defects": dict(zip(LABELS[1:], score[len(names):])), "confusion": confusion.tolist(),
    }


def average_precision(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """AP = sum of (R_k - R_{k-1}) P_k over the distinct scores from the highest down, as in scikit-learn but an order of
    magnitude faster, which the bootstrap needs; NaN where there is nothing to find."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum((weights * truth)[order])[last_of_tie]
    drawn = np.cumsum(weights[order])[last_of_tie]
    if not hits[-1]:
        return float("nan")
    precision = np.divide(hits, drawn, out=np.zeros_like(hits), where=drawn > 0)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean |confidence - share right| over equal-width bins, weighted by their size."""
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, weights * (confidence - right), minlength=bins)
    return float(np.abs(gaps).sum() / weights.sum())


def _scores(probabilities, labels, threshold, weights) -> list:
    """[ap, precision, recall, f1, accuracy, ece, AP per defect] with sample weights."""
    available, p = labels == 0, probabilities[:, 0]
    accepted = p >= threshold
    hits = (weights * (available & accepted)).sum()
    precision, recall = _ratio(hits, (weights * accepted).sum()), _ratio(hits, (weights * available).sum())
    return [
        average_precision(available, p, weights), precision, recall, _ratio(2 * precision * recall, precision + recall),
        _ratio((weights * (probabilities.argmax(1) == labels)).sum(), weights.sum()), calibration_error(p, available, weights),
        *(average_precision(labels == defect, probabilities[:, defect], weights) for defect in range(1, len(LABELS))),
    ]


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def table(report: dict) -> str:
    """The report as lines to print: each score in percent with its interval."""
    line = lambda name, score: f"{name:<22}{score['value'] * 100:6.2f}  [{score['low'] * 100:.2f}, {score['high'] * 100:.2f}]"
    lines = [f"{report['n']} scenes of {report['products']} products, accepted from p(available) >= {report['threshold']:g}"]
    lines += [line(name, report[name]) for name in ("ap", "precision", "recall", "f1", "accuracy", "ece")]
    lines += [line(f"ap {name}", score) for name, score in report["defects"].items()]
    return "\n".join(lines)
