"""Things whose size everybody knows, the grown parts of shape hallucination, and clutter: meshes with colours."""

from __future__ import annotations

import numpy as np

from .geometry import Mesh, arc, ball, box, join, lathe, rod
from .product_meshes import FAMILIES
from .products import COLOURS, Material

HALF_FRAME = 0.64  # half of what a camera sees beside the middle of a product at the largest image_scale, product units
LEAF = Material((0.05, 0.22, 0.04), 0.6)
WOOD = Material((0.25, 0.12, 0.05), 0.5)
TERRACOTTA = Material((0.45, 0.15, 0.07), 0.7)

# name -> true height in metres
PROPS = {
    "apple": 0.08,
    "mug": 0.1,
    "books": 0.14,
    "football": 0.22,
    "plant": 0.4,
    "stool": 0.5,
    "chair": 0.95,
    "armchair": 0.9,
    "floor lamp": 1.6,
    "fridge": 1.8,
}


def _colour(rng) -> Material:
    names = list(COLOURS)
    return Material(COLOURS[names[rng.integers(len(names))]], float(rng.uniform(0.3, 0.7)))


def make_prop(kind: str, seed: int) -> tuple[Mesh, tuple[Material, ...]]:
    """A prop standing on z = 0 with height 1."""
    rng = np.random.default_rng(seed)
    materials = (_colour(rng), _colour(rng), Material((0.04, 0.04, 0.04), 0.4))
    if kind == "apple":
        mesh = join(ball(0.5).scaled(1, 1, 0.9), rod((0, 0, 0.85), (0.05, 0, 1.02), 0.03).painted(1))
        materials = (Material([(0.55, 0.03, 0.03), (0.25, 0.45, 0.05)][rng.integers(2)], 0.25), WOOD)
    elif kind == "football":
        mesh, materials = ball(0.5), (Material((0.8, 0.8, 0.8), 0.4),)
        mesh.materials = [int(i % 5 == 0) for i in range(len(mesh.faces))]
        materials += (Material((0.03, 0.03, 0.03), 0.4),)
    elif kind == "books":
        mesh = join(
            *[
                box(rng.uniform(1.1, 1.4), rng.uniform(0.8, 1.0), 0.31)
                .turned(rng.uniform(-0.2, 0.2))
                .moved(z=0.33 * k)
                .painted(k)
                for k in range(3)
            ]
        )
        materials = tuple(_colour(rng) for _ in range(3))
    elif kind == "plant":
        leaves = [
            ball(0.2, 10).scaled(1, 1, 1.3).moved(0.2 * np.cos(a), 0.2 * np.sin(a), 0.38 + 0.12 * (k % 3)).painted(1)
            for k, a in enumerate(np.linspace(0, 5.5, 7))
        ]
        mesh = join(
            lathe([(0.18, 0), (0.27, 0.38), (0.28, 0.42)], bands=[0, 0]),
            *leaves,
            ball(0.2, 10).moved(0, 0, 0.6).painted(1),
        )
        materials = (TERRACOTTA, LEAF)
    elif kind == "stool":
        mesh = join(
            lathe([(0.4, 0.88), (0.42, 0.95), (0.4, 1.0)], bands=[0, 0]),
            *[
                rod((0.36 * np.cos(a), 0.36 * np.sin(a), 0), (0.25 * np.cos(a), 0.25 * np.sin(a), 0.9), 0.035).painted(
                    1
                )
                for a in (0.5, 2.1, 3.6, 5.2)
            ],
        )
        materials = (_colour(rng), WOOD)
    elif kind == "floor lamp":
        mesh = join(
            lathe([(0.14, 0), (0.13, 0.03), (0.015, 0.04), (0.015, 0.78)], bands=[1, 1, 1]),
            lathe([(0.18, 0.76), (0.12, 1.0)], bands=[0]),
        )
        materials = (Material((0.8, 0.7, 0.5), 0.8), Material((0.05, 0.05, 0.05), 0.4))
    else:
        mesh = FAMILIES[kind](rng)[0]
    mesh = mesh.standing()
    return mesh.scaled(1.0 / mesh.size[2]), materials


def put_beside(prop: Mesh, product: Mesh, side: int, gap: float) -> Mesh:
    """Moves a prop to where it is seen and hides nothing: beside the product if the frame has room there, else behind
    it.
    """
    half, width, depth = product.size[0] / 2, prop.size[0], prop.size[1]
    inner = half + gap
    # little room: close to the product, half of it inside the frame at least
    if inner >= 0.55 and half + width / 2 < HALF_FRAME - 0.02:
        inner = min(inner, max(half + 0.01, HALF_FRAME - width))
        return prop.moved(side * (inner + width / 2), 0.1 + depth / 2, 0)
    if inner < 0.55:
        return prop.moved(side * (inner + width / 2), 0.1 + depth / 2, 0)
    return prop.moved(side * 0.45, product.size[1] / 2 + depth / 2 + 0.15 + 2 * gap, 0)


def pedestal(product: Mesh, rng) -> tuple[Mesh, float]:
    """A plinth under a product, and how far it lifts it.

    This and the next three grow a part that touches the product, in its lifted coordinates (surface at z = 0).
    """
    lift, r = rng.uniform(0.14, 0.22), max(product.size[0], 0.25) * rng.uniform(0.45, 0.75)
    if rng.random() < 0.6:
        return lathe([(r, 0), (r, lift * 0.35), (r * 0.75, lift * 0.45), (r * 0.75, lift)], bands=[0, 0, 0]), lift
    return box(2 * r, 1.4 * r, lift), lift


def legs(product: Mesh, rng) -> tuple[Mesh, float]:
    lift, x, y = rng.uniform(0.16, 0.24), product.size[0] * 0.38, max(product.size[1], 0.1) * 0.35
    splay = rng.uniform(1.0, 1.35)
    four = [
        rod((sx * x * splay, sy * y * splay, 0), (sx * x, sy * y, lift + 0.03), 0.028)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return join(*four), lift


def handle(product: Mesh, rng) -> tuple[Mesh, float]:
    right = rng.random() < 0.5
    r = rng.uniform(0.13, 0.2)
    ring = arc(r, rng.uniform(0.025, 0.045), -np.pi / 2, np.pi / 2)
    ring = ring.moved(product.size[0] / 2 - 0.02, 0, rng.uniform(0.35, 0.6) * product.size[2])
    return (ring if right else ring.turned(np.pi)), 0.0


def growth(product: Mesh, rng) -> tuple[Mesh, float]:
    """A spout or arm, a knob or tower, or a lobe."""
    size = product.size
    side = 1 if rng.random() < 0.5 else -1
    shape = rng.integers(3)
    reach = rng.uniform(0.15, 0.28)
    if shape == 0:
        z = rng.uniform(0.3, 0.6) * size[2]
        tip = (side * (size[0] / 2 + reach), 0, z + rng.uniform(-0.05, 0.25))
        return rod((side * (size[0] / 2 - 0.06), 0, z), tip, 0.06, 0.035), 0.0
    if shape == 1:
        stem = rod((0, 0, size[2] - 0.04), (0, 0, size[2] + 0.08), 0.06)
        return join(stem, ball(0.09, 12).moved(0, 0, size[2] + 0.05)), 0.0
    lobe = ball(0.5, 14).scaled(reach * 1.3, reach, size[2] * rng.uniform(0.4, 0.8))
    return lobe.moved(side * (size[0] / 2 + reach * 0.35), 0, 0), 0.0


def clutter(rng, colours, half_width: float) -> list[tuple[Mesh, Material]]:
    """Twenty to thirty things around and behind the product, mostly in its colours."""
    things = []
    for _ in range(int(rng.integers(20, 31))):
        kind = rng.integers(4)
        mesh = [ball(0.5, 12), box(1, 1, 1), lathe([(0.5, 0), (0.5, 1.0)], 14), lathe([(0.5, 0), (0.05, 1.0)], 14)][
            kind
        ]
        height = rng.uniform(0.15, 0.65)
        behind = rng.random() < 0.65
        x = rng.uniform(-0.9, 0.9) if behind else rng.choice([-1, 1]) * rng.uniform(half_width + 0.15, half_width + 0.6)
        y = rng.uniform(0.35, 1.1) if behind else rng.uniform(-0.2, 0.4)
        base = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.5, 1.5)
        things.append(
            (
                mesh.scaled(height * rng.uniform(0.5, 1.0), height * rng.uniform(0.5, 1.0), height)
                .turned(rng.uniform(0, 6))
                .moved(x, y, 0),
                Material(tuple(float(c) for c in np.clip(base, 0.01, 0.95)), float(rng.uniform(0.2, 0.7))),
            )
        )
    return things
