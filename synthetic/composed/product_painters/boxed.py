"""Things with flat faces: cartons, books, appliances, telephones, watches."""

from __future__ import annotations

import numpy as np

from ..relief import LEATHER, inflate, over
from ..shapes import box_faces, ellipse, grained, label, outline, paste_face
from .finish import ink, metal


def perfume(sheet, rng, a, b, c):
    w = rng.uniform(0.28, 0.42)
    top, cap = rng.uniform(0.36, 0.46), rng.uniform(0.1, 0.15)
    block = outline(
        sheet.shape, [(0.5 - w, top), (0.5 + w, top), (0.5 + w, 0.96), (0.5 - w, 0.96)], rng.uniform(0.006, 0.03)
    )
    neck = outline(sheet.shape, [(0.45, top - 0.06), (0.55, top - 0.06), (0.55, top + 0.01), (0.45, top + 0.01)])
    sheet.cushion(neck, a, metal(rng), 0.06)
    sheet.cushion(
        outline(
            sheet.shape, [(0.5 - cap, 0.06), (0.5 + cap, 0.06), (0.5 + cap, top - 0.05), (0.5 - cap, top - 0.05)], 0.01
        ),
        b,
        metal(rng),
        0.12,
    )
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
    picture = label(rng, 90, 110, b, ink(b), c)
    corners = (
        np.array([(0.5 - w * 0.6, 0.56), (0.5 + w * 0.6, 0.56), (0.5 + w * 0.6, 0.84), (0.5 - w * 0.6, 0.84)])
        * sheet.shape[::-1]
    )
    if mask.any():
        paste_face(sheet, picture, corners, np.array([0, 0.1, 1.0]), "soft", rng.choice([0.85, 1.0]))
    return "{0} perfume bottle"


def boxed(sheet, rng, size, pictures, finish, tilt=None, yaw=None):
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
    front = label(rng, 200, 140, a, ink(a), b)
    side = label(rng, 200, 80, over(a, b, np.float32(0.3)), ink(a), c)
    top = np.broadcast_to(a, (40, 40, 3))
    boxed(
        sheet,
        rng,
        (rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.5), 1.0),
        (side, top, front),
        str(rng.choice(["soft", "gloss"])),
    )
    return "{0} carton"


def book(sheet, rng, a, b, c):
    front = label(rng, 200, 140, a, ink(a), b)
    pages = np.repeat(np.clip(0.9 + rng.normal(0, 0.05, (200, 1, 1)), 0, 1), 60, 1) * np.array([1, 0.97, 0.9])
    boxed(
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
    boxed(sheet, rng, (rng.uniform(0.55, 0.7), 0.5, 1.0), (plain, plain, front), str(rng.choice(["soft", "gloss"])))
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
    boxed(sheet, rng, (0.8, 0.75, 1.0), (plain, plain, front), "gloss", tilt=rng.uniform(0.05, 0.25))
    return "washing machine"


def phone(sheet, rng, a, b, c):
    screen = outline(sheet.shape, [(0.2, 0.05), (0.8, 0.05), (0.8, 0.96), (0.2, 0.96)], 0.03)
    sheet.cushion(screen, a * 0.5, metal(rng), 0.03)
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


def watch(sheet, rng, a, b, c):
    import cv2

    strap = outline(sheet.shape, [(0.36, 0.04), (0.64, 0.04), (0.66, 0.96), (0.34, 0.96)], 0.02)
    sheet.cushion(strap, grained(rng, a, sheet.shape), "gloss", 0.08, LEATHER, 0.3, 0.5)
    sheet.cushion(ellipse(sheet.shape, 0.5, 0.5, 0.34, 0.24), c, metal(rng), 0.06)
    dial = ellipse(sheet.shape, 0.5, 0.5, 0.28, 0.2)
    sheet.lay(np.broadcast_to(b, (*sheet.shape, 3)), dial)
    marks = np.zeros((*sheet.shape, 3), np.float32) + ink(b)
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
