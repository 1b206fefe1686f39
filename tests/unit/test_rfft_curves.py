"""The picture of a training: each curve in its colour where its values are, and the samples below."""

import numpy as np
from PIL import Image, ImageColor

from reliable_ads.rfft.curves import BOTTOM, HEIGHT, LEFT, RIGHT, SERIES, TOP, WIDTH, curves, glance


def row(step, rate, diversity):
    return {"step": step, "rate": {"value": rate}, "diversity": diversity}


def rows_of(picture, colour, x) -> np.ndarray:
    """Where a colour stands in one column of the plot, as values between 0 and 1."""
    column = np.asarray(picture)[TOP:, x]
    found = np.flatnonzero((column == ImageColor.getrgb(colour)).all(1)) + TOP
    return (HEIGHT - BOTTOM - found) / (HEIGHT - TOP - BOTTOM)


def test_curves_stand_where_their_values_are():
    picture = curves([row(0, 0.2, 4.0), row(10, 0.8, 3.0)], [(5, 0.5), (10, 0.5)], 20)
    middle = round(LEFT + 0.5 * (WIDTH - LEFT - RIGHT))
    for (_, colour), value in zip(SERIES, (0.5, 0.8, 0.75)):
        assert abs(rows_of(picture, colour, middle - (2 if value == 0.5 else 0)).mean() - value) < 0.03, colour
    assert len(rows_of(picture, SERIES[1][1], WIDTH - RIGHT - 5)) == 0  # the second half of the run hasn't happened


def test_a_run_that_has_only_begun_can_be_shown():
    assert curves([], [], 1).size == (WIDTH, HEIGHT)
    sheet = glance([row(0, 0.0, 0.0)], [], 5, Image.new("RGB", (64, 32), "red"))
    assert sheet.size == (WIDTH, HEIGHT + WIDTH // 2) and sheet.getpixel((10, HEIGHT + 10)) == (255, 0, 0)
