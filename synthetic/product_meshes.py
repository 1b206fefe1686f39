"""Parametric products as meshes, family by family.

Each function draws one: its mesh with parts 0, 1, 2 for three materials, a caption that may name their colours by {0},
{1}, {2}, and between which true sizes it is sold (largest side, metres).
"""

from __future__ import annotations

import numpy as np

from .geometry import arc, box, join, lathe, rod


def bottle(rng):
    r, neck, shoulder = rng.uniform(0.13, 0.24), rng.uniform(0.04, 0.08), rng.uniform(0.55, 0.72)
    cap = rng.uniform(0.85, 0.92)
    profile = [
        (r * 0.92, 0),
        (r, 0.03),
        (r, 0.18),
        (r, shoulder * 0.8),
        (r * 0.95, shoulder * 0.9),
        (neck * 1.2, shoulder + 0.14),
        (neck, cap - 0.02),
        (neck * 1.35, cap),
        (neck * 1.35, 1.0),
    ]
    return lathe(profile, bands=[0, 0, 1, 0, 0, 0, 2, 2]), "{0} bottle with a {1} label", (0.2, 0.34)


def jar(rng):
    r, lid = rng.uniform(0.35, 0.5), rng.uniform(0.7, 0.8)
    return (
        lathe(
            [
                (r * 0.9, 0),
                (r, 0.05),
                (r, 0.2),
                (r, 0.55),
                (r, lid - 0.04),
                (r * 1.04, lid - 0.03),
                (r * 1.04, lid + 0.15),
                (r * 0.9, lid + 0.18),
            ],
            bands=[0, 0, 1, 0, 0, 2, 2],
        ),
        "{0} cosmetic jar with a {2} lid",
        (0.05, 0.09),
    )


def vase(rng):
    a, b, c = rng.uniform(0.12, 0.3), rng.uniform(0.2, 0.42), rng.uniform(0.08, 0.25)
    h = np.linspace(0, 1, 14)
    radius = a * (1 - h) ** 2 + 2 * b * h * (1 - h) + c * h**2 + 0.03
    return lathe(list(zip(radius, h)), bands=[0] * 13), "{0} vase", (0.2, 0.5)


def cup(rng):
    r = rng.uniform(0.36, 0.46)
    body = lathe(
        [(r * 0.8, 0), (r, 0.08), (r, 0.3), (r, 0.62), (r, 0.95), (r * 0.9, 0.96), (r * 0.85, 0.5)],
        bands=[0, 0, 1, 0, 0, 0],
    )
    handle = arc(0.26, 0.05, -np.pi / 2, np.pi / 2).moved(r, 0, 0.48)
    return join(body, handle), "{0} mug", (0.09, 0.12)


def tube(rng):
    r = rng.uniform(0.13, 0.2)
    flat = rng.uniform(0.35, 0.55)
    mesh = lathe(
        [
            (r * 0.7, 0),
            (r * 0.7, 0.14),
            (r * 0.72, 0.15),
            (r, 0.19),
            (r, 0.4),
            (r, 0.7),
            (r * 1.05, 0.98),
            (r * 1.05, 1.0),
        ],
        bands=[2, 2, 0, 0, 1, 0, 0],
    )
    squeeze = 1 - (1 - flat) * np.clip(mesh.vertices[:, 2:3] - 0.2, 0, 1)
    mesh.vertices = np.concatenate([mesh.vertices[:, :1], mesh.vertices[:, 1:2] * squeeze, mesh.vertices[:, 2:]], 1)
    return mesh, "{0} cream tube with a {2} cap", (0.12, 0.2)


def carton(rng):
    w, d = rng.uniform(0.35, 0.8), rng.uniform(0.2, 0.4)
    band = rng.uniform(0.3, 0.6)
    return (
        join(
            box(w, d, band),
            box(w * 1.003, d * 1.003, 0.18).moved(z=band).painted(1),
            box(w, d, 1 - band - 0.18).moved(z=band + 0.18),
        ),
        "{0} carton with a {1} band",
        (0.12, 0.35),
    )


def gift(rng):
    w = rng.uniform(0.8, 1.0)
    h = rng.uniform(0.5, 0.8)
    return (
        join(
            box(w, w, h),
            box(w * 0.16, w * 1.01, h * 1.005).painted(1),
            box(w * 1.01, w * 0.16, h * 1.005).painted(1),
            box(w * 1.06, w * 1.06, 0.14).moved(z=h - 0.1).painted(0),
            box(w * 0.17, w * 1.07, 0.15).moved(z=h - 0.1).painted(1),
        ),
        "{0} gift box with a {1} ribbon",
        (0.15, 0.35),
    )


def speaker(rng):
    w, d = rng.uniform(0.45, 0.7), rng.uniform(0.35, 0.5)

    def cone(r, z, m):
        return (
            lathe([(r, 0), (r * 0.8, 0.02), (r * 0.3, 0.025)], bands=[m, m]).turned(np.pi / 2, "x").moved(0, -d / 2, z)
        )

    return join(box(w, d, 1, 0.05), cone(w * 0.38, 0.32, 1), cone(w * 0.2, 0.74, 2)), "{0} loudspeaker", (0.25, 0.5)


def fridge(rng):
    w, d = rng.uniform(0.4, 0.52), rng.uniform(0.35, 0.45)
    split = rng.uniform(0.55, 0.68)

    def bar(z, h):
        return box(0.03, 0.03, h).moved(w * 0.38, -d / 2 - 0.03, z).painted(2)

    return (
        join(
            box(w, d, split - 0.01, 0.03),
            box(w * 0.97, d * 0.95, 0.02).moved(z=split - 0.01).painted(2),
            box(w, d, 0.99 - split, 0.03).moved(z=split + 0.01),
            bar(0.3, 0.2),
            bar(split + 0.06, 0.12),
        ),
        "{0} refrigerator",
        (1.5, 1.9),
    )


def armchair(rng):
    seat, arm = rng.uniform(0.34, 0.42), rng.uniform(0.5, 0.6)
    w = rng.uniform(0.85, 1.0)
    feet = [rod((x, y, 0), (x, y, 0.1), 0.03).painted(2) for x in (-w * 0.42, w * 0.42) for y in (-0.36, 0.36)]
    return (
        join(
            box(w, 0.8, seat - 0.1, 0.05).moved(z=0.1),
            box(w, 0.2, 0.88, 0.06).moved(y=0.34, z=0.1),
            box(0.16, 0.78, arm - 0.1, 0.05).moved(x=-w / 2 + 0.05, z=0.1),
            box(0.16, 0.78, arm - 0.1, 0.05).moved(x=w / 2 - 0.05, z=0.1),
            box(w * 0.66, 0.62, 0.12, 0.05).moved(y=-0.06, z=seat).painted(1),
            *feet,
        ),
        "{0} armchair",
        (0.8, 1.0),
    )


def sofa(rng):
    mesh, _, _ = armchair(rng)
    wide = mesh.scaled(rng.uniform(2.0, 2.5), 1.0, 0.9)
    return wide, "{0} sofa", (1.7, 2.3)


def chair(rng):
    legs = [rod((x * 1.08, y * 1.08, 0), (x, y, 0.46), 0.025) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    back = [rod((x, 0.2, 0.46), (x, 0.26, 0.98), 0.022) for x in (-0.19, 0.19)]
    return (
        join(
            box(0.48, 0.46, 0.06, 0.05).moved(z=0.45).painted(1),
            box(0.44, 0.05, 0.26, 0.02).moved(y=0.25, z=0.7).painted(1),
            *legs,
            *back,
        ),
        "{1} chair with {0} legs",
        (0.8, 1.0),
    )


def lamp(rng):
    r = rng.uniform(0.18, 0.26)
    return (
        join(
            lathe([(r * 0.8, 0), (r * 0.75, 0.05), (0.03, 0.08), (0.025, 0.6)], bands=[0, 0, 0]),
            lathe([(r * 1.2, 0.58), (r * 0.75, 1.0)], bands=[1]),
        ),
        "table lamp with a {1} shade",
        (0.4, 0.6),
    )


def kettle(rng):
    body = lathe(
        [(0.4, 0), (0.44, 0.06), (0.42, 0.3), (0.33, 0.58), (0.2, 0.68), (0.06, 0.71), (0.06, 0.78)],
        bands=[0, 0, 0, 0, 1, 2],
    )
    spout = rod((0.34, 0, 0.3), (0.64, 0, 0.62), 0.08, 0.04)
    handle = arc(0.34, 0.035, 0.15 * np.pi, 0.85 * np.pi).moved(0, 0, 0.55).painted(2)
    return join(body, spout, handle), "{0} kettle", (0.22, 0.3)


def perfume(rng):
    w, d = rng.uniform(0.5, 0.75), rng.uniform(0.22, 0.35)
    return (
        join(
            box(w, d, 0.62, 0.08),
            box(w * 0.7, d * 1.01, 0.25).moved(z=0.16).painted(1),
            rod((0, 0, 0.6), (0, 0, 0.7), 0.09).painted(2),
            box(0.24, 0.2, 0.28, 0.04).moved(z=0.7).painted(2),
        ),
        "{0} perfume bottle",
        (0.08, 0.13),
    )


def camera(rng):
    lens = (
        lathe([(0.23, 0), (0.23, 0.14), (0.2, 0.15), (0.2, 0.26), (0.15, 0.25)], bands=[1, 1, 1, 2])
        .turned(np.pi / 2, "x")
        .moved(0.05, -0.15, 0.3)
    )
    return (
        join(
            box(1, 0.32, 0.6, 0.05),
            box(0.3, 0.24, 0.12, 0.03).moved(x=0.05, z=0.6),
            rod((-0.35, 0, 0.6), (-0.35, 0, 0.67), 0.07).painted(2),
            lens,
        ),
        "{0} camera",
        (0.12, 0.16),
    )


def handbag(rng):
    w = rng.uniform(0.8, 1.0)
    body = box(w, 0.34, 0.58, 0.08)
    body.vertices[:, 0] *= 1 - 0.22 * body.vertices[:, 2:3][:, 0] / 0.58
    return (
        join(
            body,
            box(w * 0.84, 0.36, 0.22, 0.06).moved(z=0.38).painted(1),
            arc(0.26, 0.03, 0.05 * np.pi, 0.95 * np.pi).moved(0, 0, 0.54).painted(1),
            box(0.1, 0.38, 0.07).moved(z=0.36).painted(2),
        ),
        "{0} handbag",
        (0.3, 0.4),
    )


def lipstick(rng):
    return (
        join(
            lathe([(0.13, 0), (0.13, 0.42), (0.115, 0.43), (0.115, 0.6)], bands=[1, 1, 2]),
            lathe([(0.09, 0.6), (0.09, 0.86), (0.07, 0.95), (0.02, 1.0)], bands=[0, 0, 0]),
        ),
        "{0} lipstick in a {1} case",
        (0.07, 0.09),
    )


def toaster(rng):
    return (
        join(
            box(1, 0.5, 0.58, 0.14).moved(z=0.04),
            box(0.86, 0.4, 0.04).painted(1),
            box(0.7, 0.06, 0.02).moved(y=-0.09, z=0.615).painted(1),
            box(0.7, 0.06, 0.02).moved(y=0.09, z=0.615).painted(1),
            box(0.06, 0.1, 0.06).moved(x=0.53, z=0.4).painted(2),
        ),
        "{0} toaster",
        (0.28, 0.36),
    )


def candle(rng):
    r = rng.uniform(0.22, 0.38)
    return (
        join(
            lathe([(r, 0), (r, 0.3), (r, 0.6), (r, 0.9), (r * 0.95, 0.92)], bands=[0, 1, 0, 0]),
            rod((0, 0, 0.9), (0.02, 0, 1.0), 0.02).painted(2),
        ),
        "{0} candle",
        (0.08, 0.16),
    )


FAMILIES = {
    "bottle": bottle,
    "jar": jar,
    "vase": vase,
    "mug": cup,
    "tube": tube,
    "carton": carton,
    "gift": gift,
    "speaker": speaker,
    "fridge": fridge,
    "armchair": armchair,
    "sofa": sofa,
    "chair": chair,
    "lamp": lamp,
    "kettle": kettle,
    "perfume": perfume,
    "camera": camera,
    "handbag": handbag,
    "lipstick": lipstick,
    "toaster": toaster,
    "candle": candle,
}
