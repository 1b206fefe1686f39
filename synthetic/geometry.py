"""Meshes as plain arrays: the few shapes from which products, props and defects are put together.

A Mesh carries vertices (V, 3) in product units (the product's largest side is 1), z up; faces as index tuples;
and one material number per face. Nothing here knows a renderer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Mesh:
    vertices: np.ndarray
    faces: list[tuple[int, ...]]
    materials: list[int] = field(default_factory=list)

    def __post_init__(self):
        self.vertices = np.asarray(self.vertices, dtype=np.float64).reshape(-1, 3)
        if not self.materials:
            self.materials = [0] * len(self.faces)

    @property
    def low(self) -> np.ndarray:
        return self.vertices.min(0)

    @property
    def high(self) -> np.ndarray:
        return self.vertices.max(0)

    @property
    def size(self) -> np.ndarray:
        return self.high - self.low

    def moved(self, x=0.0, y=0.0, z=0.0) -> Mesh:
        return Mesh(self.vertices + np.array((x, y, z)), self.faces, self.materials)

    def scaled(self, x: float, y: float | None = None, z: float | None = None) -> Mesh:
        return Mesh(self.vertices * (x, x if y is None else y, x if z is None else z), self.faces, self.materials)

    def turned(self, angle: float, axis: str = "z") -> Mesh:
        c, s = np.cos(angle), np.sin(angle)
        rotation = {
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        }[axis]
        return Mesh(self.vertices @ np.array(rotation).T, self.faces, self.materials)

    def painted(self, material: int) -> Mesh:
        return Mesh(self.vertices, self.faces, [material] * len(self.faces))

    def standing(self) -> Mesh:
        """The same mesh with its lowest point on z = 0 and its middle over the origin."""
        middle = (self.low + self.high) / 2
        return self.moved(-middle[0], -middle[1], -self.low[2])

    def unit(self) -> Mesh:
        """Standing, with its largest side scaled to 1."""
        return self.scaled(1.0 / self.size.max()).standing()


def join(*meshes: Mesh) -> Mesh:
    vertices, faces, materials, offset = [], [], [], 0
    for mesh in meshes:
        vertices.append(mesh.vertices)
        faces += [tuple(i + offset for i in face) for face in mesh.faces]
        materials += mesh.materials
        offset += len(mesh.vertices)
    return Mesh(np.concatenate(vertices), faces, materials)


def lathe(profile: list[tuple[float, float]], segments: int = 28, bands: list[int] | None = None) -> Mesh:
    """Solid of revolution about z. profile: (radius, height) from bottom to top; bands: a material per profile span."""
    radii, heights = np.array(profile, dtype=float).T
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = np.stack(
        [np.outer(radii, np.cos(angles)), np.outer(radii, np.sin(angles)), np.repeat(heights[:, None], segments, 1)], -1
    ).reshape(-1, 3)
    faces, materials = [], []
    for k in range(len(profile) - 1):
        for j in range(segments):
            a, b = k * segments + j, k * segments + (j + 1) % segments
            faces.append((a, b, b + segments, a + segments))
            materials.append(bands[k] if bands else 0)
    faces.append(tuple(range(segments))[::-1])
    faces.append(tuple(range((len(profile) - 1) * segments, len(profile) * segments)))
    materials += [bands[0], bands[-1]] if bands else [0, 0]
    return Mesh(rings, faces, materials)


def box(width: float, depth: float, height: float, bevel: float = 0.0) -> Mesh:
    """A box standing on z = 0, its upright edges cut by `bevel`."""
    w, d, b = width / 2, depth / 2, min(bevel, width / 3, depth / 3)
    if b > 0:
        outline = [
            (w - b, -d),
            (w, -d + b),
            (w, d - b),
            (w - b, d),
            (-w + b, d),
            (-w, d - b),
            (-w, -d + b),
            (-w + b, -d),
        ]
    else:
        outline = [(w, -d), (w, d), (-w, d), (-w, -d)]
    n = len(outline)
    vertices = [(x, y, 0.0) for x, y in outline] + [(x, y, height) for x, y in outline]
    sides = [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    return Mesh(np.array(vertices), [*sides, tuple(range(n))[::-1], tuple(range(n, 2 * n))])


def rod(start, end, radius: float, end_radius: float | None = None, segments: int = 12) -> Mesh:
    """A straight round bar between two points."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.cross(along, [0, 0, 1.0] if abs(along[2]) < 0.9 else [1.0, 0, 0])
    side /= np.linalg.norm(side)
    up = np.cross(along, side)
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    ring = np.outer(np.cos(angles), side) + np.outer(np.sin(angles), up)
    vertices = np.concatenate([start + ring * radius, end + ring * (radius if end_radius is None else end_radius)])
    n = segments
    sides = [(i, (i + 1) % n, n + (i + 1) % n, n + i) for i in range(n)]
    return Mesh(vertices, [*sides, tuple(range(n))[::-1], tuple(range(n, 2 * n))])


def arc(radius: float, thickness: float, start: float, stop: float, steps: int = 14, segments: int = 8) -> Mesh:
    """A bent bar in the x-z plane (a handle): part of a torus from angle `start` to `stop`, radians."""
    along = np.linspace(start, stop, steps)
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    reach = radius + thickness * np.cos(around)[None, :]
    vertices = np.stack(
        [
            reach * np.cos(along)[:, None],
            np.broadcast_to(thickness * np.sin(around), (steps, segments)),
            reach * np.sin(along)[:, None],
        ],
        -1,
    ).reshape(-1, 3)
    faces = [
        (
            k * segments + j,
            k * segments + (j + 1) % segments,
            (k + 1) * segments + (j + 1) % segments,
            (k + 1) * segments + j,
        )
        for k in range(steps - 1)
        for j in range(segments)
    ]
    faces += [tuple(range(segments))[::-1], tuple(range((steps - 1) * segments, steps * segments))]
    return Mesh(vertices, faces)


def ball(radius: float = 0.5, segments: int = 20) -> Mesh:
    """A sphere standing on z = 0."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 12)
    return lathe([(max(radius * np.cos(a), 1e-4), radius * (1 + np.sin(a))) for a in angles], segments)


def card(width: float, height: float) -> Mesh:
    """An upright rectangle facing -y, for a flat cut-out."""
    w = width / 2
    return Mesh(np.array([(-w, 0, 0), (w, 0, 0), (w, 0, height), (-w, 0, height)]), [(0, 1, 2, 3)])
