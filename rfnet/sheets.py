"""Pictures side by side on one sheet, and the two colours of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

GREEN, RED = (
    (46, 160, 67),
    (207, 34, 46),
)  # accepted, rejected; web/js/verdicts.css and the gallery's page have the same


def to_image(planes) -> Image.Image:
    """(C, H, W) tensor in [0, 1] → Pillow."""
    return Image.fromarray((planes.clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy())


def to_planes(picture: Image.Image):
    """Pillow → (3, H, W) tensor in [0, 1]."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0).float() / 255


def contact_sheet(
    pictures: Sequence[Image.Image], columns: int, gap: int = 0, margin: int = 0, ground="white"
) -> Image.Image:
    """Pictures of one size, row by row, at most `columns` in each -> one RGB picture.

    gap: pixels between two of them; margin: pixels around them all. The sheet is as wide as `columns` pictures, be
    there fewer or not. Raises ValueError where there is no picture.
    """
    if not pictures:
        raise ValueError("a contact sheet needs one picture at least.")
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    size = (columns * (width + gap) - gap + 2 * margin, rows * (height + gap) - gap + 2 * margin)
    sheet = Image.new("RGB", size, ground)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(picture, (margin + column * (width + gap), margin + row * (height + gap)))
    return sheet
