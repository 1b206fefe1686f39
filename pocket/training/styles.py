"""Picture styles for the pocket family's fine-tunes and LoRAs: each a function of a whole picture, of which the
background alone is kept.

A shop's product is never restyled, and what is usable in a picture has to stay so: every style leaves shapes, and which
of two things is the lighter one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # the command line names the styles before torch may be loaded
    from ...rfnet.data.samples import Samples

LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def luma(x: np.ndarray) -> np.ndarray:
    """(H, W, 3) in [0, 1] → lightness (H, W, 1)."""
    return (x @ LUMA)[..., None]


def between(dark: tuple, light: tuple, share: np.ndarray) -> np.ndarray:
    """The colours on the way from dark to light."""
    return np.array(dark, np.float32) + np.array(np.subtract(light, dark), np.float32) * share


def sepia(x: np.ndarray) -> np.ndarray:
    """Warm old film: brown shadows, cream lights, a rest of the colours."""
    return 0.85 * between((0.15, 0.07, 0.02), (1.0, 0.92, 0.72), luma(x)) + 0.15 * x


def night(x: np.ndarray) -> np.ndarray:
    """A cool duotone: navy shadows, pale cyan lights, darker as a whole."""
    return 0.9 * between((0.01, 0.02, 0.16), (0.60, 0.86, 0.97), luma(x) ** 1.4) + 0.1 * x


def pastel(x: np.ndarray) -> np.ndarray:
    """High key: lilac shadows, half of the colour, nothing dark."""
    return between((0.60, 0.50, 0.68), (1.0, 0.98, 0.95), 0.55 * x + 0.45 * luma(x))


INKS = np.array(((0.04, 0.13, 0.12), (0.09, 0.42, 0.36), (0.62, 0.74, 0.34), (0.98, 0.95, 0.78)), np.float32)


def poster(x: np.ndarray) -> np.ndarray:
    """A screen print in four inks, dark green to cream, chosen by lightness; a rest of the colours."""
    height, width, _ = x.shape
    wide = np.pad(luma(x)[..., 0], 1, "edge")
    soft = (
        sum(wide[i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9
    )  # fewer specks of another ink
    return 0.85 * INKS[np.clip(4 * soft, 0, 3).astype(int)] + 0.15 * x


STYLES = {style.__name__: style for style in (sepia, night, pastel, poster)}


def restyle(image: np.ndarray, alpha: np.ndarray, name: str) -> np.ndarray:
    """A picture (H, W, 3) uint8 in a style, but for its product: alpha (H, W) uint8, 255 where the product is.

    Raises ValueError on an unknown name.
    """
    if name not in STYLES:
        raise ValueError(f'there is no style "{name}": choose one of {", ".join(STYLES)}')
    x = image / np.float32(255)
    product = alpha[..., None] / np.float32(255)
    return np.round(255 * np.clip(product * x + (1 - product) * STYLES[name](x), 0, 1)).astype(np.uint8)


def restyled(samples: Samples, name: str) -> Samples:
    """Samples in memory, all their images in a style."""
    pairs = zip(samples.arrays["image"], samples.arrays["product"])
    images = np.stack([restyle(image, product[..., 3], name) for image, product in pairs])
    return replace(samples, arrays={**samples.arrays, "image": images})
