"""Ways to learn from a user's labels, and the choice between them by cross-validation.

Each candidate says what it thinks of pictures that it did not learn from, fold by fold. The choice is cross-fitted: the
pictures of a fold are judged by the candidate that was best on the other folds, so that the scores which are shown
are not those of a lucky winner.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from .evaluate import fit_temperature
from .folds import Folds
from .metrics import precision_within

# Average precision of "available" that may be lost where the cross-entropy falls: less than chance makes of it with a
# hundred labels, and a calibrated probability is worth it.
TOLERANCE = 0.02


@dataclass
class Candidate:
    """name: "keep", "head ridge 3", "full"; method: of methods.METHODS, or "keep"; predict(learn, judge): the logits
    (J, 5) of the pictures in `judge` by what has learned from those in `learn`, both positions.
    """

    name: str
    method: str
    predict: Callable[[np.ndarray, np.ndarray], torch.Tensor]
    options: dict = field(default_factory=dict)


@dataclass
class Judged:
    """logits (N, 5) of a candidate for pictures that it did not learn from; losses (N,): cross-entropy of each at the
    temperature that fits the other folds; probabilities (N, 5) at that temperature; ap: of "available",
    within the folds.
    """

    candidate: Candidate
    logits: torch.Tensor
    losses: np.ndarray
    probabilities: np.ndarray
    ap: float


@dataclass
class Choice:
    """best: the candidate to learn with from all labels; probabilities (N, 5): the cross-fitted ones; temperature: of
    the best one, fitted on pictures that it did not learn from; judged: all of them.
    """

    best: Candidate
    temperature: float
    probabilities: np.ndarray
    judged: list[Judged]


def out_of_fold(candidate: Candidate, folds: Folds, labels: np.ndarray, tell: Callable = lambda stage: None) -> Judged:
    """What a candidate thinks of each picture after learning from the other folds. tell(stage): what is being done."""
    logits = torch.zeros(len(labels), 5)
    for number, (learn, judge) in enumerate(folds):
        tell(f"{candidate.name}, fold {number + 1} of {len(folds)}")
        logits[torch.from_numpy(judge)] = candidate.predict(learn, judge).float().cpu()
    truth = torch.from_numpy(np.asarray(labels)).long()
    scaled = torch.zeros_like(logits)
    for learn, judge in folds:
        scaled[torch.from_numpy(judge)] = logits[torch.from_numpy(judge)] / fit_temperature(logits[learn], truth[learn])
    losses = F.cross_entropy(scaled, truth, reduction="none").numpy()
    return Judged(candidate, logits, losses, scaled.softmax(1).numpy(), available_ap(scaled, truth, folds.of))


def choose(judged: list[Judged], folds: Folds, labels: np.ndarray) -> Choice:
    """The lowest mean loss among those whose average precision of "available" is no lower than the first one's, up to
    TOLERANCE; the first one is to keep the reviewer as it is.
    """
    truth = torch.from_numpy(np.asarray(labels)).long()
    probabilities = np.zeros((len(labels), 5))
    for learn, judge in folds:
        probabilities[judge] = _best(judged, truth, folds, learn).probabilities[judge]
    best = _best(judged, truth, folds, slice(None))
    return Choice(best.candidate, fit_temperature(best.logits, truth), probabilities, judged)


def _best(judged: list[Judged], truth: torch.Tensor, folds: Folds, rows) -> Judged:
    first, *_ = precisions = [available_ap(one.logits[rows], truth[rows], folds.of[rows]) for one in judged]
    least = -math.inf if math.isnan(first) else first - TOLERANCE
    able = [one for one, precision in zip(judged, precisions) if not precision < least]
    return min(able, key=lambda one: one.losses[rows].mean())


def available_ap(logits: torch.Tensor, labels, folds: np.ndarray | None = None) -> float:
    """Average precision of "available" by logits (N, 5) against (N,) label ids, within folds (N,) where such are given;
    NaN where none is available.
    """
    p = logits.softmax(1)[:, 0].double().numpy()
    folds = np.zeros(len(p), int) if folds is None else folds
    return precision_within(folds, np.asarray(labels) == 0, p, np.ones(len(p)))
