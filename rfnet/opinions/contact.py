"""Contact: does the product stand on something? Label-free, from what is under its foot.

A thing that stands darkens the ground where it touches it, and the ground there is as near as its foot. People complain
of products that float without a shadow more than of anything else.
"""

import numpy as np
import torch

from ..resize import resize
from .protocol import about, dont_know

SIDE = 256  # pixels of the longer side at which a picture is measured
FOOT = 0.06  # of the product's height: how far above its lowest point its foot may end
REACH = 0.05  # of the product's height: how far below the foot the ground is looked at
BESIDE = 0.35  # of the foot's width: how far to its left and right the open ground is looked at
SOLID = 0.5  # alpha
# Log-odds per unit of darkening and of falling depth, and for neither: fitted on 600 labelled pictures of training
# products (pocket/training/drawn_split/train). What the opinion counts in the end, `rfnet fuse` fits.
DARK, STEP, NEITHER = -1.5, 15.0, 0.25
LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)  # ITU-R BT.709


class Contact:
    """Evidence for space_mismatch.

    NaN where nothing lies below the foot in the picture.
    """

    name, model, proof = "contact", "", False
    cost = "a few milliseconds"

    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """As protocol.Opinion; without depth it looks at the luminance alone."""
        scale = min(1.0, SIDE / max(canvas.width, canvas.height))
        height, width = (max(16, round(side * scale)) for side in (canvas.height, canvas.width))
        regions = under_foot(resize(canvas.alpha[None, None], height, width)[0, 0])
        if regions is None:
            return dont_know(len(images))
        foot, under, beside = regions
        light = (resize(images.float().cpu(), height, width) * LUMINANCE).sum(1)
        score = NEITHER + DARK * darkening(light, under, beside)
        if depth is not None:
            score = score + STEP * drop(resize(depth.float().cpu(), height, width)[:, 0], foot, under)
        return about("space_mismatch", score)


def darkening(light: torch.Tensor, under: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
    """(B,): by which share the ground under the foot is darker than beside it; light (B, H, W), masks (H, W) bool."""
    open_ground = light[:, beside].median(1).values
    return (open_ground - light[:, under].mean(1)) / open_ground.clamp(min=0.05)


def drop(depth: torch.Tensor, foot: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    """(B,): by how much inverse depth falls from the foot to what is seen under it; depth (B, H, W)."""
    return depth[:, foot].mean(1) - depth[:, under].mean(1)


def under_foot(alpha: torch.Tensor):
    """Masks (H, W) bool of the foot of a placed product with this alpha (H, W), of the ground that is seen under it and
    of the open ground beside that; None where the canvas ends there.
    """
    solid = (alpha >= SOLID).numpy()
    columns = np.flatnonzero(solid.any(0))
    if not len(columns):
        return None
    lowest = len(solid) - 1 - solid[::-1, columns].argmax(0)
    tall = lowest.max() - solid.any(1).argmax() + 1
    standing = lowest >= lowest.max() - max(1, round(FOOT * tall))
    deep = max(2, round(REACH * tall))
    foot, under = (np.zeros_like(solid) for _ in range(2))
    for column, row in zip(columns[standing], lowest[standing]):
        foot[max(0, row - deep + 1) : row + 1, column] = solid[max(0, row - deep + 1) : row + 1, column]
        under[row + 1 : row + 1 + deep, column] = True
    wide = columns[standing][-1] - columns[standing][0] + 1
    rows = np.flatnonzero(under.any(1))
    if not len(rows) or under.sum() < standing.sum():  # less than a line of ground
        return None
    reach = max(3, round(BESIDE * wide))
    beside = np.zeros_like(solid)
    left, right = columns[standing][0], columns[standing][-1] + 1
    beside[rows[0] : rows[-1] + 1, max(0, left - reach) : left] = True
    beside[rows[0] : rows[-1] + 1, right : right + reach] = True
    under, beside = under & ~solid, beside & ~solid
    if not under.any() or not beside.any():
        return None
    return tuple(torch.from_numpy(mask) for mask in (foot, under, beside))
