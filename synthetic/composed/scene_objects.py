"""Things that stand around a product: of known size beside it, small and far behind it, or so many that it drowns in
them.
"""

from __future__ import annotations

import functools

import numpy as np

from ..products import CUTOUTS
from . import backdrops
from .backdrops import Stage
from .cutouts import Cutout, crop, draw_family, emoji, resize
from .product_painters import FAMILIES
from .relief import Finishes, over
from .scene_plans import Plan, choose

PIXELS = 176  # the longer side of a drawn object
VARIANTS = 6  # how many of each there are

# name -> (emoji code or drawn family, true height in metres, where: "small" stands on tables, "large" on floors, "out"
# outdoors)
SCENE_OBJECTS = {
    "apple": ("1f34e", 0.085, "small"),
    "green apple": ("1f34f", 0.085, "small"),
    "orange": ("1f34a", 0.08, "small"),
    "lemon": ("1f34b", 0.065, "small"),
    "egg": ("1f95a", 0.06, "small"),
    "strawberry": ("1f353", 0.04, "small"),
    "cupcake": ("1f9c1", 0.09, "small"),
    "doughnut": ("1f369", 0.09, "small"),
    "banana": ("1f34c", 0.16, "small"),
    "pineapple": ("1f34d", 0.3, "small"),
    "coffee cup": ("2615", 0.1, "small"),
    "wine glass": ("1f377", 0.21, "small"),
    "tulip": ("1f337", 0.38, "small"),
    "mug": ("mug", 0.1, "small"),
    "can": ("can", 0.12, "small"),
    "wine bottle": ("wine", 0.31, "small"),
    "book": ("book", 0.24, "small"),
    "phone": ("phone", 0.15, "small"),
    "football": ("26bd", 0.22, "any"),
    "basketball": ("1f3c0", 0.24, "any"),
    "cat": ("1f408", 0.38, "any"),
    "dog": ("1f415", 0.6, "large"),
    "chair": ("chair", 0.92, "large"),
    "sofa": ("sofa", 0.85, "large"),
    "suitcase": ("1f9f3", 0.7, "large"),
    "washing machine": ("appliance", 0.85, "large"),
    "stool": ("1fa91", 0.9, "large"),
    "bicycle": ("1f6b2", 1.05, "out"),
    "scooter": ("1f6f5", 1.1, "out"),
    "car": ("1f697", 1.5, "out"),
    "van": ("1f690", 2.0, "out"),
    "tree": ("1f333", 6.0, "out"),
    "pine": ("1f332", 7.0, "out"),
    "palm": ("1f334", 6.5, "out"),
    "house": ("1f3e1", 7.0, "out"),
    "horse": ("1f40e", 1.8, "out"),
    "duck": ("1f986", 0.4, "out"),
    "tent": ("26fa", 1.6, "out"),
}


class Canvas:
    """The picture while it is put together: colours, inverse depth, and the surface that shadows fall on."""

    def __init__(self, stage: Stage, away: float, aperture: float):
        self.picture = stage.picture.astype(np.float32)
        self.inverse = stage.inverse.astype(np.float32)
        self.surface = stage.surface
        self.away, self.aperture = away, aperture

    def reach(self, inverse):
        """Blur in pixels of what lies at an inverse depth: none at the product, the whole aperture at infinity."""
        return self.aperture * np.clip(np.abs(1 - inverse * self.away) - 0.06, 0, 1.5)

    def soften(self) -> None:
        self.picture = backdrops.soften(self.picture, self.reach(self.inverse))

    def darken(self, shadow: np.ndarray) -> None:
        self.picture *= (1 - np.clip(shadow, 0, 0.92))[..., None]

    def lay(self, layer: np.ndarray, inverse: float) -> None:
        """A layer (H, W, 4) at one distance, blurred by it."""
        import cv2

        sigma = float(self.reach(inverse))
        if sigma > 0.3:
            flat = cv2.GaussianBlur(np.dstack([layer[..., :3] * layer[..., 3:], layer[..., 3]]), (0, 0), sigma)
            layer = np.dstack([flat[..., :3] / np.maximum(flat[..., 3:], 1e-4), flat[..., 3]])
        self.picture = over(self.picture, layer[..., :3], layer[..., 3])
        self.inverse = np.where(layer[..., 3] > 0.5, np.float32(inverse), self.inverse)


def put(rgba: np.ndarray, height: int, width: int, left: float, foot: float, high: float, wide: float) -> np.ndarray:
    """A cut-out scaled to high x wide pixels on an empty (height, width, 4), its foot in a row; what hangs out is cut
    off.
    """
    layer = np.zeros((height, width, 4), np.float32)
    picture = resize(rgba, max(2, round(high)), max(2, round(wide)))
    top, left = round(foot) - picture.shape[0], round(left)
    rows = slice(max(top, 0), min(top + picture.shape[0], height))
    columns = slice(max(left, 0), min(left + picture.shape[1], width))
    if rows.start < rows.stop and columns.start < columns.stop:
        layer[rows, columns] = picture[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return layer


def stands(canvas: Canvas, foot: float, left: float, right: float) -> bool:
    """Whether the surface is under a thing whose foot is in this row, between these columns."""
    height, width = canvas.surface.shape
    span = canvas.surface[
        int(np.clip(foot - 1, 0, height - 1)), int(np.clip(left, 0, width - 1)) : int(np.clip(right, 1, width))
    ]
    return bool(len(span) and span.mean() > 0.9)


class Supply:
    """Draws things of known size and keeps them.

    Placed things are (metres away, left, foot, height in pixels, cut-out, name).
    """

    def __init__(self, assets, finishes: Finishes):
        self.assets, self.finishes, self.pixels = assets, finishes, PIXELS
        self.named = functools.lru_cache(maxsize=1024)(self._draw)

    def _draw(self, name: str, variant: int, right: bool) -> Cutout:
        """A thing of known size; a few of each are drawn once and used again."""
        source, metres, _ = SCENE_OBJECTS[name]
        rng = np.random.default_rng([variant, int(right), len(name), ord(name[0])])
        lamp = 0.6 if right else -0.6
        if source in FAMILIES:
            return draw_family(source, rng, self.finishes, self.pixels, lamp)
        if source in CUTOUTS:
            return emoji(source, rng, self.assets, self.finishes, self.pixels, lamp)
        return Cutout(
            source, "thing", name, metres, False, True, crop(self.assets.cutout(source).astype(np.float32) / 255)
        )

    def any(self, rng, side: float) -> Cutout:
        return self.named(
            choose(rng, [n for n, (_, metres, _) in SCENE_OBJECTS.items() if metres < 1.2]),
            int(rng.integers(VARIANTS)),
            side >= 0,
        )

    def beside(self, plan: Plan, canvas: Canvas, placed: np.ndarray, count: int, rng) -> list:
        """Things of known size at their true size in the scene, where they are seen.

        A mismatched product gets one at least, close by.
        """
        view, cause = plan.view, plan.made_by
        known = cause.sizes is not None
        where = {
            "table": ("small",),
            "room": ("large", "any"),
            "outdoors": ("out", "any", "large") if plan.believed > 0.5 else ("out", "any"),
            "sweep": ("small", "large", "any"),
        }[plan.stage]
        if cause.smaller and cause.stage is None and plan.believed < 0.5:
            where = (*where, "small", "any")
        low, high = (0.3, 1.8) if cause.smaller else (0.1, 1.3)
        names = [
            n
            for n, (_, metres, place) in SCENE_OBJECTS.items()
            if place in where
            and (low < metres / plan.believed < high or (place == "out" and 0.6 < metres / plan.believed < 12))
        ]
        taken, found = placed[..., 3] > 0.5, []
        for attempt in range(90 if names else 0):
            if len(found) >= count:
                break
            name = choose(rng, names)
            made = self.named(name, int(rng.integers(VARIANTS)), plan.setting.lamp.side >= 0)
            ratio = SCENE_OBJECTS[name][1] / plan.believed
            nearest = 1.0 if ratio < 1.8 else ratio / 0.9
            furthest = 1.12 if known and not found and nearest == 1 else max(1.35, nearest * rng.uniform(1.2, 2.2))
            away = plan.away * rng.uniform(max(0.95, nearest), furthest)
            foot, tall = view.row(away), SCENE_OBJECTS[name][1] * view.scale(away)
            wide = tall * made.rgba.shape[1] / made.rgba.shape[0]
            left = rng.uniform(*sorted((-0.3 * wide, view.width - 0.7 * wide)))
            desperate = known and not found and attempt > 40
            if _seen(canvas, taken, left, foot, tall, wide, *((0.35, 0.5) if desperate else (0.6, 0.22))):
                found.append((away, left, foot, tall, made, name))
                taken = taken | (put(made.rgba, view.height, view.width, left, foot, tall, wide)[..., 3] > 0.5)
        return found

    def far(self, plan: Plan, canvas: Canvas, rng) -> list:
        """Clutter that hides nothing: many small things well behind and beside the product."""
        view = plan.view
        left, _top, w, h = plan.box
        found = []
        for _ in range(int(rng.integers(6, 15))):
            away = plan.away * rng.uniform(1.8, 4.0)
            foot, made = view.row(away), self.any(rng, plan.setting.lamp.side)
            tall = max(w, h) * rng.uniform(0.25, 0.6) * plan.away / away
            side = rng.choice([-1, 1])
            x = left + w / 2 + side * (w * 0.55 + rng.uniform(0.02, 0.5) * view.width)
            if stands(canvas, foot, x - tall / 3, x + tall / 3):
                found.append((away, x - tall / 2, foot, tall, made, ""))
        return found


def _seen(canvas: Canvas, taken: np.ndarray, left, foot, tall, wide, inside: float, overlap: float) -> bool:
    """Stands on the surface with at least this share inside the picture, and at most that share of it where something
    is already.
    """
    height, width = taken.shape
    if foot > height * 1.06 or tall < 0.05 * height:
        return False
    box = (
        slice(int(max(foot - tall, 0)), int(np.clip(foot, 1, height))),
        slice(int(max(left, 0)), int(np.clip(left + wide, 1, width))),
    )
    area = max(0, box[0].stop - box[0].start) * max(0, box[1].stop - box[1].start)
    if area < inside * tall * wide or taken[box].sum() > overlap * area:
        return False
    return stands(canvas, foot, left, left + wide)


def crowd(plan: Plan, canvas: Canvas, options: list, count: int, sizes, rng) -> list:
    """Many things around and behind the product, of its own size, so that it drowns."""
    view = plan.view
    left, _top, w, h = plan.box
    crowd = []
    for _k in range(count):
        away = plan.away * rng.uniform(1.01, 1.5)
        foot = plan.ground - (plan.ground - view.horizon) * (1 - plan.away / away)
        made = choose(rng, options)
        tall = max(w, h) * rng.uniform(*sizes) * plan.away / away * made.rgba.shape[0] / max(made.rgba.shape[:2])
        wide = tall * made.rgba.shape[1] / made.rgba.shape[0]
        if not stands(canvas, foot, 0, view.width):
            away, foot = plan.away, plan.ground - 1
        x = left + w / 2 + rng.uniform(-0.75, 0.75) * max(w, 0.9 * view.width) - wide / 2
        if rng.random() < 0.6:  # in a heap, up to the product's top
            foot -= rng.uniform(0, 0.9) * max(0.0, h - 0.6 * tall)
        crowd.append((away, x, foot, tall, made, ""))
    return crowd
