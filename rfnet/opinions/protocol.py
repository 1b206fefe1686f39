"""What every second opinion is: canvas and images in, evidence for each defect out."""

from typing import Protocol

import torch

from ..labels import LABELS

DEFECTS = LABELS[1:]
SURE = 6.0  # no evidence is stronger than this, in log-odds: 400 to 1
PROVEN = 4.0  # a proof of at least this rejects a picture by itself


class OpinionError(RuntimeError):
    """An opinion can't be had: one sentence. The review goes on without it."""


class Opinion(Protocol):
    """One more look at a picture.

    name: its kind, such as "contact"; model: what it asks, "" where it only measures. A fusion that was fitted with one
    model doesn't hold for another. cost: what a picture costs, in words. proof: whether its evidence is a measurement
    of something that no picture may have, so that it rejects by itself.
    """

    name: str
    model: str
    cost: str
    proof: bool

    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """images (B, 3, H, W), RGB in [0, 1], painted around the product of this product.Canvas; depth (B, 1, H, W) in
        [0, 1], inverse, 1 = nearest, where the reviewer has estimated it -> (B, 4) log-odds of DEFECTS, NaN for "don't
        know". Raises OpinionError.
        """


class ReviewOpinion(Protocol):
    """One that looks at what the reviewer found, in the place of the picture.

    said: a few words on each picture, "" where there is nothing to say.
    """

    name: str
    model: str
    cost: str
    proof: bool

    def evidence_in(self, canvas, review) -> torch.Tensor:
        """The evidence of Opinion for a reviewer.Review of B pictures. Raises OpinionError."""

    def said(self, canvas, review) -> list[str]:
        """B texts. Raises OpinionError."""


AnyOpinion = Opinion | ReviewOpinion


def dont_know(count: int) -> torch.Tensor:
    """(count, 4) of NaN."""
    return torch.full((count, len(DEFECTS)), torch.nan)


def about(defect: str, values: torch.Tensor) -> torch.Tensor:
    """Evidence (B, 4) that speaks of one defect alone: values (B,) log-odds, cut at SURE."""
    evidence = dont_know(len(values))
    evidence[:, DEFECTS.index(defect)] = values.float().cpu().clamp(-SURE, SURE)
    return evidence
