"""The product of the accordion: read, kept under a name that infotext can hold, and placed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ..rfnet.colours import to_rgba
from ..rfnet.files import quoted, write_bytes
from ..rfnet.pictures import PictureError, decode
from ..rfnet.product import Product
from .settings import Refused, Settings

NAME = re.compile(r"[0-9a-f]{16}")
LONGEST = 64 << 20  # characters of a picture as the API gives it


def product_of(settings: Settings, store: Path, init_image: Image.Image | None = None) -> Product:
    """The product that the settings give. store: the folder of kept products; init_image: img2img's picture.

    Raises Refused, PictureError.
    """
    if settings.use_init_image:
        if init_image is None:
            raise Refused("there is no img2img picture to take the product from: drop one in, or drop in a product.")
        given = init_image
    elif settings.product is None and settings.product_name:
        return Product.from_picture(kept(settings.product_name, store), settings.caption, settings.size_cm)
    elif settings.product is None:
        raise Refused(
            "Reliable Ads is on but has no product: drop a product picture into its accordion, or turn it off."
        )
    else:
        given = settings.product
    rgba = pixels(given, "the product picture")
    mask = None if settings.mask is None else pixels(settings.mask, "the mask")[..., :3].mean(-1)
    if mask is not None and settings.mask_marks == "background":
        mask = 1 - mask
    if mask is None and (rgba[..., 3] == 1).all():
        raise PictureError(
            "the product picture has no transparency, so nothing says which pixels are the product: use a PNG with a"
            " transparent background, or give a mask as well."
        )
    return Product.from_arrays(rgba, mask, settings.caption, settings.size_cm)


def pixels(given, name: str) -> np.ndarray:
    """A picture as (H, W, 4) floats in [0, 1]. given: of Pillow or numpy, or base64 with or without "data:...".

    Raises PictureError.
    """
    if isinstance(given, Image.Image):
        return np.asarray(to_rgba(given, name)).astype(np.float32) / 255
    if isinstance(given, np.ndarray):
        return pixels(Image.fromarray(given), name)
    if not isinstance(given, str):
        raise PictureError(f"{name} is a {type(given).__name__}: give a picture, or its bytes as base64.")
    if len(given) > LONGEST:
        raise PictureError(f"{name} has {len(given) >> 20} million characters: scale it down.")
    try:
        content = base64.b64decode(given.partition(",")[2] if given.startswith("data:") else given, validate=True)
    except (binascii.Error, ValueError):
        raise PictureError(f"{name} is {quoted(given[:40])}: give a picture's bytes as base64.") from None
    return np.asarray(decode(io.BytesIO(content), name)[0]).astype(np.float32) / 255


def kept(name: str, store: Path) -> Path:
    """The file of a product that a picture's infotext names. Raises PictureError."""
    path = store / f"{name}.png"
    if not NAME.fullmatch(name) or not path.is_file():
        raise PictureError(
            f"there is no product {quoted(name)} in {quoted(store)}: it was used on another machine, or deleted. Drop"
            " it in again."
        )
    return path


def keep(product: Product, store: Path) -> str:
    """Keeps the product's picture, once -> its name, 16 hex digits of its pixels."""
    rgba = (product.rgba * 255).round().astype(np.uint8)
    name = hashlib.sha256(repr(rgba.shape).encode() + rgba.tobytes()).hexdigest()[:16]
    path = store / f"{name}.png"
    if not path.exists():
        file = io.BytesIO()
        Image.fromarray(rgba).save(file, "PNG")
        store.mkdir(parents=True, exist_ok=True)
        write_bytes(path, file.getvalue())
    return name
