"""A picture file's colours as a screen shows them: any mode, key colour and embedded profile as 8-bit RGBA in sRGB."""

import io
import warnings
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

SPACES = {"RGB": ("RGB", "L"), "GRAY": ("L",), "CMYK": ("CMYK",), "Lab": ("LAB",)}  # of a profile: modes that fit it
STRETCHED = {"1": 255, "L;2": 85, "L;4": 17}  # what Pillow multiplies few greys by, but not the key colour
ROWS = 256  # that are scaled at a time
SAME = 2  # of 255: a profile that changes no colour by more is sRGB under another name, and the pixels stay as they are


class PictureError(ValueError):
    """A picture can't be used; the message says which one, why, and what to do."""


def to_rgba(image: Image.Image, name: str, stored: str = "") -> Image.Image:
    """A loaded Pillow picture of any mode as 8-bit RGBA in sRGB, its alpha as it is.

    name: what a message calls it; stored: Pillow's raw mode of the file, which says how deep greys and key colours are.
    A profile that is broken or of another kind than the picture is told in a warning, and the colours are taken as they
    are. Raises PictureError for numbers of unknown scale.
    """
    image, alpha = _parted(image, name, stored)
    colours = in_srgb(image, image.info.get("icc_profile"), name)
    if alpha is None:
        return colours.convert("RGBA")
    colours.putalpha(alpha)
    return colours


def _parted(image: Image.Image, name: str, stored: str) -> tuple:
    """(the picture as 8-bit L, RGB, CMYK or LAB; its alpha as L, or None where all is opaque)."""
    info, key = image.info, image.info.get("transparency")
    if image.mode == "F":
        raise PictureError(f"{name} holds floating-point values of unknown scale: save it as an 8-bit or 16-bit PNG.")
    if image.mode.startswith("I"):  # 16-bit grey; "I" is how Pillow opens some of them
        values = np.asarray(image)
        alpha = Image.fromarray((values != key).astype(np.uint8) * 255) if isinstance(key, int) else None
        image = Image.fromarray(_eight_bit(values, 4095 if stored.startswith("I;12") else 65535, name))
    elif image.mode in ("1", "L", "RGB"):
        alpha = None if key is None else _where_not(image, key, stored)
        image = image.convert("L") if image.mode == "1" else image
    elif image.mode in ("CMYK", "LAB"):
        alpha = None
    elif image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa"):
        image = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
        alpha = image.getchannel("A")
        image = image.getchannel("L") if image.mode == "LA" else image.convert("RGB")
    else:
        image, alpha = image.convert("RGB"), None
    image.info = {"icc_profile": info.get("icc_profile")}  # an old key colour would be taken for transparency again
    return image, alpha


def _eight_bit(values: np.ndarray, top: int, name: str) -> np.ndarray:
    """Whole numbers from 0 to top as uint8; Pillow would clip them."""
    if values.min() < 0 or values.max() > 65535:
        raise PictureError(f"{name} holds 32-bit numbers of unknown scale: save it as an 8-bit or 16-bit PNG.")
    scaled = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), ROWS):
        scaled[row : row + ROWS] = np.minimum(values[row : row + ROWS] * np.float32(255 / top) + 0.5, 255)
    return scaled


def _where_not(image: Image.Image, key, stored: str) -> Image.Image | None:
    """The alpha of a picture one colour of which is transparent.

    key: a grey or (red, green, blue), in the file's depth.
    """
    channels = image.split()
    keys = key if isinstance(key, (tuple, list)) else (key,) * len(channels)
    if isinstance(key, bytes) or len(keys) != len(channels):
        return None
    differs = None
    for channel, value in zip(channels, keys):
        value = value >> 8 if ";16" in stored else min(value * STRETCHED.get(stored, 1), 255)
        other = channel.convert("L").point([0 if place == value else 255 for place in range(256)])
        differs = other if differs is None else ImageChops.lighter(differs, other)
    return differs


def in_srgb(image: Image.Image, icc: bytes | None, name: str) -> Image.Image:
    """A picture of mode L, RGB, CMYK or LAB as RGB in sRGB, out of the colours that its profile says."""
    if not icc:
        return image.convert("RGB")
    try:
        mode, transform = _transform(icc, image.mode)
        return transform.apply(image.convert(mode)) if transform else image.convert("RGB")
    except Exception as error:  # damaged profiles bring PyCMSError, OSError, ValueError, TypeError
        said = " ".join(str(error).split())[:100]
        warnings.warn(
            f"{name}: its colour profile can't be used ({said}), so its colours may look different; convert it to"
            " sRGB.",
            stacklevel=2,
        )
        return image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(icc: bytes, mode: str) -> tuple:
    """(the mode that it takes, what turns it into sRGB, or None where the profile is sRGB already).

    Raises what lcms raises, and ValueError where the profile doesn't fit the mode."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = profile.profile.xcolor_space.strip()
    if mode not in SPACES.get(space, ()):
        raise ValueError(f"it is for {space} and the picture is {mode}")
    mode = "RGB" if space == "RGB" else mode
    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    probe = _probe(mode)
    if probe and np.abs(np.asarray(to_srgb.apply(probe), int) - np.asarray(probe.convert("RGB"), int)).max() <= SAME:
        return mode, None
    return mode, to_srgb


def _probe(mode: str) -> Image.Image | None:
    """All greys, and colours from all over RGB."""
    greys = np.arange(256, dtype=np.uint8)
    if mode == "L":
        return Image.fromarray(greys[None])
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    both = np.concatenate([colours, np.repeat(greys[None, :, None], 3, 2)], 1)
    return Image.fromarray(both) if mode == "RGB" else None
