"""Reading picture files of every kind into one form: RGBA, float32, straight alpha, in [0, 1], sRGB."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .colours import PictureError, to_rgba
from .cut_outs import cut_outs as cut_outs
from .files import open_file, quoted, refusal

SMALLEST, LARGEST = 16, 8192  # pixels on a side that a product picture may have
WORKING = 4096  # no canvas is larger, so larger pictures are scaled down as they are read
MOST_BYTES = 1 << 30  # of a file: what a picture of LARGEST takes unpacked and deep, twice
MOST_WORK = (
    4e9  # pixels times scans of a progressive JPEG: usual ones have ten, a crafted one thousands that take minutes
)
FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "AVIF",
    "TIFF",
    "GIF",
    "BMP",
    "HEIF",
)  # others run programs, are no pictures, or are rare
HEIC = "HEIC, which Pillow reads only with pillow-heif"
OTHERS = (  # what people give by mistake
    (0, b"%!PS", "an EPS file"),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"<svg", "an SVG"),
    (0, b"<?xml", "an SVG or another XML file"),
    (0, b"<!", "a web page"),
    (0, b"<html", "a web page"),
    (4, b"ftyphei", HEIC),
    (4, b"ftypmif1", HEIC),
    (4, b"ftypavif", "AVIF, which Pillow reads from 11.3 on"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"PK\3\4", "a zip"),
)


def check_size(width: int, height: int, name: str, smallest: int = SMALLEST, largest: int = LARGEST) -> None:
    """Refuse pictures that are too small to show a product or too large to hold in memory."""
    if min(width, height) < smallest:
        raise PictureError(
            f"{name} is {width}x{height} pixels: a product picture needs at least {smallest} on each side; use a larger"
            " one."
        )
    if max(width, height) > largest or width * height > LARGEST**2:
        most = min(largest, LARGEST)
        raise PictureError(f"{name} is {width}x{height} pixels: scale it down to at most {most} on each side.")


def open_picture(path) -> np.ndarray:
    """Read a picture file as (H, W, 4) float32 RGBA in [0, 1], sRGB, turned upright.

    Reads FORMATS as far as this Pillow does, by content and not by ending: palette, grey, 16-bit, CMYK, key colours,
    colour profiles, EXIF-rotated; of an animation the first frame, with a warning. Without transparency in the file,
    alpha is 1 everywhere.
    Pictures with a side above WORKING are scaled down to it. Raises PictureError.
    """
    name = quoted(Path(path).name)
    try:
        with open_file(path) as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise PictureError(f"{name} is larger than {MOST_BYTES >> 30} GiB: save it as PNG or WebP.")
            return picture_in(file, name)
    except OSError as error:
        raise PictureError(refusal(Path(path).name, error)) from None


def picture_in(file, name: str) -> np.ndarray:
    """The same of an open binary file, which messages call `name`. Raises PictureError."""
    image, _ = decode(file, name)
    if max(image.size) > WORKING:
        image.thumbnail((WORKING, WORKING), Image.Resampling.LANCZOS)  # which premultiplies alpha meanwhile
    picture = np.asarray(image).astype(np.float32)
    picture /= 255
    return picture


def decode(file, name: str, smallest: int = SMALLEST, largest: int = LARGEST, fit: int | None = None) -> tuple:
    """(a picture in an open binary file as an upright Pillow RGBA in sRGB, (width, height) as it is stored and shown).

    name: what messages call it; smallest, largest: pixels that a side may have; fit: a JPEG may be decoded smaller,
    with sides of at least so many pixels. Raises PictureError.
    """
    try:
        with Image.open(file, formats=formats()) as image:
            size = image.size
            check_size(size[0], size[1], name, smallest, largest)
            _check_work(image, file, name)
            if getattr(image, "is_animated", False) and image.format != "MPO":  # n_frames would go through all of them
                warnings.warn(f"{name} is animated: only its first frame is used.", stacklevel=3)
                image.seek(0)
            if fit:
                image.draft(None, (fit, fit))
            stored = _stored(image)
            image.load()
            upright = to_rgba(_upright(_positive(image)), name, stored)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"{name} has too many pixels: scale it down to at most {LARGEST} on each side.") from None
    except UnidentifiedImageError:
        raise PictureError(f"{name} is not a picture that can be read{_guess(file)}: save it as PNG or WebP.") from None
    except Exception as error:  # on damaged bytes Pillow raises anything: OSError, TypeError, KeyError, struct.error
        if "MAX_TEXT" in str(error) or "too large" in str(error).lower():
            raise PictureError(
                f"{name} carries texts or a profile that unpack to more than Pillow allows: save it again without them."
            ) from error
        said = " ".join(str(getattr(error, "strerror", None) or error).split())[:150] or type(error).__name__
        raise PictureError(f"{name} is damaged or cut short ({said}): export or download it again.") from error
    turned = (size[0] > size[1]) != (upright.width > upright.height)
    return upright, size[::-1] if turned else size


def formats() -> list:
    """FORMATS that this Pillow reads; HEIF and, in older ones, AVIF need a plug-in."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about how the picture stands
        return image


def _positive(image: Image.Image) -> Image.Image:
    """A picture in which more is brighter: Pillow turns TIFFs whose 0 is white, but for deep greys."""
    white_is_zero = _tag(image, 262) == 0 and image.mode.startswith("I;16")
    return Image.fromarray(65535 - np.asarray(image)) if white_is_zero else image


def _tag(image: Image.Image, number: int):
    """The value of a TIFF's tag, None where there is none."""
    return getattr(image, "tag_v2", {}).get(number) if image.format == "TIFF" else None


def _stored(image: Image.Image) -> str:
    """Pillow's raw mode of the file, "" where it has none."""
    tiles = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    arguments = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return arguments if isinstance(arguments, str) else ""


def _check_work(image: Image.Image, file, name: str) -> None:
    """Refuse files that are made to keep a machine busy: TIFFs of huge tiles, progressive JPEGs of many scans."""
    width, height = (_tag(image, number) or 0 for number in (322, 323))  # of a tile
    if width * height > LARGEST**2:
        raise PictureError(f"{name} is stored in tiles of {width}x{height} pixels: save it again as PNG or WebP.")
    if not image.info.get("progressive"):
        return
    place = file.tell()
    file.seek(0)
    scans = sum(block.count(b"\xff\xda") for block in iter(lambda: file.read(1 << 20), b""))
    file.seek(place)
    if scans * image.width * image.height > MOST_WORK:
        raise PictureError(
            f"{name} is stored in {scans} passes, which would take minutes to read: save it again as PNG or WebP."
        )


def _guess(file) -> str:
    """What a file that is no picture seems to be, in brackets."""
    try:
        file.seek(0)
        head = file.read(64)
    except (OSError, ValueError):
        return ""
    if not head.strip(b"\0"):
        return " (it is empty)"
    known = next((what for place, sign, what in OTHERS if head[place:].lower().startswith(sign.lower())), None)
    return f" (it is {known})" if known else ""
