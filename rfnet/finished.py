"""A finished picture of a product, whoever made it: the canvas that its product lies on, and its pixels to review."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from .product import Canvas, Product, place

SCALE = 0.72  # of a product that was placed by this project, where nobody said otherwise


def canvas_of(
    product: Product, width: int, height: int, image_scale: float | None = None, position: str | None = None
) -> Canvas:
    """The canvas of a picture of width x height pixels, whose sides become multiples of 8.

    image_scale None: the usual one; position None: "keep" where neither is said and the product's picture has this
    size, which is its own place then; else "centre". Raises PictureError.
    """
    own_place = image_scale is None and product.rgba.shape[:2] == (height, width)
    position = position or ("keep" if own_place else "centre")
    width, height = (max(8, round(side / 8) * 8) for side in (width, height))
    return place(product, width, height, image_scale or SCALE, position=position)


def on_canvas(picture: np.ndarray, canvas: Canvas) -> torch.Tensor:
    """A picture (H, W, 3 or 4) in [0, 1] as the reviewer takes it: (1, 3, H, W) of the canvas's size."""
    images = torch.from_numpy(np.ascontiguousarray(picture[..., :3])).permute(2, 0, 1)[None]
    if images.shape[2:] == (canvas.height, canvas.width):
        return images
    return torch.nn.functional.interpolate(images, (canvas.height, canvas.width), mode="bilinear", antialias=True)


def cut_out(canvas: Canvas) -> Image.Image:
    """The placed product as a Pillow picture with transparency, of the canvas's size."""
    planes = torch.cat([canvas.rgb, canvas.alpha[None]])
    return Image.fromarray((planes * 255 + 0.5).byte().movedim(0, -1).cpu().numpy(), "RGBA")
