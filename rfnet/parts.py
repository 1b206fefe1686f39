"""What the pixels of a cut-out are: solid product, see-through product, a soft shadow, an edge, a speck
(docs/product.md).
"""

from dataclasses import dataclass

import numpy as np

VISIBLE = 0.02  # alpha above which a pixel is there at all
OPAQUE = 0.9  # alpha below which a body is seen through: glass, a veil
PURE = 0.98  # alpha from which a pixel's colour is the product's own
SPECK = 0.005  # share of the largest part's mass below which a part of its own is dust
DARK = 0.2  # no channel of a shadow is brighter
REACH = 0.06  # of the longer side: an edge is no wider than this, however softly it was cut, and no body is smaller
FINE = 1024  # pixels of a product's longer side at which its parts are told apart


@dataclass(frozen=True, eq=False)
class Parts:
    """A cut-out (H, W) taken apart.

    rgba, clean (H, W, 4): without dust, with its colours as they are and with clean edges; see_through, soft (H, W)
    bool: bodies that let the scene through, and shadows or glows; notes: sentences for the user.
    """

    rgba: np.ndarray
    clean: np.ndarray
    see_through: np.ndarray
    soft: np.ndarray
    notes: tuple = ()

    def shape(self, threshold: float) -> np.ndarray:
        """(H, W) bool: what the product's size and place go by, all of it but its shadow."""
        return (self.rgba[..., 3] >= threshold) & ~self.soft | self.see_through


def take_apart(rgba: np.ndarray) -> Parts:
    """The parts of a cut-out (H, W, 4), float32 in [0, 1], straight alpha."""
    rgba, specks = without_specks(rgba)
    notes = (
        [
            f"{specks} {'speck' if specks == 1 else 'specks'} beside the product {'was' if specks == 1 else 'were'}"
            " left out."
        ]
        if specks
        else []
    )
    small = reduced(rgba, max(1, max(_extent(rgba[..., 3] > VISIBLE)) // FINE))
    edge = edges(small[..., 3])
    straight = rgba
    if multiplied(small, edge):
        straight, small = divided(rgba), divided(small)
    soft = shadows(small, edge)
    see_through = (small[..., 3] > VISIBLE) & (small[..., 3] < OPAQUE) & ~edge & ~soft
    if not (see_through | (small[..., 3] >= OPAQUE) & ~soft).any():  # nothing but softness: then that is the product
        see_through, soft = soft, np.zeros_like(soft)
    if soft.sum() > 0.01 * (small[..., 3] > VISIBLE).sum():
        notes.append("A soft shadow or glow in the cut-out is kept; size and place go by the product alone.")

    alpha = rgba[..., 3]
    soft = enlarged(soft, alpha.shape) & (alpha > VISIBLE)
    see_through = enlarged(see_through, alpha.shape) & (alpha > VISIBLE) & (alpha < OPAQUE)
    clean = with_inner_colours(straight, (alpha > 0) & (alpha < PURE) & ~soft & ~see_through, (alpha >= PURE) & ~soft)
    return Parts(rgba, clean, see_through, soft, tuple(notes))


def reduced(rgba: np.ndarray, times: int) -> np.ndarray:
    """rgba so many times smaller: what a part is shows in fewer pixels than a camera gives."""
    import cv2

    if times == 1:
        return rgba
    size = max(1, rgba.shape[1] // times), max(1, rgba.shape[0] // times)
    planes = cv2.resize(np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3]]), size, interpolation=cv2.INTER_AREA)
    return np.dstack([planes[..., :3] / np.maximum(planes[..., 3:], 1e-6), planes[..., 3]])


def enlarged(where: np.ndarray, shape: tuple) -> np.ndarray:
    import cv2

    return (
        where
        if where.shape == shape
        else cv2.resize(where.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    )


def without_specks(rgba: np.ndarray) -> tuple:
    """(rgba without parts that are apart from the product and far smaller, how many those were)."""
    import cv2

    alpha = rgba[..., 3]
    count, labels = cv2.connectedComponents((alpha > VISIBLE).astype(np.uint8), connectivity=8)
    if count <= 2:
        return rgba, 0
    mass = np.bincount(labels.ravel(), alpha.ravel(), count)
    mass[0] = np.inf
    dust = mass < SPECK * mass[1:].max()
    if not dust.any():
        return rgba, 0
    rgba = rgba.copy()
    rgba[dust[labels], 3] = 0
    return rgba, int(dust.sum())


def edges(alpha: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels on the way from opaque to nothing, be it one pixel or a wide feather.

    A body of glass or a shadow beside something opaque is no edge: there alpha falls at once and then stays.
    """
    import cv2

    between = (alpha > VISIBLE) & (alpha < OPAQUE)
    if not between.any() or not (alpha >= OPAQUE).any():
        return np.zeros_like(between)
    inward = cv2.distanceTransform((alpha < OPAQUE).astype(np.uint8), cv2.DIST_L2, 5)  # pixels to what is opaque
    outward = cv2.distanceTransform((alpha > VISIBLE).astype(np.uint8), cv2.DIST_L2, 5)  # pixels to nothing
    reach = max(2.0, REACH * max(_extent(alpha > VISIBLE)))
    band = between & (inward <= reach) & (outward <= reach)
    beside = band & (inward <= 2) & (outward >= 4)  # on a feather still nearly opaque, on glass and shadows not at all
    if beside.any():
        distance, labels = cv2.distanceTransformWithLabels(
            (~beside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        values = np.ones(labels.max() + 1, np.float32)
        values[labels[beside]] = alpha[beside]
        band &= (values[labels] >= 0.6) | (distance > 2 * reach)
    return band | corners(between & ~band, band, reach)


def corners(left: np.ndarray, band: np.ndarray, reach: float) -> np.ndarray:
    """(H, W) bool: small remains of a feather, in the corners where two of its bands meet."""
    import cv2

    count, labels, boxes, _ = cv2.connectedComponentsWithStats(left.astype(np.uint8), connectivity=8)
    small = boxes[:, 2:4].max(1) <= 1.5 * reach
    beside = np.zeros(count, bool)
    beside[np.unique(labels[cv2.dilate(band.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])] = True
    return (small & beside & (np.arange(count) > 0))[labels]


def shadows(rgba: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """(H, W) bool: what fades out softly, a shadow or a glow, and shadows with a hard edge beside or below what is
    solid.
    """
    import cv2

    alpha = rgba[..., 3]
    soft = np.zeros(alpha.shape, bool)
    rest = (alpha > VISIBLE) & (alpha < PURE) & ~edge
    if not rest.any():
        return soft
    solid, size = alpha >= PURE, max(_extent(alpha > VISIBLE))
    dark = rgba[..., :3].max(2) <= DARK
    nothing = (
        cv2.dilate(
            (alpha <= VISIBLE).astype(np.uint8),
            np.ones((3, 3), np.uint8),
            borderType=cv2.BORDER_CONSTANT,
            borderValue=0,
        )
        > 0
    )
    for kind, is_dark in ((rest & dark, True), (rest & ~dark, False)):
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(kind.astype(np.uint8), connectivity=8)
        for number in range(1, count):
            left, top, width, height, _area = boxes[number]
            window = slice(top, top + height), slice(left, left + width)
            part = labels[window] == number
            if max(width, height) < 0.02 * size:
                continue  # the last pixels of an edge
            if fades(alpha[window], part, nothing[window], size) or (
                is_dark and hard_shadow(rgba, window, part, solid)
            ):
                soft[window] |= part
    return soft


def fades(alpha: np.ndarray, part: np.ndarray, nothing: np.ndarray, size: int) -> bool:
    """Whether a part's border to nothing is so wide that no body ends like this."""
    border = part & nothing
    if not border.any():
        return False  # enclosed: a lens in its frame
    half = np.percentile(alpha[part], 90) / 2
    width = (part & (alpha < half)).sum() / border.sum()
    return bool(width > max(2.5, 0.012 * size))


def hard_shadow(rgba: np.ndarray, window: tuple, part: np.ndarray, solid: np.ndarray) -> bool:
    """Whether a dark part is the flat shadow of something solid: of one colour and opacity, smaller, and at its
    foot.
    """
    if part.sum() > 0.8 * solid.sum():
        return False
    pixels = rgba[window][part]
    low, middle, high = np.percentile(pixels[:, 3], (25, 50, 75))
    spread = np.abs(pixels[:, :3] - np.median(pixels[:, :3], 0)).mean()
    flat = spread < 0.02 and high - low < 0.1 and middle < 0.9
    rows, solid_rows = np.flatnonzero(part.any(1)) + window[0].start, np.flatnonzero(solid.any(1))
    at_foot = rows.mean() > solid_rows[0] + 0.7 * (solid_rows[-1] - solid_rows[0])
    return bool(flat and at_foot)


def multiplied(rgba: np.ndarray, edge: np.ndarray) -> bool:
    """Whether a cut-out's colours were multiplied by alpha when it was saved, and are not merely dark."""
    alpha = rgba[..., 3]
    partly = (alpha > 0.05) & (alpha < PURE)
    if not partly.any() or (rgba[partly][:, :3].max(1) > alpha[partly] + 0.012).mean() > 0.01:
        return False
    where = edge & partly
    inner, known = inner_colours(rgba, where, alpha >= PURE)
    if known.any():
        colours, alphas = rgba[where][known, :3], alpha[where][known, None]
        as_straight = np.abs(colours - inner[known]).mean()
        as_multiplied = np.abs(colours - inner[known] * alphas).mean()
        if as_straight >= 0.03:
            return bool(as_multiplied <= 0.6 * as_straight)
    brightest = rgba[partly][:, :3].max(1)
    fine_edge = (partly & (alpha < 0.2)).sum() >= 10  # where straight colours would be brighter than their alpha
    return bool(
        (np.percentile(brightest, 99) > 0.25 and fine_edge) or np.percentile(brightest / alpha[partly], 99) >= 0.9
    )


def divided(rgba: np.ndarray) -> np.ndarray:
    """Straight colours out of those that were multiplied by alpha."""
    colours = np.clip(rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-6), 0, 1)
    return np.dstack([np.where(rgba[..., 3:] > 0, colours, rgba[..., :3]), rgba[..., 3]])


def with_inner_colours(rgba: np.ndarray, edge: np.ndarray, pure: np.ndarray) -> np.ndarray:
    """The edges in the colours of the opaque product beside them, so that no rim of an old background stays."""
    inner, known = inner_colours(rgba, edge, pure)
    if not known.any():
        return rgba
    rgba = rgba.copy()
    colours = rgba[edge]
    colours[known, :3] = inner[known]
    rgba[edge] = colours
    return rgba


def inner_colours(rgba: np.ndarray, edge: np.ndarray, pure: np.ndarray) -> tuple:
    """For the N pixels of `edge` (H, W) bool, the colour (N, 3) of the nearest pixel of `pure`, a little smoothed, and
    (N,) bool: whether one is near enough.
    """
    import cv2

    if not pure.any() or not edge.any():
        return np.zeros((int(edge.sum()), 3), np.float32), np.zeros(int(edge.sum()), bool)
    distance, labels = cv2.distanceTransformWithLabels(
        (~pure).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[pure]] = np.flatnonzero(pure)
    weight = pure.astype(np.float32)
    sums = cv2.blur(np.dstack([rgba[..., :3] * weight[..., None], weight]), (5, 5)).reshape(-1, 4)[
        nearest[labels[edge]]
    ]
    near = 2 * max(2.0, REACH * max(_extent(rgba[..., 3] > VISIBLE)))
    return sums[:, :3] / np.maximum(sums[:, 3:], 1e-6), distance[edge] <= near


def _extent(where: np.ndarray) -> tuple:
    """(height, width) of the box around what is True; (0, 0) where nothing is."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    return (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1) if len(rows) else (0, 0)
