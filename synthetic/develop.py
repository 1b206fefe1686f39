"""From light to pixels: exposure, tone curve and style."""

from __future__ import annotations

import numpy as np


def to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


def tone(linear: np.ndarray) -> np.ndarray:
    """Filmic curve (Narkowicz's fit to ACES) and display gamma."""
    x = np.clip(linear, 0, None)
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1) ** (1 / 2.2)


def style(picture: np.ndarray, name: str) -> np.ndarray:
    grey = picture.mean(-1, keepdims=True)
    if name.startswith("black"):
        return np.broadcast_to(grey, picture.shape)
    if name.startswith("pastel"):
        return 0.3 + 0.7 * (grey + 0.75 * (picture - grey))
    if name.startswith("moody"):
        return np.clip(grey + 0.8 * (picture - grey), 0, 1) ** 1.6
    if name.startswith("vivid"):
        return np.clip(grey + 1.5 * (picture - grey), 0, 1)
    return picture
