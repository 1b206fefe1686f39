"""How cut-outs are understood: `python -m reliable_ads.devtools.cutouts OUT.jpg FILE.png ...` draws a row for each, for
docs/product.md.

A row: as cut and then clean, each half on light and half on dark ground; the picture to encode; the inpaint mask; the
hint.
"""

import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from ..rfnet.product import Product, place
from ..rfnet.sheets import contact_sheet, to_image

SIDE, CELL, GAP, TOP = 512, 232, 8, 26
GROUNDS = ((0.94, 0.92, 0.88), (0.06, 0.07, 0.1))
TITLES = ("as cut", "clean edges", "image to encode", "inpaint mask", "canny hint")


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    out, *files = map(Path, arguments)
    rows = contact_sheet([cell for file in files for cell in cells(file)], len(TITLES), gap=GAP, margin=GAP)
    board = Image.new("RGB", (rows.width, rows.height + TOP), "white")
    board.paste(rows, (0, TOP))
    pen, font = ImageDraw.Draw(board), ImageFont.load_default(15)
    for column, title in enumerate(TITLES):
        pen.text((GAP + column * (CELL + GAP) + CELL / 2, TOP / 2 + 2), title, "black", font, anchor="mm")
    board.save(out, quality=88)
    return 0


def cells(file: Path) -> list:
    product = Product.from_picture(file)
    threshold = min(0.5, float(product.rgba[..., 3].max()))
    clean = place(product, SIDE, SIDE, alpha_threshold=threshold)
    ground = torch.empty(1, 3, SIDE, SIDE)
    for colour, half in zip(GROUNDS, (slice(None, SIDE // 2), slice(SIDE // 2, None))):
        ground[..., half] = torch.tensor(colour).view(1, 3, 1, 1)
    mask = clean.inpaint_mask.expand(3, -1, -1)
    # Lines one pixel wide would vanish when they are drawn smaller.
    hint = torch.nn.functional.max_pool2d(clean.hint[None], 3, 1, 1)[0]
    return [
        to_image(image).resize((CELL, CELL), Image.Resampling.LANCZOS)
        for image in (clean.again(clean_edges=False).paste(ground)[0], clean.paste(ground)[0], clean.shown, mask, hint)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
