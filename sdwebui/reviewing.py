"""Finished pictures of a folder, judged against one product. Knows no web UI, so that it is tested without one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..rfnet.data.answers import answers_in
from ..rfnet.files import quoted, write_bytes
from ..rfnet.finished import canvas_of, on_canvas
from ..rfnet.pictures import PictureError, open_picture
from ..rfnet.product import Canvas, Product
from ..rfnet.reviewer import ReviewError, annotate_row
from ..rfnet.risks import doubting
from ..rfnet.sheets import to_image
from .words import said_of

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff")
SIDE = 768  # pixels of a picture in the gallery, on its longer side


@dataclass(frozen=True)
class Placed:
    """A product and how pictures have it: what canvases are made of."""

    product: Product
    image_scale: float = 0.72
    position: str = "centre"
    canvases: dict = field(default_factory=dict)

    def canvas(self, width: int, height: int) -> Canvas:
        """The canvas of a picture of this size, made once. Raises PictureError."""
        size = width, height
        if size not in self.canvases:
            self.canvases[size] = canvas_of(self.product, width, height, self.image_scale, self.position)
        return self.canvases[size]


@dataclass(frozen=True)
class Reviewed:
    """A picture's file and what was said of it: a row of Review.rows(), with "evidence" where a heat map was made, or
    {"error"}. shown: the picture with its verdict, heat: the same under the heat of its likeliest defect; both Pillow.
    """

    path: Path
    row: dict
    shown: Image.Image | None = None
    heat: Image.Image | None = None

    @property
    def words(self) -> str:
        return said_of(self.row)


def pictures_in(folder: Path, most: int) -> list[Path]:
    """The newest pictures of a folder, without its sub-folders. Raises PictureError where there is none."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir(), entry.stat().st_mtime) for entry in entries if is_there(entry)]
    except OSError as error:
        raise PictureError(f"{quoted(folder)} can't be read ({error.strerror}): give the path of a folder.") from None
    pictures = [(time, name) for name, is_folder, time in found if not is_folder and name.lower().endswith(ENDINGS)]
    if not pictures:
        below = sorted(name for name, is_folder, _ in found if is_folder)[-3:]
        hint = f"name one of its sub-folders, such as {', '.join(map(quoted, below))}" if below else "choose another"
        raise PictureError(f"{quoted(folder)} holds no pictures: {hint}.")
    newest = sorted(pictures, key=lambda each: (-each[0], each[1]))[:most]
    return [folder / name for _, name in newest]


def is_there(entry) -> bool:
    """Whether an entry of a folder is shown at all, and can be asked: a link may lead to itself."""
    try:
        return not entry.name.startswith(".") and entry.stat() is not None
    except OSError:
        return False


def review(path: Path, placed: Placed, reviewer, threshold: float, explained: bool, doubted: str = "") -> Reviewed:
    """The verdict on a picture file; one that can't be judged has the reason in its row.

    reviewer: has row(picture, canvas, threshold) and explain(picture, canvas), as reviewers.HostedReviewer; doubted: a
    sentence of risks.doubt on the threshold.
    """
    from ..rfnet.explain import overlay

    try:
        pixels = open_picture(path)
        canvas = placed.canvas(pixels.shape[1], pixels.shape[0])
    except (PictureError, OSError) as error:
        return failed(path, error)
    picture = on_canvas(pixels, canvas)[0]
    try:
        row = doubting(reviewer.row(picture, canvas, threshold), doubted)
    except ReviewError as error:
        return failed(path, error)
    heat = None
    if explained:
        _, explanation = reviewer.explain(picture, canvas)
        if not row["accepted"]:
            row = {**row, "evidence": explanation.rows()[0]}
        heat = small(annotate_row(overlay(picture[None], explanation.heat.to(picture))[0], row))
    return Reviewed(path, row, small(annotate_row(picture, row)), heat)


def failed(path: Path, error: Exception) -> Reviewed:
    """A picture that can't be judged; the reason names it."""
    name = quoted(path.name)
    return Reviewed(path, {"error": str(error) if name in str(error) else f"{name}: {error}"})


def small(picture: Image.Image) -> Image.Image:
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def report(reviewed: list[Reviewed]) -> list[dict]:
    """JSON-able rows, as `rfnet review --json` writes them."""
    return [{"image": as_text(each.path.name), **each.row} for each in reviewed]


def as_text(name: str) -> str:
    """A file's name that can be written as UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8")


def copy_into(folder: Path, path: Path) -> Path:
    """Copies a picture with all that its file holds; another picture of its name there is left alone.

    Raises OSError.
    """
    content = path.read_bytes()
    for number in range(1, 10_000):
        name = path.name if number == 1 else f"{path.stem}-{number}{path.suffix}"
        target = folder / name
        if not target.exists():
            write_bytes(target, content)
            return target
        if target.is_file() and target.read_bytes() == content:
            return target
    raise OSError(f"{quoted(folder)} has too many pictures named {quoted(path.name)}: choose another folder.")


def add_to(labels, each: Reviewed, placed: Placed, prompt: str) -> bool:
    """Lets a reviewed picture wait for its label in a LabelFolder; False where it is there already. Raises OSError."""
    from ..rfnet.finished import cut_out

    pixels = open_picture(each.path)
    canvas = placed.canvas(pixels.shape[1], pixels.shape[0])
    picture = to_image(on_canvas(pixels, canvas)[0])
    label = each.row["label"]
    verdict = {"label": label, "probability": each.row["probabilities"][label]}
    product = placed.product
    about = product.fingerprint, product.caption, prompt, verdict
    return labels.add(picture, cut_out(canvas), *about, answers=answers_in(each.row), size_cm=product.size_cm)
