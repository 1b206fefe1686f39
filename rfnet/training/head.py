"""Fitting an added head (rfnet/head.py) on features that were computed once: a convex problem, solved in seconds on a
CPU, so that a reviewer can learn after every few labels.

    features = read_features(rfnet, mapnet, samples)
    rfnet.added = fit_head(features, samples.labels)
"""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ..data.samples import Samples
from ..data.seen import seen_key
from ..files import write_safetensors
from ..head import AddedHead
from .evaluate import batches
from .mixed import MixedDataset

# How strongly the weights are held at zero; infinity leaves only the scale and the bias to be fitted, six numbers.
RIDGES = (0.3, 1.0, 3.0, 10.0, math.inf)
STEPS = 100  # of L-BFGS, at most


@dataclass
class Features:
    """logits (N, 5) of the network without an added head, features (N, W): RFNet.features of N pictures."""

    logits: torch.Tensor
    features: torch.Tensor

    def __len__(self) -> int:
        return len(self.logits)

    def select(self, rows) -> "Features":
        """Those at these positions, or where a mask (N,) is true."""
        rows = torch.as_tensor(np.asarray(rows))
        return Features(self.logits[rows], self.features[rows])

    def __add__(self, other: "Features") -> "Features":
        return Features(
            torch.cat([self.logits, other.logits]),
            torch.cat([self.features, other.features]),
        )

    @torch.no_grad()
    def judged(self, head: AddedHead | None) -> torch.Tensor:
        """Logits (N, 5) of a reviewer with this added head."""
        return self.logits if head is None else head(self.logits, self.features)


@torch.no_grad()
def read_features(
    rfnet, mapnet, samples: Samples | MixedDataset, batch: int = 32, progress=lambda steps: steps, workers: int = 0
) -> Features:
    """Features of every sample, seen as in use; arguments as in evaluate.predict."""
    found = [
        rfnet.features(rfnet.token_maps(*inputs))
        for inputs in batches(rfnet, mapnet, samples, batch, progress, workers)
    ]
    logits, features = zip(*found)
    return Features(torch.cat(logits).float().cpu(), torch.cat(features).float().cpu())


def cached_features(path, fingerprint: str, rfnet, mapnet, samples: Samples, **options) -> Features:
    """The same, kept in a file by what is seen (seen.seen_key): only what it lacks is computed, and added to it.

    fingerprint: of the weights; features of others are thrown away, and so is a file that can't be read. Warns where
    the file can't be written.
    """
    known = _stored(path, fingerprint, rfnet.feature_width)
    keys = [seen_key(samples, row) for row in range(len(samples))]
    new = np.array([key not in known for key in keys], bool)
    if new.any():
        computed = read_features(rfnet, mapnet, samples.select(new), **options)
        known |= dict(zip(np.array(keys, np.uint64)[new].tolist(), zip(computed.logits, computed.features)))
        tensors = {
            "keys": torch.from_numpy(np.array(list(known), np.uint64).view(np.int64)),
            "logits": torch.stack([row[0] for row in known.values()]),
            "features": torch.stack([row[1] for row in known.values()]),
        }
        try:
            write_safetensors(path, tensors, {"weights": fingerprint})
        except OSError as error:  # nothing is lost but time
            warnings.warn(f"What was computed of the pictures isn't kept: {error}", stacklevel=2)
    rows = [known[key] for key in keys]
    return Features(torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows]))


def _stored(path, fingerprint: str, width: int) -> dict:
    """{key: (logits, features)} of a file that cached_features wrote for these weights."""
    from safetensors import safe_open

    try:
        if not Path(path).is_file():
            return {}
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("weights") != fingerprint:
                return {}
        tensors = load_file(path)
        keys = tensors["keys"].numpy().view(np.uint64).tolist()
        logits, features = tensors["logits"], tensors["features"]
        usable = logits.shape == (len(keys), 5) and features.shape == (len(keys), width)
        return dict(zip(keys, zip(logits, features))) if usable and features.isfinite().all() else {}
    except Exception:  # a cache: what damaged it doesn't matter, it is computed anew
        return {}


def fit_head(
    features: Features, labels, ridge: float = 3.0, weights: torch.Tensor | None = None, on: AddedHead | None = None
) -> AddedHead:
    """The head with the highest posterior: cross-entropy on the labels, and a Gaussian prior that holds it where it
    changes nothing. Features are standardised first, so that `ridge` means the same for all of them.

    labels (N,) label ids; weights (N,): what each picture counts (1). on: the head that the reviewer has already; the
    new one goes on from it. What is known of labels that are missing here is left as it was: they take no part.
    """
    y = torch.as_tensor(np.asarray(labels)).long()
    weights = torch.ones(len(y)) if weights is None else weights
    start = features.judged(on)
    x = features.features
    middle = x.mean(0)
    spread = x.std(0, correction=0) + 1e-3
    x = (x - middle) / spread
    absent = torch.full((start.shape[1],), -math.inf)
    absent[y.unique()] = 0
    log_scale, bias, weight = (
        torch.zeros(shape, requires_grad=True) for shape in ((), start.shape[1:], (5, x.shape[1]))
    )
    free = [log_scale, bias] if math.isinf(ridge) else [log_scale, bias, weight]
    optimizer = torch.optim.LBFGS(free, max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = log_scale.exp() * start + x @ weight.T + bias + absent
        prior = 2 * log_scale**2 + bias.square().sum() / 2
        if len(free) == 3:
            prior = prior + ridge * x.shape[1] / 2 * weight.square().sum()
        total = (weights * F.cross_entropy(logits, y, reduction="none")).sum() + prior
        total.backward()
        return total

    optimizer.step(loss)
    head = AddedHead(x.shape[1])
    with torch.no_grad():
        head.scale.copy_(log_scale.exp())
        head.weight.copy_(weight / spread)
        head.bias.copy_(bias - (weight / spread) @ middle)
    return head if on is None else head.after(on)
