"""Reading picture files of every kind into one form: RGBA, float32, straight alpha, in [0, 1]."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

SMALLEST, LARGEST = 16, 8192  # pixels on a side that a product picture may have
WORKING = 4096  # no canvas is larger, so larger pictures are scaled down as they are read
CUT_OUTS = (".png", ".webp", ".tif", ".tiff")  # endings of files that keep transparency


class PictureError(ValueError):
    """A picture can't be used; the message says which one, why, and what to do."""


def check_size(width: int, height: int, name: str) -> None:
    """Refuse pictures that are too small to show a product or too large to hold in memory."""
    if min(width, height) < SMALLEST:
        raise PictureError(f"{name} is {width}x{height} pixels: a product picture needs at least {SMALLEST} on each side; use a larger one.")
    if max(width, height) > LARGEST:
        raise PictureError(f"{name} is {width}x{height} pixels: scale it down to at most {LARGEST} on each side.")


def cut_outs(folder) -> list:
    """[(path, caption)] of a folder's product pictures, by name; a caption stands in a .txt of the same name, or else it is the file's name.

    The pictures themselves are not opened. Raises PictureError where there is no such folder, or nothing in it.
    """
    folder = Path(folder)
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in CUT_OUTS and not path.name.startswith("."))  # hidden ones are not the user's
    except OSError as error:
        raise PictureError(f'"{folder}" can\'t be read ({error.strerror or error}): give the path of a folder of cut-outs with transparency.') from None
    if not found:
        raise PictureError(f'"{folder}" holds no product pictures ({", ".join(CUT_OUTS)}): give a folder of cut-outs with transparency.')
    return [(path, _caption(path)) for path in found]


def _caption(path: Path) -> str:
    try:
        text = path.with_suffix(".txt").read_text(encoding="utf-8-sig", errors="replace")
    except OSError:  # mostly: there is none
        text = path.stem.replace("_", " ").replace("-", " ")
    return " ".join(text.split())


def open_picture(path) -> np.ndarray:
    """Read a picture file as (H, W, 4) float32 RGBA in [0, 1], turned upright.

    Reads whatever Pillow reads: palette, grey, 16-bit, CMYK (through its colour profile where it has one), EXIF-rotated;
    of an animation the first frame, with a warning. Without transparency in the file, alpha is 1 everywhere.
    Pictures with a side above WORKING are scaled down to it. Raises PictureError.
    """
    name = f'"{Path(path).name}"'
    try:
        with Image.open(path) as image:
            check_size(*image.size, name)
            if getattr(image, "n_frames", 1) > 1:
                warnings.warn(f"{name} is animated: only its first frame is used.", stacklevel=2)
                image.seek(0)
            image.load()
            image = to_rgba(ImageOps.exif_transpose(image), name)
    except FileNotFoundError:
        raise PictureError(f"{name} does not exist: check the path.") from None
    except IsADirectoryError:
        raise PictureError(f"{name} is a folder: give the path of a picture file.") from None
    except Image.DecompressionBombError:
        raise PictureError(f"{name} has too many pixels: scale it down to at most {LARGEST} on each side.") from None
    except UnidentifiedImageError:
        raise PictureError(f"{name} is not a picture that Pillow can read: save it as PNG or WebP.") from None
    except PictureError:
        raise
    except Exception as error:  # on damaged bytes Pillow's readers raise anything: OSError, TypeError, KeyError, struct.error, ...
        raise PictureError(f"{name} is damaged or cut short ({error}): export or download it again.") from error
    if max(image.size) > WORKING:
        image.thumbnail((WORKING, WORKING), Image.Resampling.LANCZOS)  # Pillow premultiplies alpha while it resizes RGBA
    return np.asarray(image, dtype=np.float32) / 255.0


def to_rgba(image: Image.Image, name: str) -> Image.Image:
    """Any Pillow mode as 8-bit RGBA. Pillow clips deep greys instead of scaling them, and ignores print profiles."""
    if image.mode.startswith("I"):  # 16-bit grey; "I" is how Pillow opens some of them
        image = Image.fromarray(np.clip(np.asarray(image) / 65535 * 255 + 0.5, 0, 255).astype(np.uint8))
    elif image.mode == "F":
        raise PictureError(f"{name} holds floating-point values of unknown scale: save it as an 8-bit or 16-bit PNG.")
    elif image.mode in ("CMYK", "LAB") and image.info.get("icc_profile"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            image = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a broken profile: Pillow's plain conversion below still shows the product
    return image.convert("RGBA")
