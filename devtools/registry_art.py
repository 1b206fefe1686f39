"""Draws the registry's icon (400×400) and banner (21:9): `python -m reliable_ads.devtools.registry_art`.

A row of rejected frames, and one that is accepted.

The banner shows one of the example products, floating, of a wrong size, lost in its background, and as it should be;
nothing else is needed.
"""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..rfnet.sheets import GREEN, RED
from .comfy import ROOT

FOLDER = ROOT / "docs" / "pictures"
NIGHT, SLATE, GREY, PAPER = (20, 28, 38), (44, 58, 74), (150, 162, 176), (246, 247, 249)
# of the banner's frames: how high the product floats and how high it is, pixels; the colours of wall and table
WALL, TABLE = (224, 229, 235), (196, 204, 214)
SCENES = (
    (62, 110, WALL, TABLE),
    (0, 48, WALL, TABLE),
    (0, 130, (206, 122, 34), (190, 106, 26)),
    (0, 130, PAPER, TABLE),
)
FINE = 4  # drawn this many times larger, so that edges are smooth


def tick(pen: ImageDraw.ImageDraw, x: float, y: float, size: float, colour=PAPER) -> None:
    """A tick in a box of `size`, centred at a point."""
    pen.line(
        [(x - size * 0.42, y + size * 0.02), (x - size * 0.12, y + size * 0.32), (x + size * 0.42, y - size * 0.34)],
        colour,
        round(size * 0.17),
        joint="curve",
    )


def cross(pen: ImageDraw.ImageDraw, x: float, y: float, size: float, colour=PAPER) -> None:
    """A cross in a box of `size`, centred at a point."""
    for lean in (1, -1):
        pen.line(
            [(x - size * 0.3, y - lean * size * 0.3), (x + size * 0.3, y + lean * size * 0.3)],
            colour,
            round(size * 0.17),
        )


def badge(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, accepted: bool) -> None:
    """A round mark on the frame's corner."""
    pen.ellipse(
        (x - radius, y - radius, x + radius, y + radius), GREEN if accepted else RED, NIGHT, round(radius * 0.14)
    )
    (tick if accepted else cross)(pen, x, y, radius * 1.1)


def icon(side: int = 400) -> Image.Image:
    """Two rejected frames behind, one accepted in front."""
    unit = side * FINE / 100
    picture = Image.new("RGB", (side * FINE, side * FINE), NIGHT)
    pen = ImageDraw.Draw(picture)
    for left, top, colour in ((35, 13, SLATE), (24, 22, (74, 92, 112))):
        pen.rounded_rectangle(
            (left * unit, top * unit, (left + 52) * unit, (top + 52) * unit), 6 * unit, colour, NIGHT, round(1.2 * unit)
        )
    pen.rounded_rectangle((13 * unit, 32 * unit, 65 * unit, 84 * unit), 6 * unit, PAPER, NIGHT, round(1.2 * unit))
    pen.rectangle((17 * unit, 67 * unit, 61 * unit, 80 * unit), (206, 212, 220))  # a table
    # a bottle stands on it
    pen.rounded_rectangle((32 * unit, 50 * unit, 46 * unit, 74 * unit), 4 * unit, (32, 128, 112))
    pen.rectangle((36 * unit, 41 * unit, 42 * unit, 52 * unit), (32, 128, 112))
    pen.rounded_rectangle((35 * unit, 38 * unit, 43 * unit, 43 * unit), 1.2 * unit, (214, 164, 84))
    pen.rectangle((32 * unit, 58 * unit, 46 * unit, 67 * unit), (240, 226, 188))
    badge(pen, 67 * unit, 73 * unit, 18 * unit, accepted=True)
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def banner(width: int = 1260, height: int = 540) -> Image.Image:
    """The name above four frames, three of them rejected."""
    picture = Image.new("RGB", (width * FINE, height * FINE), NIGHT)
    pen = ImageDraw.Draw(picture)

    def at(*values):
        return tuple(value * FINE for value in values)

    pen.text(at(70, 52), "Reliable Ads", PAPER, ImageFont.load_default(76 * FINE))
    pen.text(
        at(72, 152),
        "draw, review, draw again until a picture can be published",
        GREY,
        ImageFont.load_default(32 * FINE),
    )
    product = ROOT / "pocket" / "demo_products" / "an_orange_kettle.png"
    for number, (lift, size, wall, table) in enumerate(SCENES):
        left, top, side, accepted = 72 + number * 287, 240, 240, number == len(SCENES) - 1
        pen.rounded_rectangle(at(left, top, left + side, top + side), 14 * FINE, table)
        pen.rounded_rectangle(
            at(left, top, left + side, top + side - 64), 14 * FINE, wall, corners=(True, True, False, False)
        )
        paste_product(picture, product, *at(left + side / 2, top + side - 34 - lift), height=size * FINE)
        badge(pen, *at(left + side - 12, top + side - 12), 34 * FINE, accepted)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def paste_product(picture: Image.Image, file: Path, x: float, bottom: float, height: float) -> None:
    """A cut-out of this height, standing at a point."""
    product = Image.open(file).convert("RGBA")
    product = product.crop(product.getchannel("A").getbbox())
    product = product.resize((round(product.width * height / product.height), round(height)), Image.Resampling.LANCZOS)
    picture.paste(product, (round(x - product.width / 2), round(bottom - height)), product)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    icon().save(FOLDER / "icon.png", optimize=True)
    banner().save(FOLDER / "banner.png", optimize=True)
    print(f"icon.png and banner.png in {FOLDER}")


if __name__ == "__main__":
    main()
