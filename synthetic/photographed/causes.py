"""The stand-in's ways of making a defect, as data. None shares code with those of `synthetic.composed`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..causes import Cause, Causes
from . import growths

WRONG_BY = 2.6  # a wrong size is wrong by this factor at least


@dataclass(frozen=True)
class PhotographedCause(Cause):
    """One way of spoiling a picture. Shares are of the product's height on the picture."""

    above: tuple[float, float] | None = None  # how far it hangs above the surface
    below: tuple[float, float] | None = None  # how deep it is sunk into the surface
    aloft: bool = False  # it hangs in the view, with no surface near
    factor: int = 0  # 1: shown too large, -1: too small
    crowd: bool = False  # things all around it
    around: Callable[..., np.ndarray] | None = None  # (picture, placed, rng) -> all around it in its colours
    part: Callable[..., np.ndarray] | None = None  # (placed, ground, rng) -> a layer under it
    plain: bool = False  # only for a product of few colours

    def believed(self, product) -> tuple[float, float] | None:
        """Metres between which this product may be shown so that its size is plainly wrong; None where it can't."""
        if product.vague:
            return None
        if self.factor > 0:
            low, high = product.metres * WRONG_BY, min(product.metres * 9, 2.2)
        else:
            low, high = max(product.metres / 9, 0.06), product.metres / WRONG_BY
        return (low, high) if low < high else None


def in_its_colours(picture: np.ndarray, product: np.ndarray, rng) -> np.ndarray:
    """The place with the product's own mean and a part of its contrast in Lab, (H, W, 3)."""
    import cv2

    solid = np.ascontiguousarray(product[product[..., 3] > 0.8][:, :3])[None]
    own = cv2.cvtColor(solid, cv2.COLOR_RGB2Lab)[0]
    place = cv2.cvtColor(np.ascontiguousarray(picture, np.float32), cv2.COLOR_RGB2Lab)
    spread = place.reshape(-1, 3).std(0) + 1e-3
    wanted = np.minimum(own.std(0), (14, 8, 8)) * rng.uniform(0.5, 0.9)
    place = (place - place.reshape(-1, 3).mean(0)) * np.minimum(wanted / spread, 1.5) + own.mean(0)
    return np.clip(cv2.cvtColor(place.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1)


def in_its_texture(picture: np.ndarray, product: np.ndarray, rng) -> np.ndarray:
    """The place papered with torn pieces of the product as it is placed, (H, W, 3); the place's light stays."""
    import cv2

    height, width = picture.shape[:2]
    rgba, side = product, max(picture.shape[:2]) // 5
    solid = rgba[..., 3] > 0.7
    paper = np.broadcast_to(np.median(rgba[solid][:, :3], 0), picture.shape).astype(np.float32).copy()
    rows, columns = np.nonzero(rgba[..., 3] > 0.9)
    for _ in range(220):
        pick = int(rng.integers(len(rows)))
        reach = int(side * rng.uniform(0.35, 0.8))
        piece = rgba[max(0, rows[pick] - reach) : rows[pick] + reach, max(0, columns[pick] - reach) :][:, : 2 * reach]
        piece = np.rot90(piece, int(rng.integers(4)))[:height, :width]
        tall, wide = piece.shape[:2]
        y, x = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
        alpha = cv2.GaussianBlur(np.ascontiguousarray(piece[..., 3]), (0, 0), 1.0)[..., None]
        paper[y : y + tall, x : x + wide] += alpha * (piece[..., :3] - paper[y : y + tall, x : x + wide])
    light = cv2.GaussianBlur(picture.mean(-1), (0, 0), 0.02 * width)
    light = np.clip(0.92 + 0.12 * (light - light.mean()) / max(light.std(), 0.05), 0.7, 1.12)
    return np.clip(paper * light[..., None], 0, 1).astype(np.float32)


AVAILABLE = PhotographedCause("", "available")
STANDS_ON = (0.16, 0.3)  # how high a product stands on what has grown under it
CAUSES: Causes[PhotographedCause] = Causes(
    [
        AVAILABLE,
        PhotographedCause("hover", "space_mismatch", above=(0.22, 0.42)),
        PhotographedCause("buried", "space_mismatch", below=(0.25, 0.45)),
        PhotographedCause("aloft", "space_mismatch", aloft=True),
        PhotographedCause("giant", "size_mismatch", often=3, factor=1),
        PhotographedCause("dwarf", "size_mismatch", often=2, factor=-1),
        PhotographedCause("mess", "indistinctiveness", crowd=True),
        PhotographedCause("own_light", "indistinctiveness", around=in_its_colours, plain=True),
        PhotographedCause("own_paper", "indistinctiveness", around=in_its_texture),
        PhotographedCause("stilts", "shape_hallucination", above=STANDS_ON, part=growths.grown(growths.stilts)),
        PhotographedCause("block", "shape_hallucination", above=STANDS_ON, part=growths.grown(growths.block)),
        PhotographedCause("loop", "shape_hallucination", part=growths.grown(growths.loop)),
        PhotographedCause("offshoot", "shape_hallucination", part=growths.grown(growths.offshoot)),
    ]
)
