"""Indistinctiveness: a product that one loses in what is around it."""

from __future__ import annotations

from functools import partial

from ..defects import camouflage_tile, close_kin, dyed, fog, own_colours, pattern_tile
from .cause import ComposedCause

LABEL = "indistinctiveness"


def clutter(product, supply, side: float, rng) -> tuple:
    """All kinds of things, some in the product's colours."""
    things = [supply.any(rng, side) for _ in range(14)]
    things[8:] = [dyed(thing, product, rng) for thing in things[8:]]
    return things, int(rng.integers(26, 41)), (0.3, 0.8)


def same_kind(product, supply, side: float, rng) -> tuple:
    kin = close_kin(product, rng, supply.assets, supply.finishes, side, supply.pixels)
    return kin, int(rng.integers(9, 15)), (0.7, 1.05)


def swarm(product, supply, side: float, rng) -> tuple:
    """One kind of thing in the product's colours."""
    one = supply.any(rng, side)
    return [dyed(one, product, rng) for _ in range(3)], int(rng.integers(10, 18)), (0.55, 1.0)


def unless_of_one_colour(product) -> str | None:
    """Fog has one colour: it hides no colourful product."""
    solid = product.rgba[product.rgba[..., 3] > 0.7][:, :3]
    return "own_colours" if solid.std(0).mean() > 0.2 else None


CAUSES = [
    ComposedCause("clutter", LABEL, crowd=clutter),
    ComposedCause("own_colours", LABEL, colours=own_colours),
    ComposedCause("camouflage", LABEL, pattern=camouflage_tile),
    ComposedCause("busy_pattern", LABEL, pattern=partial(pattern_tile, busy=True)),
    ComposedCause("fog", LABEL, instead=unless_of_one_colour, haze=fog),
    ComposedCause("same_kind", LABEL, held=True, crowd=same_kind),
    ComposedCause("swarm", LABEL, splits=("train",), crowd=swarm),
]
