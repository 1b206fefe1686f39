"""A stand-in for a shop's photographs: composites by another composer than the one that training knows.

Places are crops of two real photographs (they come with scikit-learn), surfaces other crops out of focus, the other
things are cut-outs of other products. Nothing here is shared with `synthetic compose` but the cut-outs. The label is
true by how the picture is made.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from reliable_ads.rfnet.labels import LABELS
from reliable_ads.synthetic.product_files import read_products
from reliable_ads.synthetic.products import seed_of

SIZE = 256
AVAILABLE = 0.4  # of the pictures; the four defects share the rest


@dataclass(frozen=True)
class Thing:
    """A cut-out with float RGBA (H, W, 4), and its largest side in metres."""

    name: str
    caption: str
    rgba: np.ndarray
    metres: float


def things_of(archive: Path, first: int, last: int) -> list[Thing]:
    """Products first to last - 1 of an archive that `synthetic products` wrote."""
    with zipfile.ZipFile(archive) as file:
        lines = [json.loads(line) for line in file.read("index.jsonl").decode("utf-8").splitlines() if line.strip()]
    metres = {line["product_id"]: float(line["metres"]) for line in lines}
    found = [Thing(name, product.caption, product.rgba, metres[name]) for name, _, product in read_products(archive)]
    return found[first:last]


class OtherComposer:
    """`composer.scene(thing, number)`: one picture as rfnet.data.shards.write_shard takes it, the same for ever."""

    def __init__(self, things: list[Thing]):
        from sklearn.datasets import load_sample_image

        self.things = things
        self.photographs = [load_sample_image(name).astype(np.float32) / 255 for name in ("china.jpg", "flower.jpg")]

    def scene(self, thing: Thing, number: int) -> dict:
        rng = np.random.default_rng(seed_of("other composer", f"{thing.name} {number}"))
        label = LABELS[0] if rng.random() < AVAILABLE else str(rng.choice(LABELS[1:]))
        picture, horizon = self._place(rng, thing if label == "indistinctiveness" else None)
        side = rng.uniform(0.34, 0.5) * SIZE
        foot = rng.uniform(horizon + 0.12, 0.92) * SIZE
        middle = rng.uniform(0.4, 0.6) * SIZE
        others = [other for other in self.things if other.name != thing.name]
        if label == "indistinctiveness" and rng.random() < 0.5:
            for _ in range(9):
                self._put_beside(picture, rng.choice(others), side, rng.uniform(0.5, 0.9), rng, crowd=True)
        elif label == "size_mismatch" or rng.random() < 0.5:
            other = self._comparable(thing, others, rng)
            wrong = rng.choice([1 / rng.uniform(3, 5), rng.uniform(3, 5)]) if label == "size_mismatch" else 1.0
            self._put_beside(picture, other, side, wrong * other.metres / thing.metres, rng, foot, middle)
        rgba = fit(thing.rgba, side)
        lift = rng.uniform(0.1, 0.25) * SIZE if label == "space_mismatch" else 0
        if not lift or rng.random() < 0.3:
            shade(picture, middle, foot, rgba.shape[1], rng)
        if label == "shape_hallucination":
            put(picture, grown(rgba, rng), middle + rng.choice([-1, 1]) * rgba.shape[1] * rng.uniform(0.3, 0.5), foot)
        alpha = put(picture, rgba, middle, max(rgba.shape[0], foot - lift))
        return {
            "id": f"{thing.name}-{number}",
            "image": to_image(picture),
            "product": to_image(alpha),
            "caption": thing.caption,
            "prompt": "",
            "label": label,
            "cause": "other composer",
            "product_id": thing.name,
            "room_id": "",
        }

    def _place(self, rng, hides: Thing | None) -> tuple[np.ndarray, float]:
        """A picture (SIZE, SIZE, 3) without the product, and where its surface begins, as a share of the height; hides:
        a product in whose colours the place is.
        """
        horizon = rng.uniform(0.5, 0.68)
        behind = cv2.GaussianBlur(self._crop(rng), (0, 0), rng.uniform(0.5, 3))
        surface = cv2.GaussianBlur(self._crop(rng), (0, 0), rng.uniform(5, 12))
        edge = int(horizon * SIZE)
        picture = behind.copy()
        picture[edge:] = surface[edge:] * np.linspace(0.75, 1.1, SIZE - edge)[:, None, None]
        if hides is not None:
            colours = hides.rgba[hides.rgba[..., 3] > 0.7][:, :3]
            cells = colours[rng.integers(len(colours), size=(12, 12))]
            tile = cv2.resize(np.ascontiguousarray(cells), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
            picture = 0.3 * picture + 0.7 * tile
        return np.ascontiguousarray(np.clip(picture, 0, 1), np.float32), horizon

    def _crop(self, rng) -> np.ndarray:
        photograph = self.photographs[rng.integers(len(self.photographs))]
        side = int(rng.uniform(0.35, 0.95) * min(photograph.shape[:2]))
        y, x = (int(rng.integers(length - side + 1)) for length in photograph.shape[:2])
        crop = photograph[y : y + side, x : x + side][:, :: rng.choice([-1, 1])]
        crop = cv2.resize(np.ascontiguousarray(crop), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return np.clip(crop * rng.uniform(0.8, 1.15, 3).astype(np.float32), 0, 1)

    def _comparable(self, thing: Thing, others: list[Thing], rng) -> Thing:
        """Another thing, of half to twice the product's size where there is one."""
        near = [other for other in others if 0.5 <= other.metres / thing.metres <= 2]
        return rng.choice(near or others)

    def _put_beside(self, picture, other, side, ratio, rng, foot=None, middle=None, crowd=False) -> None:
        rgba = fit(other.rgba, float(np.clip(side * ratio, 10, 1.6 * SIZE)))
        x = rng.uniform(0, SIZE) if crowd else middle + rng.choice([-1, 1]) * (side * 0.45 + rgba.shape[1] * 0.5)
        y = rng.uniform(0.6, 0.98) * SIZE if crowd else foot - rng.uniform(0, 6)
        shade(picture, x, y, rgba.shape[1], rng)
        put(picture, rgba, x, y)


def fit(rgba: np.ndarray, side: float) -> np.ndarray:
    """A cut-out whose largest side has so many pixels."""
    scale = side / max(rgba.shape[:2])
    height, width = (max(4, round(length * scale)) for length in rgba.shape[:2])
    flat = np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3]]).astype(np.float32)
    flat = cv2.resize(flat, (width, height), interpolation=cv2.INTER_AREA)
    alpha = np.clip(flat[..., 3:], 0, 1)
    return np.dstack([np.clip(flat[..., :3] / np.maximum(alpha, 1e-3), 0, 1), alpha])


def put(picture: np.ndarray, rgba: np.ndarray, middle: float, foot: float) -> np.ndarray:
    """Lays a cut-out over the picture, in place; what of it shows, (SIZE, SIZE, 4)."""
    shown = np.zeros((SIZE, SIZE, 4), np.float32)
    top, left = round(foot) - rgba.shape[0], round(middle - rgba.shape[1] / 2)
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + rgba.shape[0], SIZE), min(left + rgba.shape[1], SIZE)
    if y1 > y0 and x1 > x0:
        shown[y0:y1, x0:x1] = rgba[y0 - top : y1 - top, x0 - left : x1 - left]
        picture[:] = shown[..., 3:] * shown[..., :3] + (1 - shown[..., 3:]) * picture
    return shown


def shade(picture: np.ndarray, middle: float, foot: float, width: float, rng) -> None:
    """A contact shadow under a foot."""
    dark = np.zeros((SIZE, SIZE), np.float32)
    axes = max(2, round(width * 0.48)), max(2, round(width * 0.1))
    cv2.ellipse(dark, (round(middle), round(foot) - 1), axes, 0, 0, 360, 1.0, -1)
    picture *= 1 - rng.uniform(0.35, 0.65) * cv2.GaussianBlur(dark, (0, 0), 4)[..., None]


def grown(rgba: np.ndarray, rng) -> np.ndarray:
    """A part of the product once more, turned: what a painter adds to it."""
    height = rgba.shape[0]
    part = rgba[int(height * rng.uniform(0, 0.4)) :]
    part = part[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
    return np.ascontiguousarray(np.rot90(part, rng.integers(4)) if rng.random() < 0.5 else part)


def to_image(planes: np.ndarray) -> Image.Image:
    return Image.fromarray(
        (np.clip(planes, 0, 1) * 255 + 0.5).astype(np.uint8), "RGBA" if planes.shape[2] == 4 else "RGB"
    )
