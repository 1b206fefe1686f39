"""A camera that may look down or up, over one flat surface.

A pixel at depth t along the optical axis lies t * down metres below the camera, so a surface `eye` metres below it is
seen at inverse depth down / eye: a straight line in the row. (The other composer's cameras stand upright.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """focal: pixels; pitch: radians, positive looks down; eye: metres above the surface."""

    width: int
    height: int
    focal: float
    pitch: float
    eye: float = 1.0

    def down(self, rows):
        """How far below the camera a ray has come at depth 1."""
        return (np.asarray(rows, np.float64) - self.height / 2) / self.focal * np.cos(self.pitch) + np.sin(self.pitch)

    def inverse(self, rows):
        """Inverse depth of the surface in these rows, 0 from the horizon upwards."""
        return np.clip(self.down(rows), 0, None) / self.eye

    def row(self, away: float) -> float:
        """The row in which the surface lies at a depth."""
        return self.height / 2 + self.focal * (self.eye / away - np.sin(self.pitch)) / np.cos(self.pitch)

    def scale(self, away: float) -> float:
        """Pixels of a metre at a depth."""
        return self.focal / away

    @property
    def horizon(self) -> float:
        return self.height / 2 - self.focal * np.tan(self.pitch)

    @property
    def rays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Right, down and forward of each pixel at depth 1, (H, W) each."""
        rows, columns = np.mgrid[: self.height, : self.width].astype(np.float64) + 0.5
        right, below = (columns - self.width / 2) / self.focal, (rows - self.height / 2) / self.focal
        sine, cosine = np.sin(self.pitch), np.cos(self.pitch)
        return right, below * cosine + sine, cosine - below * sine

    def floor(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Metres to the right and forward of the surface point in each pixel, and whether there is one, (H, W) each."""
        right, down, forward = self.rays
        depth = self.eye / np.maximum(down, 1e-3)
        return right * depth, forward * depth, down > 1e-3


def looking_at(
    width: int, height: int, focal: float, foot: float, away: float, pitch: float | None = None, eye: float = 1.6
) -> Camera:
    """The camera that sees the surface at depth `away` in row `foot`: with this pitch from whatever height that takes,
    or, without one, from about `eye` metres.
    """
    below = (foot - height / 2) / focal
    if pitch is None:
        pitch = float(np.arcsin(np.clip(eye / away / np.hypot(1, below), -0.9, 0.9)) - np.arctan(below))
        pitch = float(np.clip(pitch, -0.25, 0.6))
    pitch = max(pitch, 0.04 - float(np.arctan(below)))  # the foot lies below the horizon
    return Camera(width, height, focal, pitch, away * (below * np.cos(pitch) + np.sin(pitch)))
