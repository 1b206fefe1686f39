"""Shape hallucination for composites: parts that a background grows onto a product, in the product's own colours and
light.

Every part touches the outline and lies behind the product's pixels, so the cut-out itself stays what the shop sent.
"""

from __future__ import annotations

import numpy as np

from .relief import inflate, noise, over

SMALLEST = 0.035  # of the product's area; a thinner growth nobody would see


def grow(make, placed: np.ndarray, ground: float, rng, lamp: float, least: float = 1.0) -> np.ndarray:
    """A layer (H, W, 4) to lay under the placed product (H, W, 4): the grown part.

    make: (solid, ground, rng, size) -> its mask; ground: row on which legs and pedestals end; least: its area, times
    the smallest that is seen.
    """
    solid = placed[..., 3] > 0.5
    for attempt in range(6):
        mask = make(solid, ground, rng, 1 + 0.25 * attempt)
        if (mask * ~solid).sum() > SMALLEST * solid.sum() * least:
            break
    return dress(mask, placed, rng, lamp)


def dress(mask: np.ndarray, placed: np.ndarray, rng, lamp: float) -> np.ndarray:
    """Gives a part the colours of the product where it meets it, and a rounded body under the same light."""
    import cv2

    solid = placed[..., 3] > 0.6
    _, nearest = cv2.distanceTransformWithLabels(
        (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    colours = np.zeros((nearest.max() + 1, 3), np.float32)
    colours[nearest[solid]] = placed[solid][:, :3]
    near = cv2.GaussianBlur(colours[nearest], (0, 0), 1.0 + 0.02 * placed.shape[0])
    whole = np.median(placed[solid][:, :3], 0)
    albedo = over(near, np.broadcast_to(whole, near.shape), np.full(mask.shape, rng.uniform(0.0, 0.6), np.float32))
    normals = inflate(mask, max(4.0, rng.uniform(0.03, 0.07) * mask.shape[0]))
    light = 0.45 * np.sign(lamp or 1) * normals[..., 0] + 0.35 * normals[..., 1] + 0.85 * normals[..., 2]
    body = (
        albedo
        * np.clip(0.3 + 0.75 * light, 0.15, 1.15)[..., None]
        * (0.92 + 0.16 * noise(rng, *mask.shape, 24))[..., None]
    )
    shine = np.clip(light - 0.97, 0, 1) * rng.uniform(0, 4)
    return np.dstack([np.clip(body + shine[..., None], 0, 1), mask]).astype(np.float32)


def _box(solid):
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]


def _foot(solid) -> tuple[float, float]:
    """Columns between which the product's lowest tenth lies."""
    top, bottom, _, _ = _box(solid)
    columns = np.flatnonzero(solid[int(bottom - 0.1 * (bottom - top)) : bottom + 1].any(0))
    return float(columns[0]), float(columns[-1])


def _draw(shape, lines, thickness) -> np.ndarray:
    import cv2

    mask = np.zeros(shape, np.uint8)
    for line in lines:
        points = (np.asarray(line, np.float64) * 16).round().astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(mask, [points], False, 255, max(1, round(thickness)), cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def _fill(shape, points, smooth) -> np.ndarray:
    import cv2

    mask = np.zeros(shape, np.float32)
    cv2.fillPoly(
        mask, [(np.asarray(points, np.float64) * 16).round().astype(np.int32).reshape(-1, 1, 2)], 1.0, cv2.LINE_8, 4
    )
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.7, smooth))
    return np.clip((soft - 0.5) * max(1.2, smooth) * 1.6 + 0.5, 0, 1)


def _column_bottom(solid, x) -> float:
    """The product's lowest row near column x."""
    x = int(np.clip(x, 1, solid.shape[1] - 2))
    rows = np.flatnonzero(solid[:, x - 1 : x + 2].any(1))
    return float(rows[-1]) if len(rows) else float(_box(solid)[1])


def _edge_point(solid, share, side) -> tuple[float, float]:
    """A point on the left (-1) or right (1) outline at a share of the product's height from its top."""
    top, bottom, _, _ = _box(solid)
    row = int(np.clip(top + share * (bottom - top), top, bottom))
    while not solid[row].any():
        row += 1 if row < bottom else -1
    columns = np.flatnonzero(solid[row])
    return float(columns[-1] if side > 0 else columns[0]), float(row)


def legs(solid, ground, rng, more):
    left, right = _foot(solid)
    _top, _bottom, first, last = _box(solid)
    if right - left < 0.35 * (last - first):
        left, right = first + 0.25 * (last - first), last - 0.25 * (last - first)
    count, splay = int(rng.integers(2, 5)), rng.uniform(0.9, 1.35)
    middle, thick = (left + right) / 2, rng.uniform(0.025, 0.05) * solid.shape[0] * more
    lines = []
    for k in range(count):
        x = left + (right - left) * (0.08 + 0.84 * k / max(count - 1, 1))
        start = _column_bottom(solid, x) - 3
        knee = (x + (x - middle) * (splay - 1) * 0.5 + rng.normal(0, 1.0), (start + ground) / 2)
        lines.append([(x, start), knee, (middle + (x - middle) * splay, ground - (2 + 3 * (k % 2)))])
    return _draw(solid.shape, lines, thick)


def pedestal(solid, ground, rng, more):
    left, right = _foot(solid)
    bottom = _box(solid)[1]
    middle, half = (left + right) / 2, (right - left) / 2 * rng.uniform(0.75, 1.15) + 3
    lip, waist = rng.uniform(0.1, 0.35), rng.uniform(0.6, 1.0)
    high = ground - bottom
    points = [
        (middle - half * waist, bottom - 4),
        (middle + half * waist, bottom - 4),
        (middle + half * waist, ground - high * lip),
        (middle + half * 1.12, ground - high * lip * 0.6),
        (middle + half * 1.12, ground),
        (middle - half * 1.12, ground),
        (middle - half * 1.12, ground - high * lip * 0.6),
        (middle - half * waist, ground - high * lip),
    ]
    return _fill(solid.shape, points, 1.5)


def handle(solid, ground, rng, more):
    side = rng.choice([-1, 1])
    top, bottom, _, _ = _box(solid)
    high = bottom - top
    a, b = _edge_point(solid, rng.uniform(0.12, 0.35), side), _edge_point(solid, rng.uniform(0.55, 0.85), side)
    out = rng.uniform(0.18, 0.34) * high * more
    t = np.linspace(0, np.pi, 30)
    x = np.linspace(a[0], b[0], 30) - side * 3 + side * out * np.sin(t) ** rng.uniform(0.6, 1.1)
    y = np.linspace(a[1], b[1], 30)
    return _draw(solid.shape, [np.stack([x, y], 1)], rng.uniform(0.045, 0.08) * min(high, 0.8 * solid.shape[0]) * more)


def spout(solid, ground, rng, more):
    side = rng.choice([-1, 1])
    top, bottom, left, right = _box(solid)
    x, y = _edge_point(solid, rng.uniform(0.3, 0.65), side)
    reach = rng.uniform(0.2, 0.34) * max(bottom - top, right - left) * more
    rise = rng.uniform(-0.1, 0.7) * reach
    wide, tip = 0.26 * reach + 3, 0.12 * reach + 2
    points = [
        (x - side * 6, y - wide),
        (x + side * reach * 0.5, y - wide * 0.6 - rise * 0.4),
        (x + side * reach, y - rise - tip),
        (x + side * (reach + tip * 0.5), y - rise + tip * 0.6),
        (x + side * reach * 0.55, y + wide * 0.7 - rise * 0.3),
        (x - side * 6, y + wide),
    ]
    return _fill(solid.shape, points, 2.0)


def lid(solid, ground, rng, more):
    top, bottom, left, right = _box(solid)
    columns = np.flatnonzero(solid[top : top + max(3, int(0.06 * (bottom - top)))].any(0))
    middle, half = columns.mean(), max(np.ptp(columns) / 2, 0.12 * (right - left)) * rng.uniform(0.6, 1.1)
    high = rng.uniform(0.14, 0.26) * max(bottom - top, 0.6 * (right - left)) * more
    high = min(high, max(top - 2, 6))
    kind = rng.integers(3)
    shoulder = (1.0, 0.55, 0.25)[kind]
    points = [
        (middle - half, top + 5),
        (middle - half * shoulder, top - high * 0.8),
        (middle - half * shoulder * 0.7, top - high),
        (middle + half * shoulder * 0.7, top - high),
        (middle + half * shoulder, top - high * 0.8),
        (middle + half, top + 5),
    ]
    return _fill(solid.shape, points, 2.0)


def second_body(solid, ground, rng, more):
    side = rng.choice([-1, 1])
    top, bottom, left, right = _box(solid)
    high, wide = bottom - top, right - left
    x, y = _edge_point(solid, rng.uniform(0.45, 0.75), side)
    rx, ry = rng.uniform(0.2, 0.36) * wide * more, rng.uniform(0.22, 0.42) * high
    cx, cy = x + side * rx * rng.uniform(0.35, 0.7), min(y, bottom - ry * 0.95)
    t = np.linspace(0, 2 * np.pi, 60)
    power = rng.uniform(0.45, 1.0)

    def shape(v):
        return np.sign(v) * np.abs(v) ** power

    return _fill(solid.shape, np.stack([cx + rx * shape(np.cos(t)), cy + ry * shape(np.sin(t))], 1), 1.5)


def strap(solid, ground, rng, more):
    top, bottom, _left, _right = _box(solid)
    lines = []
    for _ in range(int(rng.integers(1, 3))):
        side = rng.choice([-1, 1])
        a = _edge_point(solid, rng.uniform(0.05, 0.5), side)
        if rng.random() < 0.5:  # a loop that comes back
            b, out = _edge_point(solid, rng.uniform(0.0, 0.2), -side), rng.uniform(0.25, 0.5) * (bottom - top) * more
            t = np.linspace(0, 1, 40)
            lines.append(np.stack([a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t - np.sin(np.pi * t) * out], 1))
        else:  # a tail that runs off
            t = np.linspace(0, 1, 40)
            reach = rng.uniform(0.4, 0.9) * solid.shape[1] * more
            wave = rng.uniform(0.03, 0.1) * solid.shape[0] * np.sin(t * rng.uniform(3, 8))
            lines.append(
                np.stack([a[0] - side * 4 + side * reach * t, a[1] + wave + (ground - a[1]) * 0.8 * t**1.5], 1)
            )
    return _draw(solid.shape, lines, rng.uniform(0.018, 0.035) * solid.shape[0] * more)


def ghost(placed, ground, rng, lamp):
    """The product again, mirrored and grown together with itself."""
    solid = placed[..., 3] > 0.5
    _top, bottom, left, right = _box(solid)
    scale, side = rng.uniform(0.65, 1.0), rng.choice([-1, 1])
    shift = side * (right - left) * rng.uniform(0.45, 0.72)
    middle = (left + right) / 2
    # the same base line: x' = middle + shift - scale (x - middle), y' = bottom + scale (y - bottom)
    return _copy(placed, [[-scale, 0, middle + shift + scale * middle], [0, scale, bottom * (1 - scale)]], rng)


def stretch(placed, ground, rng, lamp):
    """The product drawn out to one side, or upwards, where there is more room: its outline goes on in its own
    surface.
    """
    height, width = placed.shape[:2]
    top, bottom, left, right = _box(placed[..., 3] > 0.5)
    scale, middle = rng.uniform(1.2, 1.55), (left + right) / 2
    if rng.random() < min(0.6, top / height + 0.2):
        wider = rng.uniform(0.9, 1.15)
        return _copy(placed, [[wider, 0, middle * (1 - wider)], [0, scale, bottom * (1 - scale)]], rng)
    fixed = left if rng.random() < (width - right) / max(left + width - right, 1) else right
    return _copy(placed, [[scale, 0, fixed * (1 - scale)], [0, 1, 0]], rng)


def limb(placed, ground, rng, lamp):
    """The product again, small and turned, growing out of its side or top."""
    solid = placed[..., 3] > 0.5
    top, bottom, left, right = _box(solid)
    side, scale = float(rng.choice([-1, 1])), rng.uniform(0.4, 0.65)
    x, y = _edge_point(solid, rng.uniform(0.05, 0.7), side)
    angle = -side * rng.uniform(0.9, 2.2)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    reach = 0.3 * scale * max(bottom - top, right - left)
    shift = np.array([x + side * reach, y - 0.3 * reach]) - turn @ np.array([(left + right) / 2, (top + bottom) / 2])
    return _copy(placed, np.column_stack([turn, shift]), rng)


def _copy(placed, matrix, rng) -> np.ndarray:
    """The product moved by a matrix (2, 3) of x and y, a little darker."""
    import cv2

    flat = np.dstack([placed[..., :3] * placed[..., 3:], placed[..., 3]])
    flat = cv2.warpAffine(flat, np.float32(matrix), placed.shape[1::-1], flags=cv2.INTER_LINEAR)
    alpha = flat[..., 3]
    light = rng.uniform(0.75, 1.0)
    return np.dstack([np.clip(flat[..., :3] / np.maximum(alpha, 1e-3)[..., None] * light, 0, 1), alpha]).astype(
        np.float32
    )
