"""Shadows of flat cut-outs on a receding surface: the cast one, sheared away from the lamp, and the dark line of
contact.
"""

from __future__ import annotations

import numpy as np

from .backdrops import Lamp


def cast(alpha: np.ndarray, foot: float, lift: float, lamp: Lamp, wall: bool = False) -> np.ndarray:
    """How dark the cast shadow makes each pixel, (H, W) in [0, 1].

    alpha: of the thing on the picture; foot: row of the surface under it; lift: pixels between surface and thing; wall:
    the surface is a wall right behind it.
    """
    import cv2

    height, width = alpha.shape
    rows = np.flatnonzero((alpha > 0.5).any(1))
    if not len(rows):
        return np.zeros_like(alpha)
    tall = rows[-1] - rows[0] + 1
    if wall:
        matrix = np.float32([[1, 0, -lamp.side * 0.06 * tall], [0, 1, 0.05 * tall]])
    else:
        # towards us a shadow is cut short: it would part from things whose foot is round
        aside, deep = -0.9 * lamp.side, 0.5 * lamp.back if lamp.back < 0 else 0.2 * lamp.back
        foot = foot - (0.025 * tall if lift == 0 else 0)
        # (x, y) -> (x + aside z, foot + deep z), z = foot - y
        matrix = np.float32([[1, -aside, aside * foot], [0, -deep, foot + deep * foot]])
    flat = cv2.warpAffine(alpha, matrix, (width, height), flags=cv2.INTER_LINEAR)
    soft = (1 - lamp.hardness) * 0.05 * tall + 0.01 * tall + 0.1 * lift * (1 - 0.5 * lamp.hardness)
    near = cv2.GaussianBlur(flat, (0, 0), max(0.6, 0.35 * soft))
    far = cv2.GaussianBlur(flat, (0, 0), max(0.8, soft))
    fade = np.clip(np.abs(np.arange(height, dtype=np.float32) - foot) / max(0.4 * tall, 1), 0, 1)[:, None]
    return lamp.strength * ((1 - fade) * near + fade * far * 0.85)


def contact(alpha: np.ndarray, foot: float, lift: float, lamp: Lamp) -> np.ndarray:
    """The dark under a thing that touches the surface, or the weak wide one under a thing that hovers; (H, W) in [0,
    1].
    """
    import cv2

    height, _width = alpha.shape
    solid = alpha > 0.5
    rows = np.flatnonzero(solid.any(1))
    if not len(rows):
        return np.zeros_like(alpha)
    tall = rows[-1] - rows[0] + 1
    lowest = np.where(solid.any(0), height - 1 - np.argmax(solid[::-1], 0), -1).astype(np.float32)
    base = foot - lift
    # how close each column comes to the foot
    near = np.clip(1.15 - (base - lowest) / (0.12 * tall), 0, 1) * (lowest >= 0)
    thick = max(1.8, 0.026 * tall)
    rows_grid = np.arange(height, dtype=np.float32)[:, None]
    where = np.minimum(lowest, base)[None] + lift
    dark = near[None] * np.exp(-(((rows_grid - where) / (thick * (1 + 2.5 * lift / tall))) ** 2))
    dark = cv2.GaussianBlur(dark.astype(np.float32), (0, 0), max(0.8, 0.015 * tall + 0.25 * lift))
    weight = 0.95 if lamp.strength else 0.75
    return weight * dark * (0.45 if lift > 0 else 1.0)


def on_surface(layer: np.ndarray, foot: float, lift: float, surface: np.ndarray, lamp: Lamp) -> np.ndarray:
    """Both shadows of a layer (H, W, 4) on the share of each pixel that is surface, (H, W)."""
    dark = cast(layer[..., 3], foot, lift, lamp) if lamp.strength else 0.0
    return (1 - (1 - dark) * (1 - contact(layer[..., 3], foot, lift, lamp))) * surface


def below_product(plan, layer: np.ndarray, lift: float, surface: np.ndarray, rng) -> np.ndarray:
    """The shadow of a plan's product, which stands `lift` pixels above its ground."""
    return on_surface(layer, plan.ground, lift, surface, plan.setting.lamp)
