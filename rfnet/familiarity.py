"""How much a picture is like those that a reviewer learned from.

The Mahalanobis distance of RFNet.features to the nearest mean (after Lee et al., arXiv:1807.03888): one mean per data
set, one covariance within them, of which the strongest directions count singly and the rest together. The distance is
read as a share: how many familiar pictures, which the means and the covariance were not fitted on, lie further away.
"""

from dataclasses import dataclass

import torch

UNFAMILIAR = 0.02  # a picture is unfamiliar where fewer familiar ones than this share lie further away
DIRECTIONS = 64  # at most, and a tenth as many as there are pictures
QUANTILES = 201  # of the familiar pictures' distances that are kept
SENTENCE = "This picture is unlike those that the reviewer learned from: label a few such ones with RF Label."


@dataclass
class Familiarity:
    """means (C, W) of C data sets; directions (K, W), each divided by its standard deviation; floor (): the standard
    deviation of what they leave out, per feature; distances (QUANTILES,): of familiar pictures, ascending.
    """

    means: torch.Tensor
    directions: torch.Tensor
    floor: torch.Tensor
    distances: torch.Tensor

    @property
    def tensors(self) -> dict[str, torch.Tensor]:
        return dict(vars(self))

    def distance(self, features: torch.Tensor) -> torch.Tensor:
        """(N,) of features (N, W): the root mean square of what is unusual, so that W doesn't matter."""
        return _distances(features.float(), self.means, self.directions, self.floor)

    def share_further(self, features: torch.Tensor) -> torch.Tensor:
        """(N,): the share of familiar pictures that lie further away, 1 in the middle of them, 0 beyond all."""
        known = self.distances.contiguous()
        place = torch.searchsorted(known, self.distance(features).to(known), right=False)
        return 1 - place.float() / len(known)

    def with_more(self, features: torch.Tensor) -> "Familiarity":
        """That, and pictures like these (N, W): one more mean."""
        return Familiarity(torch.cat([self.means, features.mean(0)[None]]), self.directions, self.floor, self.distances)


def fit_familiarity(sets: list[torch.Tensor], products: list[list[str]]) -> Familiarity:
    """From the features (N, W) of each data set and its products' ids (N,).

    The distances are of pictures whose products had no part in the fit: each half of the products is measured by the
    other.
    """
    halves = [torch.tensor([_half(product) for product in names]) for names in products]
    measured = []
    for half in (0, 1):
        fitted = [x[side != half] for x, side in zip(sets, halves)]
        if min(map(len, fitted)) < 2:
            continue
        means, directions, floor = _fit(fitted)
        measured += [_distances(x[side == half], means, directions, floor) for x, side in zip(sets, halves)]
    if not sum(map(len, measured)):  # one product, or next to no pictures
        measured = [_distances(x, *_fit(sets)) for x in sets]
    steps = torch.linspace(0, 1, QUANTILES)
    return Familiarity(*_fit(sets), torch.quantile(torch.cat(measured), steps))


def _fit(sets: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    means = torch.stack([x.mean(0) for x in sets])
    rest = torch.cat([x - mean for x, mean in zip(sets, means)])
    count = max(1, min(DIRECTIONS, len(rest) // 10, rest.shape[1] - 1))
    _, spread, directions = torch.linalg.svd(rest, full_matrices=False)
    variances = spread.square() / len(rest)
    count = min(count, len(variances))
    floor = (variances[count:].sum() / (rest.shape[1] - count)).clamp(min=1e-8).sqrt()
    scale = variances[:count].sqrt().clamp(min=float(floor))
    return means, directions[:count] / scale[:, None], floor


def _distances(x: torch.Tensor, means: torch.Tensor, directions: torch.Tensor, floor: torch.Tensor) -> torch.Tensor:
    away = x[:, None] - means  # (N, C, W)
    along = away @ directions.T
    inside = (along**2 / directions.square().sum(1)).sum(-1)
    outside = (away.square().sum(-1) - inside).clamp(min=0) / floor**2
    return ((along.square().sum(-1) + outside) / x.shape[1]).sqrt().min(1).values


def _half(product: str) -> int:
    from zlib import crc32

    return crc32(product.encode()) & 1
