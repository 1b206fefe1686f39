"""Cut-outs as users bring them, drawn with OpenCV: glass, shadows, feathers, old backgrounds.

All are uint8 RGBA, straight alpha unless said.
"""

import cv2
import numpy as np

RED, DARK, WHITE, GREEN, BLACK = (200, 50, 45), (70, 30, 35), (230, 225, 215), (120, 200, 150), (18, 18, 20)


def mug(feather: float = 0.7, width: int = 400, height: int = 400) -> np.ndarray:
    """(height, width) float in [0, 1]: a mug with a handle, its edge blurred by `feather` pixels."""
    fine = np.zeros((4 * height, 4 * width), np.uint8)
    cv2.rectangle(fine, (4 * 90, 4 * 80), (4 * 260, 4 * 320), 255, -1)
    cv2.ellipse(fine, (4 * 265, 4 * 200), (4 * 65, 4 * 75), 0, -90, 90, 255, 4 * 24)
    shape = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(shape, (0, 0), feather) if feather else shape


def bottle_shapes(width: int = 400, height: int = 500) -> tuple:
    """(cap, body): two (height, width) floats in [0, 1] that touch; the cap is a tenth of the body."""
    cap, body = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    cv2.rectangle(cap, (170, 60), (230, 110), 255, -1)
    cv2.rectangle(body, (175, 111), (225, 160), 255, -1)
    cv2.rectangle(body, (120, 160), (280, 450), 255, -1)
    return tuple(cv2.GaussianBlur(shape / np.float32(255), (0, 0), 0.6) for shape in (cap, body))


def painted(colour, alpha: np.ndarray) -> np.ndarray:
    """One colour with this alpha (H, W), float in [0, 1]."""
    rgba = np.empty((*alpha.shape, 4), np.float32)
    rgba[..., :3], rgba[..., 3] = np.array(colour) / 255, alpha
    return rgba


def over(top: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Two cut-outs (H, W, 4) as one, both straight."""
    a, b = top[..., 3:], below[..., 3:]
    alpha = a + b * (1 - a)
    return np.dstack([(top[..., :3] * a + below[..., :3] * b * (1 - a)) / np.maximum(alpha, 1e-6), alpha[..., 0]])


def as_bytes(rgba: np.ndarray) -> np.ndarray:
    return np.clip(rgba * 255 + 0.5, 0, 255).astype(np.uint8)


def glass_bottle(colour=GREEN, alpha: float = 0.4, cap=(40, 40, 45)) -> np.ndarray:
    solid, body = bottle_shapes()
    return as_bytes(over(painted(cap, solid), painted(colour, body * alpha)))


def mug_with_shadow(alpha: float = 0.45, blur: float = 14, colour=(0, 0, 0), shift=(60, 90), product=RED) -> np.ndarray:
    """A mug whose shadow, an ellipse at its foot, was kept in the alpha."""
    shadow = np.zeros((520, 620), np.float32)
    cv2.ellipse(shadow, (200 + shift[0], 310 + shift[1] // 10), (170, 36), 0, 0, 360, 1, -1)
    shadow = cv2.GaussianBlur(shadow, (0, 0), blur) if blur else shadow
    return as_bytes(over(painted(product, np.pad(mug(), ((0, 120), (0, 220)))), painted(colour, shadow * alpha)))


def cut_from(ground, product=DARK, feather: float = 3) -> tuple:
    """(a mug cut out of a photograph on this ground, the same without it): the soft edge of the first holds the
    ground's colour.
    """
    shape = mug(feather)
    clean = painted(product, shape)
    mixed = clean.copy()
    mixed[..., :3] = clean[..., :3] * shape[..., None] + np.array(ground, np.float32) / 255 * (1 - shape[..., None])
    return as_bytes(mixed), as_bytes(clean)


def premultiplied(rgba: np.ndarray) -> np.ndarray:
    """As some tools save it: the colours times alpha."""
    return np.dstack([(rgba[..., :3] * (rgba[..., 3:] / 255.0) + 0.5).astype(np.uint8), rgba[..., 3]])


def ring(thickness: int, size: int = 512) -> np.ndarray:
    shape = np.zeros((size, size), np.uint8)
    cv2.circle(shape, (size // 2, size // 2), size // 3, 255, thickness)
    return np.dstack([np.full((size, size, 3), 180, np.uint8), shape])
