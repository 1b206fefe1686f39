"""A training at a glance, drawn while it runs: its curves, and the pictures of the start and of now."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw

from ..rfnet.lettering import letters, write
from ..rfnet.sheets import contact_sheet, to_image

INK, GREY, LINE, PAPER = "#1f2933", "#7b8794", "#d9dee4", "#ffffff"
SERIES = (("p(available), each step", "#9cc3d5"), ("rate", "#0b6e99"), ("diversity, of the start's", "#e0912f"))
WIDTH, HEIGHT = 768, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 34, 26  # margins
LETTERS = 12


def glance(history: list, steps: list, length: int, grid=None) -> Image.Image:
    """A run so far as one picture.

    history: train.Run's; steps: [(step, p(available))]; length: steps of the whole run; grid: a Pillow picture to put
    below.
    """
    picture = curves(history, steps, length)
    if grid is None:
        return picture
    height = round(grid.height * WIDTH / grid.width)
    sheet = Image.new("RGB", (WIDTH, HEIGHT + height), PAPER)
    sheet.paste(picture, (0, 0))
    sheet.paste(grid.resize((WIDTH, height), Image.Resampling.LANCZOS), (0, HEIGHT))
    return sheet


def before_and_after(before: torch.Tensor, now: torch.Tensor) -> Image.Image:
    """Two rows of pictures (3, H, W), those of the start above those of now."""
    return contact_sheet([to_image(before), to_image(now)], columns=1)


def curves(history: list, steps: list, length: int) -> Image.Image:
    """Mean p(available) of each step, and rate and diversity of each evaluation, over the steps; (WIDTH, HEIGHT)."""
    start = history[0]["diversity"] if history else 1.0
    points = (
        steps,
        [(row["step"], row["rate"]["value"]) for row in history],
        [(row["step"], row["diversity"] / (start or 1.0)) for row in history],
    )
    top = max([1.0, *(y for row in points for _, y in row)])

    def x(step):
        return LEFT + step / max(1, length) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(picture)
    for value in (0, 0.25, 0.5, 0.75, 1):
        draw.line((LEFT, y(value), WIDTH - RIGHT, y(value)), LINE)
        write(draw, (LEFT - 6, y(value)), f"{value:g}", GREY, LETTERS, "rm")
    for step in sorted({0, length // 2, length}):
        text, anchor = (f"step {step}", "rt") if step == length else (str(step), "mt")
        write(draw, (x(step), HEIGHT - BOTTOM + 6), text, GREY, LETTERS, anchor)
    across = LEFT
    for (name, colour), row in zip(SERIES, points):
        spots = [(x(step), y(value)) for step, value in row]
        if len(spots) > 1:
            draw.line(spots, colour, 2)
        for spot in spots if name != SERIES[0][0] else []:
            draw.ellipse((spot[0] - 3, spot[1] - 3, spot[0] + 3, spot[1] + 3), colour)
        legend = f"{name} {row[-1][1]:.2f}" if row else name
        draw.line((across, TOP / 2, across + 16, TOP / 2), colour, 3)
        write(draw, (across + 22, TOP / 2), legend, INK, LETTERS, "lm")
        across += 22 + letters(LETTERS).getlength(legend) + 26
    return picture
