"""What the drawn cut-outs show, family by family: each function paints one thing on a Sheet and returns its caption.

A caption may name the three colours by {0}, {1}, {2}. FAMILIES: name -> (sheet's width for height 1, painter, true
largest side in metres).
"""

from __future__ import annotations

import numpy as np

from .relief import LEATHER, WOVEN, over
from .shapes import Sheet, Turned, bow, box_faces, ellipse, fringe, grained, label, outline, paste_face, stroke

INK = (np.array([0.08, 0.08, 0.09], np.float32), np.array([0.95, 0.95, 0.93], np.float32))


def _ink(paper) -> np.ndarray:
    return INK[0] if np.mean(paper) > 0.45 else INK[1]


def _plastic(rng) -> str:
    return str(rng.choice(["gloss", "gloss", "soft", "chrome"], p=[0.4, 0.2, 0.3, 0.1]))


def _metal(rng) -> str:
    return str(rng.choice(["chrome", "gold", "gloss"]))


def _bands(body: Turned, sheet: Sheet, parts) -> None:
    """Lays a turned body whose heights have their own colour and finish.

    parts: (from height, colour, finish), upwards.
    """
    for low, colour, finish in parts:
        sheet.lay(sheet.lit(colour, body.normals, finish), body.mask * (body.z >= low))


def _labelled(body: Turned, sheet: Sheet, rng, low, high, paper, accent, finish="soft", spread=None) -> None:
    spread = spread or rng.uniform(0.8, 1.4)
    picture = label(rng, 160, 150, paper, _ink(paper), accent)
    colour, mask = body.wrap(picture, low, high, spread, rng.uniform(-0.25, 0.25))
    sheet.lay(sheet.lit(colour, body.normals, finish), mask)


def _tilt(rng) -> float:
    return float(rng.uniform(0.03, 0.24))


def bottle(sheet, rng, a, b, c):
    r, neck, shoulder, cap = (
        rng.uniform(0.13, 0.21),
        rng.uniform(0.04, 0.07),
        rng.uniform(0.55, 0.7),
        rng.uniform(0.8, 0.88),
    )
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
    body = Turned(sheet.shape, profile, 0.5, 0.96, 0.04, _tilt(rng), rng.uniform(0.9, 1.3))
    _bands(body, sheet, [(0, a, _plastic(rng)), (cap, c, _plastic(rng))])
    _labelled(body, sheet, rng, rng.uniform(0.08, 0.16), rng.uniform(0.4, 0.52), b, c)
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
    body = Turned(sheet.shape, profile, 0.5, 0.97, 0.03, _tilt(rng) * 0.6)
    tint = np.clip(a * 0.5, 0.02, 0.6)
    _glass(body, sheet, tint, rng.uniform(0.75, 0.95))
    foil = body.z > rng.uniform(0.8, 0.88)
    sheet.lay(sheet.lit(c, body.normals, _metal(rng)), body.mask * foil)
    _labelled(body, sheet, rng, 0.1, rng.uniform(0.38, 0.5), b, c, spread=1.2)
    return "glass bottle with a {1} label"


def _glass(body: Turned, sheet: Sheet, tint, thickness: float) -> None:
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
    _glass(body, sheet, np.clip(0.75 + 0.25 * a, 0, 1), rng.uniform(0.15, 0.4))
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
    _bands(body, sheet, [(0, a, _plastic(rng)), (lid, c, _plastic(rng))])
    _labelled(body, sheet, rng, 0.1, lid - 0.08, b, c)
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
    _bands(body, sheet, [(0, a, "chrome"), (0.05, a, "gloss"), (0.93, a, "chrome")])
    _labelled(body, sheet, rng, 0.06, 0.92, a * 0.9, b, "gloss", spread=1.5)
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
    _bands(body, sheet, [(0, c, _plastic(rng)), (cap, a, "gloss")])
    _labelled(body, sheet, rng, cap + 0.1, 0.85, over(a, b, np.float32(0.35)), b, "gloss", 1.1)
    return "{0} cream tube with a {2} cap"


def mug(sheet, rng, a, b, c):
    r, side = rng.uniform(0.34, 0.42), float(rng.choice([-1, 1]))
    handle = stroke(sheet.shape, bow(0.5 + side * r * 0.74, 0.54, side * 0.17, 0.22, -1.7, 1.7), 0.075)
    sheet.cushion(handle, a, "gloss", 0.04)
    body = Turned(
        sheet.shape, [(r * rng.uniform(0.8, 1), 0), (r, 0.1), (r, 1.0)], 0.5, 0.93, 0.14, rng.uniform(0.1, 0.25)
    )
    _bands(body, sheet, [(0, grained(rng, a, sheet.shape, 0.08), "gloss")])
    inner = np.clip(body.lid * 1.0, 0, 1) * ellipse(sheet.shape, 0.5, 0.14, r * 0.74 * 0.97, 0.2)
    sheet.lay(sheet.lit(b * 0.6, body.normals, "soft"), inner)
    if rng.random() < 0.6:
        _labelled(body, sheet, rng, 0.25, 0.75, a, b, "gloss", 0.8)
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
        _tilt(rng),
    )
    colour = grained(rng, a, sheet.shape, 0.25, rng.uniform(6, 40))
    stripe = np.sin(body.z * rng.uniform(20, 70)) > rng.uniform(-0.5, 0.9)
    colour = over(colour, np.broadcast_to(b, colour.shape), stripe.astype(np.float32) * rng.choice([0, 1]))
    _bands(body, sheet, [(0, colour, str(rng.choice(["soft", "gloss"])))])
    return "{0} vase"


def candle(sheet, rng, a, b, c):
    r = rng.uniform(0.26, 0.42)
    sheet.lay(np.broadcast_to(INK[0], (*sheet.shape, 3)), stroke(sheet.shape, [(0.5, 0.2), (0.503, 0.06)], 0.015))
    body = Turned(sheet.shape, [(r, 0), (r, 1.0)], 0.5, 0.95, 0.16, rng.uniform(0.08, 0.24))
    _bands(body, sheet, [(0, a, str(rng.choice(["soft", "gloss"])))])
    _labelled(body, sheet, rng, 0.2, 0.7, b, c)
    return "{0} candle with a {1} label"


def thermos(sheet, rng, a, b, c):
    r, cap = rng.uniform(0.12, 0.17), rng.uniform(0.76, 0.86)
    body = Turned(
        sheet.shape,
        [(r, 0), (r, cap - 0.06), (r * 0.85, cap - 0.01), (r * 0.85, cap), (r * 0.8, 0.98), (r * 0.7, 1.0)],
        0.5,
        0.96,
        0.04,
        _tilt(rng),
    )
    _bands(body, sheet, [(0, a, str(rng.choice(["chrome", "soft", "gloss"]))), (cap, b, _plastic(rng))])
    return "{0} vacuum flask"


def lamp(sheet, rng, a, b, c):
    r, foot = rng.uniform(0.12, 0.2), rng.uniform(0.1, 0.18)
    base = Turned(sheet.shape, [(foot, 0), (foot, 0.04), (0.03, 0.08), (0.02, 0.6), (0.02, 1.0)], 0.5, 0.96, 0.3, 0.15)
    _bands(base, sheet, [(0, a, _metal(rng))])
    shade = Turned(sheet.shape, [(r * 2.6, 0), (r * rng.uniform(1.3, 2.6), 1.0)], 0.5, 0.47, 0.05, 0.1)
    _bands(shade, sheet, [(0, np.clip(b * 0.6 + 0.4 * np.array([1, 0.95, 0.8], np.float32), 0, 1), "soft")])
    return "table lamp with a {1} shade"


def kettle(sheet, rng, a, b, c):
    side = float(rng.choice([-1, 1]))
    finish = _metal(rng)
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
    _bands(body, sheet, [(0, a, finish), (0.9, c, "gloss")])
    return "{0} kettle"


def perfume(sheet, rng, a, b, c):
    w = rng.uniform(0.28, 0.42)
    top, cap = rng.uniform(0.36, 0.46), rng.uniform(0.1, 0.15)
    block = outline(
        sheet.shape, [(0.5 - w, top), (0.5 + w, top), (0.5 + w, 0.96), (0.5 - w, 0.96)], rng.uniform(0.006, 0.03)
    )
    neck = outline(sheet.shape, [(0.45, top - 0.06), (0.55, top - 0.06), (0.55, top + 0.01), (0.45, top + 0.01)])
    sheet.cushion(neck, a, _metal(rng), 0.06)
    sheet.cushion(
        outline(
            sheet.shape, [(0.5 - cap, 0.06), (0.5 + cap, 0.06), (0.5 + cap, top - 0.05), (0.5 - cap, top - 0.05)], 0.01
        ),
        b,
        _metal(rng),
        0.12,
    )
    from .relief import inflate

    normals = inflate(block, 0.09 * sheet.shape[0])
    light = sheet.lit(np.ones(3, np.float32), normals, "chrome")
    edge = 1 - normals[..., 2]
    sheet.lay(
        np.clip(a * (0.5 + 0.7 * light), 0, 1),
        block * np.clip(rng.uniform(0.45, 0.8) + edge + np.clip(light.mean(-1) - 0.7, 0, 1), 0, 1),
    )
    mask = outline(
        sheet.shape, [(0.5 - w * 0.6, 0.56), (0.5 + w * 0.6, 0.56), (0.5 + w * 0.6, 0.84), (0.5 - w * 0.6, 0.84)]
    )
    picture = label(rng, 90, 110, b, _ink(b), c)
    corners = (
        np.array([(0.5 - w * 0.6, 0.56), (0.5 + w * 0.6, 0.56), (0.5 + w * 0.6, 0.84), (0.5 - w * 0.6, 0.84)])
        * sheet.shape[::-1]
    )
    if mask.any():
        paste_face(sheet, picture, corners, np.array([0, 0.1, 1.0]), "soft", rng.choice([0.85, 1.0]))
    return "{0} perfume bottle"


def _boxed(sheet, rng, size, pictures, finish, tilt=None, yaw=None):
    """A box with a picture per face (side, top, front)."""
    yaw = rng.uniform(-0.75, 0.75) if yaw is None else yaw
    tilt = rng.uniform(0.05, 0.4) if tilt is None else tilt
    w, d, h = size
    wide = w * abs(np.cos(yaw)) + d * abs(np.sin(yaw))
    tall = h * np.cos(tilt) + (w * abs(np.sin(yaw)) + d * abs(np.cos(yaw))) * np.sin(tilt)
    scale = 0.92 * min(sheet.shape[1] / wide, sheet.shape[0] / tall)
    faces = box_faces(sheet.shape, size, yaw, tilt, 0.5, 0.96, scale)
    centre = (np.min([f[0][:, 0].min() for f in faces]) + np.max([f[0][:, 0].max() for f in faces])) / 2
    faces = [(corners + np.array([sheet.shape[1] / 2 - centre, 0]), normal) for corners, normal in faces]
    for picture, (corners, normal) in zip(pictures, faces):
        paste_face(sheet, np.ascontiguousarray(picture, dtype=np.float32), corners, normal, finish)
    return faces


def carton(sheet, rng, a, b, c):
    front = label(rng, 200, 140, a, _ink(a), b)
    side = label(rng, 200, 80, over(a, b, np.float32(0.3)), _ink(a), c)
    top = np.broadcast_to(a, (40, 40, 3))
    _boxed(
        sheet,
        rng,
        (rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.5), 1.0),
        (side, top, front),
        str(rng.choice(["soft", "gloss"])),
    )
    return "{0} carton"


def book(sheet, rng, a, b, c):
    front = label(rng, 200, 140, a, _ink(a), b)
    pages = np.repeat(np.clip(0.9 + rng.normal(0, 0.05, (200, 1, 1)), 0, 1), 60, 1) * np.array([1, 0.97, 0.9])
    _boxed(
        sheet,
        rng,
        (0.7, rng.uniform(0.08, 0.2), 1.0),
        (pages, np.broadcast_to([0.92, 0.9, 0.82], (20, 20, 3)), front),
        "soft",
        yaw=-abs(rng.uniform(0.15, 0.6)),
    )
    return "{0} book"


def speaker(sheet, rng, a, b, c):
    import cv2

    front = np.broadcast_to(np.asarray(a * 0.8, np.float32), (200, 130, 3)).copy()
    for row, r in ((130, 48), (50, 26)):
        for ring, shade in ((r, 0.15), (r - 5, 0.5), (r // 3, 0.25)):
            cv2.circle(front, (65, row), ring, [float(v) for v in np.clip(b * shade + 0.03, 0, 1)], -1, cv2.LINE_AA)
    plain = np.broadcast_to(a, (30, 30, 3))
    _boxed(sheet, rng, (rng.uniform(0.55, 0.7), 0.5, 1.0), (plain, plain, front), str(rng.choice(["soft", "gloss"])))
    return "{0} loudspeaker"


def appliance(sheet, rng, a, b, c):
    import cv2

    body = over(a, np.array([0.9, 0.9, 0.92], np.float32), np.float32(rng.choice([0, 0.85])))
    front = np.broadcast_to(body, (220, 200, 3)).copy()
    cv2.circle(front, (100, 125), 70, (0.75, 0.76, 0.78), -1, cv2.LINE_AA)
    cv2.circle(front, (100, 125), 55, (0.12, 0.14, 0.17), -1, cv2.LINE_AA)
    cv2.ellipse(front, (85, 105), (22, 14), -35, 0, 360, (0.45, 0.5, 0.55), -1, cv2.LINE_AA)
    cv2.rectangle(front, (0, 0), (200, 34), [float(v) for v in body * 0.88], -1)
    cv2.circle(front, (160, 17), 11, (0.25, 0.25, 0.27), -1, cv2.LINE_AA)
    cv2.rectangle(front, (20, 8), (80, 26), (0.1, 0.12, 0.16), -1)
    plain = np.broadcast_to(body, (30, 30, 3))
    _boxed(sheet, rng, (0.8, 0.75, 1.0), (plain, plain, front), "gloss", tilt=rng.uniform(0.05, 0.25))
    return "washing machine"


def phone(sheet, rng, a, b, c):
    screen = outline(sheet.shape, [(0.2, 0.05), (0.8, 0.05), (0.8, 0.96), (0.2, 0.96)], 0.03)
    sheet.cushion(screen, a * 0.5, _metal(rng), 0.03)
    glass = outline(sheet.shape, [(0.225, 0.07), (0.775, 0.07), (0.775, 0.94), (0.225, 0.94)], 0.025)
    rows, columns = np.mgrid[: sheet.shape[0], : sheet.shape[1]] / sheet.shape[0]
    wave = 0.5 + 0.5 * np.sin(columns * rng.uniform(3, 12) + rng.uniform(2, 9) * rows + 2 * np.sin(rows * 5))
    sheet.lay(
        over(np.broadcast_to(b, (*sheet.shape, 3)), np.broadcast_to(c, (*sheet.shape, 3)), wave.astype(np.float32)),
        glass,
    )
    for k in range(4):
        for j in range(3):
            icon = outline(
                sheet.shape,
                np.array([(0, 0), (0.1, 0), (0.1, 0.06), (0, 0.06)]) + np.array([0.28 + 0.17 * j, 0.5 + 0.1 * k]),
                0.008,
            )
            sheet.lay(np.broadcast_to(rng.random(3).astype(np.float32), (*sheet.shape, 3)), icon)
    return "smartphone with a {1} screen"


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
        outline(sheet.shape, [(0.45, 0.6), (0.55, 0.6), (0.55, 0.69), (0.45, 0.69)], 0.008), c, _metal(rng), 0.03
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
        sheet.cushion(ellipse(sheet.shape, x, 0.27, 0.028, 0.028), INK[0], "gloss", 0.03)
    sheet.cushion(ellipse(sheet.shape, 0.5, 0.34, 0.04, 0.03), INK[0], "gloss", 0.03)
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


def watch(sheet, rng, a, b, c):
    import cv2

    strap = outline(sheet.shape, [(0.36, 0.04), (0.64, 0.04), (0.66, 0.96), (0.34, 0.96)], 0.02)
    sheet.cushion(strap, grained(rng, a, sheet.shape), "gloss", 0.08, LEATHER, 0.3, 0.5)
    sheet.cushion(ellipse(sheet.shape, 0.5, 0.5, 0.34, 0.24), c, _metal(rng), 0.06)
    dial = ellipse(sheet.shape, 0.5, 0.5, 0.28, 0.2)
    sheet.lay(np.broadcast_to(b, (*sheet.shape, 3)), dial)
    marks = np.zeros((*sheet.shape, 3), np.float32) + _ink(b)
    hands = np.zeros(sheet.shape, np.float32)
    h, w = sheet.shape
    for k in range(12):
        t = k * np.pi / 6
        cv2.line(
            hands,
            (int(w * (0.5 + 0.24 * np.sin(t))), int(h * (0.5 - 0.17 * np.cos(t)))),
            (int(w * (0.5 + 0.27 * np.sin(t))), int(h * (0.5 - 0.19 * np.cos(t)))),
            1.0,
            max(1, h // 120),
            cv2.LINE_AA,
        )
    for t, r in ((rng.uniform(0, 6.28), 0.12), (rng.uniform(0, 6.28), 0.17)):
        cv2.line(
            hands,
            (w // 2, h // 2),
            (int(w * (0.5 + r * 1.35 * np.sin(t))), int(h * (0.5 - r * np.cos(t)))),
            1.0,
            max(1, h // 90),
            cv2.LINE_AA,
        )
    sheet.lay(marks, hands)
    return "wrist watch with a {0} strap"


FAMILIES = {
    "bottle": (0.6, bottle, (0.15, 0.3)),
    "wine": (0.45, wine, (0.28, 0.33)),
    "tumbler": (1.0, tumbler, (0.09, 0.12)),
    "jar": (1.4, jar, (0.06, 0.12)),
    "can": (0.75, can, (0.11, 0.17)),
    "tube": (0.55, tube, (0.13, 0.19)),
    "mug": (1.35, mug, (0.1, 0.13)),
    "vase": (0.9, vase, (0.2, 0.4)),
    "candle": (1.0, candle, (0.08, 0.14)),
    "thermos": (0.5, thermos, (0.24, 0.32)),
    "lamp": (1.0, lamp, (0.4, 0.55)),
    "kettle": (1.15, kettle, (0.22, 0.28)),
    "perfume": (0.9, perfume, (0.09, 0.14)),
    "carton": (0.95, carton, (0.12, 0.35)),
    "book": (0.85, book, (0.2, 0.26)),
    "speaker": (0.95, speaker, (0.2, 0.4)),
    "appliance": (1.0, appliance, (0.83, 0.87)),
    "phone": (0.62, phone, (0.14, 0.16)),
    "handbag": (1.05, handbag, (0.28, 0.4)),
    "backpack": (0.85, backpack, (0.42, 0.5)),
    "sneaker": (1.7, sneaker, (0.27, 0.31)),
    "cushion": (1.0, cushion, (0.38, 0.5)),
    "plush": (0.9, plush, (0.25, 0.45)),
    "armchair": (1.0, armchair, (0.85, 1.0)),
    "sofa": (2.1, sofa, (1.8, 2.3)),
    "chair": (0.62, chair, (0.85, 1.0)),
    "watch": (0.62, watch, (0.2, 0.24)),
}
