"""What a stand-in picture is to show, drawn from (split, number) alone: label, cause, product, place, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...rfnet.labels import LABELS
from ..causes import names_to_choose
from ..composed.cutouts import Cutout
from ..products import seed_of
from ..scenes import AVAILABLE_SHARE, PANORAMAS
from .camera import Camera, looking_at
from .causes import CAUSES, PhotographedCause
from .places import GROUNDS, NO_FLOOR, OUTDOORS
from .things import LOOKS, PROPS, draw_product, kinds_of

SMALL = 0.55  # metres: what is shown smaller stands on a table
# width / height -> share
FORMATS = {1.0: 0.6, 0.8: 0.1, 0.667: 0.1, 1.25: 0.1, 1.5: 0.1}
LIGHTS = {"soft daylight": 0.25, "hard sunlight": 0.75, "dim light": 0.5}  # words -> how dark cast shadows are


@dataclass(frozen=True)
class Plan:
    """Boxes and rows in pixels, lengths in metres as the picture shows them."""

    picture_id: str
    label: str
    cause: str
    product: Cutout
    believed: float  # the largest side that the picture shows; the true one but for a size mismatch
    stage: str  # "table", "floor" or "air"
    room: str  # a panorama
    top: str  # the panorama whose ground is the table top or floor
    box: tuple[float, float, float, float]  # left, foot, width, height of the product
    ground: float  # the row of the surface under it
    away: float
    camera: Camera
    light: str
    side: float  # where the light comes from, -1 left to 1 right

    @property
    def made_by(self) -> PhotographedCause:
        return CAUSES[self.cause]

    @property
    def split(self) -> str:
        return self.picture_id.split("-")[0]

    @property
    def prompt(self) -> str:
        room = PANORAMAS[self.split][self.room]
        if self.stage == "air":
            return f"photo, {room}, {self.light}"
        return f"photo, on {GROUNDS[self.top][self.stage == 'table']}, {room}, {self.light}"

    def stream(self, name: str) -> np.random.Generator:
        """A generator for one step, so that leaving out a step changes no other."""
        return np.random.default_rng(seed_of(name, self.picture_id))


def choose(rng, options):
    options = list(options)
    return options[int(rng.integers(len(options)))]


def tells(name: str, stage: str, room: str, believed: float) -> bool:
    """Whether a prop of true size beside a product shown `believed` metres large can be seen and compared."""
    _, metres, where = PROPS[name]
    fits = where == "table" if stage == "table" else where == "floor" or (where == "street" and room in OUTDOORS)
    return fits and 0.16 < metres / believed < 2.2


def make_plan(split: str, number: int, size: int, assets) -> Plan:
    """Picture `number` of a split; size: side of a square one, others have its area, sides in multiples of 8."""
    picture_id = f"{split}-p{number:06d}"
    rng = np.random.default_rng(seed_of("photographed", picture_id))
    label = LABELS[0] if rng.random() < AVAILABLE_SHARE else LABELS[1 + int(rng.integers(4))]
    aspect = float(rng.choice(list(FORMATS), p=list(FORMATS.values())))
    width, height = (max(64, round(size * side / 8) * 8) for side in (aspect**0.5, aspect**-0.5))
    light, side = choose(rng, LIGHTS), float(rng.choice([-1, 1]) * rng.uniform(0.3, 1))
    for _ in range(200):  # until this product can show this cause, and something tells
        cause = CAUSES[choose(rng, names_to_choose(CAUSES.of(label)))] if label != LABELS[0] else CAUSES[""]
        product = draw_product(choose(rng, kinds_of(split)), int(rng.integers(LOOKS)), assets)
        believed = _believed(cause, product, rng)
        if believed is None or (cause.plain and _colourful(product)):
            continue
        stage = "air" if cause.aloft else "table" if believed < SMALL else "floor"
        rooms = [name for name in PANORAMAS[split] if stage != "floor" or name not in NO_FLOOR]
        if believed > 2.5:
            rooms = [name for name in rooms if name in OUTDOORS] or rooms
        room = choose(rng, rooms)
        if not cause.factor or any(tells(name, stage, room, believed) for name in PROPS):
            break
    else:
        raise RuntimeError(f"no product of {split} can show {label}")
    top = choose(rng, [name for name, (_, table) in GROUNDS.items() if table]) if stage == "table" else room
    box, ground = _box(cause, product, width, height, rng)
    camera, away = _camera(stage, box, ground, believed, width, height, rng)
    return Plan(
        picture_id,
        label,
        cause.name,
        product,
        believed,
        stage,
        room,
        top,
        box,
        ground,
        away,
        camera,
        light,
        side,
    )


def _colourful(product: Cutout) -> bool:
    return bool(product.rgba[product.rgba[..., 3] > 0.7][:, :3].std(0).mean() > 0.14)


def _believed(cause: PhotographedCause, product: Cutout, rng) -> float | None:
    if not cause.factor:
        return product.metres
    limits = cause.believed(product)
    return limits and float(np.exp(rng.uniform(*np.log(limits))))


def _box(cause: PhotographedCause, product: Cutout, width: int, height: int, rng):
    """(left, foot, width, height) of the product, and the row of the surface."""
    high, wide = product.rgba.shape[:2]
    share = rng.uniform(0.36, 0.66) * (0.75 if cause.crowd else 1)
    across = min(share, 0.5) if cause.factor or rng.random() < 0.4 else share  # room beside it
    fit = min(across * width / wide, share * height / high)
    w, h = wide * fit, high * fit
    left = float(np.clip(rng.normal(0.5, 0.13) * width - w / 2, 3, width - w - 3))
    lift = rng.uniform(*cause.above) * max(h, 0.5 * w) if cause.above else 0.0
    foot = float(np.clip(height * rng.uniform(0.68, 0.93), h + 3, 0.96 * height))
    foot = min(foot, 0.965 * height - lift)
    if foot < h + 2:  # too tall for that: smaller
        scale = (foot - 2) / h
        left, w, h = left + w * (1 - scale) / 2, w * scale, h * scale
    return (left, foot, w, h), foot + lift - (rng.uniform(*cause.below) * h if cause.below else 0.0)


def _camera(stage: str, box, ground: float, believed: float, width: int, height: int, rng) -> tuple[Camera, float]:
    _left, foot, w, h = box
    focal = rng.uniform(0.95, 1.7) * max(width, height)
    away = focal * believed / max(w, h)
    if stage == "air":  # the horizon lies below the foot
        below = foot + rng.uniform(0.2, 0.5) * h - height / 2
        return Camera(width, height, focal, float(-np.arctan(below / focal)), 1.6), away
    if stage == "table":
        return looking_at(width, height, focal, ground, away, pitch=rng.uniform(0.1, 0.5)), away
    return looking_at(width, height, focal, ground, away, eye=rng.uniform(1.1, 1.9)), away
