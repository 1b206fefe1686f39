"""Words in pictures, in the letters that Pillow brings: of any size from Pillow 10.1 on, before that of one small
size.
"""

from PIL import ImageDraw, ImageFont

LEFT = {"l": 0, "m": 0.5, "r": 1}  # which share of the words lies left of the anchor, and which above it
ABOVE = {"a": 0, "t": 0, "m": 0.5}


def letters(size: int):
    """Pillow's own font in this size in pixels, or in the one that it has."""
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError):  # before Pillow 10.1, or without FreeType
        return ImageFont.load_default()


def write(draw: ImageDraw.ImageDraw, xy: tuple, text: str, colour, size: int, anchor: str = "la") -> None:
    """Write one line at xy.

    anchor: Pillow's two letters for the point of the words that lies there; the small font knows none.
    """
    font = letters(size)
    if isinstance(font, ImageFont.FreeTypeFont):
        draw.text(xy, text, colour, font, anchor=anchor)
        return
    width, height = font.getbbox(text)[2:]
    draw.text((xy[0] - LEFT[anchor[0]] * width, xy[1] - ABOVE[anchor[1]] * height), text, colour, font)
