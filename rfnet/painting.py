"""What a model is told of a placed product: where it may paint, and the lines that it has to keep (docs/product.md)."""

import numpy as np

LEFT = 0.25  # share of a part's thickness that painting may reach into from each side: half of the thinnest wire stays
FINE = 512  # pixels of the shorter side at which thickness is measured


def default_dilation(width: int, height: int) -> int:
    """Side of the box in pixels by which painting reaches under the product: 20 at 512, as the paper's script has it,
    in proportion at other sizes.
    """
    return round(20 * min(width, height) / 512)


def inpaint_mask(product: np.ndarray, box: int) -> np.ndarray:
    """Where to paint, (H, W) bool, around the `product` (H, W) bool: the rest, grown by a square of `box` pixels, but
    into no part further than a quarter of its thickness, so that wires, rings and handles keep themselves.
    """
    import cv2

    grown = cv2.dilate((~product).astype(np.uint8), np.ones((max(box, 1), max(box, 1)), np.uint8)) > 0
    reached = grown & product
    if not reached.any():
        return grown
    depth = cv2.distanceTransform(product.astype(np.uint8), cv2.DIST_L2, 5) - 0.5  # of a pixel's middle under the edge
    enough = 2**0.5 * (box // 2 + 1) / (2 * LEFT)
    # thickness needs no more pixels than FINE, and would take seconds with them
    coarse = max(1, min(product.shape) // FINE)
    small = product
    if coarse > 1:
        scale = 1 / coarse
        small = cv2.resize(product.astype(np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) >= 0.5
    thickness = coarse * half_thickness(small, enough / coarse)
    if coarse > 1:
        thickness = cv2.resize(thickness, product.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return grown & ~(reached & (depth > 2 * LEFT * thickness))


def half_thickness(shape: np.ndarray, enough: float) -> np.ndarray:
    """(H, W) the radius of about the largest disc inside a `shape` (H, W) bool that holds a pixel.

    It is infinite from `enough` on, and 0 outside.
    """
    import cv2

    depth = cv2.distanceTransform(shape.astype(np.uint8), cv2.DIST_L2, 5) - 0.5
    radii = np.where(shape, 0.5, 0).astype(np.float32)  # half a pixel: what one pixel is wide
    radius = 1.0
    while True:
        radius = min(radius, enough)
        middles = depth >= radius
        if not middles.any():
            return radii
        inside = shape & (cv2.distanceTransform((~middles).astype(np.uint8), cv2.DIST_L2, 5) <= radius)
        if radius >= enough:
            radii[inside] = np.inf
            return radii
        radii[inside] = radius
        radius = max(radius + 0.5, radius * 1.2)


def canny_hint(rgb: np.ndarray, alpha: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    """Canny lines (thresholds 100, 200) of a product on black: rgb (H, W, 3), alpha (H, W) in [0, 1] -> (3, H, W) of 0
    or 1.

    shape (H, W) bool: what is product; its outline is drawn where canny finds none, as it does of black things and of
    glass.
    """
    import cv2

    on_black = np.clip(rgb * alpha[..., None] * 255 + 0.5, 0, 255).astype(np.uint8)
    lines = cv2.Canny(on_black, 100, 200) > 0
    if shape is not None:
        lines |= missing_outline(lines, shape)
    return np.repeat(lines[None], 3, axis=0).astype(np.float32)


def missing_outline(lines: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """(H, W) bool: the inner outline of `shape` where no line runs along it.

    At the picture's border there is none, unless there is no other.
    """
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    outline = shape & (cv2.erode(shape.astype(np.uint8), cross) == 0)
    near = 2 * max(2, round(0.01 * min(shape.shape))) + 1
    missing = outline & ~(cv2.dilate(lines.astype(np.uint8), np.ones((near, near), np.uint8)) > 0)
    if lines.any() or missing.any():
        return missing
    return shape & (cv2.erode(shape.astype(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0) == 0)
