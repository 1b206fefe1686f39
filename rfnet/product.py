"""A product cut-out, and the same product placed on a canvas that a model paints around (arXiv:2408.00418)."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .pictures import PictureError, check_size, open_picture

CUT = 0.5  # alpha from here on counts as product
GREY = 0.5  # what stands for "no product here" in colour


@dataclass(frozen=True, eq=False)
class Product:
    """A cut-out with its caption. rgba: (H, W, 4) float32 in [0, 1], straight alpha; caption: what is sold, may be empty."""

    rgba: np.ndarray
    caption: str = ""

    @classmethod
    def from_picture(cls, path, caption: str = "") -> "Product":
        """Read a picture file with transparency. Raises PictureError."""
        rgba = open_picture(path)
        try:
            return cls._checked(rgba, caption)
        except PictureError as error:
            raise PictureError(f'"{Path(path).name}": {error}') from None

    @classmethod
    def from_arrays(cls, image, mask=None, caption: str = "") -> "Product":
        """From an image (H, W, 3 or 4) and a mask (H, W) with 1 = product, arrays or tensors, floats in [0, 1], bool, uint8 or uint16.

        Without a mask the image's fourth channel is the alpha; with one, the mask is. Raises PictureError.
        """
        image = _floats(image, "the product picture")
        if image.ndim != 3 or image.shape[2] not in (3, 4):
            raise PictureError(f"the product picture has shape {image.shape}: it must be (height, width, 3 or 4).")
        height, width = image.shape[:2]
        check_size(width, height, "the product picture")
        if mask is None and image.shape[2] == 3:
            raise PictureError("the product picture has no transparency and no mask: connect a mask of the product, or use a PNG with a transparent background.")
        alpha = image[..., 3] if mask is None else _floats(mask, "the mask")
        if alpha.ndim != 2:
            raise PictureError(f"the mask has shape {alpha.shape}: it must be (height, width), one mask for one product.")
        if alpha.shape != (height, width):
            raise PictureError(f"the mask is {alpha.shape[1]}x{alpha.shape[0]} pixels but the picture is {width}x{height}: use the mask that belongs to this picture, or resize it.")
        return cls._checked(np.dstack([image[..., :3], alpha]), caption)

    @classmethod
    def _checked(cls, rgba: np.ndarray, caption: str) -> "Product":
        inside = rgba[..., 3] >= CUT
        if not inside.any():
            raise PictureError("the product is empty: its alpha is below 0.5 everywhere; check the cut-out, or whether the mask is inverted.")
        if inside.all():
            raise PictureError("the product fills its whole picture: nothing is left to paint; remove its background, or connect a mask of the product.")
        rgba = np.clip(rgba, 0, 1).astype(np.float32)
        rgba.setflags(write=False)
        return cls(rgba, " ".join(str(caption).split()))

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name these pixels and this caption."""
        return _digest(self.rgba, self.caption)


@dataclass(frozen=True, eq=False)
class Canvas:
    """A product placed on a canvas of H x W pixels.

    rgb (3, H, W): the product's colours, grey where there is no product; alpha (H, W): its opacity in [0, 1];
    inpaint_mask (H, W): 1 = paint here, reaching a little under the product's edge; hint (3, H, W): canny lines of the
    product, 0 or 1; box: left, top, right, bottom of the product in pixels; placing: place's other arguments, as they were given.
    """

    product: Product
    rgb: torch.Tensor
    alpha: torch.Tensor
    inpaint_mask: torch.Tensor
    hint: torch.Tensor
    box: tuple
    placing: dict = field(default_factory=dict)

    def again(self, **changes) -> "Canvas":
        """The same product on the same canvas, placed with other arguments of `place`."""
        return place(self.product, self.width, self.height, **{**self.placing, **changes})

    @property
    def width(self) -> int:
        return self.alpha.shape[1]

    @property
    def height(self) -> int:
        return self.alpha.shape[0]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name what the reviewer sees of this canvas: placed pixels and caption."""
        return _digest(self.rgb.numpy(), self.alpha.numpy(), self.product.caption)

    @property
    def shown(self) -> torch.Tensor:
        """The product over grey, (3, H, W): the product picture that RFNet looks at."""
        return over_grey(self.rgb, self.alpha)

    def paste(self, generated: torch.Tensor) -> torch.Tensor:
        """Put the product's own pixels back on generated images (B, 3, H, W); exact, bit for bit, where alpha is 1 or 0."""
        height, width = generated.shape[-2:]
        if (height, width) != (self.height, self.width):
            raise PictureError(
                f"the pictures are {width}x{height} but the product was placed on {self.width}x{self.height}: "
                "give the product and the latent the same width and height."
            )
        rgb, alpha = self.rgb.to(generated), self.alpha.to(generated)
        pasted = alpha * rgb + (1 - alpha) * generated
        return torch.where(alpha == 1, rgb, pasted)  # a generated NaN times 0 must not reach the product


def over_grey(rgb: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """alpha * rgb + (1 - alpha) * grey, for rgb (..., 3, H, W) and alpha (..., H, W)."""
    alpha = alpha.unsqueeze(-3)
    return alpha * rgb + (1 - alpha) * GREY


def place(product: Product, width: int, height: int, image_scale: float = 0.72, alpha_threshold: float = CUT,
          position: str = "centre", mask_dilation: int | None = None, down: float = 0.0) -> Canvas:
    """Place a product on a canvas of width x height pixels, as the paper's sampling script does.

    "centre": crop to alpha >= alpha_threshold, fit into image_scale of both sides, centre.
    "keep": the whole picture is fitted into the canvas and the product stays where it is in it.
    mask_dilation: box size in pixels by which the inpaint mask reaches under the product; by default 20 at 512 pixels.
    down: share of the canvas's height by which the product stands lower than that, as far as the canvas reaches.
    Raises PictureError.
    """
    for name, side in (("width", width), ("height", height)):
        if side % 8 or not 64 <= side <= 4096:
            raise PictureError(f"the canvas {name} is {side}: it must be a multiple of 8 between 64 and 4096.")
    if not 0 < image_scale <= 1:
        raise PictureError(f"image_scale is {image_scale}: it must be above 0 and at most 1.")
    if not 0 < alpha_threshold <= 1:
        raise PictureError(f"alpha_threshold is {alpha_threshold}: it must be above 0 and at most 1.")
    if position not in ("centre", "keep"):
        raise PictureError(f'position is "{position}": use "centre" or "keep".')

    picture, share = product.rgba, 1.0
    if position == "centre":
        picture, share = _crop(picture, alpha_threshold), image_scale
    fit = min(share * width / picture.shape[1], share * height / picture.shape[0])
    size = [max(1, min(side, round(length * fit))) for side, length in ((width, picture.shape[1]), (height, picture.shape[0]))]
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    top = max(0, min(height - size[1], top + round(down * height)))

    rgba = np.zeros((height, width, 4), np.float32)
    rgba[top:top + size[1], left:left + size[0]] = _resize(picture, *size)
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    rgb[alpha == 0] = GREY
    inside = alpha >= alpha_threshold
    if not inside.any():
        raise PictureError(f"the product is too thin to show on {width}x{height} pixels: use a larger canvas or image_scale.")

    dilation = default_dilation(width, height) if mask_dilation is None else mask_dilation
    tensor = lambda array: torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    return Canvas(product, tensor(rgb.transpose(2, 0, 1)), tensor(alpha), tensor(_dilate(~inside, dilation)),
                  tensor(canny_hint(rgb, alpha)), _box(inside),
                  {"image_scale": image_scale, "alpha_threshold": alpha_threshold, "position": position, "mask_dilation": mask_dilation, "down": down})


def default_dilation(width: int, height: int) -> int:
    """20 pixels at 512, as the paper's script has it, in proportion at other sizes."""
    return round(20 * min(width, height) / 512)


def canny_hint(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Canny lines (thresholds 100, 200) of a product on black: rgb (H, W, 3), alpha (H, W) in [0, 1] -> (3, H, W) of 0 or 1."""
    import cv2

    on_black = np.clip(rgb * alpha[..., None] * 255 + 0.5, 0, 255).astype(np.uint8)
    lines = cv2.Canny(on_black, 100, 200) > 0
    return np.repeat(lines[None], 3, axis=0).astype(np.float32)


def _dilate(mask: np.ndarray, box: int) -> np.ndarray:
    import cv2

    return cv2.dilate(mask.astype(np.float32), np.ones((max(box, 1), max(box, 1)), np.uint8))


def _crop(rgba: np.ndarray, threshold: float) -> np.ndarray:
    inside = rgba[..., 3] >= threshold
    if not inside.any():
        raise PictureError(f"no pixel of the product has an alpha of {threshold} or more: lower alpha_threshold.")
    left, top, right, bottom = _box(inside)
    return rgba[top:bottom, left:right]


def _box(inside: np.ndarray) -> tuple:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _resize(rgba: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample with premultiplied alpha, so that hidden colours don't bleed into the edges as a dark fringe."""
    planes = np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3]])
    resized = [Image.fromarray(np.ascontiguousarray(planes[..., c])).resize((width, height), Image.Resampling.LANCZOS) for c in range(4)]
    resized = np.clip(np.dstack([np.asarray(plane) for plane in resized]), 0, 1)
    # Whole 8-bit steps: what was opaque is exactly 1 again after resampling, so that pasting it back is exact.
    alpha = np.round(resized[..., 3:] * 255) / np.float32(255)
    rgb = np.clip(resized[..., :3] / np.maximum(resized[..., 3:], 1e-6), 0, 1)
    return np.dstack([rgb, alpha]).astype(np.float32)


def _floats(array, name: str) -> np.ndarray:
    array = array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
    scale = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(array.dtype, 1)
    array = array.astype(np.float32) / np.float32(scale)
    if not np.isfinite(array).all():
        raise PictureError(f"{name} holds NaN or infinite values: check the node or file that it comes from.")
    if array.size and not -1 <= array.min() <= array.max() <= 2:  # a little outside [0, 1] is what resampling does
        raise PictureError(f"{name} holds values from {array.min():g} to {array.max():g}: give floats in [0, 1], or 8-bit or 16-bit unsigned integers.")
    return array


def _digest(*parts) -> str:
    """SHA-256 over arrays (with their shapes) and strings, 16 hex digits of it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else repr(part.shape).encode() + np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
