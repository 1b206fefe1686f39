"""Verdicts of a network over whole splits: logits, temperature, scores."""

import torch

from .augment import make_batch
from .data import Scenes
from .metrics import classification_report
from .model import tokenize


@torch.no_grad()
def predict(rfnet, mapnet, scenes: Scenes, batch: int = 32, progress=lambda steps: steps) -> torch.Tensor:
    """Logits (N, 5) of every scene, seen as in use: maps by mapnet, product over grey. progress wraps the iterator of batches."""
    rfnet.eval(), mapnet.eval()
    device = next(rfnet.parameters()).device
    logits = []
    for start in progress(range(0, len(scenes), batch)):
        part = make_batch(scenes, range(start, min(start + batch, len(scenes))))
        image = part.image.to(device)
        logits.append(rfnet(part.shown.to(device), image, *mapnet(image), tokenize(part.captions).to(device)).cpu())
    return torch.cat(logits)


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature T that minimises the cross-entropy of softmax(logits / T), between 0.2 and 5 (Guo et al., arXiv:1706.04599)."""
    temperatures = torch.logspace(-0.7, 0.7, 141)
    losses = torch.stack([torch.nn.functional.cross_entropy(logits / t, labels) for t in temperatures])
    return float(temperatures[losses.argmin()])


def score(logits: torch.Tensor, scenes: Scenes, temperature: float = 1.0, threshold: float = 0.5, resamples: int = 300) -> dict:
    """metrics.classification_report of logits (N, 5) against the scenes' labels, intervals by product."""
    probabilities = (logits / temperature).softmax(1).numpy()
    return classification_report(probabilities, scenes.labels, scenes.product_ids, threshold, resamples)
