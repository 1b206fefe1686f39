"""What a cause of a composite may say. Hooks that are left out change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...causes import Cause
from ..shadows import below_product

WRONG_BY = 2.4  # a size is wrong by this factor at least; things that come in all sizes by half as much again


@dataclass(frozen=True)
class ComposedCause(Cause):
    """One way of spoiling a composite.

    In hooks, `rng` is the composite's generator, `product` a `Cutout`, `placed` the product on the picture (H, W, 4),
    `plan` a `Plan`, `box` left, top, width and height of the product in pixels; rows count from the top.
    """

    # ---- the plan
    stage: str | None = None  # the only stage that can show it: "table", "room", "outdoors" or "sweep"
    sizes: tuple[float, float] | None = None  # metres between which a product is shown that has the wrong size
    smaller: bool = False  # and whether that is smaller than its true one
    instead: Callable[..., str | None] | None = None  # (product) -> the cause to take where it can't show this one
    above: tuple[float, float] | None = None  # how far the product hangs above the surface, shares of its height
    below: tuple[float, float] | None = None  # how far it is sunk into it
    room_below: bool = False  # whether there must be room under the product
    room_above: bool = False
    camera: Callable[..., tuple[float, float]] | None = None  # (box, ground, height, rng) -> horizon, its drop; rows
    # ---- the place
    at_wall: bool = False  # the wall behind is as far away as the product
    table_end: Callable[..., tuple] | None = None  # (plan, rng) -> the table's front row, (left, right) end or None
    colours: Callable[..., np.ndarray] | None = None  # (product, rng) -> two colours of everything around, (2, 3)
    pattern: Callable[..., np.ndarray] | None = None  # (product, rng) -> a pattern on everything around
    haze: Callable[..., np.ndarray] | None = None  # (picture, product, rng) -> the place behind it
    crowd: Callable[..., tuple] | None = None  # (product, supply, side, rng) -> things, how many, (least, most) size
    # ---- the product
    turn: Callable[..., np.ndarray] | None = None  # (cut-out, rng) -> the cut-out as it stands there
    hide: Callable[..., np.ndarray] | None = None  # (placed, ground, rng) -> what is left to see of it
    part: Callable[..., np.ndarray] | None = None  # (placed, ground, rng, side of the lamp) -> a layer under it
    shadow: Callable[..., np.ndarray | None] = below_product  # (plan, layer, lift, surface, rng) -> how dark

    @property
    def detailed(self) -> bool:
        """Hides the product by detail, so that what is around it stays sharp."""
        return self.pattern is not None or self.crowd is not None

    @property
    def coloured(self) -> bool:
        """Lives on the product's own colours around it: a grey background would undo it."""
        return any(hook is not None for hook in (self.part, self.colours, self.haze, self.pattern))

    def believed(self, product) -> tuple[float, float] | None:
        """Metres between which a product may be shown so that its size is wrong; None where this product can't."""
        if self.sizes is None:
            return None
        wrong = WRONG_BY * (1.5 if product.vague else 1.0)
        low, high = self.sizes
        if self.smaller:
            low, high = max(low, product.metres / 12), min(high, product.metres / wrong)
        else:
            low, high = max(low, product.metres * wrong), min(high, product.metres * 16)
        return (low, high) if low < high * 0.98 else None
