"""Space mismatch: a product that no surface carries."""

from __future__ import annotations

from ..defects import sunk, tilt
from ..shadows import below_product, cast
from .cause import ComposedCause

LABEL = "space_mismatch"


def unless_upright(product) -> str | None:
    """No one sees an umbrella tilted."""
    return None if product.upright else "float"


def unless_large(product) -> str | None:
    return "float" if product.metres > 0.7 else None


def hovering_shadow(plan, layer, lift, surface, rng):
    """In a third of the places light comes from everywhere: nothing on the surface tells of the product."""
    return below_product(plan, layer, lift, surface, rng) if plan.stage == "sweep" or rng.random() < 0.7 else None


def wall_shadow(plan, layer, lift, surface, rng):
    lamp = plan.setting.lamp
    if rng.random() < 0.6 and lamp.strength:
        return 0.8 * cast(layer[..., 3], plan.ground, 0.0, lamp, wall=True)
    return None


def over_the_edge(plan, rng) -> tuple:
    """The table ends under the product: before its middle, or beside it."""
    left, _top, w, h = plan.box
    height, foot = plan.view.height, plan.ground
    if rng.random() < 0.6:
        return max(foot - rng.uniform(0.14, 0.4) * h, plan.view.horizon + 6), (None, None)
    cut = left + w * rng.uniform(0.25, 0.5)
    front = min(height * 2.0, foot + 0.06 * h) if rng.random() < 0.5 else 2.0 * height
    return front, ((None, cut) if rng.random() < 0.5 else (left + w - (cut - left), None))


def high_up(box, ground: float, height: int, rng) -> tuple[float, float]:
    """The horizon lies under the product."""
    _left, top, _w, h = box
    return min(top + h + rng.uniform(0.02, 0.25) * height, 0.985 * height), 0.2 * height


def before_a_wall(box, ground: float, height: int, rng) -> tuple[float, float]:
    """The floor meets the wall below the product's foot."""
    h = box[3]
    horizon = ground - rng.uniform(0.05, 0.4) * h
    return horizon, min(ground + max(rng.uniform(0.12, 0.3) * h, 0.06 * height), 0.97 * height) - horizon


CAUSES = [
    ComposedCause("float", LABEL, above=(0.12, 0.35), room_below=True, shadow=hovering_shadow),
    ComposedCause("sink", LABEL, instead=unless_upright, below=(0.22, 0.48), hide=sunk),
    ComposedCause("over_edge", LABEL, stage="table", instead=unless_large, table_end=over_the_edge),
    ComposedCause("tilted", LABEL, instead=unless_upright, turn=tilt),
    ComposedCause("sky", LABEL, stage="outdoors", room_below=True, camera=high_up, shadow=lambda *scene: None),
    ComposedCause(
        "on_wall",
        LABEL,
        held=True,
        stage="room",
        room_below=True,
        camera=before_a_wall,
        at_wall=True,
        shadow=wall_shadow,
    ),
]
