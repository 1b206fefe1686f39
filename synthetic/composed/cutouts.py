"""Product pictures as a shop would cut them out: drawn with photographed light, or emoji with new colours and
materials.

A cut-out is drawn from (split, number) alone. Whole families (`HELD_FAMILIES`) appear in the test split only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..products import COLOURS, CUTOUTS, cutouts_of, seed_of
from .product_painters import FAMILIES
from .relief import LEATHER, WOVEN, Finishes, bend, inflate, noise, over
from .shapes import Sheet

HELD_FAMILIES = ("perfume", "sneaker", "kettle", "armchair")
SETS = ("bottle", "jar", "tube", "carton", "candle", "mug", "can", "perfume")  # what is sold in sets of several
# families whose size nobody knows by heart
VAGUE = ("vase", "carton", "candle", "plush", "cushion", "speaker", "handbag")
VAGUE_CUTOUTS = (
    "trophy",
    "cardboard box",
    "gift box",
    "potted plant",
    "basket",
    "cake",
    "pouch",
    "purse",
    "teddy bear",
    "mirror",
    "bell",
    "notebook",
    "jar",
    "long drum",
    "television",
    "crown",
    "key",
    "compass",
    "telescope",
    "bucket",
    "tent",
    "spool of thread",
    "ball of yarn",
    "chocolate bar",
    "salt shaker",
)


@dataclass(frozen=True)
class Cutout:
    """A product picture.

    rgba: (H, W, 4) float32, straight alpha, display colours, cropped to what it shows; metres: true largest side.
    """

    product_id: str
    family: str
    caption: str
    metres: float
    vague: bool  # things of this kind come in very different sizes
    upright: bool  # stands straight on its lowest part, so that one sees when it is tilted
    rgba: np.ndarray

    @property
    def colour(self) -> np.ndarray:
        """The median colour of its solid pixels, (3,)."""
        solid = self.rgba[self.rgba[..., 3] > 0.7][:, :3]
        return np.median(solid, 0) if len(solid) else np.full(3, 0.5, np.float32)

    @property
    def metres_wide(self) -> float:
        return self.metres * self.rgba.shape[1] / max(self.rgba.shape[:2])

    @property
    def metres_high(self) -> float:
        return self.metres * self.rgba.shape[0] / max(self.rgba.shape[:2])


def families_of(split: str) -> tuple[str, ...]:
    return tuple(name for name in FAMILIES if split == "test" or name not in HELD_FAMILIES)


def draw_cutout(
    split: str, number: int, assets, finishes: Finishes, pixels: int = 320, lamp: float = 0.5, held: bool | None = None
) -> Cutout:
    """Product `number` of a split, drawn `pixels` high.

    held: True draws from the held-out families, False from the others, None from all.
    """
    rng = np.random.default_rng(seed_of("composite product", split, number, held))
    kind = rng.choice(["drawn", "set", "emoji"], p=[0.52, 0.13, 0.35]) if not held else "drawn"
    if kind == "emoji":
        made = emoji(rng.choice(cutouts_of(split)), rng, assets, finishes, pixels, lamp)
        made = replace(made, product_id=f"{split}-{made.product_id}")
    elif kind == "set":
        made = _set(split, rng, finishes, pixels, lamp)
        made = replace(made, product_id=f"{split}-set-{number:05d}")
    else:
        names = [n for n in families_of(split) if held is None or (n in HELD_FAMILIES) == held]
        made = draw_family(str(rng.choice(names)), rng, finishes, pixels, lamp)
        made = replace(made, product_id=f"{split}-2d-{made.family}-{number:05d}")
    return finish(made, rng)


def finish(made: Cutout, rng) -> Cutout:
    """With the marks that cutting-out leaves."""
    return replace(made, rgba=_edges(made.rgba, rng))


def draw_family(family: str, rng, finishes: Finishes, pixels: int, lamp: float) -> Cutout:
    """One thing of a drawn family."""
    width, make, (small, large) = FAMILIES[family]
    height = pixels / max(width, 1.0)
    sheet = Sheet(int(height), int(height * width), finishes, rng, lamp)
    names = list(rng.choice(list(COLOURS), 3, replace=False))
    caption = _article(make(sheet, rng, *(display(rng, name) for name in names)).format(*names))
    return Cutout(
        f"2d-{family}", family, caption, float(rng.uniform(small, large)), family in VAGUE, True, crop(sheet.rgba)
    )


def display(rng, name: str) -> np.ndarray:
    """A named colour as pixels show it, a little different each time, (3,)."""
    return np.clip(
        (np.array(COLOURS[name]) * rng.uniform(0.75, 1.25) + rng.uniform(-0.01, 0.02, 3)).clip(0.004) ** (1 / 2.2),
        0.03,
        0.97,
    ).astype(np.float32)


def crop(rgba: np.ndarray) -> np.ndarray:
    """Without its transparent margin."""
    rows, columns = np.where((rgba[..., 3] > 0.02).any(1))[0], np.where((rgba[..., 3] > 0.02).any(0))[0]
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def resize(rgba: np.ndarray, height: int, width: int) -> np.ndarray:
    """Straight-alpha resampling to (height, width, 4) that lets no transparent pixel's colour in."""
    import cv2

    flat = np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3]])
    shrinks = height < rgba.shape[0]
    flat = cv2.resize(
        flat, (max(1, width), max(1, height)), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    alpha = np.clip(flat[..., 3:], 0, 1)
    return np.concatenate([np.clip(flat[..., :3] / np.maximum(alpha, 1e-4), 0, 1), alpha], -1).astype(np.float32)


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def emoji(code: str, rng, assets, finishes: Finishes, pixels: int, lamp: float) -> Cutout:
    """A drawn emoji with another colour, a material and photographed highlights, so that few drawings make many
    products.
    """
    caption, metres = CUTOUTS[code]
    source = assets.cutout(str(code)).astype(np.float32) / 255
    scale = pixels / max(source.shape[:2])
    rgba = resize(source, round(source.shape[0] * scale), round(source.shape[1] * scale))
    if rng.random() < 0.5:
        rgba[..., :3] = recolour(rgba[..., :3], rng)
        caption = caption.removeprefix("red ")
    rgba[..., :3] = textured(rgba, rng, finishes, lamp)
    upright = caption in (
        "sofa with lamp",
        "lotion bottle",
        "jar",
        "canned food",
        "chair",
        "coffee cup",
        "wine glass",
        "cup with straw",
        "toilet",
        "juice carton",
        "bubble tea",
        "television",
        "printer",
        "potted plant",
        "microscope",
        "bucket",
        "honey pot",
        "tumbler glass",
        "desktop computer",
        "bathtub",
        "teddy bear",
        "suitcase",
        "backpack",
    )
    vague = caption in VAGUE_CUTOUTS
    return Cutout(f"cutout-{code}", "cutout", _article(caption), metres, vague, upright, crop(rgba))


def recolour(rgb: np.ndarray, rng) -> np.ndarray:
    """Turned hue and other saturation, same light. (H, W, 3) in [0, 1]."""
    import cv2

    hls = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2HLS)
    hls[..., 0] = (hls[..., 0] + rng.uniform(20, 340)) % 360
    hls[..., 2] = np.clip(hls[..., 2] * rng.uniform(0.2, 1.0), 0, 1)
    hls[..., 1] = np.clip(hls[..., 1] ** rng.uniform(0.75, 1.6), 0, 1)
    return np.clip(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB), 0, 1)


def textured(rgba: np.ndarray, rng, finishes: Finishes, lamp: float) -> np.ndarray:
    """The same picture as if made of leather, cloth or worn paint: relief under raking light, highlights, grain.

    Returns (H, W, 3).
    """
    height = rgba.shape[0]
    rgb = rgba[..., :3]
    if rng.random() < 0.7:
        numbers = (LEATHER, WOVEN, tuple(range(len(finishes.reliefs))))[rng.integers(3)]
        normals = bend(
            inflate(rgba[..., 3], 0.12 * height),
            finishes.relief(numbers, rng),
            rng.uniform(0.15, 0.5) * height,
            rng.uniform(0.3, 0.9),
        )
        light = 0.35 * np.sign(lamp or 1) * normals[..., 0] + 0.4 * normals[..., 1] + 0.85 * normals[..., 2]
        rgb = rgb * (0.35 + 0.75 * np.clip(light, 0, 1.2))[..., None]
    spread = noise(rng, *rgb.shape[:2], rng.uniform(8, 60))
    return np.clip(
        rgb * (1 + rng.uniform(0, 0.25) * (spread - 0.5))[..., None]
        + rng.normal(0, 0.012, rgb.shape).astype(np.float32),
        0,
        1,
    )


def _set(split: str, rng, finishes: Finishes, pixels: int, lamp: float) -> Cutout:
    """Two to four things that are sold together, in one cut-out, at true relative size."""
    family = str(rng.choice([f for f in SETS if f in families_of(split)]))
    mixed = rng.random() < 0.6
    members = []
    for _ in range(int(rng.integers(2, 5))):
        name = str(rng.choice([f for f in SETS if f in families_of(split)])) if mixed else family
        members.append(draw_family(name, rng, finishes, pixels, lamp))
    tallest = max(m.metres_high for m in members)
    pictures = [
        resize(m.rgba, max(8, round(pixels * m.metres_high / tallest)), max(6, round(pixels * m.metres_wide / tallest)))
        for m in members
    ]
    order = np.argsort([-p.shape[0] for p in pictures])
    canvas = np.zeros((int(pixels * 1.12), 8 * pixels, 4), np.float32)  # four of the widest fit side by side
    left = right = middle = 4 * pixels
    for rank, index in enumerate(order):  # the tallest behind in the middle, the others to both sides in front of it
        picture = pictures[index]
        h, w = picture.shape[:2]
        base = int(pixels * (1.0 + 0.1 * rank / len(order)))
        if rank == 0:
            x = middle - w // 2
            left, right = x, x + w
        elif rank % 2:
            x = right - int(w * rng.uniform(0.0, 0.3))
            right = x + w
        else:
            x = left - w + int(w * rng.uniform(0.0, 0.3))
            left = x
        _lay(canvas, picture, x, base - h)
    rgba = crop(canvas)
    metres = tallest * max(rgba.shape[:2]) / pixels
    names = [m.caption.split(" ", 1)[1] for m in members]
    caption = f"a set of {len(members)}: " + ", ".join(dict.fromkeys(names))
    return Cutout("set", "set", caption, metres, True, True, rgba)


def _lay(canvas: np.ndarray, picture: np.ndarray, left: int, top: int) -> None:
    h, w = picture.shape[:2]
    spot = canvas[top : top + h, left : left + w]
    alpha, below = picture[..., 3], spot[..., 3].copy()
    whole = alpha + below * (1 - alpha)
    spot[..., :3] = over(spot[..., :3], picture[..., :3], np.where(below > 0, alpha / np.maximum(whole, 1e-6), 1))
    spot[..., 3] = whole


def _edges(rgba: np.ndarray, rng) -> np.ndarray:
    """How the cutting-out left its mark: a baked shadow, a light or dark rim, blocks of JPEG; often nothing."""
    import cv2

    if rng.random() < 0.12:
        rgba = _baked_shadow(rgba, rng)
    if rng.random() < 0.2:
        rim = cv2.morphologyEx(rgba[..., 3], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) * rng.uniform(0.2, 0.7)
        rgba = np.concatenate(
            [over(rgba[..., :3], np.full(3, rng.choice([0.05, 1.0]), np.float32), rim), rgba[..., 3:]], -1
        )
    if rng.random() < 0.3:
        flat = over(np.ones_like(rgba[..., :3]), rgba[..., :3], rgba[..., 3])
        stored = cv2.imencode(
            ".jpg", (flat * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))]
        )[1]
        blocky = cv2.imdecode(stored, cv2.IMREAD_COLOR).astype(np.float32) / 255
        rgba = np.concatenate([over(rgba[..., :3], blocky, (rgba[..., 3] > 0.3).astype(np.float32)), rgba[..., 3:]], -1)
    return rgba.astype(np.float32)


def _baked_shadow(rgba: np.ndarray, rng) -> np.ndarray:
    """The photograph's own contact shadow left in the cut-out, half transparent."""
    import cv2

    h, _w = rgba.shape[:2]
    pad = max(4, h // 14)
    wide = np.pad(rgba, ((0, pad), (pad, pad), (0, 0)))
    foot = np.zeros(wide.shape[:2], np.float32)
    solid = np.where(rgba[int(h * 0.93) :, :, 3].max(0) > 0.5)[0]
    if len(solid):
        cv2.ellipse(
            foot,
            (pad + int(solid.mean()), h - 1),
            (max(3, int(np.ptp(solid) * 0.58)), max(2, pad // 2)),
            0,
            0,
            360,
            1.0,
            -1,
            cv2.LINE_AA,
        )
    foot = cv2.GaussianBlur(foot, (0, 0), pad / 4) * rng.uniform(0.4, 0.75)
    alpha = wide[..., 3] + foot * (1 - wide[..., 3])
    colour = wide[..., :3] * (wide[..., 3] / np.maximum(alpha, 1e-6))[..., None]
    return crop(np.dstack([colour, alpha]))
