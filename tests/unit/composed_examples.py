"""A composer that needs no asset package: its panoramas, cut-outs and finishes are computed."""

import functools

import numpy as np

from reliable_ads.synthetic.composed import relief
from reliable_ads.synthetic.composed.composer import Composer


class SmallAssets:
    """Panoramas and cut-outs as the free packages give them, but computed: a sky over a plain, and round things."""

    def panorama(self, name):
        rows = np.linspace(0, 1, 32, dtype=np.float32)[:, None, None]
        return np.broadcast_to(
            np.where(rows < 0.5, [0.4, 0.5, 0.9], [0.3, 0.4, 0.1]) * (0.6 + rows), (32, 64, 3)
        ).astype(np.float32)

    def cutout(self, code):
        rng = np.random.default_rng(sum(map(ord, code)))
        y, x = np.mgrid[:96, :96] / 48 - 1
        alpha = (np.hypot(x, y / rng.uniform(0.6, 1)) < 0.95)[..., None]
        colour = rng.uniform(40, 220, 3) + 40 * np.sin(9 * x)[..., None]
        return np.concatenate([np.clip(colour, 0, 255), 255 * alpha], -1).astype(np.uint8)


@functools.lru_cache(maxsize=1)
def finishes():
    y, x = np.mgrid[: relief.SPHERE, : relief.SPHERE] / (relief.SPHERE / 2) - 1
    ball = np.clip(0.4 + 0.5 * x - 0.3 * y, 0, 1).astype(np.float32)[..., None]
    spheres = (np.repeat(ball, 3, -1),)
    bumps = np.dstack(
        [
            0.2 * np.sin(np.mgrid[: relief.TILE, : relief.TILE][1] / 5),
            np.zeros((relief.TILE,) * 2),
            np.ones((relief.TILE,) * 2),
        ]
    ).astype(np.float32)
    return relief.Finishes(spheres, spheres, spheres, spheres, (bumps,) * relief.RELIEFS)


@functools.lru_cache(maxsize=1)
def composer():
    return Composer(SmallAssets(), finishes(), 96)
