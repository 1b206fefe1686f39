"""Walls of a room and what hangs on them or is set in them, in true size: doors, windows, shelves, frames, switches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .backdrops import Lamp, View, tone
from .relief import TILE, Finishes, noise

WALL_RELIEF = {
    "plain": (0,),
    "window": (0, 6),
    "shelf": (0,),
    "frames": (0, 14),
    "curtain": (19, 12),
    "bricks": (26, 9, 25),
}


def wall(
    view: View, rng, finishes: Finishes, lamp: Lamp, kind: str, colour, away: float, drop: float, outside=None
) -> tuple[np.ndarray, float, set]:
    """A wall `away` metres off that stands on a floor `drop` metres below the eye: picture, the floor's row there, what
    hangs on it.

    outside: a picture seen through its windows.
    """
    import cv2

    scale, floor = view.scale(away), view.horizon + view.focal * drop / away
    rows, columns = view.grid
    size = max(rng.uniform(1.0, 2.0) * scale, 24.0)
    relief = finishes.relief(WALL_RELIEF[kind], rng)
    small = cv2.resize(relief, None, fx=min(1.0, size / TILE), fy=min(1.0, size / TILE), interpolation=cv2.INTER_AREA)
    side = small.shape[0]
    shift = rng.uniform(0, side, 2)
    bumps = cv2.remap(
        small,
        (((columns + shift[0]) * side / size) % (side - 1)).astype(np.float32),
        (((rows + shift[1]) * side / size) % (side - 1)).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    strength = 0.9 if kind in ("bricks", "curtain") else 0.35
    light = 1 + strength * (0.8 * lamp.side * bumps[..., 0] + 0.5 * bumps[..., 1])
    picture = (
        np.asarray(colour, np.float32)
        * (np.clip(light, 0.4, 1.5) * (0.94 + 0.12 * noise(rng, view.height, view.width, 5)))[..., None]
    )
    picture = np.clip(picture, 0, 1)
    shown = furnish(picture, rng, kind, scale, floor, outside)
    skirting = slice(max(0, int(floor - 0.1 * scale)), max(0, int(floor)))
    # from near by a skirting board would look like a ledge to stand on
    if kind != "curtain" and 0.1 * scale < 0.06 * view.height and rng.random() < 0.6:
        picture[skirting] = np.clip(np.asarray(colour) * 0.5 + 0.45, 0, 1)
    return picture, floor, shown


class Furnishing:
    """A wall's picture (H, W, 3) that rectangles in metres are painted on.

    scale: pixels of a metre; floor: its row; outside: what its windows and frames show, (H, W, 3) or None.
    """

    def __init__(self, picture: np.ndarray, rng, scale: float, floor: float, outside):
        self.picture, self.rng, self.scale, self.floor, self.outside = picture, rng, scale, floor, outside
        self.shown: set[str] = set()  # what shows at least in part
        self.reach = picture.shape[1] / scale / 2  # half the wall's width, metres
        self.wood = tone(np.array((0.25, 0.13, 0.06)) * rng.uniform(0.6, 3.0))
        self.white = np.array([0.93, 0.92, 0.9]) * rng.uniform(0.8, 1.0)

    def rectangle(self, name: str, x: float, low: float, wide: float, tall: float, colour, share: float = 0.5) -> None:
        """x and width across, low and height above the floor; named ones are shown if this share of them is in sight.

        colour: (3,), or a picture (H, W, 3) that is seen through it.
        """
        height, width = self.picture.shape[:2]
        left, right = int(width / 2 + x * self.scale), int(width / 2 + (x + wide) * self.scale)
        top, bottom = int(self.floor - (low + tall) * self.scale), int(self.floor - low * self.scale)
        box = (slice(max(top, 0), max(min(bottom, height), 0)), slice(max(left, 0), max(min(right, width), 0)))
        seen = max(0, box[0].stop - box[0].start) * max(0, box[1].stop - box[1].start)
        if not seen:
            return
        self.picture[box] = colour if np.ndim(colour) < 3 else colour[box]
        if name and seen > share * max(1, (right - left) * (bottom - top)):
            self.shown.add(name)

    def place(self, wide: float) -> float:
        """Where something of this width begins."""
        return self.rng.uniform(-self.reach, max(self.reach - wide, -self.reach + 0.1))


def door(wall: Furnishing) -> None:
    if wall.rng.random() >= 0.5:
        return
    x = wall.place(0.9)
    tint = wall.white if wall.rng.random() < 0.5 else wall.wood
    wall.rectangle("", x - 0.08, 0, 1.06, 2.12, tint * 0.9)
    wall.rectangle("door", x, 0, 0.9, 2.04, tint, 0.35)
    for low in (0.2, 1.1):
        for column in (0.12, 0.5):
            wall.rectangle("", x + column, low, 0.28, 0.75, tint * 0.86)
    wall.rectangle("", x + 0.8, 0.98, 0.07, 0.09, np.array([0.6, 0.58, 0.5]))


def window(wall: Furnishing) -> None:
    x, tall = wall.place(1.2), wall.rng.uniform(1.0, 1.5)
    sky = np.broadcast_to(np.array([0.78, 0.88, 0.97]), wall.picture.shape)
    wall.rectangle("window", x - 0.06, 0.84, 1.32, tall + 0.12, wall.white, 0.35)
    wall.rectangle("", x, 0.9, 1.2, tall, sky if wall.outside is None else wall.outside)
    wall.rectangle("", x + 0.57, 0.9, 0.06, tall, wall.white)
    wall.rectangle("", x, 0.9 + tall * 0.6, 1.2, 0.05, wall.white)


def shelves(wall: Furnishing) -> None:
    rng, reach = wall.rng, wall.reach
    for low in np.arange(0.35, 2.4, rng.uniform(0.36, 0.5)):
        wall.rectangle("", -reach, low, 2 * reach, 0.035, wall.wood)
        place = -reach
        while place < reach:
            wide, tall = rng.uniform(0.02, 0.06), rng.uniform(0.19, 0.29)
            if rng.random() < 0.8:
                wall.rectangle("books", place, low + 0.035, wide, tall, tone(rng.random(3) * 0.6), 0.8)
            place += wide + (rng.uniform(0, 0.4) if rng.random() < 0.12 else 0.002)


def frames(wall: Furnishing) -> None:
    rng = wall.rng
    for _ in range(int(rng.integers(1, 4))):
        x, low = rng.uniform(-wall.reach, wall.reach), rng.uniform(1.2, 1.7)
        wide, tall = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)
        wall.rectangle("", x, low, wide, tall, wall.wood * 0.6)
        shows = wall.outside if wall.outside is not None and rng.random() < 0.5 else rng.random(3)
        wall.rectangle("", x + 0.03, low + 0.03, wide - 0.06, tall - 0.06, shows)


def switch(wall: Furnishing) -> None:
    x, low = wall.rng.uniform(-wall.reach, wall.reach), wall.rng.choice([0.28, 1.08])
    wall.rectangle("switch", x, low, 0.08, 0.08, wall.white * 0.97, 0.9)


# kind of wall -> what it gets, in this order
FURNITURE: dict[str, tuple[Callable[[Furnishing], None], ...]] = {
    "plain": (door,),
    "window": (window,),
    "shelf": (shelves,),
    "frames": (door, frames),
    "curtain": (),
    "bricks": (),
}
FULL = ("shelf",)  # no room for a switch


def furnish(picture: np.ndarray, rng, kind: str, scale: float, floor: float, outside) -> set[str]:
    """Draws what hangs or is set in a wall into its picture; returns the names of what shows."""
    wall = Furnishing(picture, rng, scale, floor, outside)
    for draw in FURNITURE[kind]:
        draw(wall)
    if rng.random() < 0.5 and kind not in FULL:
        switch(wall)
    return wall.shown
