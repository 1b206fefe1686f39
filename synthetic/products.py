"""What the small world sells: parametric products and flat cut-outs, each with a caption and a true size in metres.

A product is drawn from (split, number) alone, so that the same number is the same product for ever, and no product
of one split appears in another.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from .geometry import Mesh, card
from .product_meshes import FAMILIES

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
