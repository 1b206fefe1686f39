"""Shapes with light on them, without a renderer: surface normals, lit by photographed spheres and roughened by relief
maps.

A matcap is a picture of a sphere under some light: looking a normal up in it gives that light's shade, so chrome,
lacquer and leather come out as they were photographed. Colours are display RGB float32 in [0, 1]; normals are (H, W, 3)
with x right, y up, z towards the viewer. Matcaps and reliefs come from @pmndrs/assets (CC0).
"""

from __future__ import annotations

import base64
import functools
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..assets import AssetError

SPHERE, TILE, RELIEFS = 128, 256, 29  # pixels on a side of a matcap and of a relief tile; how many tiles
PACKAGE = "@pmndrs/assets"
# which of the package's 284 matcaps look like what
SPHERES = {
    "soft": (40, 54, 55, 64, 76, 131, 154, 195, 204, 219, 223, 250, 267),
    "gloss": (11, 13, 19, 20, 22, 31, 36, 41, 48, 58, 69, 73, 79, 102, 118, 127, 150, 192, 212, 243, 261, 273),
    "chrome": (6, 10, 37, 42, 59, 66, 237, 256, 272),
    "gold": (26, 29, 34, 77, 98, 138, 141, 170, 221),
}
WOVEN, LEATHER = (12, 17, 19, 11), (3, 15, 21, 18)  # relief numbers by what they look like


@dataclass(frozen=True)
class Finishes:
    """Spheres to shade with, by kind: each (SPHERE, SPHERE, 3) float32, brighter on the right; reliefs: (TILE, TILE, 3)
    normals.
    """

    soft: tuple
    gloss: tuple
    chrome: tuple
    gold: tuple
    reliefs: tuple

    @classmethod
    def read(cls, node_modules) -> Finishes:
        """The package's pictures that are used here. Raises AssetError where it lacks them."""
        folder = Path(node_modules) / PACKAGE
        kinds = {
            kind: tuple(_sphere(_embedded(folder / "matcaps", number, SPHERE)) for number in numbers)
            for kind, numbers in SPHERES.items()
        }
        return cls(
            **kinds, reliefs=tuple(_embedded(folder / "normals", number, TILE) * 2 - 1 for number in range(RELIEFS))
        )

    def draw(self, rng, kind: str, lamp: float) -> np.ndarray:
        """One sphere of a kind, turned so that the light comes from the lamp's side (-1 left, 1 right)."""
        options = getattr(self, kind)
        sphere = options[rng.integers(len(options))]
        return sphere if lamp >= 0 else sphere[:, ::-1]

    def relief(self, numbers, rng) -> np.ndarray:
        return self.reliefs[numbers[rng.integers(len(numbers))]]


def _embedded(folder: Path, number: int, size: int) -> np.ndarray:
    from PIL import Image

    file = folder / f"{number:04d}.webp.js"
    if not file.is_file():
        raise AssetError(
            f"{file} is missing: run `npm install {PACKAGE}` in some folder and pass its node_modules folder as"
            " --assets."
        )
    data = base64.b64decode(re.search(r"base64,([A-Za-z0-9+/=]+)", file.read_text()).group(1))
    return (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((size, size), Image.Resampling.BOX), np.float32)
        / 255
    )


@functools.lru_cache(maxsize=1)
def _disc() -> np.ndarray:
    y, x = np.mgrid[:SPHERE, :SPHERE] / (SPHERE - 1) * 2 - 1
    return np.hypot(x, y) < 0.9


def _sphere(picture: np.ndarray) -> np.ndarray:
    """The picture, mirrored where needed so that its right half is the brighter one."""
    light, half = np.where(_disc(), picture.mean(-1), 0), SPHERE // 2
    return picture if light[:, half:].sum() >= light[:, :half].sum() else np.ascontiguousarray(picture[:, ::-1])


def light_of(sphere: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The sphere's colour where its surface faces the same way. normals (H, W, 3) -> (H, W, 3)."""
    import cv2

    x = (0.5 + 0.46 * normals[..., 0]) * (SPHERE - 1)
    y = (0.5 - 0.46 * normals[..., 1]) * (SPHERE - 1)
    return cv2.remap(sphere, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)


def shade(
    albedo: np.ndarray, normals: np.ndarray, sphere: np.ndarray, metal: bool = False, shine: float = 0.8
) -> np.ndarray:
    """Colour under the sphere's light: metals mirror it in their colour, others are lit by its body and carry its
    highlights.
    """
    light = light_of(sphere, normals)
    if metal:
        return np.clip(light * (0.25 + 0.85 * albedo), 0, 1)
    grey = light.mean(-1, keepdims=True)
    knee = float(np.percentile(sphere[::6, ::6].mean(-1)[_disc()[::6, ::6]], 80))  # brighter than this is a highlight
    body = np.clip(grey / max(knee, 0.05), 0, 1.02)
    return np.clip(albedo * (0.18 + 0.85 * body) + shine * np.clip(grey - knee, 0, 1), 0, 1)


def bend(normals: np.ndarray, relief: np.ndarray, size: float, strength: float) -> np.ndarray:
    """Roughens normals with a relief tile, repeated every `size` pixels."""
    import cv2

    height, width = normals.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32) * (TILE / size)
    tile = cv2.remap(relief, x % (TILE - 1), y % (TILE - 1), cv2.INTER_LINEAR)
    bent = normals + strength * np.dstack([tile[..., :2], np.zeros((height, width), np.float32)])
    return bent / np.linalg.norm(bent, axis=-1, keepdims=True)


def inflate(mask: np.ndarray, roundness: float) -> np.ndarray:
    """Normals of a cushion with this outline.

    mask (H, W) in [0, 1]; roundness: pixels over which it curves down to its edge.
    """
    import cv2

    solid = (mask > 0.5).astype(np.uint8)
    inner = cv2.distanceTransform(np.pad(solid, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    t = 1 - np.clip(inner / max(roundness, 1), 0, 1)
    height = cv2.GaussianBlur(
        (np.sqrt(np.clip(1 - t * t, 0, 1)) * roundness).astype(np.float32), (0, 0), max(1.0, roundness * 0.12)
    )
    return facing(height)


def facing(height: np.ndarray) -> np.ndarray:
    """Normals of a height field, both in pixels."""
    import cv2

    x = -cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) / 8
    y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) / 8
    z = np.ones_like(x)
    return np.dstack([x, y, z]) / np.sqrt(x * x + y * y + 1)[..., None]


def noise(rng, height: int, width: int, cells: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise in [0, 1]; cells: how many bumps the longer side has in the coarsest octave."""
    import cv2

    total, weight = np.zeros((height, width), np.float32), 0.0
    for octave in range(octaves):
        step = max(height, width) / (cells * 2**octave)
        if step < 1.5 and octave:
            break
        grid = rng.random((max(2, int(height / step) + 2), max(2, int(width / step) + 2)), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**octave
        weight += 0.5**octave
    return np.clip(total / weight, 0, 1)


def over(below: np.ndarray, above: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight alpha: (H, W, 3) under (H, W, 3) with (H, W)."""
    return below + alpha[..., None] * (above - below)
