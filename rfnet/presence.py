"""Whether a picture shows its product at all: no verdict may accept one from which it was painted away."""

import numpy as np
import torch

from .parts import OPAQUE, PURE
from .product import Canvas

ALIKE = 0.2  # largest difference of a channel at which two pixels can be the same thing in another light
MOST = 0.5  # share of the product's pixels that have to be alike where it was placed
SMALL = 96  # pixels of the longer side at which a product is looked for elsewhere
SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 1.1, 1.2, 1.35)


def missing(images: torch.Tensor, canvas: Canvas) -> torch.Tensor:
    """(B,) bool: True where the product of this canvas is neither where it was placed nor anywhere else in images (B,
    3, H, W) in [0, 1].

    Products without enough opaque pixels to tell by, glass or a wire, are taken to be there.
    """
    solid = canvas.alpha >= PURE
    if solid.sum() < max(32, 0.002 * solid.numel()):
        return torch.zeros(len(images), dtype=torch.bool)
    images = images.detach().float().cpu()
    alike = (images[:, :, solid] - canvas.rgb[:, solid]).abs().amax(1) <= ALIKE
    gone = alike.float().mean(1) < MOST
    for row in torch.nonzero(gone).flatten().tolist():
        gone[row] = not found_elsewhere(images[row].numpy(), canvas)
    return gone


def found_elsewhere(image: np.ndarray, canvas: Canvas) -> bool:
    """Whether a picture (3, H, W) shows the product moved or at another size."""
    import cv2

    small = min(1.0, SMALL / max(canvas.width, canvas.height))
    left, top, right, bottom = canvas.box
    scene = _resized(image.transpose(1, 2, 0), small)
    rgb, alpha = (
        canvas.rgb.numpy()[:, top:bottom, left:right].transpose(1, 2, 0),
        canvas.alpha.numpy()[top:bottom, left:right],
    )
    for scale in SCALES:
        template, mask = _resized(rgb, small * scale), (_resized(alpha, small * scale) >= OPAQUE).astype(np.float32)
        if mask.sum() < 9 or template.shape[0] > scene.shape[0] or template.shape[1] > scene.shape[1]:
            continue
        errors = cv2.matchTemplate(scene, template, cv2.TM_SQDIFF, mask=np.dstack([mask] * 3))
        if errors.min() / (3 * mask.sum()) <= ALIKE**2 / 2:
            return True
    return False


def _resized(picture: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return np.ascontiguousarray(
        cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA), np.float32
    )
