"""What a composite is to show: label, cause, product, place, light, camera. Drawn from (split, number) alone.

Everything but the defect itself is drawn before and apart from the label: light, blur, style, formats, things near and
far, things in the foreground, baked edges. Whole causes (those `held`) and whole families of products occur in the test
split only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...rfnet.labels import LABELS
from ..causes import names_to_choose
from ..products import seed_of
from ..scenes import AVAILABLE_SHARE, PANORAMAS, STYLES, WALL_COLOURS, WALLS, wall_words
from .backdrops import SURFACES, Lamp, View
from .causes import CAUSES, ComposedCause
from .cutouts import Cutout

HELD_SHARE = 0.35  # of the test split's defects and products that were held out of training
PRODUCTS = {"train": 6000, "val": 2000, "test": 600}
OUTDOORS = ("dawn", "forest", "park", "sky", "sunrise", "venice", "city", "night", "sunset", "esplanade")
LIGHTS = {
    "soft daylight": ((1.0, 1.0, 1.0), 0.25),
    "hard sunlight": ((1.03, 1.0, 0.95), 0.9),
    "warm evening light": ((1.08, 0.97, 0.84), 0.6),
    "cool blue light": ((0.9, 0.98, 1.08), 0.5),
    "dim light": ((0.8, 0.77, 0.74), 0.4),
}
# width / height -> share
SQUARE = {1.0: 1.0}
FORMATS = {1.0: 0.5, 0.8: 0.1, 0.75: 0.08, 0.667: 0.07, 0.5625: 0.05, 1.25: 0.05, 1.333: 0.06, 1.5: 0.05, 1.778: 0.04}


@dataclass(frozen=True)
class Setting:
    """What is drawn before the product is known."""

    composite_id: str
    label: str
    cause: str  # "" for available
    product_number: int
    held_product: bool
    seed: int
    width: int
    height: int
    lamp: Lamp
    light: str
    style: str
    aperture: float  # sigma of the blur at infinity, in pixels of a 256 picture
    centred: bool  # fitted and centred as the generating graph does, else anywhere

    @property
    def made_by(self) -> ComposedCause:
        return CAUSES[self.cause]


def choose(rng, options):
    options = list(options)
    return options[int(rng.integers(len(options)))]


def causes_of(split: str, label: str, rng) -> list[ComposedCause]:
    """The ways of making a defect that a split may use; in the test split a share is drawn from the held-out ones
    alone.
    """
    if split == "test" and rng.random() < HELD_SHARE:
        return [cause for cause in CAUSES.of(label) if cause.held]
    return [cause for cause in CAUSES.of(label) if not cause.held and split in cause.splits]


def make_setting(split: str, number: int, size: int, formats: dict[float, float] = FORMATS) -> Setting:
    """Composite `number` of a split; size: side of a square picture, other formats have the same area, sides in
    multiples of 8. All but its format is the same for any `formats`.
    """
    seed = seed_of("composite", split, number)
    rng = np.random.default_rng(seed)
    label = LABELS[0] if rng.random() < AVAILABLE_SHARE else LABELS[1 + int(rng.integers(4))]
    cause = choose(rng, names_to_choose(causes_of(split, label, rng))) if label != LABELS[0] else ""
    aspect = float(rng.choice(list(formats), p=list(formats.values())))
    width, height = (max(64, round(size * side / 8) * 8) for side in (aspect**0.5, aspect**-0.5))
    light = choose(rng, LIGHTS)
    tint, hardness = LIGHTS[light]
    flat = rng.random() < 0.2
    lamp = Lamp(
        float(rng.choice([-1, 1]) * rng.uniform(0.2, 1.0)),
        float(rng.choice([-1, 1]) * rng.uniform(0.15, 0.6)),
        hardness,
        0.0 if flat else float(rng.uniform(0.3, 0.75)),
        tint,
    )
    return Setting(
        f"{split}-c{number:06d}",
        label,
        cause,
        int(rng.integers(PRODUCTS[split])),
        bool(split == "test" and rng.random() < HELD_SHARE),
        seed,
        width,
        height,
        lamp,
        light,
        choose(rng, STYLES),
        float(rng.choice([0, 0, 0.5, 1, 2, 3.5, 6, 9])),
        bool(rng.random() < 0.5),
    )


@dataclass(frozen=True)
class Plan:
    """A setting with its product, its place and its camera.

    Lengths in metres as the scene shows them, boxes in pixels.
    """

    setting: Setting
    cause: str
    believed: float  # the product's largest side as the scene shows it; its true one times the size error
    stage: str  # "table", "room", "outdoors", "sweep"
    surface: str
    room: str  # words
    room_id: str
    panorama: str | None
    wall: tuple[str, str] | None
    box: tuple[int, int, int, int]  # left, top, width, height of the product
    ground: float  # row where the product's foot meets, or should meet, the surface
    view: View
    away: float  # metres to the product

    @property
    def made_by(self) -> ComposedCause:
        return CAUSES[self.cause]

    @property
    def prompt(self) -> str:
        return f"{self.setting.style}, on {self.surface}, {self.room}, {self.setting.light}"


def fit_cause(setting: Setting, product: Cutout, split: str, rng) -> ComposedCause:
    """The setting's cause, or the nearest one that this product can show: no one sees a car too big by a tree."""
    cause = setting.made_by
    if cause.sizes is not None:
        if cause.believed(product):
            return cause
        others = [other for other in CAUSES.of(cause.label) if other.held == cause.held and split in other.splits]
        able = [other for other in others if other.believed(product)]
        if able:
            return CAUSES[choose(rng, names_to_choose(able))]
    nearest = cause.instead(product) if cause.instead else None
    return CAUSES[nearest] if nearest else cause


def make_plan(setting: Setting, product: Cutout, split: str, attempt: int = 0) -> Plan:
    """Places the product and the camera so that all lengths agree with each other, but for a size mismatch's error."""
    rng = np.random.default_rng([setting.seed + 1, attempt])
    cause = fit_cause(setting, product, split, rng)
    believed = product.metres
    if cause.sizes is not None:
        low, high = cause.believed(product) or (product.metres * 2.5, product.metres * 4)
        believed = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    stage = _stage(cause, believed, rng)
    surface = choose(rng, [s for s, (*_, carries, where) in SURFACES.items() if _fits(stage, carries, where, believed)])
    panorama, wall = None, None
    if stage == "outdoors":
        panorama = choose(rng, [p for p in PANORAMAS[split] if p in OUTDOORS])
    elif stage == "table" and rng.random() < 0.5:
        panorama = choose(rng, PANORAMAS[split])
    elif stage == "sweep":
        wall = ("plain", choose(rng, WALL_COLOURS))
    else:
        wall = (choose(rng, WALLS), choose(rng, WALL_COLOURS))
    room = PANORAMAS[split][panorama] if panorama else wall_words(*wall)
    box = _box(setting, cause, product, rng)
    ground = _ground(setting, cause, box, rng)
    view, away = _camera(setting, cause, box, ground, believed, rng)
    return Plan(
        setting,
        cause.name,
        believed,
        stage,
        surface,
        room,
        panorama or f"{split}-c-wall-{setting.composite_id[-6:]}",
        panorama,
        wall,
        box,
        ground,
        view,
        away,
    )


def _stage(cause: ComposedCause, believed: float, rng) -> str:
    if cause.stage is not None:
        return cause.stage
    shares = (
        {"table": 0.55, "outdoors": 0.2, "sweep": 0.15, "room": 0.1}
        if believed < 0.5
        else {"table": 0.0, "outdoors": 0.38, "sweep": 0.12, "room": 0.5}
    )
    return str(rng.choice(list(shares), p=list(shares.values())))


def _fits(stage: str, carries: str, where: str, believed: float) -> bool:
    if stage == "table":
        return carries == "small"
    if stage == "outdoors":
        return where in ("out", "any") and (carries != "small" or believed < 0.4)
    return carries == "large" and where in ("in", "any") if stage == "room" else True


def _box(setting: Setting, cause: ComposedCause, product: Cutout, rng) -> tuple[int, int, int, int]:
    """Where the product lies.

    Causes that need room below or above it get it; half of the others lie as high by chance.
    """
    width, height = setting.width, setting.height
    high, wide = product.rgba.shape[:2]
    share = rng.uniform(0.66, 0.78) if setting.centred else rng.uniform(0.34, 0.72)
    fit = min(share * width / wide, share * height / high)
    w, h = max(8, int(wide * fit)), max(8, int(high * fit))
    if (cause.sizes is not None or rng.random() < 0.4) and w > 0.56 * width:  # room beside it
        w, h = int(0.56 * width), max(8, int(0.56 * width * h / w))
    left = (
        (width - w) // 2 if setting.centred else int(np.clip(rng.normal(0.5, 0.16) * width - w / 2, 2, width - w - 2))
    )
    top = (height - h) // 2 if setting.centred else int(np.clip(height * rng.uniform(0.6, 0.95) - h, 2, height - h - 2))
    if cause.room_below or rng.random() < 0.5:
        top = max(2, min(top, int(height * rng.uniform(0.7, 0.84)) - h))
        if top + h > 0.86 * height:
            shrink = 0.84 * height / (top + h)
            w, h = max(8, int(w * shrink)), max(8, int(h * shrink))
            left = min(left, width - w - 2)
    if cause.room_above:
        top = max(top, min(int(0.16 * height), height - h - 2))
    return left, top, w, h


def _ground(setting: Setting, cause: ComposedCause, box, rng) -> float:
    _left, top, _w, h = box
    foot = top + h
    if cause.above is not None:
        return min(foot + max(rng.uniform(*cause.above) * h, 0.07 * setting.height), setting.height * 0.975)
    if cause.below is not None:
        return foot - rng.uniform(*cause.below) * h
    return float(foot)


def _camera(setting: Setting, cause: ComposedCause, box, ground: float, believed: float, rng) -> tuple[View, float]:
    """Focal length, horizon and height of the eye that show the product at its believed size."""
    _left, _top, w, h = box
    side = max(setting.width, setting.height)
    focal, scale = rng.uniform(1.2, 2.6) * side, max(w, h) / believed
    drop = rng.uniform(0.1, 0.55) * setting.height
    horizon = ground - drop
    if cause.camera is not None:
        horizon, drop = cause.camera(box, ground, setting.height, rng)
    return View(setting.width, setting.height, float(horizon), float(focal), float(drop / scale)), float(focal / scale)
