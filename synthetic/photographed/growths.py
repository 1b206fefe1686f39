"""Shape hallucination for the stand-in: parts copied from the product's own picture, as a painter does that continues
what it sees. (The other composer paints its parts in the product's colours and models them.)

A part is a layer (H, W, 4) that goes under the placed product (H, W, 4); `ground` is the row of the surface.
"""

from __future__ import annotations

import numpy as np

SMALLEST = 0.05  # of the product's area must be new


def outline(placed: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of what is solid."""
    solid = placed[..., 3] > 0.5
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]


def grown(make):
    """A part that is large enough to be seen: make(placed, ground, rng, more) -> a layer; tried larger and larger."""

    def part(placed, ground: float, rng) -> np.ndarray:
        solid = placed[..., 3] > 0.5
        for attempt in range(7):
            layer = make(placed, ground, rng, 1 + 0.2 * attempt)
            if ((layer[..., 3] > 0.5) & ~solid).sum() > SMALLEST * solid.sum():
                break
        return layer

    return part


def clothed(mask: np.ndarray, placed: np.ndarray, rng, centre=None) -> np.ndarray:
    """A mask (H, W) in [0, 1] filled with the largest patch of the product near `centre` (row, column), mirrored for
    ever, and darker towards its edges.
    """
    import cv2

    solid = placed[..., 3] > 0.9
    inner = cv2.distanceTransform(np.pad(solid.astype(np.uint8), 1), cv2.DIST_C, 3)[1:-1, 1:-1]
    weight = inner.copy()
    if centre is not None:
        rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
        weight *= np.exp(-np.hypot(rows - centre[0], columns - centre[1]) / (0.25 * mask.shape[0]))
    row, column = np.unravel_index(int(weight.argmax()), weight.shape)
    half = max(2, int(inner[row, column] * 0.7))
    patch = placed[max(0, row - half) : row + half, max(0, column - half) : column + half, :3]
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]

    def mirrored(index, size):
        return np.abs((index % (2 * size)) - size + 0.5).astype(int).clip(0, size - 1)

    colours = patch[mirrored(rows - row, patch.shape[0]), mirrored(columns - column, patch.shape[1])]
    depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    round_off = np.clip(depth / max(0.5 * depth.max(), 1), 0, 1)
    light = (0.6 + 0.4 * np.sqrt(round_off)) * rng.uniform(0.85, 1.05)
    return np.dstack([np.clip(colours * light[..., None], 0, 1), mask]).astype(np.float32)


def polygons(shape, *outlines) -> np.ndarray:
    """Filled outlines of (x, y), antialiased, (H, W) in [0, 1]."""
    import cv2

    mask = np.zeros(shape, np.uint8)
    for points in outlines:
        cv2.fillPoly(mask, [np.round(np.asarray(points) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def under(placed, column: float) -> float:
    """The product's lowest row near a column."""
    solid = placed[..., 3] > 0.5
    near = solid[:, max(0, int(column) - 2) : int(column) + 3].any(1)
    return float(np.flatnonzero(near)[-1]) if near.any() else float(outline(placed)[1])


def stilts(placed, ground, rng, more):
    """Straight legs, wider above than below."""
    top, bottom, left, right = outline(placed)
    wide, count = right - left, int(rng.integers(2, 4))
    thick = (0.05 + 0.03 * more) * wide + 2
    shapes = []
    for share in np.linspace(0.2, 0.8, count) + rng.uniform(-0.04, 0.04, count):
        x = left + share * wide
        start, lean = under(placed, x) - 0.08 * (bottom - top), (share - 0.5) * rng.uniform(0, 0.35) * wide
        shapes.append(
            [(x - thick, start), (x + thick, start), (x + lean + thick / 2, ground), (x + lean - thick / 2, ground)]
        )
    return clothed(polygons(placed.shape[:2], *shapes), placed, rng, (bottom, (left + right) / 2))


def block(placed, ground, rng, more):
    """A broad base that the product goes over into."""
    _top, bottom, left, right = outline(placed)
    middle, half = (left + right) / 2, (right - left) / 2 * rng.uniform(0.7, 1.0) * more
    waist, start = half * rng.uniform(0.6, 0.95), bottom - 0.12 * (bottom - _top)
    shape = [(middle - waist, start), (middle + waist, start), (middle + half, ground), (middle - half, ground)]
    return clothed(polygons(placed.shape[:2], shape), placed, rng, (bottom, middle))


def loop(placed, ground, rng, more):
    """A ring at one side, or on top where there is more room."""
    import cv2

    top, bottom, left, right = outline(placed)
    high, wide = bottom - top, right - left
    side = -1 if left > placed.shape[1] - right else 1
    row = top + rng.uniform(0.35, 0.6) * high
    columns = np.flatnonzero(placed[int(row), :, 3] > 0.5)
    edge = columns[-1 if side > 0 else 0] if len(columns) else (right if side > 0 else left)
    reach = rng.uniform(0.16, 0.26) * max(high, 0.6 * wide) * more
    mask = np.zeros(placed.shape[:2], np.uint8)
    axes = (max(3, int(reach)), max(3, int(reach * rng.uniform(0.9, 1.4))))
    cv2.ellipse(
        mask, (int(edge + side * 0.25 * reach), int(row)), axes, 0, 0, 360, 255, max(3, int(0.34 * reach)), cv2.LINE_AA
    )
    return clothed(mask.astype(np.float32) / 255, placed, rng, (row, edge))


def offshoot(placed, ground, rng, more):
    """A piece of the product once more, turned, sticking out of its side or top."""
    import cv2

    top, bottom, left, right = outline(placed)
    high, wide = bottom - top, right - left
    side, scale = (-1 if left > placed.shape[1] - right else 1), rng.uniform(0.5, 0.7) * more
    turn = side * rng.uniform(0.5, 1.3)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    row = top + rng.uniform(0.15, 0.55) * high
    columns = np.flatnonzero(placed[int(row), :, 3] > 0.5)
    edge = columns[-1 if side > 0 else 0] if len(columns) else (left + right) / 2
    target = np.array([edge + side * 0.12 * max(wide, high) * scale, row])
    shift = target - matrix @ np.array([(left + right) / 2, top + 0.6 * high])
    flat = np.dstack([placed[..., :3] * placed[..., 3:], placed[..., 3]])
    flat = cv2.warpAffine(flat, np.column_stack([matrix, shift]).astype(np.float32), placed.shape[1::-1])
    colours = np.clip(flat[..., :3] / np.maximum(flat[..., 3:], 1e-3) * rng.uniform(0.8, 1.0), 0, 1)
    return np.dstack([colours, flat[..., 3]]).astype(np.float32)
