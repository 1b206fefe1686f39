"""Places for composites, in metres: surfaces that recede to a horizon, walls with doors and windows, panoramas, studio
sweeps.

Camera: upright, so a surface `eye` metres below it shows the point z metres away in row horizon + focal * eye / z,
where a metre is focal / z pixels. Pictures are display RGB float32 (H, W, 3); inverse depth is (H, W) in 1/metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import pictures
from ..products import COLOURS
from .relief import TILE, Finishes, noise, over

# words -> (albedo, its colours in linear RGB, relief numbers, relief strength, metres of a tile, what it carries, where
# it is)
SURFACES = {
    "a wooden table": ("wood", ((0.42, 0.24, 0.11), (0.20, 0.09, 0.035)), (16, 22, 23), 0.5, 0.6, "small", "in"),
    "a dark wooden table": ("wood", ((0.13, 0.06, 0.03), (0.05, 0.022, 0.012)), (16, 22, 23), 0.5, 0.6, "small", "in"),
    "a white table": ("flat", ((0.8, 0.8, 0.79), (0.7, 0.7, 0.7)), (0,), 0.05, 0.6, "small", "in"),
    "a white marble slab": ("marble", ((0.78, 0.77, 0.75), (0.25, 0.25, 0.28)), (0,), 0.03, 0.5, "small", "in"),
    "a black marble slab": ("marble", ((0.025, 0.026, 0.03), (0.4, 0.4, 0.4)), (0,), 0.03, 0.5, "small", "in"),
    "a grey stone": ("speckle", ((0.32, 0.31, 0.29), (0.12, 0.12, 0.12)), (2, 6, 24, 28), 0.8, 0.5, "small", "any"),
    "a checked tablecloth": ("checks", ((0.75, 0.72, 0.7), (0.6, 0.07, 0.06)), (17, 11), 0.3, 0.5, "small", "in"),
    "a linen cloth": ("flat", ((0.6, 0.54, 0.44), (0.5, 0.44, 0.35)), (14, 17, 11), 0.7, 0.5, "small", "in"),
    "a leather mat": ("flat", ((0.2, 0.09, 0.04), (0.14, 0.06, 0.03)), (15, 3, 21, 18), 0.6, 0.35, "small", "in"),
    "a pink table": ("flat", ((0.8, 0.35, 0.42), (0.7, 0.3, 0.38)), (0,), 0.05, 0.6, "small", "in"),
    "a blue table": ("flat", ((0.10, 0.25, 0.55), (0.08, 0.2, 0.5)), (0, 16), 0.2, 0.6, "small", "in"),
    "a wooden floor": ("wood", ((0.50, 0.30, 0.15), (0.30, 0.15, 0.07)), (13, 23), 0.3, 1.2, "large", "in"),
    "a concrete floor": ("speckle", ((0.36, 0.35, 0.34), (0.24, 0.24, 0.24)), (28, 6, 0), 0.4, 1.5, "large", "any"),
    "a tiled floor": ("flat", ((0.62, 0.58, 0.52), (0.5, 0.47, 0.42)), (25,), 0.8, 2.0, "large", "in"),
    "a red carpet": ("speckle", ((0.42, 0.05, 0.05), (0.22, 0.02, 0.03)), (10, 17, 28), 0.6, 0.8, "large", "in"),
    "cobblestones": ("speckle", ((0.30, 0.28, 0.26), (0.15, 0.14, 0.14)), (9, 26), 0.9, 1.0, "large", "out"),
    "a lawn": ("speckle", ((0.09, 0.24, 0.03), (0.03, 0.09, 0.015)), (10, 1), 1.2, 0.5, "any", "out"),
    "sand": ("speckle", ((0.62, 0.47, 0.28), (0.42, 0.30, 0.17)), (7, 28), 0.6, 0.8, "any", "out"),
    "snow": ("speckle", ((0.85, 0.87, 0.92), (0.62, 0.68, 0.78)), (14, 2), 0.4, 1.0, "any", "out"),
}
ALBEDO = {"wood": pictures.wood, "marble": pictures.marble, "speckle": pictures.speckle, "checks": pictures.checks}
TABLE_HIGH = 0.75


@dataclass(frozen=True)
class View:
    """Where the camera looks.

    horizon: a row; focal: pixels; eye: metres above the surface that the product stands on.
    """

    width: int
    height: int
    horizon: float
    focal: float
    eye: float

    def row(self, away: float) -> float:
        return self.horizon + self.focal * self.eye / away

    def scale(self, away: float) -> float:
        return self.focal / away

    def away(self, row: float) -> float:
        """Metres to the surface point seen in a row below the horizon; raises ValueError above it."""
        if row <= self.horizon:
            raise ValueError(f"row {row} is not below the horizon {self.horizon}: no surface is seen there")
        return self.focal * self.eye / (row - self.horizon)

    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float32)
        return rows, columns


@dataclass(frozen=True)
class Lamp:
    """side: -1 from the left, 1 from the right; back: 1 from behind (shadows fall towards us), -1 from the front;
    hardness 0 to 1; strength: how dark shadows are, 0 = flat light; tint: (3,).
    """

    side: float
    back: float
    hardness: float
    strength: float
    tint: tuple


@dataclass
class Stage:
    """A place without things: picture, inverse depth, and the share of each pixel that belongs to the surface the
    product stands on.
    """

    picture: np.ndarray
    inverse: np.ndarray
    surface: np.ndarray
    wall_row: float | None = None  # where floor and wall meet
    shown: set = field(default_factory=set)  # things of known size on the wall: "door", "window", ...


def tone(linear) -> np.ndarray:
    """Linear to display, gamma only: textures are albedo, not light."""
    return np.clip(linear, 0, 1) ** (1 / 2.2)


def surface_tile(name: str, rng, finishes: Finishes, lamp: Lamp, colours=None) -> np.ndarray:
    """A repeating square of a surface as the lamp lights it, (TILE, TILE, 3).

    colours: two display colours in place of its own.
    """
    import cv2

    kind, own, numbers, strength, *_ = SURFACES[name]
    tint = rng.uniform(0.8, 1.2, 3) * rng.uniform(0.75, 1.2)
    if colours is None:
        first, second = (np.clip(np.array(c) * tint, 0, 0.9).astype(np.float32) for c in own)
    else:
        first, second = (np.asarray(c, np.float32) ** 2.2 for c in colours)
    if kind == "flat" or colours is not None:
        albedo = first + (second - first) * noise(rng, TILE, TILE, 6)[..., None]
    else:
        albedo = cv2.resize(ALBEDO[kind](rng, first, second), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    relief = finishes.relief(numbers, rng)
    light = 1 + strength * (relief[..., 0] * 0.8 * lamp.side + relief[..., 1] * 0.8 * lamp.back)
    grain = 1 + 0.12 * rng.normal(0, 1, (TILE, TILE)).astype(np.float32)
    return tone(albedo * np.clip(light * grain, 0.25, 1.8)[..., None]).astype(np.float32)


def receding(view: View, tile: np.ndarray, metres: float, turn: float = 0.0) -> np.ndarray:
    """The surface in perspective, (H, W, 3); far rows read from smaller copies of the tile, so that nothing
    flickers.
    """
    import cv2

    rows, columns = view.grid
    away = view.focal * view.eye / np.maximum(rows - view.horizon, 0.5)
    x = (columns - view.width / 2) * away / view.focal
    c, s = np.cos(turn), np.sin(turn)
    u, v = ((x * c - away * s) / metres).astype(np.float32), ((x * s + away * c) / metres).astype(np.float32)
    step = TILE * away * away / (view.focal * view.eye * metres)  # texels from one row to the next
    picture, level = np.zeros((view.height, view.width, 3), np.float32), np.log2(np.maximum(step, 1e-6) * 0.6)
    for k in range(5):
        share = np.clip(1 - np.abs(np.clip(level, 0, 4) - k), 0, 1)
        if share.max() <= 0:
            continue
        side = TILE >> k
        small = np.pad(
            cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA), ((0, 1), (0, 1), (0, 0)), mode="wrap"
        )
        picture += share[..., None] * cv2.remap(small, (u % 1) * side, (v % 1) * side, cv2.INTER_LINEAR)
    return picture


def pool(view: View, rng, lamp: Lamp, contrast: float) -> np.ndarray:
    """Uneven light over the picture, (H, W, 1) around 1."""
    rows, columns = view.grid
    x, y = view.width * (0.5 + 0.4 * lamp.side), view.height * rng.uniform(-0.1, 0.7)
    far = np.hypot((columns - x) / view.width, (rows - y) / view.height)
    return (1 + contrast * (0.5 - far))[..., None].astype(np.float32)


def panorama(view: View, assets, name: str, yaw: float, field_of_view: float) -> np.ndarray:
    """A view out of an HDR panorama with its horizon in the view's horizon, toned for display."""
    import cv2

    source = assets.panorama(name)
    height, width = source.shape[:2]
    rows, columns = view.grid
    longitude = yaw + field_of_view * ((columns + 0.5) / view.width - 0.5)
    latitude = -field_of_view * (rows - view.horizon) / view.width
    x = (longitude / (2 * np.pi) % 1 * width).astype(np.float32)
    y = np.clip((0.5 - latitude / np.pi) * height, 0, height - 1).astype(np.float32)
    toned = np.clip(source * (2.51 * source + 0.03) / (source * (2.43 * source + 0.59) + 0.14), 0, 1) ** (1 / 2.2)
    return np.clip(cv2.remap(toned.astype(np.float32), x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP), 0, 1)


def soften(picture: np.ndarray, reach: np.ndarray | float) -> np.ndarray:
    """Blurs each pixel by its own sigma (H, W) in pixels, or all by one."""
    import cv2

    if np.isscalar(reach):
        return cv2.GaussianBlur(picture, (0, 0), reach) if reach > 0.25 else picture
    largest = float(reach.max())
    if largest < 0.3:
        return picture
    out, previous = picture, 0.0
    for sigma in (largest / 6, largest / 2.5, largest):
        blurred = cv2.GaussianBlur(picture, (0, 0), max(sigma, 0.3))
        out = over(out, blurred, np.clip((reach - previous) / (sigma - previous), 0, 1))
        previous = sigma
    return out


def ground(view: View, tile: np.ndarray, rng, metres: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An endless surface: picture, inverse depth, mask of where it is."""
    rows, _ = view.grid
    picture = receding(view, tile, metres, rng.uniform(-0.5, 0.5))
    inverse = np.clip(rows - view.horizon, 0, None) / (view.focal * view.eye)
    return picture, inverse, np.clip(rows - view.horizon, 0, 1)


def outdoors(view: View, assets, name: str, rng, tile: np.ndarray, metres: float) -> Stage:
    """A panorama with a near surface that fades into the panorama's own ground far away."""
    far = panorama(view, assets, name, rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.7))
    near, inverse, mask = ground(view, tile, rng, metres)
    rows, _ = view.grid
    reach = max(view.height - view.horizon, 1) * rng.uniform(0.05, 0.3)
    blend = np.clip((rows - view.horizon) / reach, 0, 1) * mask
    return Stage(over(far, near, blend), inverse, mask)


def sweep(view: View, rng, colour, lamp: Lamp, near: float) -> Stage:
    """A studio's paper sweep: surface and backdrop are one, and no line parts them.

    near: inverse depth at the product's feet.
    """
    rows, _ = view.grid
    bend = view.horizon + rng.uniform(0.1, 0.5) * (view.height - view.horizon)
    t = np.clip((rows - bend) / max(view.height - bend, 1), -0.6, 1)
    picture = (
        np.asarray(colour, np.float32)
        * (1 + rng.uniform(-0.25, 0.25) * t)[..., None]
        * pool(view, rng, lamp, rng.uniform(0.1, 0.7))
    )
    inverse = np.clip(rows - view.horizon, 0, None) / (view.focal * view.eye)
    back = 1 / view.away(max(bend, view.horizon + 1))
    return Stage(
        np.clip(picture, 0, 1), np.maximum(inverse, min(back, 0.8 * near)), np.clip((rows - bend) / 6 + 0.5, 0, 1)
    )


def named(colour: str, rng) -> np.ndarray:
    """A wall colour as pixels show it."""
    return np.clip(
        (np.array(COLOURS[colour]) * rng.uniform(0.7, 1.1)) ** (1 / 2.2) + rng.uniform(-0.04, 0.04, 3), 0.03, 0.97
    ).astype(np.float32)


def table(
    view: View,
    behind: Stage,
    tile: np.ndarray,
    metres: float,
    rng,
    back: float,
    front_row: float,
    sides: tuple[float, float],
    lamp: Lamp,
) -> Stage:
    """A slab in front of another place.

    back: metres to its far edge; front_row: row of its near edge (at or below the picture's end: not seen); sides:
    columns, at the near edge, where it ends left and right.
    """
    near, inverse, _ = ground(view, tile, rng, metres)
    rows, columns = view.grid
    front = view.focal * view.eye / view.away(front_row)
    spread = np.clip((rows - view.horizon) / front, 0, 1)  # sides run towards the vanishing point
    middle = view.width / 2
    left, right = middle + (sides[0] - middle) * spread, middle + (sides[1] - middle) * spread
    inside = np.clip(columns - left, 0, 1) * np.clip(right - columns, 0, 1)
    top = np.clip(rows - view.row(back), 0, 1) * np.clip(front_row - rows, 0, 1) * inside
    thick = max(3.0, rng.uniform(0.02, 0.06) * view.scale(view.away(front_row)))
    face = (
        np.clip(rows - front_row + 1, 0, 1) * np.clip(front_row + min(thick, 0.12 * view.height) - rows, 0, 1) * inside
    )
    edge = near[min(view.height - 1, max(0, int(front_row) - 2))] * rng.uniform(0.45, 0.85)
    picture = over(behind.picture, np.broadcast_to(edge[None], near.shape), face)
    depth = np.where(face > 0.5, front / (view.focal * view.eye), behind.inverse)
    return Stage(over(picture, near, top), np.where(top > 0.5, inverse, depth), top, behind.wall_row, behind.shown)
