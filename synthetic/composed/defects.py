"""What is done to product or place to spoil a composite: colours and patterns that hide the product, tilting, sinking,
a crowd of its kind.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..products import COLOURS
from .cutouts import Cutout, draw_family, recolour, resize
from .product_painters import FAMILIES
from .relief import TILE, noise, over


def own_colours(product: Cutout, rng) -> np.ndarray:
    """Two display colours close to the product's main ones, (2, 3)."""
    return np.clip(
        palette(product)[:2] + rng.uniform(-0.04, 0.04, (2, 3)) + rng.uniform(-0.05, 0.05), 0.02, 0.97
    ).astype(np.float32)


def palette(product: Cutout, count: int = 4) -> np.ndarray:
    """The product's main colours, the most frequent first, (count, 3)."""
    import cv2

    solid = np.ascontiguousarray(product.rgba[product.rgba[..., 3] > 0.7][::7, :3])
    if len(solid) < count:
        return np.repeat(product.colour[None], count, 0)
    cv2.setRNGSeed(1)
    _, labels, centres = cv2.kmeans(solid, count, None, (cv2.TERM_CRITERIA_MAX_ITER, 8, 0), 1, cv2.KMEANS_PP_CENTERS)
    return centres[np.argsort(-np.bincount(labels.ravel(), minlength=count))]


def fog(picture: np.ndarray, product: Cutout, rng) -> np.ndarray:
    """The place drowned in a haze of the product's own brightness and colour."""
    height, width = picture.shape[:2]
    haze = product.colour + rng.uniform(-0.05, 0.05, 3)
    share = np.clip(rng.uniform(0.76, 0.9) + 0.12 * (noise(rng, height, width, 4) - 0.5), 0, 0.95)
    return over(
        picture, np.broadcast_to(np.clip(haze, 0, 1).astype(np.float32), picture.shape), share.astype(np.float32)
    )


def camouflage_tile(product: Cutout, rng) -> np.ndarray:
    """A pattern made of pieces of the product itself, (TILE, TILE, 3)."""
    import cv2

    rgba = product.rgba
    tile = np.broadcast_to(product.colour, (TILE, TILE, 3)).astype(np.float32).copy()
    scale = TILE * rng.uniform(0.6, 0.9) / max(rgba.shape[:2])
    piece = resize(rgba, max(8, int(rgba.shape[0] * scale)), max(8, int(rgba.shape[1] * scale)))
    for _ in range(34):
        matrix = cv2.getRotationMatrix2D(
            (piece.shape[1] / 2, piece.shape[0] / 2), float(rng.uniform(0, 360)), float(rng.uniform(0.4, 1.1))
        )
        matrix[:, 2] += rng.uniform(-0.15, 1.0, 2) * TILE - 0.25 * TILE
        flat = cv2.warpAffine(
            np.dstack([piece[..., :3] * piece[..., 3:], piece[..., 3]]), matrix, (TILE, TILE), flags=cv2.INTER_LINEAR
        )
        tile = tile * (1 - flat[..., 3:]) + flat[..., :3] * rng.uniform(0.85, 1.1)
    return np.clip(tile, 0, 1).astype(np.float32)


def pattern_tile(product: Cutout, rng, busy: bool) -> np.ndarray:
    """A printed pattern, (TILE, TILE, 3): busy ones in many colours with the product's among them and parts of its
    size, calm ones in two close colours far from the product's.
    """
    import cv2

    own = palette(product, 3)
    if busy:
        colours = [
            *own,
            *(np.clip(np.array(COLOURS[n]) ** (1 / 2.2), 0, 1) for n in rng.choice(list(COLOURS), 3, replace=False)),
        ]
    else:
        far = sorted(
            (np.clip(np.array(c) ** (1 / 2.2), 0, 1) for c in COLOURS.values()),
            key=lambda c: -np.abs(own - c).sum(-1).min(),
        )
        first = far[int(rng.integers(3))]
        colours = [first, np.clip(first + rng.choice([-1, 1]) * rng.uniform(0.08, 0.2), 0, 1)]
    tile = np.broadcast_to(np.asarray(colours[0], np.float32), (TILE, TILE, 3)).copy()
    kind, cells = rng.integers(4), int(rng.integers(4, 9))
    step = TILE / cells
    for i in range(cells):
        for j in range(cells):
            colour = [float(c) for c in colours[int(rng.integers(1, len(colours)))]]
            x, y = int((i + 0.5) * step), int((j + 0.5) * step)
            if busy:
                x, y = int(x + rng.normal(0, 0.3) * step), int(y + rng.normal(0, 0.3) * step)
            r = step * (rng.uniform(0.3, 0.75) if busy else 0.32)
            if kind == 0:
                cv2.circle(tile, (x, y), int(r), colour, -1, cv2.LINE_AA)
            elif kind == 1:
                turn = rng.uniform(0, 6.28) if busy else 0.0
                points = [(x + r * 1.3 * np.cos(turn + a), y + r * 1.3 * np.sin(turn + a)) for a in (0, 2.1, 4.2)]
                cv2.fillPoly(tile, [np.array(points, np.int32)], colour, cv2.LINE_AA)
            elif kind == 2:
                cv2.ellipse(
                    tile,
                    (x, y),
                    (int(r * 1.5) + 1, int(r * 0.5) + 1),
                    float(rng.uniform(0, 180) if busy else 45),
                    0,
                    360,
                    colour,
                    -1,
                    cv2.LINE_AA,
                )
            elif j == 0:
                cv2.rectangle(
                    tile,
                    (int(i * step), 0),
                    (int((i + (rng.uniform(0.3, 0.9) if busy else 0.5)) * step), TILE),
                    colour,
                    -1,
                )
    return tile


def tilt(rgba: np.ndarray, rng) -> np.ndarray:
    """Turned by 14 to 38 degrees, with room for its corners."""
    import cv2

    h, w = rgba.shape[:2]
    side = int(np.hypot(h, w)) + 4
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), float(rng.choice([-1, 1]) * rng.uniform(14, 38)), 1.0)
    matrix[:, 2] += [(side - w) / 2, (side - h) / 2]
    flat = cv2.warpAffine(
        np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3]]), matrix, (side, side), flags=cv2.INTER_LINEAR
    )
    return np.dstack([np.clip(flat[..., :3] / np.maximum(flat[..., 3:], 1e-4), 0, 1), flat[..., 3]]).astype(np.float32)


def sunk(placed: np.ndarray, ground: float, rng) -> np.ndarray:
    """The product as far as the surface lets it be seen; a fifth are pasted whole over the surface."""
    if rng.random() < 0.2:
        return placed
    rows, columns = np.mgrid[: placed.shape[0], : placed.shape[1]].astype(np.float32)
    solid = np.flatnonzero((placed[..., 3] > 0.5).any(0))
    middle, half = solid.mean(), max(np.ptp(solid) / 2, 1)
    bulge = rng.uniform(0.02, 0.1) * half * np.sqrt(np.clip(1 - ((columns - middle) / half) ** 2, 0, 1))
    ripple = rng.uniform(0, 1.5) * (noise(rng, 4, placed.shape[1], 24)[0] - 0.5)[None]
    keep = np.clip(ground + bulge + ripple - rows, 0, 1)
    return np.dstack([placed[..., :3], placed[..., 3] * keep])


def dyed(thing: Cutout, product: Cutout, rng) -> Cutout:
    """The same thing in one of the product's colours."""
    colours = palette(product)
    grey = thing.rgba[..., :3].mean(-1, keepdims=True)
    rgb = np.clip(colours[int(rng.integers(len(colours)))] * (0.35 + 1.1 * grey), 0, 1)
    return replace(thing, rgba=np.concatenate([rgb, thing.rgba[..., 3:]], -1).astype(np.float32))


def close_kin(product: Cutout, rng, assets, finishes, side: float, pixels: int) -> list[Cutout]:
    """Others of the product's own kind: the same family in other makes, or the same picture in other colours."""
    if product.family in FAMILIES:
        return [draw_family(product.family, rng, finishes, pixels, side) for _ in range(3)]
    scale = pixels / max(product.rgba.shape[:2])
    small = resize(product.rgba, round(product.rgba.shape[0] * scale), round(product.rgba.shape[1] * scale))
    kin = [small] + [np.dstack([recolour(small[..., :3], rng), small[..., 3]]) for _ in range(2)]
    return [replace(product, rgba=rgba) for rgba in kin]
