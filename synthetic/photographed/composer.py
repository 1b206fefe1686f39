"""Puts the stand-in's pictures together: place, things, shadow, defect, product, and what a phone's camera leaves.

The same (split, number) is the same picture. Each step draws from a generator of its own, so a picture without its
props, or before a plain wall, is else the same picture.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from ..composed.cutouts import resize
from ..develop import to_bytes
from .growths import outline, polygons
from .places import Photographs, Place
from .plans import Plan, choose, make_plan, tells
from .things import PROPS, Prop, draw_prop

EVERYWHERE = tuple(PROPS)


@dataclass(frozen=True)
class Photograph:
    """One picture: image (H, W, 3), product (H, W, 4), depth and saliency (H, W), all uint8; and how it came about.

    objects: (name, its height / the product's largest side as drawn) of each prop.
    """

    image: np.ndarray
    product: np.ndarray
    depth: np.ndarray
    saliency: np.ndarray
    plan: Plan
    objects: tuple

    def row(self) -> dict:
        """What `rfnet.data.shards.write_shard` takes."""
        from PIL import Image

        plan = self.plan
        pictures = {name: Image.fromarray(getattr(self, name)) for name in ("image", "product", "depth", "saliency")}
        return {
            "id": plan.picture_id,
            **pictures,
            "caption": plan.product.caption,
            "prompt": plan.prompt,
            "label": plan.label,
            "cause": plan.cause,
            "product_id": plan.product.product_id,
            "room_id": plan.room,
            "metres": round(plan.product.metres, 3),
            "shown_metres": round(plan.believed, 3),
            "objects": [[name, round(size, 3)] for name, size in self.objects],
        }


class Composer:
    """assets: `synthetic.assets.Assets` or anything with its `panorama` and `cutout`; size: side of a square one."""

    def __init__(self, assets, size: int = 256):
        self.assets, self.size = assets, size
        self.photographs = Photographs(assets)
        self.prop = functools.lru_cache(maxsize=64)(lambda name: draw_prop(name, assets))

    def compose(self, split: str, number: int, props: bool = True, place: bool = True) -> Photograph:
        """props False: nothing stands beside the product. place False: a plain grey wall and surface."""
        plan = make_plan(split, number, self.size, self.assets)
        cause = plan.made_by
        placed = put(plan.product.rgba, plan.camera, *plan.box)
        stage = self._place(plan) if place else _plain(plan)
        scene = Scene(plan, stage, placed)
        objects = self._props(scene) if props else ()
        if cause.around is not None:
            scene.picture = cause.around(scene.picture, placed, plan.stream("around"))
        if cause.crowd and props:
            self._crowd(scene)
        visible, salient = scene.with_product()
        image = finished(scene.picture, plan.stream("finish"))
        depth = scene.inverse / max(float(scene.inverse.max()), 1e-6)
        return Photograph(*map(to_bytes, (image, visible, depth, salient)), plan, objects)

    def _place(self, plan: Plan) -> Place:
        rng = plan.stream("place")
        if plan.stage == "table":
            column = plan.box[0] + plan.box[2] / 2 - plan.camera.width / 2
            x = column / plan.camera.focal * plan.away
            below = (plan.ground - plan.camera.height / 2) / plan.camera.focal
            z = plan.away * (np.cos(plan.camera.pitch) - below * np.sin(plan.camera.pitch))
            return self.photographs.table(plan.camera, plan.room, plan.top, (x, z), max(plan.believed, 0.05), rng)
        return self.photographs.floor(plan.camera, plan.room, plan.away, rng)

    # ---- things ----------------------------------------------------------------------------------------------------

    def _props(self, scene: Scene) -> tuple:
        """Things of known size at their true size, where they are seen: one at least where a size is wrong."""
        plan, rng = scene.plan, scene.plan.stream("props")
        count = int(rng.choice([0, 1, 2, 3], p=[0.25, 0.35, 0.25, 0.15]))
        known = bool(plan.made_by.factor)
        names = [name for name in PROPS if tells(name, plan.stage, plan.room, plan.believed)]
        if plan.stage == "air" or not names or not max(count, known):
            return ()
        found = []
        for attempt in range(160):
            if len(found) >= max(count, known):
                break
            near = known and not found
            away = plan.away * rng.uniform(*((0.98, 1.1) if near else (0.97, 1.7)))
            spot = self._spot(scene, self.prop(choose(rng, names)), away, rng, 0.45 if attempt > 80 else 0.75)
            if spot is not None:
                found.append(spot)
                scene.taken |= put(spot[1].rgba, plan.camera, *spot[2])[..., 3] > 0.5
        for away, prop, box in sorted(found, key=lambda spot: -spot[0]):
            scene.stand(put(prop.rgba, plan.camera, *box), away)
        return tuple((prop.name, box[3] / max(plan.box[2:])) for _, prop, box in found)

    def _spot(self, scene: Scene, prop: Prop, away: float, rng, inside: float):
        """(away, prop, box) where it stands on the surface, mostly in the picture, and hides next to nothing; None."""
        camera = scene.plan.camera
        high = prop.metres * camera.scale(away)
        wide = high * prop.rgba.shape[1] / prop.rgba.shape[0]
        foot = camera.row(away)
        left = rng.uniform(-0.4 * wide, camera.width - 0.6 * wide)
        if not camera.height * 0.3 < foot < camera.height * 1.02 or high < 0.07 * camera.height:
            return None
        layer = put(prop.rgba, camera, left, foot, wide, high)[..., 3] > 0.5
        if layer.sum() < inside * 0.6 * high * wide or (layer & scene.taken).sum() > 0.12 * layer.sum():
            return None
        row = int(min(foot, camera.height - 1))
        below = scene.surface[row, int(max(left, 0)) : int(np.clip(left + wide, 1, camera.width))]
        return (away, prop, (left, foot, wide, high)) if len(below) and below.mean() > 0.9 else None

    def _crowd(self, scene: Scene) -> None:
        """Things of all kinds heaped around and behind the product, close to its outline, half of them in its hue."""
        plan, rng = scene.plan, scene.plan.stream("crowd")
        left, foot, w, h = plan.box
        own = plan.product.rgba[plan.product.rgba[..., 3] > 0.7][:, :3]
        for rank in np.linspace(1, 0, int(rng.integers(55, 80))):  # from behind to the front
            prop = self.prop(choose(rng, EVERYWHERE))
            high = max(w, h) * rng.uniform(0.28, 0.62)
            wide = high * prop.rgba.shape[1] / prop.rgba.shape[0]
            x = left + w / 2 + rng.normal(0, 0.5) * max(w, 0.75 * plan.camera.width) - wide / 2
            row = foot + 0.12 * h * (1 - rank) - rank * rng.uniform(0.2, 1.35) * (h - 0.4 * high)
            rgba = prop.rgba
            if rng.random() < 0.75:
                colour, grey = own[int(rng.integers(len(own)))], rgba[..., :3].mean(-1, keepdims=True)
                rgba = np.dstack([np.clip(colour * (0.45 + grey), 0, 1), rgba[..., 3]])
            scene.lay(put(rgba, plan.camera, x, row, wide, high), 1 / (plan.away * (1.02 + 0.3 * rank)))


def put(rgba: np.ndarray, camera, left: float, foot: float, wide: float, high: float) -> np.ndarray:
    """A cut-out of wide x high pixels on an empty (height, width, 4), its foot in a row; what hangs out is cut off."""
    layer = np.zeros((camera.height, camera.width, 4), np.float32)
    small = resize(rgba, max(2, round(high)), max(2, round(wide)))
    top, left = round(foot) - small.shape[0], round(left)
    rows = slice(max(top, 0), min(top + small.shape[0], camera.height))
    columns = slice(max(left, 0), min(left + small.shape[1], camera.width))
    if rows.start < rows.stop and columns.start < columns.stop:
        layer[rows, columns] = small[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return layer


def _plain(plan: Plan) -> Place:
    camera = plan.camera
    inverse = np.repeat(camera.inverse(np.arange(camera.height) + 0.5)[:, None], camera.width, 1).astype(np.float32)
    return Place(np.full((*inverse.shape, 3), 0.6, np.float32), inverse, (inverse > 0).astype(np.float32))


def foot_of(layer: np.ndarray) -> tuple[float, float, float] | None:
    """Lowest row, middle and half width of what a thing stands on: its lowest fifteenth; None where nothing shows."""
    if layer[..., 3].max() < 0.5:
        return None
    top, bottom, _, _ = outline(layer)
    lowest = np.flatnonzero((layer[int(bottom - (bottom - top) / 15) : bottom + 1, :, 3] > 0.5).any(0))
    return float(bottom), float(lowest.mean()), float(np.ptp(lowest) / 2 + 1)


def pool(shape, x: float, y: float, half: float, thick: float, soft: float) -> np.ndarray:
    """A soft dark ellipse, (H, W) in [0, 1]."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    far = np.hypot((columns - x) / max(half, 1), (rows - y) / max(thick, 0.8))
    return 1 / (1 + np.exp(np.clip((far - 1) / soft, -30, 30)))


class Scene:
    """A picture on the way: colours, inverse depth, what is surface, and where something stands."""

    def __init__(self, plan: Plan, place: Place, placed: np.ndarray):
        self.plan, self.placed = plan, placed
        self.picture, self.inverse, self.surface = place.picture, place.inverse, place.surface
        self.taken = placed[..., 3] > 0.5
        self._focus()

    def _focus(self) -> None:
        """What is far from the product's distance is a little soft."""
        import cv2

        rng = self.plan.stream("focus")
        sigma = rng.choice([0, 0, 0.8, 1.6, 3.0]) * self.plan.camera.height / 256
        if sigma:
            reach = np.clip(np.abs(1 - self.inverse * self.plan.away) * 1.3 - 0.2, 0, 1)[..., None]
            soft = cv2.GaussianBlur(self.picture, (0, 0), float(sigma))
            self.picture = self.picture + reach * (soft - self.picture)

    def shade(self, layer: np.ndarray, ground: float | None = None, lift: float = 0.0) -> None:
        """The dark under a thing: an ellipse at its foot, and a longer, softer one away from the light. ground: row."""
        foot = foot_of(layer)
        if foot is None or self.plan.stage == "air":
            return
        row, middle, half = foot
        row = row if ground is None else ground
        top, bottom, left, right = outline(layer)
        wide, flat = (right - left) / 2, float(np.clip(self.plan.camera.down(row) * 0.9, 0.12, 0.6))
        strength = {"soft daylight": 0.3, "hard sunlight": 0.55, "dim light": 0.25}[self.plan.light]
        shape = layer.shape[:2]
        dark = np.zeros(shape)
        if lift == 0:
            dark = 0.75 * pool(shape, middle, row - 0.5, half * 1.06, max(1.2, half * flat * 0.35), 0.22)
        reach = wide + 0.3 * (bottom - top)
        cast = pool(
            shape,
            middle - self.plan.side * (0.55 * reach + 0.4 * lift),
            row - 0.1 * flat * reach,
            reach * 0.85,
            reach * flat * 0.3,
            0.25 + 0.02 * lift,
        )
        dark = 1 - (1 - dark) * (1 - strength * cast)
        self.picture = self.picture * (1 - dark * self.surface)[..., None]

    def lay(self, layer: np.ndarray, inverse: float) -> None:
        self.picture = self.picture + layer[..., 3:] * (layer[..., :3] - self.picture)
        self.inverse = np.where(layer[..., 3] > 0.5, np.float32(inverse), self.inverse)

    def stand(self, layer: np.ndarray, away: float) -> None:
        self.shade(layer)
        self.lay(layer, 1 / away)

    def with_product(self) -> tuple[np.ndarray, np.ndarray]:
        """The product with its shadow and defect: (its visible part, what stands out)."""
        plan, cause, placed = self.plan, self.plan.made_by, self.placed
        salient, lift = placed[..., 3], max(0.0, plan.ground - plan.box[1])
        part = cause.part(placed, plan.ground, plan.stream("part")) if cause.part else None
        if part is not None:
            whole = np.dstack([part[..., :3], np.maximum(part[..., 3], placed[..., 3])])
            self.shade(whole, plan.ground if lift else None)
            self.lay(part, 0.99 / plan.away)
            salient = np.maximum(salient, part[..., 3])
        elif lift:
            if plan.stream("hover").random() < 0.85:
                self.shade(placed, plan.ground, lift)
        elif cause.below:
            return self._buried()
        elif not self._plinth():
            self.shade(placed)
        self.lay(placed, 1 / plan.away)
        return placed, salient

    def _plinth(self) -> bool:
        """In an eighth of the sound pictures the product stands on a block of stone or paper: no part of it."""
        plan, rng = self.plan, self.plan.stream("plinth")
        if plan.label != "available" or plan.stage != "table" or rng.random() > 0.18:
            return False
        row, middle, half = foot_of(self.placed)
        half, high = half * rng.uniform(1.25, 1.8) + 4, rng.uniform(0.12, 0.25) * plan.box[3]
        bottom, back = min(row + high, plan.camera.height - 2), row - 0.25 * half
        sides = (middle - half, middle + half)
        front = polygons(
            self.taken.shape, [(sides[0], row + 2), (sides[1], row + 2), (sides[1], bottom), (sides[0], bottom)]
        )
        slope = 0.12 * half
        shape = [(sides[0] + slope, back), (sides[1] - slope, back), (sides[1], row + 2), (sides[0], row + 2)]
        lid = polygons(self.taken.shape, shape)
        grain = rng.normal(0, 0.02, (*self.taken.shape, 1))
        colour = rng.choice([0.9, 0.75, 0.3]) * np.array([1, rng.uniform(0.93, 1), rng.uniform(0.85, 1)])
        block = np.maximum(front, lid)
        colours = np.clip(colour * (0.72 + 0.28 * (lid > 0.5)[..., None]) + grain, 0, 1)
        layer = np.dstack([colours, block]).astype(np.float32)
        self.shade(layer)
        self.lay(layer, 1 / plan.away)
        contact = pool(self.taken.shape, middle, row - 0.5, half * 0.6, max(1.2, 0.05 * half), 0.25)
        self.picture = self.picture * (1 - 0.55 * contact * lid)[..., None]
        return True

    def _buried(self) -> tuple[np.ndarray, np.ndarray]:
        """The surface goes on over the product's lower part, in a slanting, uneven line."""
        plan, rng = self.plan, self.plan.stream("buried")
        rows, columns = np.mgrid[: self.taken.shape[0], : self.taken.shape[1]]
        slope = rng.choice([-1, 1]) * rng.uniform(0.1, 0.3)
        wave = rng.uniform(0.5, 2) * np.sin(columns / rng.uniform(6, 20) + rng.uniform(0, 6))
        line = plan.ground + wave + slope * (columns - plan.box[0] - plan.box[2] / 2)
        visible = np.dstack([self.placed[..., :3], self.placed[..., 3] * np.clip(line - rows, 0, 1)]).astype(np.float32)
        self.lay(visible, 1 / plan.away)
        hidden = self.placed[..., 3] * (1 - np.clip(line - rows, 0, 1))
        self.picture = self.picture * (1 - 0.6 * hidden * np.exp(-np.abs(rows - line) / 2.5))[..., None]
        return visible, visible[..., 3]


def finished(picture: np.ndarray, rng) -> np.ndarray:
    """What a phone leaves: darker corners, grain, JPEG."""
    import cv2

    height, width = picture.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    far = np.hypot((rows / height - 0.5), (columns / width - 0.5)) ** 2 * 2
    picture = picture * (1 - rng.uniform(0, 0.18) * far)[..., None]
    picture = picture + rng.normal(0, rng.uniform(0.002, 0.012), picture.shape)
    quality = int(rng.integers(70, 96))
    stored = cv2.imencode(".jpg", to_bytes(picture)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(stored, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255
