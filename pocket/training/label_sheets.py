"""Numbered sheets on which pictures are labelled blind."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...rfnet.files import write_picture
from ...rfnet.lettering import write
from ...rfnet.sheets import contact_sheet

PER_SHEET, COLUMNS, GAP = 20, 5, 8
PICTURE, CUT_OUT, MARGIN, LETTERS = 256, 110, 6, 15  # pixels
GREY = 128


def write_sheets(out: Path, cells: list, first: int) -> None:
    """OUT/sheet-000.png and so on: 20 `cell`s each, in their order. first: number of the first one."""
    for start in range(0, len(cells), PER_SHEET):
        sheet = contact_sheet([cell() for cell in cells[start : start + PER_SHEET]], COLUMNS, gap=GAP, margin=GAP)
        write_picture(out / f"sheet-{first + start:03d}.png", sheet)


def cell(picture: Image.Image, cut_out: Image.Image, number: int, caption: str) -> Image.Image:
    """A picture; below it the product's cut-out alone (RGBA) on grey, its number and its caption. Nothing else."""
    card = Image.new("RGB", (PICTURE, PICTURE + CUT_OUT), "white")
    card.paste(picture.convert("RGB").resize((PICTURE, PICTURE), Image.Resampling.BICUBIC), (0, 0))
    card.paste(on_grey(cut_out, CUT_OUT), (0, PICTURE))
    draw, left = ImageDraw.Draw(card), CUT_OUT + MARGIN
    write(draw, (left, PICTURE + 2), str(number), "black", 22)
    for place, line in enumerate(textwrap.wrap(caption, 18)[:5]):
        write(draw, (left, PICTURE + 28 + place * (LETTERS + 1)), line, "black", LETTERS)
    return card


def on_grey(cut_out: Image.Image, side: int) -> Image.Image:
    """A cut-out (RGBA), cropped to what it shows, as large as fits into side x side pixels of grey."""
    shown = cut_out.crop(cut_out.getchannel("A").getbbox() or (0, 0, *cut_out.size))
    scale = (side - 8) / max(shown.size)
    size = tuple(max(1, round(length * scale)) for length in shown.size)
    shown = shown.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    ground = Image.new("RGB", (side, side), (GREY,) * 3)
    ground.paste(shown, ((side - size[0]) // 2, (side - size[1]) // 2), shown)
    return ground


def cut_out_of(rgba: np.ndarray) -> Image.Image:
    """(H, W, 4) float32 in [0, 1] -> Pillow RGBA."""
    return Image.fromarray((np.clip(rgba, 0, 1) * 255).round().astype(np.uint8))


def sheet(pictures: list[Image.Image], texts: list[str], columns: int = 8, side: int = 256) -> Image.Image:
    """Pictures with one line of text below each. side: of a picture on it, pixels."""
    return contact_sheet([captioned(picture, text, side) for picture, text in zip(pictures, texts)], columns)


def captioned(picture: Image.Image, text: str, side: int) -> Image.Image:
    """A picture with its line below."""
    card = Image.new("RGB", (side + 6, side + 22), "white")
    card.paste(picture.convert("RGB").resize((side, side), Image.Resampling.BICUBIC), (0, 0))
    ImageDraw.Draw(card).text((2, side + 4), text[: side // 6], fill="black")
    return card
