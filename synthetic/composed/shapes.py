"""Two-and-a-half-dimensional drawing of things one can sell: turned bodies, boxes and cushions on a transparent sheet.

A Sheet is a picture in the making: straight RGBA float32, display colours. Light comes from the Finishes; see
`pocket.relief`.
"""

from __future__ import annotations

import numpy as np

from .relief import Finishes, bend, inflate, noise, over, shade

FONTS = 8  # OpenCV's drawn fonts, 0 to 7
SYLLABLES = [
    "lu",
    "mi",
    "na",
    "vo",
    "ra",
    "ki",
    "to",
    "sen",
    "bel",
    "or",
    "za",
    "fi",
    "dur",
    "pel",
    "an",
    "co",
    "ti",
    "ha",
    "no",
    "el",
]


class Sheet:
    """A transparent picture of height x width pixels that parts are laid on, and the light they share."""

    def __init__(self, height: int, width: int, finishes: Finishes, rng, lamp: float):
        self.rgba = np.zeros((height, width, 4), np.float32)
        self.finishes, self.rng, self.lamp = finishes, rng, lamp
        self.spheres = {kind: finishes.draw(rng, kind, lamp) for kind in ("soft", "gloss", "chrome", "gold")}

    @property
    def shape(self) -> tuple[int, int]:
        return self.rgba.shape[:2]

    def lay(self, colour: np.ndarray, alpha: np.ndarray) -> None:
        """Puts (H, W, 3) with alpha (H, W) on top of what is there."""
        box = extent(alpha)
        spot, alpha, colour = self.rgba[box], alpha[box], np.broadcast_to(colour, (*self.rgba.shape[:2], 3))[box]
        below = spot[..., 3]
        whole = alpha + below * (1 - alpha)
        spot[..., :3] = over(spot[..., :3], colour, np.where(below > 0, alpha / np.maximum(whole, 1e-6), 1))
        spot[..., 3] = whole

    def lit(self, albedo, normals: np.ndarray, finish: str) -> np.ndarray:
        """Shaded colour in a finish: "soft", "gloss", "chrome", "gold"."""
        albedo = np.broadcast_to(np.asarray(albedo, np.float32), normals.shape)
        metal = finish in ("chrome", "gold")
        if finish == "gold":
            albedo = np.ones_like(albedo)
        return shade(albedo, normals, self.spheres[finish], metal, shine=0.25 if finish == "soft" else 0.9)

    def cushion(
        self,
        mask: np.ndarray,
        albedo,
        finish: str = "soft",
        roundness: float = 0.1,
        relief=None,
        size: float = 0.25,
        strength: float = 0.5,
    ) -> None:
        """A soft body with this outline.

        roundness and relief size as shares of the sheet's height; relief: numbers to draw one from.
        """
        height, box = self.shape[0], extent(mask)
        normals = inflate(mask[box], roundness * height)
        if relief is not None:
            normals = bend(normals, self.finishes.relief(relief, self.rng), size * height, strength)
        colour = np.empty((*self.shape, 3), np.float32)
        colour[box] = self.lit(np.broadcast_to(albedo, colour.shape)[box], normals, finish)
        self.lay(colour, mask)


def extent(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns where a mask is above zero, with a pixel of margin."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(max(rows[0] - 1, 0), rows[-1] + 2), slice(max(columns[0] - 1, 0), columns[-1] + 2)


def outline(shape: tuple[int, int], points, smooth: float = 0.0) -> np.ndarray:
    """A filled polygon as a mask (H, W) in [0, 1].

    points: (n, 2) as shares of width and height; smooth: corner radius, share of height.
    """
    import cv2

    height, width = shape
    mask = np.zeros(shape, np.float32)
    pixels = (np.asarray(points, np.float64) * (width, height) * 16).round().astype(np.int32)
    cv2.fillPoly(mask, [pixels.reshape(-1, 1, 2)], 1.0, cv2.LINE_8, 4)
    if smooth:
        soft = cv2.GaussianBlur(mask, (0, 0), max(smooth * height, 0.6))
        mask = np.clip((soft - 0.5) * max(smooth * height, 1.0) * 1.6 + 0.5, 0, 1)
    return mask


def ellipse(shape, x, y, rx, ry, turn: float = 0.0) -> np.ndarray:
    """A filled ellipse as a mask; all in shares of width (x, rx) and height (y, ry); turn in radians."""
    height, width = shape
    v, u = np.mgrid[:height, :width].astype(np.float32)
    u, v = u - x * width, v - y * height
    c, s = np.cos(turn), np.sin(turn)
    a, b = (u * c + v * s) / max(rx * width, 1e-3), (v * c - u * s) / max(ry * height, 1e-3)
    return np.clip((1 - np.hypot(a, b)) * min(rx * width, ry * height) + 0.5, 0, 1)


def stroke(shape, points, thickness: float) -> np.ndarray:
    """A round line through points (shares of width and height); thickness as a share of the height."""
    import cv2

    height, width = shape
    mask = np.zeros(shape, np.uint8)
    pixels = (np.asarray(points, np.float64) * (width, height) * 16).round().astype(np.int32)
    cv2.polylines(mask, [pixels.reshape(-1, 1, 2)], False, 255, max(1, round(thickness * height)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def bow(x, y, rx, ry, start, end, count: int = 24) -> np.ndarray:
    """Points along an arc, angles in radians, y downwards."""
    t = np.linspace(start, end, count)
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1)


class Turned:
    """A body of revolution, seen a little from above, on a sheet: where it is, which way it faces, and its height and
    angle at each pixel.
    """

    def __init__(self, shape, profile, x: float, low: float, high: float, tilt: float, aspect: float = 1.0):
        """profile: (radius, height) pairs, height from 0 to 1, radius in units of the height; x, low, high: the axis
        and the rows of bottom and top, as shares of the sheet; tilt: how round its circles look (0 from the side);
        aspect: squeezes it sideways.
        """
        height, width = shape
        radii, levels = np.asarray(profile, np.float32).T
        levels = np.maximum.accumulate(levels + np.arange(len(levels), dtype=np.float32) * 1e-6)
        scale = (low - high) * height
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        across = (columns - x * width) / (scale * aspect)
        upward = (low * height - rows) / scale

        def radius_at(z):
            return np.interp(z, levels, radii).astype(np.float32)

        z = upward.copy()
        for _ in range(5):
            r = radius_at(np.clip(z, 0, 1))
            z = upward + tilt * np.sqrt(np.clip(r * r - across * across, 0, None))
        self.z = np.clip(z, 0, 1)
        r = np.maximum(radius_at(self.z), 1e-4)
        u = np.clip(across / r, -1, 1)
        front = np.sqrt(np.clip(1 - u * u, 0, 1))
        steep = np.clip(
            (radius_at(np.clip(self.z - 0.012, 0, 1)) - radius_at(np.clip(self.z + 0.012, 0, 1))) / 0.024, -3, 3
        )
        normals = np.dstack([u, steep + tilt * front, front])
        self.angle, self.front = np.arcsin(u), front
        edge = np.clip((r - np.abs(across)) * scale * min(aspect, 1.0) + 0.5, 0, 1)
        side = edge * np.clip(z * scale + 1, 0, 1) * (z <= 1.0)
        top = radii[-1]
        lid = np.hypot(across / max(top, 1e-4), (upward - 1) / max(top * tilt, 1e-4))
        self.lid = (
            np.clip((1 - lid) * top * tilt * scale + 0.5, 0, 1)
            if tilt * top * scale > 0.7
            else np.zeros(shape, np.float32)
        )
        self.mask = np.maximum(side, self.lid)
        flat = self.lid[..., None]
        normals = normals * (1 - flat) + np.array([0, 0.75, 0.66], np.float32) * flat
        self.normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)

    def wrap(
        self, picture: np.ndarray, low: float, high: float, spread: float, turn: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """A label picture (h, w, 3) laid around the body between two heights: colour and mask.

        spread: half its angle, radians.
        """
        import cv2

        h, w = picture.shape[:2]
        u, v = (self.angle - turn + spread) / (2 * spread), (high - self.z) / (high - low)
        colour = cv2.remap(
            picture,
            (u * (w - 1)).astype(np.float32),
            (v * (h - 1)).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = (np.abs(self.angle - turn) < spread) & (self.z > low) & (self.z < high) & (self.lid < 0.5)
        return colour, inside * self.mask


def word(rng) -> str:
    return "".join(rng.choice(SYLLABLES, rng.integers(2, 4))).capitalize()


def label(rng, height: int, width: int, paper, ink, accent) -> np.ndarray:
    """A printed label, (height, width, 3): brand, lines of small print, and an ornament."""
    import cv2

    def whole(colour):
        return tuple(int(255 * float(c) + 0.5) for c in colour)  # OpenCV 5 writes text on bytes only

    picture = np.broadcast_to(np.array(whole(paper), np.uint8), (height, width, 3)).copy()
    ink, accent = whole(ink), whole(accent)
    kind = rng.integers(5)
    if kind == 0:
        picture[: int(height * rng.uniform(0.2, 0.4))] = accent
    elif kind == 1:
        cv2.circle(
            picture,
            (width // 2, int(height * 0.68)),
            int(min(height, width) * rng.uniform(0.14, 0.24)),
            accent,
            -1,
            cv2.LINE_AA,
        )
    elif kind == 2:
        cv2.rectangle(picture, (3, 3), (width - 4, height - 4), accent, max(1, height // 40), cv2.LINE_AA)
    elif kind == 3:
        for _ in range(int(rng.integers(3, 8))):
            left = int(width * rng.uniform(0, 0.9))
            cv2.line(
                picture,
                (left, height),
                (left + int(width * 0.3), int(height * 0.6)),
                accent,
                max(1, width // 40),
                cv2.LINE_AA,
            )
    name, font = word(rng), int(rng.integers(FONTS))
    (wide, tall), _ = cv2.getTextSize(name, font, 1.0, 2)
    scale = min(0.86 * width / wide, 0.3 * height / tall)
    row = int(height * rng.uniform(0.3, 0.5))
    cv2.putText(
        picture,
        name,
        (int((width - wide * scale) / 2), row),
        font,
        scale,
        ink,
        max(1, int(scale * rng.uniform(1, 3))),
        cv2.LINE_AA,
    )
    for k in range(int(rng.integers(2, 7))):  # small print: too small to read, as on any shelf
        y, half = row + int(height * (0.08 + 0.065 * k)), width * rng.uniform(0.12, 0.4)
        for x in np.arange(width / 2 - half, width / 2 + half, max(3, width / 30)):
            if rng.random() < 0.8:
                cv2.line(picture, (int(x), y), (int(x + max(1, width / 45)), y), ink, max(1, height // 70), cv2.LINE_AA)
    return picture.astype(np.float32) / 255


def box_faces(
    shape, size, yaw: float, tilt: float, x: float, low: float, scale: float
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Corners (4, 2) in pixels and normal of the visible faces of a box: front, side, top; parallel projection.

    size: width, depth, height in units of `scale` pixels; x: share of the width of its lowest corner's centre; low: row
    share.
    """
    height, width = shape
    w, d, h = size
    c, s, t = np.cos(yaw), np.sin(yaw), np.sin(tilt)

    def at(a, b, z):
        across, deep = a * c - b * s, a * s + b * c
        return (x * width + across * scale, low * height - (z * np.cos(tilt) + deep * t) * scale)

    a, b = w / 2, d / 2
    front = [at(-a, -b, h), at(a, -b, h), at(a, -b, 0), at(-a, -b, 0)]
    top = [at(-a, b, h), at(a, b, h), at(a, -b, h), at(-a, -b, h)]
    if s < 0:  # turned so that its right side shows
        side, facing = [at(a, -b, h), at(a, b, h), at(a, b, 0), at(a, -b, 0)], (c, 0.1, -s)
    else:
        side, facing = [at(-a, b, h), at(-a, -b, h), at(-a, -b, 0), at(-a, b, 0)], (-c, 0.1, s)
    faces = [
        (np.array(side), np.array(facing)),
        (np.array(top), np.array([0, 0.8, 0.6])),
        (np.array(front), np.array([s, 0.1, c])),
    ]
    drop = low * height - max(corners[:, 1].max() for corners, _ in faces)
    return [(corners + np.array([0, drop]), normal / np.linalg.norm(normal)) for corners, normal in faces]


def paste_face(
    sheet: Sheet, picture: np.ndarray, corners: np.ndarray, normal: np.ndarray, finish: str, alpha: float = 1.0
) -> np.ndarray:
    """A picture warped onto a face and lit as a slightly bulging plane; returns its mask."""
    import cv2

    height, width = sheet.shape
    h, w = picture.shape[:2]
    matrix = cv2.getPerspectiveTransform(np.float32([(0, 0), (w, 0), (w, h), (0, h)]), corners.astype(np.float32))
    colour = cv2.warpPerspective(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = outline(sheet.shape, corners / (width, height))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    middle, spread = corners.mean(0), np.ptp(corners, axis=0).max()
    bulge = np.dstack(
        [(columns - middle[0]) / spread * 0.5, (middle[1] - rows) / spread * 0.5, np.zeros(sheet.shape, np.float32)]
    )
    normals = normal.astype(np.float32) + bulge
    normals = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    sheet.lay(sheet.lit(colour, normals, finish), mask * alpha)
    return mask


def fringe(rgba: np.ndarray, rng, length: float, count: int) -> np.ndarray:
    """Hairs growing out of the outline in its colours. length: share of the height. Returns a new (H, W, 4)."""
    import cv2

    out = rgba.copy()
    solid = (rgba[..., 3] > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return out
    edge = max(contours, key=len)[:, 0]
    middle, reach = edge.mean(0), length * rgba.shape[0]
    for at in rng.integers(0, len(edge), count):
        x, y = edge[at]
        away = (edge[at] - middle) / (np.hypot(*(edge[at] - middle)) + 1e-6)
        bent = away + rng.normal(0, 0.45, 2)
        root = (edge[at] - away * 3).round().astype(int)
        colour = [
            float(c)
            for c in rgba[np.clip(root[1], 0, rgba.shape[0] - 1), np.clip(root[0], 0, rgba.shape[1] - 1), :3]
            * rng.uniform(0.7, 1.15)
        ]
        tip = (int(x + bent[0] * reach * rng.uniform(0.4, 1)), int(y + bent[1] * reach * rng.uniform(0.4, 1)))
        cv2.line(
            out, tuple(int(v) for v in root), tip, (*np.clip(colour, 0, 1), float(rng.uniform(0.6, 1))), 1, cv2.LINE_AA
        )
    return out


def grained(rng, colour, shape, contrast: float = 0.15, cells: float = 30) -> np.ndarray:
    """A colour with the unevenness of cloth, clay or paint, (H, W, 3)."""
    return np.asarray(colour, np.float32) * (1 + contrast * (2 * noise(rng, *shape, cells) - 1))[..., None]
