"""Products by number: the cut-outs of a split as `synthetic products` writes them.

Training and validation have the products that their composites show. The test split has those kinds alone that no
network was trained on (docs/protocol.md, "Splits"), each equally often.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..products import CUTOUTS, cutouts_of, seed_of
from .cutouts import Cutout, draw_cutout, draw_family, emoji, finish
from .relief import Finishes

# Handbags of the other kind, drawn ones, are in the training split.
UNSEEN_CUTOUTS = tuple(code for code in cutouts_of("test") if CUTOUTS[code][0] != "handbag")
UNSEEN = (*UNSEEN_CUTOUTS, "sneaker")


def product(split: str, number: int, assets, finishes: Finishes, pixels: int = 282) -> tuple[str, Cutout]:
    """(kind, Cutout) of product `number` of a split, about `pixels` high: the same for ever.

    282 pixels are half as many again as RF Product places on a canvas of 256.
    """
    if split == "test":
        kind, made = _unseen(number, assets, finishes, pixels)
    else:
        made = draw_cutout(split, number, assets, finishes, pixels)
        kind = CUTOUTS[made.product_id.rpartition("-cutout-")[2]][0] if made.family == "cutout" else made.family
    return kind, replace(made, product_id=f"{split}-{kind.replace(' ', '-')}-{number:05d}")


def _unseen(number: int, assets, finishes: Finishes, pixels: int) -> tuple[str, Cutout]:
    """The kinds take turns."""
    rng = np.random.default_rng(seed_of("unseen product", number))
    kind = UNSEEN[number % len(UNSEEN)]
    if kind == "sneaker":
        return kind, finish(draw_family(kind, rng, finishes, pixels, 0.5), rng)
    return CUTOUTS[kind][0], finish(emoji(kind, rng, assets, finishes, pixels, 0.5), rng)
