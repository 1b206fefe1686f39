"""Things of cloth, leather and wood: bags, shoes, cushions, seats."""

from __future__ import annotations

import numpy as np

from ..relief import LEATHER, WOVEN, over
from ..shapes import bow, ellipse, fringe, grained, outline, stroke
from .finish import DARK, metal


def handbag(sheet, rng, a, b, c):
    taper, top = rng.uniform(0.02, 0.14), rng.uniform(0.36, 0.46)
    sheet.cushion(
        stroke(sheet.shape, bow(0.5, top + 0.04, rng.uniform(0.18, 0.28), top - 0.06, np.pi, 2 * np.pi), 0.045),
        b,
        "gloss",
        0.02,
    )
    body = outline(sheet.shape, [(0.1 + taper, top), (0.9 - taper, top), (0.93, 0.95), (0.07, 0.95)], 0.03)
    sheet.cushion(body, grained(rng, a, sheet.shape), "gloss", 0.16, LEATHER, rng.uniform(0.3, 0.7), 0.5)
    if rng.random() < 0.7:
        sheet.cushion(
            outline(sheet.shape, [(0.1 + taper, top), (0.9 - taper, top), (0.86, 0.64), (0.14, 0.64)], 0.03),
            grained(rng, a * 0.9, sheet.shape),
            "gloss",
            0.08,
            LEATHER,
            0.5,
            0.5,
        )
    sheet.cushion(
        outline(sheet.shape, [(0.45, 0.6), (0.55, 0.6), (0.55, 0.69), (0.45, 0.69)], 0.008), c, metal(rng), 0.03
    )
    return "{0} handbag"


def backpack(sheet, rng, a, b, c):
    sheet.cushion(stroke(sheet.shape, bow(0.5, 0.1, 0.09, 0.07, np.pi, 2 * np.pi), 0.03), b, "soft", 0.02)
    sheet.cushion(
        outline(sheet.shape, [(0.18, 0.35), (0.3, 0.07), (0.7, 0.07), (0.82, 0.35), (0.86, 0.95), (0.14, 0.95)], 0.06),
        grained(rng, a, sheet.shape),
        "soft",
        0.2,
        WOVEN,
        0.3,
        0.5,
    )
    sheet.cushion(
        outline(sheet.shape, [(0.24, 0.55), (0.76, 0.55), (0.78, 0.9), (0.22, 0.9)], 0.05),
        grained(rng, b, sheet.shape),
        "soft",
        0.1,
        WOVEN,
        0.25,
        0.5,
    )
    sheet.lay(
        sheet.lit(c, np.broadcast_to(np.float32([0, 0, 1]), (*sheet.shape, 3)), "chrome"),
        stroke(sheet.shape, [(0.27, 0.6), (0.73, 0.6)], 0.012),
    )
    return "{0} backpack"


def sneaker(sheet, rng, a, b, c):
    flip = rng.random() < 0.5

    def at(points):
        return [((1 - x) if flip else x, y) for x, y in points]

    upper = [
        (0.07, 0.3),
        (0.16, 0.26),
        (0.3, 0.3),
        (0.42, 0.18),
        (0.5, 0.2),
        (0.68, 0.48),
        (0.88, 0.56),
        (0.95, 0.68),
        (0.95, 0.82),
        (0.06, 0.82),
    ]
    sheet.cushion(
        outline(sheet.shape, at(upper), 0.03), grained(rng, a, sheet.shape), "soft", 0.22, WOVEN + LEATHER, 0.5, 0.4
    )
    sheet.cushion(
        outline(sheet.shape, at([(0.62, 0.52), (0.88, 0.56), (0.95, 0.68), (0.95, 0.82), (0.6, 0.82)]), 0.03),
        b,
        "soft",
        0.15,
        LEATHER,
        0.5,
        0.3,
    )
    sheet.cushion(
        outline(sheet.shape, at([(0.07, 0.32), (0.16, 0.28), (0.2, 0.6), (0.08, 0.75)]), 0.03), c, "gloss", 0.08
    )
    for k in range(5):
        sheet.lay(
            np.broadcast_to(np.float32(0.93), (*sheet.shape, 3)),
            stroke(sheet.shape, at([(0.43 + 0.045 * k, 0.24 + 0.055 * k), (0.4 + 0.055 * k, 0.36 + 0.05 * k)]), 0.022),
        )
    sheet.cushion(stroke(sheet.shape, at([(0.22, 0.72), (0.4, 0.6), (0.58, 0.5)]), 0.05), c, "gloss", 0.03)
    sheet.cushion(
        outline(sheet.shape, at([(0.04, 0.78), (0.97, 0.78), (0.96, 0.95), (0.06, 0.95)]), 0.02),
        np.float32([0.92, 0.92, 0.9]),
        "soft",
        0.07,
    )
    return "{0} sneaker"


def cushion(sheet, rng, a, b, c):
    t = np.linspace(0, 2 * np.pi, 80)
    pinch = 0.43 * (1 - 0.12 * np.cos(2 * t) ** 2)

    def power(v):
        return np.sign(v) * np.abs(v) ** 0.55

    mask = outline(sheet.shape, np.stack([0.5 + pinch * power(np.cos(t)), 0.5 + pinch * power(np.sin(t))], 1), 0.01)
    colour = grained(rng, a, sheet.shape)
    rows, columns = np.mgrid[: sheet.shape[0], : sheet.shape[1]] / sheet.shape[0]
    weave = (np.sin(columns * rng.uniform(10, 60)) + np.sin(rows * rng.uniform(10, 60)) > rng.uniform(0, 1.5)).astype(
        np.float32
    )
    sheet.cushion(
        mask, over(colour, np.broadcast_to(b, colour.shape), weave * rng.choice([0, 0.9])), "soft", 0.3, WOVEN, 0.3, 0.5
    )
    return "{0} cushion"


def plush(sheet, rng, a, b, c):
    spots = [
        (0.3, 0.16, 0.11, 0.1),
        (0.7, 0.16, 0.11, 0.1),
        (0.24, 0.6, 0.13, 0.2),
        (0.76, 0.6, 0.13, 0.2),
        (0.36, 0.86, 0.15, 0.11),
        (0.64, 0.86, 0.15, 0.11),
        (0.5, 0.66, 0.28, 0.28),
        (0.5, 0.3, 0.28, 0.24),
    ]
    for x, y, rx, ry in spots:
        sheet.cushion(
            ellipse(sheet.shape, x, y, rx, ry), grained(rng, a, sheet.shape, 0.35, 60), "soft", 0.14, (1, 10), 0.3, 0.5
        )
    sheet.cushion(ellipse(sheet.shape, 0.5, 0.37, 0.13, 0.1), np.clip(a + 0.2, 0, 1), "soft", 0.08)
    for x in (0.4, 0.6):
        sheet.cushion(ellipse(sheet.shape, x, 0.27, 0.028, 0.028), DARK, "gloss", 0.03)
    sheet.cushion(ellipse(sheet.shape, 0.5, 0.34, 0.04, 0.03), DARK, "gloss", 0.03)
    sheet.rgba = fringe(sheet.rgba, rng, 0.05, 1500)
    return "{0} plush bear"


def armchair(sheet, rng, a, b, c):
    wood = np.float32([0.3, 0.18, 0.1])
    for x in (0.16, 0.84):
        sheet.cushion(
            stroke(sheet.shape, [(x, 0.85), (x + 0.02 * np.sign(x - 0.5), 0.965)], 0.035), wood, "gloss", 0.02
        )

    def part(points, colour, round_):
        return sheet.cushion(
            outline(sheet.shape, points, 0.03),
            grained(rng, colour, sheet.shape),
            "soft",
            round_,
            WOVEN + LEATHER,
            0.3,
            0.4,
        )

    part([(0.16, 0.06), (0.84, 0.06), (0.86, 0.7), (0.14, 0.7)], a, 0.12)
    part([(0.1, 0.62), (0.9, 0.62), (0.9, 0.88), (0.1, 0.88)], a * 0.95, 0.08)
    part([(0.2, 0.5), (0.8, 0.5), (0.83, 0.68), (0.17, 0.68)], b, 0.08)
    for x in (0.04, 0.8):
        part([(x, 0.4), (x + 0.16, 0.4), (x + 0.16, 0.89), (x, 0.89)], a, 0.08)
    return "{0} armchair"


def sofa(sheet, rng, a, b, c):
    wood = np.float32([0.25, 0.15, 0.09])
    for x in (0.08, 0.92):
        sheet.cushion(stroke(sheet.shape, [(x, 0.85), (x, 0.965)], 0.05), wood, "gloss", 0.02)

    def part(points, colour, round_):
        return sheet.cushion(
            outline(sheet.shape, points, 0.04),
            grained(rng, colour, sheet.shape),
            "soft",
            round_,
            WOVEN + LEATHER,
            0.4,
            0.4,
        )

    part([(0.06, 0.08), (0.94, 0.08), (0.95, 0.75), (0.05, 0.75)], a, 0.15)
    part([(0.05, 0.62), (0.95, 0.62), (0.95, 0.9), (0.05, 0.9)], a * 0.95, 0.1)
    count = int(rng.integers(2, 4))
    for k in range(count):
        left, right = 0.12 + 0.76 * k / count, 0.12 + 0.76 * (k + 1) / count
        part([(left, 0.2), (right, 0.2), (right, 0.56), (left, 0.56)], a, 0.12)
        part([(left, 0.53), (right, 0.53), (right, 0.72), (left, 0.72)], b if rng.random() < 0.3 else a, 0.1)
    for x in (0.02, 0.9):
        part([(x, 0.36), (x + 0.08, 0.36), (x + 0.08, 0.91), (x, 0.91)], a, 0.1)
    return "{0} sofa"


def chair(sheet, rng, a, b, c):
    back = rng.uniform(0.18, 0.3)
    legs = [
        ((0.3, 0.55), (0.27, 0.9)),
        ((0.72, 0.55), (0.76, 0.9)),
        ((0.25, 0.6), (0.2, 0.965)),
        ((0.78, 0.6), (0.83, 0.965)),
        ((0.3, 0.56), (0.3, 0.08)),
        ((0.7, 0.56), (0.7, 0.08)),
    ]
    for line in legs:
        sheet.cushion(stroke(sheet.shape, line, 0.032), a, "gloss", 0.018)
    sheet.cushion(
        outline(sheet.shape, [(0.27, 0.06), (0.73, 0.06), (0.73, 0.06 + back), (0.27, 0.06 + back)], 0.02),
        b,
        "soft",
        0.06,
    )
    sheet.cushion(
        outline(sheet.shape, [(0.27, 0.53), (0.73, 0.53), (0.84, 0.63), (0.16, 0.63)], 0.015), b, "soft", 0.05
    )
    return "{1} chair with {0} legs"
