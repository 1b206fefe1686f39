"""A product cut-out, and the same product placed on a canvas that a model paints around (arXiv:2408.00418)."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .common_sizes import check_size_cm
from .painting import canny_hint, default_dilation, inpaint_mask
from .parts import VISIBLE, Parts, take_apart
from .pictures import PictureError, check_size, open_picture

CUT = 0.5  # alpha from here on counts as solid product, unless place is told otherwise
GREY = 0.5  # what stands for "no product here" in colour
RIPPLE = 0.015  # of alpha, that Lanczos resampling leaves beside an edge
BORDER = 0.75  # share of a picture's border that a product may cover: what covers more is a background


@dataclass(frozen=True, eq=False)
class Product:
    """A cut-out with its caption.

    rgba: (H, W, 4) float32 in [0, 1], straight alpha; caption: what is sold, may be empty; size_cm: the true length of
    its largest side in centimetres, 0 where nobody said.
    """

    rgba: np.ndarray
    caption: str = ""
    size_cm: float = 0.0

    @classmethod
    def from_picture(cls, path, caption: str = "", size_cm: float = 0.0) -> "Product":
        """Read a picture file with transparency. Raises PictureError."""
        rgba = open_picture(path)
        try:
            return cls._checked(rgba, caption, size_cm)
        except PictureError as error:
            raise PictureError(f'"{Path(path).name}": {error}') from None

    @classmethod
    def from_arrays(cls, image, mask=None, caption: str = "", size_cm: float = 0.0) -> "Product":
        """From an image (H, W, 3 or 4) and a mask (H, W) with 1 = product, arrays or tensors, floats in [0, 1], bool,
        uint8 or uint16.

        Without a mask the image's fourth channel is the alpha; with one, the mask is. Raises PictureError.
        """
        image = _floats(image, "the product picture")
        if image.ndim != 3 or image.shape[2] not in (3, 4):
            raise PictureError(f"the product picture has shape {image.shape}: it must be (height, width, 3 or 4).")
        height, width = image.shape[:2]
        check_size(width, height, "the product picture")
        if mask is None and image.shape[2] == 3:
            raise PictureError(
                "the product picture has no transparency and no mask: connect a mask of the product, or use a PNG with"
                " a transparent background."
            )
        alpha = image[..., 3] if mask is None else _floats(mask, "the mask")
        if alpha.ndim != 2:
            raise PictureError(
                f"the mask has shape {alpha.shape}: it must be (height, width), one mask for one product."
            )
        if alpha.shape != (height, width):
            raise PictureError(
                f"the mask is {alpha.shape[1]}x{alpha.shape[0]} pixels but the picture is {width}x{height}: use the"
                " mask that belongs to this picture, or resize it."
            )
        return cls._checked(np.dstack([image[..., :3], alpha]), caption, size_cm)

    @classmethod
    def _checked(cls, rgba: np.ndarray, caption: str, size_cm: float) -> "Product":
        check_size_cm(size_cm)
        rgba = np.clip(rgba, 0, 1).astype(np.float32)
        rgba[..., 3] = _without_veil(rgba[..., 3])
        check_cut_out(rgba[..., 3])
        rgba.setflags(write=False)
        return cls(rgba, " ".join(str(caption).split()), float(size_cm))

    @cached_property
    def parts(self) -> Parts:
        """What the pixels are: solid, see-through, shadow, edge."""
        return take_apart(self.rgba)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that name these pixels and this caption."""
        return _digest(self.rgba, self.caption)


@dataclass(frozen=True, eq=False)
class Canvas:
    """A product placed on a canvas of H x W pixels.

    rgb (3, H, W): the product's colours, grey where there is no product; alpha (H, W): its opacity in [0, 1];
    inpaint_mask (H, W): 1 = paint here: around the product, behind what is seen through, and a little under the edge;
    hint (3, H, W): canny lines of the product with its whole outline, 0 or 1; box: left, top, right, bottom of the
    product in pixels, without its shadow; placing: place's other arguments, as they were given; notes: sentences on
    what was found in the cut-out.
    """

    product: Product
    rgb: torch.Tensor
    alpha: torch.Tensor
    inpaint_mask: torch.Tensor
    hint: torch.Tensor
    box: tuple
    placing: dict = field(default_factory=dict)
    notes: tuple = ()

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
        """The product over grey, (3, H, W): what is encoded for the model, and the product picture that RFNet looks
        at.
        """
        return over_grey(self.rgb, self.alpha)

    def paste(self, generated: torch.Tensor) -> torch.Tensor:
        """Put the product back on generated images (B, 3, H, W): its own pixels exactly, bit for bit, where alpha is 1;
        the generated ones where it is 0; in between, at edges, glass and shadows, the product blended over what was
        generated.
        """
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


def place(
    product: Product,
    width: int,
    height: int,
    image_scale: float = 0.72,
    alpha_threshold: float = CUT,
    position: str = "centre",
    mask_dilation: int | None = None,
    down: float = 0.0,
    clean_edges: bool = True,
) -> Canvas:
    """Place a product on a canvas of width x height pixels, as the paper's sampling script does (see docs/product.md).

    "centre": fit the product into image_scale of both sides, centre it. "keep": the whole picture is fitted into the
    canvas and the product stays where it is in it. alpha_threshold: the least opaque that solid product is.
    mask_dilation: box size in pixels by which the inpaint mask reaches under the product; by default 20 at 512 pixels.
    down: share of the canvas's height by which the product stands lower than that, as far as the canvas reaches.
    clean_edges: give edges the colours of the product beside them. Raises PictureError.
    """
    check_placing(width, height, image_scale, alpha_threshold, position)
    _check_alpha(product, alpha_threshold)
    parts = product.parts
    source, share = (0, 0, product.rgba.shape[1], product.rgba.shape[0]), 1.0
    if position == "centre":
        source, share = _box(parts.shape(alpha_threshold)), image_scale
    target = _target(source, width, height, share, down)
    rgba = _onto(parts.clean if clean_edges else parts.rgba, source, target, width, height)
    see_through, soft = (_where(kind, source, target, width, height) for kind in (parts.see_through, parts.soft))

    rgb, alpha = rgba[..., :3], rgba[..., 3]
    rgb[alpha == 0] = GREY
    soft &= ~see_through
    within = np.zeros_like(soft)  # what lies outside of the target is shadow, or the blur of a much enlarged edge
    within[target[1] : target[3], target[0] : target[2]] = True
    solid = (alpha >= alpha_threshold) & ~see_through & ~soft & within
    shape = solid | see_through & (alpha > VISIBLE) & within
    if not shape.any():
        raise PictureError(
            f"the product is too thin to show on {width}x{height} pixels: use a larger canvas or image_scale."
        )
    dilation = default_dilation(width, height) if mask_dilation is None else mask_dilation
    placing = {
        "image_scale": image_scale,
        "alpha_threshold": alpha_threshold,
        "position": position,
        "mask_dilation": mask_dilation,
        "down": down,
        "clean_edges": clean_edges,
    }
    return Canvas(
        product,
        _tensor(rgb.transpose(2, 0, 1)),
        _tensor(alpha),
        _tensor(inpaint_mask(solid, dilation)),
        _tensor(canny_hint(rgb, np.where(soft, 0, alpha), shape)),
        _box(shape),
        placing,
        (*parts.notes, *_notes(solid)),
    )


def _check_alpha(product: Product, alpha_threshold: float) -> None:
    highest = float(product.rgba[..., 3].max())
    if highest < alpha_threshold:
        raise PictureError(
            f"no pixel of the product has an alpha of {alpha_threshold:g} or more, the highest is {highest:.2f}: "
            "lower alpha_threshold if the product is see-through, or check its cut-out."
        )


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def check_placing(width: int, height: int, image_scale: float, alpha_threshold: float, position: str) -> None:
    """Raises PictureError where place can't be given these."""
    for name, side in (("width", width), ("height", height)):
        if side % 8 or not 64 <= side <= 4096:
            raise PictureError(f"the canvas {name} is {side}: it must be a multiple of 8 between 64 and 4096.")
    if not 0 < image_scale <= 1:
        raise PictureError(f"image_scale is {image_scale}: it must be above 0 and at most 1.")
    if not 0 < alpha_threshold <= 1:
        raise PictureError(f"alpha_threshold is {alpha_threshold}: it must be above 0 and at most 1.")
    if position not in ("centre", "keep"):
        raise PictureError(f'position is "{position}": use "centre" or "keep".')


def check_cut_out(alpha: np.ndarray) -> None:
    """Raises PictureError where an alpha (H, W) shows no product: nothing, everything, or all but the product."""
    if not (alpha > VISIBLE).any():
        raise PictureError(
            "the product is empty: nothing in its picture is opaque; check the cut-out, or whether the mask is"
            " inverted."
        )
    inside = alpha >= CUT
    if inside.all():
        raise PictureError(
            "the product fills its whole picture: nothing is left to paint; remove its background, or connect a mask of"
            " the product."
        )
    corners = inside[0, 0] and inside[0, -1] and inside[-1, 0] and inside[-1, -1]
    if corners and _border(inside).mean() >= BORDER:
        raise PictureError(
            "the product covers the border of its picture all around, as it does where a mask is inverted: set"
            " mask_marks to the other value, or invert the mask; if the product really fills its picture, leave some"
            " transparent space around it."
        )


def _border(plane: np.ndarray) -> np.ndarray:
    """The outermost pixels of (H, W), each once."""
    return np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]])


def _without_veil(alpha: np.ndarray) -> np.ndarray:
    """An alpha (H, W) less the faint veil that some background removers leave over the whole picture."""
    veil = float(np.quantile(_border(alpha), 1 - BORDER))
    return alpha if not VISIBLE < veil < CUT else np.clip((alpha - veil) / (1 - veil), 0, 1)


def _notes(solid: np.ndarray) -> tuple:
    return () if solid.any() else ("The product is see-through everywhere: the scene is painted behind all of it.",)


def _target(source: tuple, width: int, height: int, share: float, down: float) -> tuple:
    """Left, top, right, bottom in canvas pixels of what lies in the box `source` of the picture."""
    lengths = source[2] - source[0], source[3] - source[1]
    fit = min(share * width / lengths[0], share * height / lengths[1])
    size = [max(1, min(side, round(length * fit))) for side, length in zip((width, height), lengths)]
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    top = max(0, min(height - size[1], top + round(down * height)))
    return left, top, left + size[0], top + size[1]


def _onto(picture: np.ndarray, source: tuple, target: tuple, width: int, height: int) -> np.ndarray:
    """A picture (H, W, C) resampled so that its box `source` lies on the box `target` of an empty canvas, with what is
    around it as far as the canvas reaches.
    """
    spans = []
    for low, high, begin, end, length, side in zip(
        source[:2], source[2:], target[:2], target[2:], picture.shape[1::-1], (width, height)
    ):
        step = (high - low) / (end - begin)  # picture pixels in a canvas pixel
        first, last = max(0, begin - int(np.ceil(low / step))), min(side, end + int(np.ceil((length - high) / step)))
        spans.append((first, last, low - (begin - first) * step, high + (last - end) * step, length))
    (left, right, x0, x1, across), (top, bottom, y0, y1, down) = spans
    pad = [
        (int(np.ceil(max(0, -y0))), int(np.ceil(max(0, y1 - down)))),
        (int(np.ceil(max(0, -x0))), int(np.ceil(max(0, x1 - across)))),
        (0, 0),
    ]
    picture = np.pad(picture, pad) if any(map(any, pad)) else picture
    box = x0 + pad[1][0], y0 + pad[0][0], x1 + pad[1][0], y1 + pad[0][0]
    canvas = np.zeros((height, width, picture.shape[2]), np.float32)
    canvas[top:bottom, left:right] = _resize(picture, right - left, bottom - top, box)
    return canvas


def _where(kind: np.ndarray, source: tuple, target: tuple, width: int, height: int) -> np.ndarray:
    """As _onto, of a mask (H, W) bool."""
    if not kind.any():
        return np.zeros((height, width), bool)
    return _onto(kind[..., None].astype(np.float32), source, target, width, height)[..., 0] >= 0.5


def _box(inside: np.ndarray) -> tuple:
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _resize(planes: np.ndarray, width: int, height: int, box: tuple) -> np.ndarray:
    """The box of (H, W, 1) or of RGBA (H, W, 4), resampled; RGBA with premultiplied alpha, so that hidden colours don't
    bleed into the edges as a dark fringe.
    """

    def one(plane):
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.LANCZOS, box)
        )

    if planes.shape[2] == 1:
        return one(planes[..., 0])[..., None]
    alpha = planes[..., 3]
    resized = np.clip(np.dstack([*(one(planes[..., c] * alpha) for c in range(3)), one(alpha)]), 0, 1)
    rgb = np.clip(resized[..., :3] / np.maximum(resized[..., 3:], 1e-6), 0, 1)
    # Whole 8-bit steps, without the ripples of resampling beside an edge: what was opaque is exactly 1 again, so that
    # pasting it back is exact.
    alpha = np.round(resized[..., 3:] * 255) / np.float32(255)
    alpha = np.where(alpha > 1 - RIPPLE, 1, np.where(alpha < RIPPLE / 2, 0, alpha))
    return np.dstack([rgb, alpha]).astype(np.float32)


def _floats(array, name: str) -> np.ndarray:
    array = array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
    scale = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(array.dtype, 1)
    array = array.astype(np.float32) / np.float32(scale)
    if not np.isfinite(array).all():
        raise PictureError(f"{name} holds NaN or infinite values: check the node or file that it comes from.")
    if array.size and not -1 <= array.min() <= array.max() <= 2:  # a little outside [0, 1] is what resampling does
        raise PictureError(
            f"{name} holds values from {array.min():g} to {array.max():g}: give floats in [0, 1], or 8-bit or 16-bit"
            " unsigned integers."
        )
    return array


def _digest(*parts) -> str:
    """SHA-256 over arrays (with their shapes) and strings, 16 hex digits of it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(
            part.encode() if isinstance(part, str) else repr(part.shape).encode() + np.ascontiguousarray(part).tobytes()
        )
    return digest.hexdigest()[:16]
