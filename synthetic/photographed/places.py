"""Places out of photographs: rectilinear crops of HDR panoramas, and their own ground seen from above as a surface.

A panorama is (H, W, 3) linear radiance. Pictures are display RGB float32 (H, W, 3) in [0, 1].
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .camera import Camera

PATCH = 512  # pixels on a side of a ground patch
REACH, TRIPOD = 2.4, 1.6  # metres from the tripod to the patch's sides; of the tripod
OUTDOORS = ("city", "dawn", "forest", "park", "sunrise", "venice", "night", "sunset")
NO_FLOOR = ("sky", "bridge", "studio")  # water, a floor without texture, blown-out paper: nothing stands there

# panorama -> (words for its ground as a floor, and as a table top or "" where nothing small stands on it)
GROUNDS = {
    "apartment": ("pale floorboards", "a pale wooden table"),
    "city": ("red and grey paving", "a red and grey stone slab"),
    "dawn": ("bare rock", "a rough rock"),
    "forest": ("a forest floor", ""),
    "hall": ("old parquet", "a parquet table"),
    "lab": ("green linoleum", "a green worktop"),
    "lobby": ("honey-coloured floorboards", "a honey-coloured wooden table"),
    "esplanade": ("polished marble tiles", "a polished marble slab"),
    "night": ("dry grass", ""),
    "park": ("a meadow", ""),
    "sunrise": ("long grass", ""),
    "sunset": ("worn paving stones", "a worn stone slab"),
    "venice": ("dark cobbles", "a dark stone slab"),
    "warehouse": ("a dusty concrete floor", "a concrete slab"),
    "workshop": ("a painted factory floor", "a painted workbench"),
}


@dataclass
class Place:
    """A place without things: picture (H, W, 3), inverse depth (H, W) in 1/metres, share of surface (H, W)."""

    picture: np.ndarray
    inverse: np.ndarray
    surface: np.ndarray


def tone(linear: np.ndarray, exposure: float, white: float) -> np.ndarray:
    """Reinhard's curve with a white point, and display gamma: another look than the other composer's filmic one."""
    light = np.clip(linear * exposure, 0, None)
    return np.clip(light * (1 + light / white**2) / (1 + light), 0, 1) ** (1 / 2.2)


def look_up(panorama: np.ndarray, right, down, forward) -> np.ndarray:
    """The panorama's radiance along rays, (H, W, 3)."""
    import cv2

    height, width = panorama.shape[:2]
    longitude, latitude = np.arctan2(right, forward), np.arctan2(down, np.hypot(right, forward))
    x = ((longitude / (2 * np.pi) + 0.5) % 1 * width).astype(np.float32)
    y = np.clip((0.5 + latitude / np.pi) * height, 0, height - 1).astype(np.float32)
    wide = np.concatenate([panorama, panorama[:, :2]], 1)  # interpolates over the seam
    return np.clip(cv2.remap(wide.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), 0, None)


def crop(panorama: np.ndarray, camera: Camera, yaw: float) -> np.ndarray:
    """What a camera in the place of the panorama's sees, linear."""
    right, down, forward = camera.rays
    sine, cosine = np.sin(yaw), np.cos(yaw)
    return look_up(panorama, right * cosine + forward * sine, down, forward * cosine - right * sine)


def ground_patch(panorama: np.ndarray) -> np.ndarray:
    """The ground around the tripod from above, (PATCH, PATCH, 3) linear, REACH metres to each side."""
    z, x = np.mgrid[-REACH : REACH : PATCH * 1j, -REACH : REACH : PATCH * 1j]
    return look_up(panorama, x, np.full_like(x, TRIPOD), z)


def laid(patch: np.ndarray, camera: Camera, metres: float, turn: float, shift) -> np.ndarray:
    """A patch of `metres` on a side laid on the camera's surface, mirrored at its edges for ever, (H, W, 3)."""
    import cv2

    fine = Camera(2 * camera.width, 2 * camera.height, 2 * camera.focal, camera.pitch, camera.eye)
    x, z, _ = fine.floor()
    sine, cosine = np.sin(turn), np.cos(turn)
    u, v = (x * cosine - z * sine) / metres + shift[0], (x * sine + z * cosine) / metres + shift[1]

    def mirrored(t):
        return ((1 - np.abs(t % 2 - 1)) * (PATCH - 1)).astype(np.float32)

    large = cv2.remap(patch, mirrored(u), mirrored(v), cv2.INTER_LINEAR)
    return cv2.resize(large, (camera.width, camera.height), interpolation=cv2.INTER_AREA)


def exposed(linear: np.ndarray, rng) -> np.ndarray:
    """Toned so that its middle is about middle grey, with a white balance of its own."""
    middle = max(float(np.median(linear.mean(-1))), 1e-3)
    balance = np.array([rng.uniform(0.94, 1.06), 1.0, rng.uniform(0.94, 1.06)], np.float32)
    return tone(linear * balance, rng.uniform(0.22, 0.4) / middle, rng.uniform(2, 5)).astype(np.float32)


def mended(panorama: np.ndarray) -> np.ndarray:
    """Without the negative values that resampling left around lamps: they get their surroundings' brightest."""
    import cv2

    brightest = cv2.dilate(np.clip(panorama, 0, None), np.ones((5, 5), np.uint8))
    return np.where(panorama.min(-1, keepdims=True) < 0, brightest, panorama).astype(np.float32)


class Photographs:
    """Panoramas and their ground patches, computed once each. assets: anything with `panorama(name)`."""

    def __init__(self, assets):
        self.panorama = functools.lru_cache(maxsize=24)(lambda name: mended(assets.panorama(name)))
        self.patch = functools.lru_cache(maxsize=24)(lambda name: ground_patch(self.panorama(name)))

    def floor(self, camera: Camera, name: str, near: float, rng) -> Place:
        """The photograph's own ground around its camera; near it is sharper than the crop, far away it is the crop."""
        behind = exposed(crop(self.panorama(name), camera, rng.uniform(0, 2 * np.pi)), rng)
        ground = laid(self.patch(name), camera, 2 * REACH, rng.uniform(0, 2 * np.pi), rng.uniform(0, 1, 2))
        ground = exposed(ground, rng)
        inverse = camera.inverse(np.arange(camera.height) + 0.5)
        inverse = np.repeat(inverse[:, None], camera.width, 1).astype(np.float32)
        surface = (inverse > 0).astype(np.float32)
        blend = np.clip((inverse * near - 0.25) / 0.4, 0, 1)[..., None]
        row = int(np.clip(camera.row(2.2 * near), 0, camera.height - 1))
        meets = behind[row].mean(0) / np.maximum(ground[row].mean(0), 0.05)  # one light on both
        ground = np.clip(ground * np.clip(0.5 + 0.5 * meets, 0.6, 1.6), 0, 1)
        return Place((behind + blend * (ground - behind)).astype(np.float32), inverse, surface)

    def table(self, camera: Camera, room: str, top: str, foot, size: float, rng) -> Place:
        """A slab of one photograph's ground before another's view. foot: (right, forward) in metres of what stands on
        it; size: metres, of the table around it.
        """
        view = Camera(camera.width, camera.height, camera.focal * rng.uniform(0.7, 1), camera.pitch * 0.6)
        behind = exposed(crop(self.panorama(room), view, rng.uniform(0, 2 * np.pi)), rng)
        slab = laid(self.patch(top), camera, size * rng.uniform(1.5, 3), rng.uniform(0, 6.3), rng.uniform(0, 1, 2))
        slab = exposed(slab, rng) * np.clip(1 + rng.uniform(-0.12, 0.12, 3), 0, 2).astype(np.float32)
        x, z, below = camera.floor()
        x, z = x - foot[0], z - foot[1]
        if rng.random() < 0.4:  # a round table
            radius = size * rng.uniform(0.9, 1.6)
            inside = radius - np.hypot(x - rng.uniform(-0.2, 0.2) * size, z)
        else:
            turn = rng.uniform(-0.35, 0.35)
            inside = size * rng.uniform(0.7, 1.8) - (z * np.cos(turn) + x * np.sin(turn))
        inverse = camera.inverse(np.arange(camera.height) + 0.5)
        inverse = np.repeat(inverse[:, None], camera.width, 1).astype(np.float32)
        surface = (np.clip(inside * camera.focal * inverse + 0.5, 0, 1) * below).astype(np.float32)
        rim = np.clip(1 - np.abs(inside) * camera.focal * inverse / 2.5, 0, 1) * below
        picture = behind + surface[..., None] * (np.clip(slab, 0, 1) - behind)
        picture = picture * (1 - rng.uniform(0.2, 0.5) * rim)[..., None]
        far = 1 / (3 + 6 * size)
        return Place(picture.astype(np.float32), np.where(surface > 0.5, inverse, far).astype(np.float32), surface)
