"""Flat pictures inside the scenes, drawn with numpy: surface textures and backdrops (panorama views and painted rooms).

All are linear RGB float32, (H, W, 3), and a pure function of their arguments.
"""

from __future__ import annotations

import numpy as np

TEXTURE = 192
BACKDROP = (144, 192)  # rows, columns


def _noise(rng, size: int, cells: int) -> np.ndarray:
    """Smooth tileable noise in [0, 1]."""
    import cv2

    grid = rng.random((cells, cells)).astype(np.float32)
    grid = np.pad(grid, 2, mode="wrap")
    step = size / cells
    big = cv2.resize(grid, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
    lead = round(2 * step)
    return np.clip(big[lead : lead + size, lead : lead + size], 0, 1)


def _mix(a, b, t):
    return np.asarray(a, np.float32) * (1 - t[..., None]) + np.asarray(b, np.float32) * t[..., None]


def wood(rng, light, dark, planks=3):
    y, _x = np.mgrid[:TEXTURE, :TEXTURE] / TEXTURE
    plank = np.floor(y * planks)
    shift = rng.random(planks)[plank.astype(int) % planks]
    grain = 0.5 + 0.5 * np.sin(
        2 * np.pi * (y * 9 * planks + 1.6 * _noise(rng, TEXTURE, 5) + shift * 5) + 3 * _noise(rng, TEXTURE, 12)
    )
    picture = _mix(light, dark, 0.55 * grain + 0.35 * shift)
    seam = np.abs(y * planks - np.round(y * planks)) < 0.02
    picture[seam] *= 0.45
    return picture


def marble(rng, base, vein):
    n = _noise(rng, TEXTURE, 4) + 0.5 * _noise(rng, TEXTURE, 9)
    line = np.exp(-np.abs(np.sin(6 * n)) * 7)
    return _mix(base, vein, 0.8 * line)


def speckle(rng, base, other, cells=48, contrast=0.7):
    return _mix(base, other, contrast * (0.6 * _noise(rng, TEXTURE, cells) + 0.4 * _noise(rng, TEXTURE, 7)))


def tiles(rng, base, joint, count=4):
    y, x = np.mgrid[:TEXTURE, :TEXTURE] / TEXTURE * count
    seam = (np.abs(x - np.round(x)) < 0.03) | (np.abs(y - np.round(y)) < 0.03)
    shade = 0.85 + 0.3 * rng.random((count, count))[y.astype(int), x.astype(int)]
    picture = np.asarray(base, np.float32) * shade[..., None].astype(np.float32)
    picture[seam] = joint
    return picture


def checks(rng, a, b, count=6):
    y, x = np.mgrid[:TEXTURE, :TEXTURE] * count // TEXTURE
    return _mix(a, b, ((x + y) % 2).astype(np.float32))


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.2 else picture


def panorama_view(panorama: np.ndarray, yaw: float, horizon: float, field: float = 1.2) -> np.ndarray:
    """A wide view out of an equirectangular panorama.

    yaw: radians; horizon: its row as a share of the height; field: radians.
    """
    import cv2

    rows, columns = BACKDROP
    u = (np.arange(columns) + 0.5) / columns - 0.5
    v = (np.arange(rows) + 0.5) / rows - horizon
    longitude = np.broadcast_to(yaw + field * u, (rows, columns))
    latitude = np.broadcast_to((-field * rows / columns * v)[:, None], (rows, columns))
    height, width = panorama.shape[:2]
    map_x = ((longitude / (2 * np.pi)) % 1.0 * width).astype(np.float32)
    map_y = np.clip((0.5 - latitude / np.pi) * height, 0, height - 1).astype(np.float32)
    return cv2.remap(panorama, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def painted_room(rng, wall, kind: str) -> np.ndarray:
    """A wall with what hangs or stands there: 'plain', 'window', 'shelf', 'frames', 'curtain', 'bricks'."""
    rows, columns = BACKDROP
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    wall = np.asarray(wall, np.float32)
    glow = 1.15 - 0.5 * np.hypot((x / columns - rng.uniform(0.2, 0.8)), (y / rows - rng.uniform(0.0, 0.4)))
    picture = wall * glow[..., None]
    if kind == "window":
        left, top, w, h = rng.integers(10, 110), rng.integers(4, 24), rng.integers(50, 80), rng.integers(60, 90)
        sky = np.array([1.3, 1.5, 1.8], np.float32) * rng.uniform(0.7, 1.1)
        picture[top - 3 : top + h + 3, max(left - 3, 0) : left + w + 3] = (0.75, 0.73, 0.7)
        picture[top : top + h, left : left + w] = sky
        picture[top + h * 2 // 3 : top + h, left : left + w] = np.array([0.25, 0.5, 0.2], np.float32) * rng.uniform(
            0.6, 1.2
        )
        picture[top : top + h, left + w // 2 - 1 : left + w // 2 + 2] = (0.75, 0.73, 0.7)
    elif kind == "shelf":
        for level in (28, 66, 104):
            picture[level : level + 5] = np.array([0.2, 0.11, 0.06]) * rng.uniform(0.7, 2.0)
            place = int(rng.integers(0, 10))
            while place < columns - 12:
                w, h = int(rng.integers(5, 16)), int(rng.integers(10, 26))
                if rng.random() < 0.75:
                    picture[level - h : level, place : place + w] = rng.random(3) * 0.6
                place += w + int(rng.integers(0, 8))
    elif kind == "frames":
        for _ in range(int(rng.integers(2, 4))):
            left, top, w, h = rng.integers(5, 150), rng.integers(4, 50), rng.integers(22, 42), rng.integers(22, 46)
            picture[top : top + h, left : left + w] = (0.04, 0.035, 0.03)
            picture[top + 3 : top + h - 3, left + 3 : left + w - 3] = rng.random(3) * 0.7 + 0.1
    elif kind == "curtain":
        folds = 0.75 + 0.3 * np.sin(x * rng.uniform(0.25, 0.5) + 2 * np.sin(x * 0.05))
        picture = picture * folds[..., None]
    elif kind == "bricks":
        row = np.floor(y / 9)
        seam = (y % 9 < 1.3) | ((x + (row % 2) * 11) % 22 < 1.3)
        picture *= (
            0.8
            + 0.4
            * rng.random((rows // 9 + 2, columns // 22 + 3))[row.astype(int), ((x + (row % 2) * 11) // 22).astype(int)]
        )[..., None]
        picture[seam] *= 1.6 if wall.mean() < 0.3 else 0.6
    return np.clip(picture, 0, 4).astype(np.float32)


def clutter_wall(rng, colours) -> np.ndarray:
    """A backdrop of overlapping patches in the given colours, so that nothing in front of it stands out."""
    rows, columns = BACKDROP
    picture = np.broadcast_to(np.asarray(colours[0], np.float32), (rows, columns, 3)).copy()
    for _ in range(90):
        w, h = rng.integers(8, 40), rng.integers(8, 40)
        left, top = rng.integers(-10, columns), rng.integers(-10, rows)
        picture[max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)] = np.asarray(
            colours[rng.integers(len(colours))]
        ) * rng.uniform(0.5, 1.4)
    return picture
