"""Things that a lathe could make: bottles, jars, cups, lamps."""

from __future__ import annotations

import numpy as np

from ..relief import over
from ..shapes import Sheet, Turned, bow, ellipse, grained, label, stroke
from .finish import DARK, ink, metal, plastic


def bands(body: Turned, sheet: Sheet, parts) -> None:
    """Lays a turned body whose heights have their own colour and finish.

    parts: (from height, colour, finish), upwards.
    """
    for low, colour, finish in parts:
        sheet.lay(sheet.lit(colour, body.normals, finish), body.mask * (body.z >= low))


def labelled(body: Turned, sheet: Sheet, rng, low, high, paper, accent, finish="soft", spread=None) -> None:
    spread = spread or rng.uniform(0.8, 1.4)
    picture = label(rng, 160, 150, paper, ink(paper), accent)
    colour, mask = body.wrap(picture, low, high, spread, rng.uniform(-0.25, 0.25))
    sheet.lay(sheet.lit(colour, body.normals, finish), mask)


def tilt(rng) -> float:
    return float(rng.uniform(0.03, 0.24))


def bottle(sheet, rng, a, b, c):
    r, neck = rng.uniform(0.13, 0.21), rng.uniform(0.04, 0.07)
    shoulder, cap = rng.uniform(0.55, 0.7), rng.uniform(0.8, 0.88)
    round_ = rng.uniform(0.4, 1.0)
    profile = [
        (r * 0.9, 0),
        (r, 0.02),
        (r, shoulder),
        (r * 0.93, shoulder + 0.05 * round_),
        (neck * 1.6, shoulder + 0.1),
        (neck, shoulder + 0.14),
        (neck, cap - 0.01),
        (neck * 1.5, cap),
        (neck * 1.45, 1.0),
    ]
    body = Turned(sheet.shape, profile, 0.5, 0.96, 0.04, tilt(rng), rng.uniform(0.9, 1.3))
    bands(body, sheet, [(0, a, plastic(rng)), (cap, c, plastic(rng))])
    labelled(body, sheet, rng, rng.uniform(0.08, 0.16), rng.uniform(0.4, 0.52), b, c)
    return "{0} bottle with a {1} label"


def wine(sheet, rng, a, b, c):
    r = rng.uniform(0.11, 0.14)
    profile = [
        (r, 0),
        (r, 0.55),
        (r * 0.9, 0.62),
        (r * 0.42, 0.72),
        (r * 0.36, 0.97),
        (r * 0.44, 0.98),
        (r * 0.44, 1.0),
    ]
    body = Turned(sheet.shape, profile, 0.5, 0.97, 0.03, tilt(rng) * 0.6)
    tint = np.clip(a * 0.5, 0.02, 0.6)
    glass(body, sheet, tint, rng.uniform(0.75, 0.95))
    foil = body.z > rng.uniform(0.8, 0.88)
    sheet.lay(sheet.lit(c, body.normals, metal(rng)), body.mask * foil)
    labelled(body, sheet, rng, 0.1, rng.uniform(0.38, 0.5), b, c, spread=1.2)
    return "glass bottle with a {1} label"


def glass(body: Turned, sheet: Sheet, tint, thickness: float) -> None:
    """Clear or tinted glass: see-through in the middle, dense at the rim, with highlights that hide what is behind."""
    light = sheet.lit(np.ones(3, np.float32), body.normals, "chrome")
    rim = (1 - body.front) ** 2
    shine = np.clip(light.mean(-1) - 0.72, 0, 1) * 2.2
    alpha = np.clip(thickness + 0.75 * rim + shine, 0, 1) * body.mask
    colour = np.asarray(tint, np.float32) * (0.55 + 0.6 * light) * (1 - 0.45 * rim)[..., None]
    sheet.lay(np.clip(over(colour, np.ones_like(colour), np.clip(shine, 0, 1)), 0, 1), alpha)


def tumbler(sheet, rng, a, b, c):
    r = rng.uniform(0.3, 0.4)
    body = Turned(sheet.shape, [(r * rng.uniform(0.75, 1), 0), (r, 1.0)], 0.5, 0.95, 0.12, rng.uniform(0.12, 0.25))
    glass(body, sheet, np.clip(0.75 + 0.25 * a, 0, 1), rng.uniform(0.15, 0.4))
    drink = (body.z > 0.07) & (body.z < rng.uniform(0.4, 0.75)) & (body.lid < 0.5)
    sheet.lay(sheet.lit(b, body.normals, "gloss"), body.mask * drink * rng.uniform(0.55, 0.9))
    return "glass with a {1} drink"


def jar(sheet, rng, a, b, c):
    r, lid = rng.uniform(0.38, 0.6), rng.uniform(0.6, 0.75)
    body = Turned(
        sheet.shape,
        [(r * 0.92, 0), (r, 0.06), (r, lid - 0.02), (r * 1.04, lid), (r * 1.04, 0.97), (r * 0.99, 1.0)],
        0.5,
        0.93,
        0.14,
        rng.uniform(0.08, 0.28),
    )
    bands(body, sheet, [(0, a, plastic(rng)), (lid, c, plastic(rng))])
    labelled(body, sheet, rng, 0.1, lid - 0.08, b, c)
    return "{0} jar with a {2} lid"


def can(sheet, rng, a, b, c):
    r = rng.uniform(0.24, 0.32)
    body = Turned(
        sheet.shape,
        [(r * 0.85, 0), (r, 0.05), (r, 0.92), (r * 0.88, 0.98), (r * 0.88, 1.0)],
        0.5,
        0.95,
        0.06,
        rng.uniform(0.08, 0.22),
    )
    bands(body, sheet, [(0, a, "chrome"), (0.05, a, "gloss"), (0.93, a, "chrome")])
    labelled(body, sheet, rng, 0.06, 0.92, a * 0.9, b, "gloss", spread=1.5)
    return "{0} can"


def tube(sheet, rng, a, b, c):
    w, cap = rng.uniform(0.14, 0.2), rng.uniform(0.12, 0.18)
    body = Turned(
        sheet.shape,
        [(w * 0.7, 0), (w * 0.72, cap), (w * 0.95, cap + 0.02), (w, 0.4), (w * 1.15, 1.0)],
        0.5,
        0.96,
        0.04,
        0.03,
    )
    bands(body, sheet, [(0, c, plastic(rng)), (cap, a, "gloss")])
    labelled(body, sheet, rng, cap + 0.1, 0.85, over(a, b, np.float32(0.35)), b, "gloss", 1.1)
    return "{0} cream tube with a {2} cap"


def mug(sheet, rng, a, b, c):
    r, side = rng.uniform(0.34, 0.42), float(rng.choice([-1, 1]))
    handle = stroke(sheet.shape, bow(0.5 + side * r * 0.74, 0.54, side * 0.17, 0.22, -1.7, 1.7), 0.075)
    sheet.cushion(handle, a, "gloss", 0.04)
    body = Turned(
        sheet.shape, [(r * rng.uniform(0.8, 1), 0), (r, 0.1), (r, 1.0)], 0.5, 0.93, 0.14, rng.uniform(0.1, 0.25)
    )
    bands(body, sheet, [(0, grained(rng, a, sheet.shape, 0.08), "gloss")])
    inner = np.clip(body.lid * 1.0, 0, 1) * ellipse(sheet.shape, 0.5, 0.14, r * 0.74 * 0.97, 0.2)
    sheet.lay(sheet.lit(b * 0.6, body.normals, "soft"), inner)
    if rng.random() < 0.6:
        labelled(body, sheet, rng, 0.25, 0.75, a, b, "gloss", 0.8)
    return "{0} mug"


def vase(sheet, rng, a, b, c):
    h = np.linspace(0, 1, 16)
    p, q, s = rng.uniform(0.1, 0.25), rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.2)
    body = Turned(
        sheet.shape,
        np.stack([p * (1 - h) ** 2 + 2 * q * h * (1 - h) + s * h**2 + 0.03, h], 1),
        0.5,
        0.95,
        0.06,
        tilt(rng),
    )
    colour = grained(rng, a, sheet.shape, 0.25, rng.uniform(6, 40))
    stripe = np.sin(body.z * rng.uniform(20, 70)) > rng.uniform(-0.5, 0.9)
    colour = over(colour, np.broadcast_to(b, colour.shape), stripe.astype(np.float32) * rng.choice([0, 1]))
    bands(body, sheet, [(0, colour, str(rng.choice(["soft", "gloss"])))])
    return "{0} vase"


def candle(sheet, rng, a, b, c):
    r = rng.uniform(0.26, 0.42)
    sheet.lay(np.broadcast_to(DARK, (*sheet.shape, 3)), stroke(sheet.shape, [(0.5, 0.2), (0.503, 0.06)], 0.015))
    body = Turned(sheet.shape, [(r, 0), (r, 1.0)], 0.5, 0.95, 0.16, rng.uniform(0.08, 0.24))
    bands(body, sheet, [(0, a, str(rng.choice(["soft", "gloss"])))])
    labelled(body, sheet, rng, 0.2, 0.7, b, c)
    return "{0} candle with a {1} label"


def thermos(sheet, rng, a, b, c):
    r, cap = rng.uniform(0.12, 0.17), rng.uniform(0.76, 0.86)
    body = Turned(
        sheet.shape,
        [(r, 0), (r, cap - 0.06), (r * 0.85, cap - 0.01), (r * 0.85, cap), (r * 0.8, 0.98), (r * 0.7, 1.0)],
        0.5,
        0.96,
        0.04,
        tilt(rng),
    )
    bands(body, sheet, [(0, a, str(rng.choice(["chrome", "soft", "gloss"]))), (cap, b, plastic(rng))])
    return "{0} vacuum flask"


def lamp(sheet, rng, a, b, c):
    r, foot = rng.uniform(0.12, 0.2), rng.uniform(0.1, 0.18)
    base = Turned(sheet.shape, [(foot, 0), (foot, 0.04), (0.03, 0.08), (0.02, 0.6), (0.02, 1.0)], 0.5, 0.96, 0.3, 0.15)
    bands(base, sheet, [(0, a, metal(rng))])
    shade = Turned(sheet.shape, [(r * 2.6, 0), (r * rng.uniform(1.3, 2.6), 1.0)], 0.5, 0.47, 0.05, 0.1)
    bands(shade, sheet, [(0, np.clip(b * 0.6 + 0.4 * np.array([1, 0.95, 0.8], np.float32), 0, 1), "soft")])
    return "table lamp with a {1} shade"


def kettle(sheet, rng, a, b, c):
    side = float(rng.choice([-1, 1]))
    finish = metal(rng)
    sheet.cushion(
        stroke(sheet.shape, [(0.5 + side * 0.22, 0.66), (0.5 + side * 0.36, 0.46), (0.5 + side * 0.43, 0.38)], 0.075),
        a,
        finish,
        0.035,
    )
    sheet.cushion(stroke(sheet.shape, bow(0.5, 0.36, 0.22, 0.28, np.pi, 2 * np.pi), 0.045), c, "gloss", 0.02)
    body = Turned(
        sheet.shape,
        [(0.42, 0), (0.45, 0.1), (0.42, 0.45), (0.3, 0.8), (0.16, 0.88), (0.05, 0.9), (0.06, 1.0)],
        0.5,
        0.95,
        0.28,
        0.12,
    )
    bands(body, sheet, [(0, a, finish), (0.9, c, "gloss")])
    return "{0} kettle"
