"""What training makes small: the estimator's error on depth and saliency, and RFNet's on the labels."""

import numpy as np
import torch
import torch.nn.functional as F

from ..labels import LABELS
from .augment import Batch


def map_loss(mapnet, batch: Batch) -> torch.Tensor:
    """L1 on inverse depth and on its edges, plus cross-entropy on what should stand out: the saliency that came with
    the data, else the product's silhouette.
    """
    depth, saliency = mapnet(batch.image)
    known = batch.depth.isfinite()
    truth = torch.where(batch.saliency.isfinite(), batch.saliency, batch.alpha)
    error = (depth[:, 0].float() - batch.depth.nan_to_num()) * known
    with torch.autocast(truth.device.type, enabled=False):  # PyTorch refuses this loss in half precision on a GPU
        standing = F.binary_cross_entropy(saliency[:, 0].float().clamp(1e-5, 1 - 1e-5), truth)
    return mean_of(error.abs(), known) + edge_loss(error, known) + 0.3 * standing


def mean_of(values: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    return (values * known).sum() / known.sum().clamp(min=1)


def edge_loss(error: torch.Tensor, known: torch.Tensor, strides: tuple = (1, 2, 4, 8)) -> torch.Tensor:
    """How much an error (B, H, W) changes from place to place, at several distances (Ranftl et al., arXiv:1907.01341):
    a map that is off by the same everywhere keeps its edges, and a product that stands must meet what it stands on.
    """
    total = error.new_zeros(())
    for stride in strides:
        for axis in (1, 2):
            after = (slice(None),) * axis + (slice(stride, None),)
            before = (slice(None),) * axis + (slice(None, -stride),)
            total = total + mean_of((error[after] - error[before]).abs(), known[after] & known[before])
    return total / len(strides)


def verdict_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, smoothing: float, count: int = len(LABELS)
) -> torch.Tensor:
    """Cross-entropy of (B, 5) logits on the five labels; count = 2: only on available against the other four
    together.
    """
    if count == 2:
        logits = torch.stack([logits[:, 0], logits[:, 1:].logsumexp(1)], 1)
        labels = (labels > 0).long()
        weights = torch.stack([weights[0], weights[1:].mean()])
    return F.cross_entropy(logits, labels, weights, label_smoothing=smoothing)


def label_weights(counts: np.ndarray, balance: float) -> torch.Tensor:
    """(5,) float: counts^-balance, scaled so that a sample weighs 1 on average."""
    weights = np.maximum(counts, 1).astype(float) ** -balance
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)
