"""How rendered scenes come by their defects: an entry per cause, with what it does to the scene or to its meshes.

Lengths are product units (the product's largest side is 1); colours are linear RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import pictures, props
from .causes import Cause, Causes
from .geometry import Mesh
from .products import COLOURS, Material, ProductModel

WIDE = 0.85  # a product wider than this leaves room for narrow things only
NARROW = ("plant", "stool", "chair", "floor lamp", "fridge")


@dataclass(frozen=True)
class PropRule:
    """Which props may stand around a product, how tall each is drawn, and how many of them there are."""

    kinds: list[str]
    height: Callable[[str], float]
    count: int


def true_ratios(product: ProductModel) -> dict[str, float]:
    """Each prop's true height, product units."""
    return {name: metres / product.metres for name, metres in props.PROPS.items()}


def true_props(rng, product: ProductModel, least: int = 0) -> PropRule:
    """Props at their true size, `least` of them or more."""
    true = true_ratios(product)
    return PropRule(
        [kind for kind, ratio in true.items() if 0.25 <= ratio <= 2.0],
        lambda kind: float(np.clip(true[kind] * rng.uniform(0.85, 1.15), 0.15, 2.2)),
        max(least, int(rng.choice([0, 1, 2], p=[0.55, 0.3, 0.15]))),
    )


def tiny_props(rng, product: ProductModel, least: int = 0) -> PropRule:
    """Things larger than the product, drawn smaller than it."""
    wide = product.mesh.size[0] > WIDE
    kinds = [kind for kind, ratio in true_ratios(product).items() if ratio > 2.2]
    kinds = [kind for kind in kinds if not wide or kind in NARROW] or kinds
    return PropRule(kinds, lambda kind: rng.uniform(0.22, 0.3 if wide else 0.5), int(rng.integers(1, 4)))


def giant_props(rng, product: ProductModel, least: int = 0) -> PropRule:
    """Things much smaller than the product, drawn about as tall as it."""
    kinds = [kind for kind, ratio in true_ratios(product).items() if ratio < 0.4]
    return PropRule(kinds, lambda kind: rng.uniform(0.8, 1.5), int(rng.integers(1, 3)))


def own_surface(rng, colour) -> np.ndarray:
    return pictures.speckle(rng, colour, np.array(colour) * rng.uniform(0.6, 0.9), 12)


def own_wall(rng, colour) -> np.ndarray:
    return pictures.painted_room(rng, np.array(colour) * rng.uniform(0.8, 1.15), "plain")


def _some_colours(rng, count: int) -> list:
    return [COLOURS[name] for name in rng.choice(list(COLOURS), count, replace=False)]


def cluttered_wall(rng, colour) -> np.ndarray:
    return pictures.clutter_wall(rng, [colour, *_some_colours(rng, 4)])


def cluttered_place(rng, colour, half_width: float) -> list[tuple[Mesh, Material]]:
    return props.clutter(rng, [colour, colour, *_some_colours(rng, 3)], half_width)


@dataclass(frozen=True)
class RenderedCause(Cause):
    # (rng, product, least) -> which props stand there
    props: Callable[..., PropRule] = true_props
    # whether this product can show it, and the name of the cause to take where it can't
    possible: Callable[[ProductModel], bool] = lambda product: True
    instead: str = ""
    # (rng, product's mesh) -> how far the product stands above the surface, below it where negative
    lift: Callable[..., float] | None = None
    # (product's mesh, rng) -> a part grown on it, in the lifted product's coordinates, and how far that lifts it
    part: Callable[..., tuple[Mesh, float]] | None = None
    surface: bool = True  # whether there is one
    edge: tuple[float, float] | None = None  # how far behind the product's middle the surface begins
    surface_picture: Callable[..., np.ndarray] | None = None  # (rng, product's colour) -> picture
    backdrop: Callable[..., np.ndarray] | None = None  # (rng, product's colour) -> picture
    blur: float = 1.0  # of the scene's backdrop blur
    objects: Callable[..., list] | None = None  # (rng, product's colour, half its width) -> meshes with materials
    pasted: bool = False  # the shop's cut-out is pasted whole, whatever the surface would hide


CAUSES: Causes[RenderedCause] = Causes(
    [
        RenderedCause("", "available"),
        RenderedCause("float", "space_mismatch", lift=lambda rng, mesh: rng.uniform(0.1, 0.3)),
        RenderedCause(
            "sink", "space_mismatch", lift=lambda rng, mesh: -rng.uniform(0.18, 0.4) * mesh.size[2], pasted=True
        ),
        RenderedCause("over_edge", "space_mismatch", edge=(0.05, 0.25)),
        RenderedCause("no_surface", "space_mismatch", surface=False),
        RenderedCause(
            "tiny_surroundings",
            "size_mismatch",
            props=tiny_props,
            possible=lambda product: any(ratio > 2.2 for ratio in true_ratios(product).values()),
            instead="giant_surroundings",
        ),
        RenderedCause(
            "giant_surroundings",
            "size_mismatch",
            props=giant_props,
            possible=lambda product: any(ratio < 0.4 for ratio in true_ratios(product).values()),
            instead="tiny_surroundings",
        ),
        RenderedCause("own_colours", "indistinctiveness", surface_picture=own_surface, backdrop=own_wall),
        RenderedCause("clutter", "indistinctiveness", backdrop=cluttered_wall, blur=0.5, objects=cluttered_place),
        RenderedCause("pedestal", "shape_hallucination", part=props.pedestal),
        RenderedCause("legs", "shape_hallucination", part=props.legs),
        RenderedCause("handle", "shape_hallucination", part=props.handle),
        RenderedCause("growth", "shape_hallucination", part=props.growth),
    ]
)
