"""Every attempt side by side, framed green or red, with its seed and its verdict."""

from PIL import Image, ImageDraw, ImageFont

from ..rfnet.labels import shown_label
from ..rfnet.sheets import GREEN, RED, contact_sheet

PAPER, INK, GREY = (250, 250, 248), (30, 30, 30), (128, 128, 128)
CELL, FRAME, TEXT, GAP, COLUMNS = 256, 6, 44, 16, 5  # pixels; at most so many in a row


def attempts_sheet(pictures: list[Image.Image], attempts: list[dict]) -> Image.Image:
    """pictures and the report's attempts, in order, at most five in a row → one RGB picture."""
    cells = [cell(picture, attempt) for picture, attempt in zip(pictures, attempts, strict=True)]
    return contact_sheet(cells, min(COLUMNS, len(cells)), gap=GAP, margin=GAP, ground=PAPER)


def cell(picture: Image.Image, attempt: dict) -> Image.Image:
    colour = GREEN if attempt["accepted"] else RED
    framed = Image.new("RGB", (CELL + 2 * FRAME, CELL + 2 * FRAME + TEXT), PAPER)
    framed.paste(colour, (0, 0, CELL + 2 * FRAME, CELL + 2 * FRAME))
    framed.paste(fitted(picture), (FRAME, FRAME))
    draw = ImageDraw.Draw(framed)
    top = CELL + 2 * FRAME + 4
    draw.text((2, top), f"attempt {attempt['attempt']}, seed {attempt['seed']}", INK, ImageFont.load_default(14))
    draw.text((2, top + 19), verdict(attempt), colour, ImageFont.load_default(16))
    return framed


def fitted(picture: Image.Image) -> Image.Image:
    """The picture inside a CELL x CELL square, on grey where it is not square."""
    scale = CELL / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    square = Image.new("RGB", (CELL, CELL), GREY)
    square.paste(
        picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), ((CELL - size[0]) // 2, (CELL - size[1]) // 2)
    )
    return square


def verdict(attempt: dict) -> str:
    """What the reviewer said: "size_mismatch 0.81"."""
    if attempt.get("error"):
        return str(attempt["error"])
    label = shown_label(attempt)
    return f"{label} {attempt['probabilities'][label]:.2f}"
