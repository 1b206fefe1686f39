"""What the small world sells: parametric products and flat cut-outs, each with a caption and a true size in metres.

A product is drawn from (split, number) alone, so that the same number is the same product for ever, and no product
of one split appears in another.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from .geometry import Mesh, arc, box, card, join, lathe, rod

COLOURS = {
    "red": (0.72, 0.06, 0.05),
    "orange": (0.85, 0.30, 0.04),
    "yellow": (0.85, 0.62, 0.06),
    "green": (0.08, 0.40, 0.12),
    "teal": (0.04, 0.38, 0.38),
    "blue": (0.06, 0.17, 0.62),
    "navy": (0.03, 0.05, 0.20),
    "purple": (0.26, 0.08, 0.42),
    "pink": (0.85, 0.32, 0.45),
    "brown": (0.24, 0.11, 0.05),
    "beige": (0.68, 0.55, 0.40),
    "white": (0.82, 0.82, 0.80),
    "grey": (0.30, 0.30, 0.31),
    "black": (0.03, 0.03, 0.035),
    "gold": (0.75, 0.50, 0.16),
    "silver": (0.62, 0.63, 0.65),
}
METALS = ("gold", "silver")

# emoji code -> (caption, true largest side in metres); the drawings come from @lobehub/fluent-emoji-3d (MIT)
CUTOUTS = {
    "1f302": ("closed umbrella", 0.8),
    "1f3a7": ("headphones", 0.2),
    "1f3b8": ("guitar", 1.0),
    "1f3ba": ("trumpet", 0.5),
    "1f3bb": ("violin", 0.6),
    "1f3c6": ("trophy", 0.35),
    "1f3c8": ("american football", 0.28),
    "1f3d0": ("volleyball", 0.21),
    "1f451": ("crown", 0.2),
    "1f455": ("t-shirt", 0.7),
    "1f456": ("jeans", 1.0),
    "1f457": ("dress", 1.1),
    "1f45b": ("purse", 0.15),
    "1f45c": ("handbag", 0.35),
    "1f45d": ("pouch", 0.2),
    "1f45e": ("leather shoe", 0.28),
    "1f45f": ("running shoe", 0.28),
    "1f460": ("high-heeled shoe", 0.24),
    "1f461": ("sandal", 0.25),
    "1f462": ("boot", 0.35),
    "1f484": ("lipstick", 0.08),
    "1f4a1": ("light bulb", 0.12),
    "1f4bc": ("briefcase", 0.42),
    "1f4d4": ("notebook", 0.22),
    "1f4d5": ("red book", 0.24),
    "1f4e6": ("cardboard box", 0.4),
    "1f4f7": ("camera", 0.14),
    "1f4fa": ("television", 0.8),
    "1f4fb": ("radio", 0.25),
    "1f511": ("key", 0.07),
    "1f514": ("bell", 0.15),
    "1f526": ("torch", 0.2),
    "1f52c": ("microscope", 0.4),
    "1f52d": ("telescope", 1.0),
    "1f528": ("hammer", 0.32),
    "1f5a8-fe0f": ("printer", 0.45),
    "1f5a5-fe0f": ("desktop computer", 0.5),
    "1f6cb-fe0f": ("sofa with lamp", 2.0),
    "1f6b2": ("bicycle", 1.7),
    "1f6f4": ("kick scooter", 1.0),
    "1f6f5": ("motor scooter", 1.7),
    "1f6f9": ("skateboard", 0.8),
    "1f6fc": ("roller skate", 0.3),
    "1f6cf-fe0f": ("bed", 2.0),
    "1f6bd": ("toilet", 0.75),
    "1f6c1": ("bathtub", 1.6),
    "1f697": ("car", 4.0),
    "1f943": ("tumbler glass", 0.1),
    "1f94a": ("boxing glove", 0.3),
    "1f964": ("cup with straw", 0.2),
    "1f96b": ("canned food", 0.11),
    "1f97e": ("hiking boot", 0.28),
    "1f97f": ("flat shoe", 0.25),
    "1f9e2": ("cap", 0.25),
    "1f9e3": ("scarf", 0.5),
    "1f9e5": ("coat", 1.1),
    "1f9f0": ("toolbox", 0.4),
    "1f9f3": ("suitcase", 0.7),
    "1f9f4": ("lotion bottle", 0.2),
    "1f9f5": ("spool of thread", 0.06),
    "1f9f6": ("ball of yarn", 0.12),
    "1f9f8": ("teddy bear", 0.35),
    "1f9fa": ("basket", 0.45),
    "1f9fc": ("bar of soap", 0.09),
    "1f9ef": ("fire extinguisher", 0.5),
    "1f9c3": ("juice carton", 0.15),
    "1f9c2": ("salt shaker", 0.1),
    "1f9c9": ("mate cup", 0.14),
    "1f9cb": ("bubble tea", 0.2),
    "1f9ed": ("compass", 0.08),
    "1fa70": ("ballet shoes", 0.25),
    "1fa91": ("chair", 0.9),
    "1fa92": ("razor", 0.14),
    "1fa96": ("helmet", 0.3),
    "1fa97": ("accordion", 0.45),
    "1fa98": ("long drum", 0.7),
    "1fa9e": ("mirror", 0.5),
    "1faa3": ("bucket", 0.3),
    "1faa5": ("toothbrush", 0.18),
    "1fab4": ("potted plant", 0.4),
    "1fad6": ("teapot", 0.22),
    "1fad9": ("jar", 0.15),
    "231a": ("wrist watch", 0.06),
    "23f0": ("alarm clock", 0.14),
    "260e-fe0f": ("telephone", 0.22),
    "2615": ("coffee cup", 0.12),
    "26bd": ("soccer ball", 0.22),
    "26be": ("baseball", 0.07),
    "26f8-fe0f": ("ice skate", 0.3),
    "26fa": ("tent", 2.0),
    "1f37e": ("champagne bottle", 0.32),
    "1f37c": ("baby bottle", 0.18),
    "1f377": ("wine glass", 0.2),
    "1f36f": ("honey pot", 0.12),
    "1f36b": ("chocolate bar", 0.15),
    "1f370": ("cake", 0.2),
    "1f381": ("gift box", 0.25),
    "1f392": ("backpack", 0.45),
    "1f3a9": ("top hat", 0.25),
    "1f3be": ("tennis racket", 0.68),
    "1f3f8": ("badminton racket", 0.66),
    "1f941": ("drum", 0.4),
}


@dataclass(frozen=True)
class Material:
    """How a part looks: linear RGB, or the name of a cut-out picture."""

    colour: tuple[float, float, float]
    roughness: float = 0.4
    metallic: float = 0.0
    picture: str | None = None


@dataclass(frozen=True)
class ProductModel:
    """One sellable thing: its mesh (largest side 1, standing on z = 0), materials, caption and true largest side in
    metres.
    """

    product_id: str
    family: str
    caption: str
    metres: float
    mesh: Mesh
    materials: tuple[Material, ...]

    @property
    def colour(self) -> tuple[float, float, float]:
        return self.materials[0].colour


def seed_of(*words) -> int:
    """A stable 32-bit seed from words; Python's own hash changes from run to run."""
    return zlib.crc32("/".join(map(str, words)).encode())


def _pick(rng, names):
    return str(names[rng.integers(len(names))])


def _material(rng, name: str) -> Material:
    colour = tuple(
        float(np.clip(c * rng.uniform(0.8, 1.2) + rng.uniform(-0.01, 0.01), 0.01, 0.95)) for c in COLOURS[name]
    )
    return Material(colour, float(rng.uniform(0.12, 0.6)), 0.9 if name in METALS else 0.0)


def _bottle(rng):
    r, neck, shoulder = rng.uniform(0.13, 0.24), rng.uniform(0.04, 0.08), rng.uniform(0.55, 0.72)
    cap = rng.uniform(0.85, 0.92)
    profile = [
        (r * 0.92, 0),
        (r, 0.03),
        (r, 0.18),
        (r, shoulder * 0.8),
        (r * 0.95, shoulder * 0.9),
        (neck * 1.2, shoulder + 0.14),
        (neck, cap - 0.02),
        (neck * 1.35, cap),
        (neck * 1.35, 1.0),
    ]
    return lathe(profile, bands=[0, 0, 1, 0, 0, 0, 2, 2]), "{0} bottle with a {1} label", (0.2, 0.34)


def _jar(rng):
    r, lid = rng.uniform(0.35, 0.5), rng.uniform(0.7, 0.8)
    return (
        lathe(
            [
                (r * 0.9, 0),
                (r, 0.05),
                (r, 0.2),
                (r, 0.55),
                (r, lid - 0.04),
                (r * 1.04, lid - 0.03),
                (r * 1.04, lid + 0.15),
                (r * 0.9, lid + 0.18),
            ],
            bands=[0, 0, 1, 0, 0, 2, 2],
        ),
        "{0} cosmetic jar with a {2} lid",
        (0.05, 0.09),
    )


def _vase(rng):
    a, b, c = rng.uniform(0.12, 0.3), rng.uniform(0.2, 0.42), rng.uniform(0.08, 0.25)
    h = np.linspace(0, 1, 14)
    radius = a * (1 - h) ** 2 + 2 * b * h * (1 - h) + c * h**2 + 0.03
    return lathe(list(zip(radius, h)), bands=[0] * 13), "{0} vase", (0.2, 0.5)


def _cup(rng):
    r = rng.uniform(0.36, 0.46)
    body = lathe(
        [(r * 0.8, 0), (r, 0.08), (r, 0.3), (r, 0.62), (r, 0.95), (r * 0.9, 0.96), (r * 0.85, 0.5)],
        bands=[0, 0, 1, 0, 0, 0],
    )
    handle = arc(0.26, 0.05, -np.pi / 2, np.pi / 2).moved(r, 0, 0.48)
    return join(body, handle), "{0} mug", (0.09, 0.12)


def _tube(rng):
    r = rng.uniform(0.13, 0.2)
    flat = rng.uniform(0.35, 0.55)
    mesh = lathe(
        [
            (r * 0.7, 0),
            (r * 0.7, 0.14),
            (r * 0.72, 0.15),
            (r, 0.19),
            (r, 0.4),
            (r, 0.7),
            (r * 1.05, 0.98),
            (r * 1.05, 1.0),
        ],
        bands=[2, 2, 0, 0, 1, 0, 0],
    )
    squeeze = 1 - (1 - flat) * np.clip(mesh.vertices[:, 2:3] - 0.2, 0, 1)
    mesh.vertices = np.concatenate([mesh.vertices[:, :1], mesh.vertices[:, 1:2] * squeeze, mesh.vertices[:, 2:]], 1)
    return mesh, "{0} cream tube with a {2} cap", (0.12, 0.2)


def _carton(rng):
    w, d = rng.uniform(0.35, 0.8), rng.uniform(0.2, 0.4)
    band = rng.uniform(0.3, 0.6)
    return (
        join(
            box(w, d, band),
            box(w * 1.003, d * 1.003, 0.18).moved(z=band).painted(1),
            box(w, d, 1 - band - 0.18).moved(z=band + 0.18),
        ),
        "{0} carton with a {1} band",
        (0.12, 0.35),
    )


def _gift(rng):
    w = rng.uniform(0.8, 1.0)
    h = rng.uniform(0.5, 0.8)
    return (
        join(
            box(w, w, h),
            box(w * 0.16, w * 1.01, h * 1.005).painted(1),
            box(w * 1.01, w * 0.16, h * 1.005).painted(1),
            box(w * 1.06, w * 1.06, 0.14).moved(z=h - 0.1).painted(0),
            box(w * 0.17, w * 1.07, 0.15).moved(z=h - 0.1).painted(1),
        ),
        "{0} gift box with a {1} ribbon",
        (0.15, 0.35),
    )


def _speaker(rng):
    w, d = rng.uniform(0.45, 0.7), rng.uniform(0.35, 0.5)

    def cone(r, z, m):
        return (
            lathe([(r, 0), (r * 0.8, 0.02), (r * 0.3, 0.025)], bands=[m, m]).turned(np.pi / 2, "x").moved(0, -d / 2, z)
        )

    return join(box(w, d, 1, 0.05), cone(w * 0.38, 0.32, 1), cone(w * 0.2, 0.74, 2)), "{0} loudspeaker", (0.25, 0.5)


def _fridge(rng):
    w, d = rng.uniform(0.4, 0.52), rng.uniform(0.35, 0.45)
    split = rng.uniform(0.55, 0.68)

    def bar(z, h):
        return box(0.03, 0.03, h).moved(w * 0.38, -d / 2 - 0.03, z).painted(2)

    return (
        join(
            box(w, d, split - 0.01, 0.03),
            box(w * 0.97, d * 0.95, 0.02).moved(z=split - 0.01).painted(2),
            box(w, d, 0.99 - split, 0.03).moved(z=split + 0.01),
            bar(0.3, 0.2),
            bar(split + 0.06, 0.12),
        ),
        "{0} refrigerator",
        (1.5, 1.9),
    )


def _armchair(rng):
    seat, arm = rng.uniform(0.34, 0.42), rng.uniform(0.5, 0.6)
    w = rng.uniform(0.85, 1.0)
    feet = [rod((x, y, 0), (x, y, 0.1), 0.03).painted(2) for x in (-w * 0.42, w * 0.42) for y in (-0.36, 0.36)]
    return (
        join(
            box(w, 0.8, seat - 0.1, 0.05).moved(z=0.1),
            box(w, 0.2, 0.88, 0.06).moved(y=0.34, z=0.1),
            box(0.16, 0.78, arm - 0.1, 0.05).moved(x=-w / 2 + 0.05, z=0.1),
            box(0.16, 0.78, arm - 0.1, 0.05).moved(x=w / 2 - 0.05, z=0.1),
            box(w * 0.66, 0.62, 0.12, 0.05).moved(y=-0.06, z=seat).painted(1),
            *feet,
        ),
        "{0} armchair",
        (0.8, 1.0),
    )


def _sofa(rng):
    mesh, _, _ = _armchair(rng)
    wide = mesh.scaled(rng.uniform(2.0, 2.5), 1.0, 0.9)
    return wide, "{0} sofa", (1.7, 2.3)


def _chair(rng):
    legs = [rod((x * 1.08, y * 1.08, 0), (x, y, 0.46), 0.025) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    back = [rod((x, 0.2, 0.46), (x, 0.26, 0.98), 0.022) for x in (-0.19, 0.19)]
    return (
        join(
            box(0.48, 0.46, 0.06, 0.05).moved(z=0.45).painted(1),
            box(0.44, 0.05, 0.26, 0.02).moved(y=0.25, z=0.7).painted(1),
            *legs,
            *back,
        ),
        "{1} chair with {0} legs",
        (0.8, 1.0),
    )


def _lamp(rng):
    r = rng.uniform(0.18, 0.26)
    return (
        join(
            lathe([(r * 0.8, 0), (r * 0.75, 0.05), (0.03, 0.08), (0.025, 0.6)], bands=[0, 0, 0]),
            lathe([(r * 1.2, 0.58), (r * 0.75, 1.0)], bands=[1]),
        ),
        "table lamp with a {1} shade",
        (0.4, 0.6),
    )


def _kettle(rng):
    body = lathe(
        [(0.4, 0), (0.44, 0.06), (0.42, 0.3), (0.33, 0.58), (0.2, 0.68), (0.06, 0.71), (0.06, 0.78)],
        bands=[0, 0, 0, 0, 1, 2],
    )
    spout = rod((0.34, 0, 0.3), (0.64, 0, 0.62), 0.08, 0.04)
    handle = arc(0.34, 0.035, 0.15 * np.pi, 0.85 * np.pi).moved(0, 0, 0.55).painted(2)
    return join(body, spout, handle), "{0} kettle", (0.22, 0.3)


def _perfume(rng):
    w, d = rng.uniform(0.5, 0.75), rng.uniform(0.22, 0.35)
    return (
        join(
            box(w, d, 0.62, 0.08),
            box(w * 0.7, d * 1.01, 0.25).moved(z=0.16).painted(1),
            rod((0, 0, 0.6), (0, 0, 0.7), 0.09).painted(2),
            box(0.24, 0.2, 0.28, 0.04).moved(z=0.7).painted(2),
        ),
        "{0} perfume bottle",
        (0.08, 0.13),
    )


def _camera(rng):
    lens = (
        lathe([(0.23, 0), (0.23, 0.14), (0.2, 0.15), (0.2, 0.26), (0.15, 0.25)], bands=[1, 1, 1, 2])
        .turned(np.pi / 2, "x")
        .moved(0.05, -0.15, 0.3)
    )
    return (
        join(
            box(1, 0.32, 0.6, 0.05),
            box(0.3, 0.24, 0.12, 0.03).moved(x=0.05, z=0.6),
            rod((-0.35, 0, 0.6), (-0.35, 0, 0.67), 0.07).painted(2),
            lens,
        ),
        "{0} camera",
        (0.12, 0.16),
    )


def _handbag(rng):
    w = rng.uniform(0.8, 1.0)
    body = box(w, 0.34, 0.58, 0.08)
    body.vertices[:, 0] *= 1 - 0.22 * body.vertices[:, 2:3][:, 0] / 0.58
    return (
        join(
            body,
            box(w * 0.84, 0.36, 0.22, 0.06).moved(z=0.38).painted(1),
            arc(0.26, 0.03, 0.05 * np.pi, 0.95 * np.pi).moved(0, 0, 0.54).painted(1),
            box(0.1, 0.38, 0.07).moved(z=0.36).painted(2),
        ),
        "{0} handbag",
        (0.3, 0.4),
    )


def _lipstick(rng):
    return (
        join(
            lathe([(0.13, 0), (0.13, 0.42), (0.115, 0.43), (0.115, 0.6)], bands=[1, 1, 2]),
            lathe([(0.09, 0.6), (0.09, 0.86), (0.07, 0.95), (0.02, 1.0)], bands=[0, 0, 0]),
        ),
        "{0} lipstick in a {1} case",
        (0.07, 0.09),
    )


def _toaster(rng):
    return (
        join(
            box(1, 0.5, 0.58, 0.14).moved(z=0.04),
            box(0.86, 0.4, 0.04).painted(1),
            box(0.7, 0.06, 0.02).moved(y=-0.09, z=0.615).painted(1),
            box(0.7, 0.06, 0.02).moved(y=0.09, z=0.615).painted(1),
            box(0.06, 0.1, 0.06).moved(x=0.53, z=0.4).painted(2),
        ),
        "{0} toaster",
        (0.28, 0.36),
    )


def _candle(rng):
    r = rng.uniform(0.22, 0.38)
    return (
        join(
            lathe([(r, 0), (r, 0.3), (r, 0.6), (r, 0.9), (r * 0.95, 0.92)], bands=[0, 1, 0, 0]),
            rod((0, 0, 0.9), (0.02, 0, 1.0), 0.02).painted(2),
        ),
        "{0} candle",
        (0.08, 0.16),
    )


FAMILIES = {
    "bottle": _bottle,
    "jar": _jar,
    "vase": _vase,
    "mug": _cup,
    "tube": _tube,
    "carton": _carton,
    "gift": _gift,
    "speaker": _speaker,
    "fridge": _fridge,
    "armchair": _armchair,
    "sofa": _sofa,
    "chair": _chair,
    "lamp": _lamp,
    "kettle": _kettle,
    "perfume": _perfume,
    "camera": _camera,
    "handbag": _handbag,
    "lipstick": _lipstick,
    "toaster": _toaster,
    "candle": _candle,
}


def cutouts_of(split: str) -> list[str]:
    """The cut-out pictures that belong to a split: about 70/10/20 % to train/val/test, by a stable hash."""

    def home(code):
        h = seed_of("cutout", code) % 10
        return "test" if h < 2 else "val" if h == 2 else "train"

    return [code for code in CUTOUTS if home(code) == split]


def make_product(split: str, number: int) -> ProductModel:
    """Product `number` of a split.

    A third are flat cut-outs (few distinct ones), the rest parametric (all distinct).
    """
    rng = np.random.default_rng(seed_of("product", split, number))
    if rng.random() < 0.33:
        codes = cutouts_of(split)
        code = codes[rng.integers(len(codes))]
        caption, metres = CUTOUTS[code]
        return ProductModel(
            f"{split}-cutout-{code}",
            "cutout",
            f"a {caption}",
            metres,
            card(1, 1),
            (Material((0.5, 0.5, 0.5), 1.0, 0.0, code),),
        )
    family = _pick(rng, list(FAMILIES))
    mesh, caption, (small, large) = FAMILIES[family](rng)
    names = [_pick(rng, list(COLOURS)) for _ in range(3)]
    while names[1] == names[0]:
        names[1] = _pick(rng, list(COLOURS))
    caption = caption.format(*names)
    caption = ("an " if caption[0] in "aeiou" else "a ") + caption
    turn = rng.uniform(-0.6, 0.6)
    return ProductModel(
        f"{split}-{family}-{number:05d}",
        family,
        caption,
        float(rng.uniform(small, large)),
        mesh.turned(turn).unit(),
        tuple(_material(rng, name) for name in names),
    )
