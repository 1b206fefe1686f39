"""The scenes that a training draws from, shard by shard: read from disk, or composed while it runs.

Composed ones are kept as shards too, so that a training that composes, one that goes on after a stop, and one on shards
of `synthetic compose --square` all see the same scenes.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import threading
import zlib
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...rfft.tokens import tokenize
from ...rfnet.data.errors import DataError
from ...rfnet.data.samples import Samples
from ...rfnet.data.sources import read_shards
from ...rfnet.files import quoted
from ...rfnet.labels import LABELS
from ...rfnet.product import canny_hint
from ...synthetic.composed.shards import compose_shard, composite_path, start_composer
from ...synthetic.scenes import described
from ...synthetic.shards import PER_SHARD
from .styles import restyled

FIRST = 0.05  # share of the composites that a training begins with
GROWN = 0.8  # progress by which it has them all
GROWTHS = 20  # how often the set grows on the way, at most


@dataclass
class Scenes:
    """N scenes of S pixels a side, packed: images (N, S, S, 3) uint8; hints (N, S, S / 8) uint8, the product's lines,
    eight pixels a byte; shares (N, S / 8, S / 8) uint8, how much of each latent the product covers; tokens (N, 2, 77)
    int32 of the prompt and of the prompt with words on the picture; labels (N,); causes and ids, N texts each.
    """

    images: np.ndarray
    hints: np.ndarray
    shares: np.ndarray
    tokens: np.ndarray
    labels: np.ndarray
    causes: list[str]
    ids: list[str]

    @classmethod
    def of(cls, samples: Samples) -> Scenes:
        """From samples in memory."""
        products, side = samples.arrays["product"], samples.size
        ids, prompts = samples.column("id"), samples.column("prompt")
        more = [
            described(prompt, LABELS[label], np.random.default_rng(zlib.crc32(name.encode())))
            for name, prompt, label in zip(ids, prompts, samples.labels)
        ]
        cells = products[..., 3].reshape(-1, side // 8, 8, side // 8, 8)
        return cls(
            samples.arrays["image"],
            np.packbits([hint_of(product)[0] > 0 for product in products], axis=-1),
            np.round(cells.mean((2, 4))).astype(np.uint8),
            np.stack([tokenize(prompts).numpy(), tokenize(more).numpy()], axis=1).astype(np.int32),
            samples.labels,
            samples.column("cause"),
            ids,
        )

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int) -> Scenes:
        """The first so many of them."""
        return Scenes(**{name: column[:count] for name, column in vars(self).items()})


def hint_of(product: np.ndarray) -> np.ndarray:
    """The canny hint (3, H, W) of a placed product, (H, W, 4) uint8."""
    return canny_hint(product[..., :3] / np.float32(255), product[..., 3] / np.float32(255))


@dataclass(frozen=True)
class Job:
    """One shard to be read, and composed before if it isn't there."""

    path: Path
    size: int
    style: str | None
    split: str
    first: int

    def compose(self) -> None:
        compose_shard(str(self.path), self.split, self.first, self.first + PER_SHARD)

    def run(self) -> Scenes | None:
        """Its square scenes; None where there are none."""
        if not self.path.exists():
            self.compose()
        samples = read_shards(self.path.parent, self.size, [self.path]).in_memory()
        samples = samples.select(samples.arrays["square"])
        if not len(samples):
            return None
        return Scenes.of(restyled(samples, self.style) if self.style else samples)


class Given:
    """A feed of samples in memory: all at once."""

    def __init__(self, samples: Samples):
        self.samples: Samples | None = samples

    def take(self, progress: float) -> list[Scenes]:
        samples, self.samples = self.samples, None
        return [] if samples is None else [Scenes.of(samples)]


class Feed:
    """The square scenes of a split, read by `workers` processes of one thread (0: by this one) that run ahead of the
    training.

    folder: DATA/SPLIT; size: side in pixels; limit: the first so many scenes only; style: a name of styles.STYLES.
    assets: a node_modules folder to compose from, `limit` scenes in all: the training then begins with some, gets the
    others as it comes along, and waits where they aren't ready, so that what it sees follows from its progress alone.
    Without assets it gets all shards of the folder at once. Use it in a `with`.
    """

    def __init__(self, folder, size: int, limit: int | None = None, style=None, workers: int = 0, assets=None):
        folder = Path(folder)
        self.size, self.left, self.workers = size, limit or 10**9, workers
        self.assets = None if assets is None else Path(assets)
        if assets is None:
            paths = sorted(folder.glob("*.zip"))
            if not paths:
                read_shards(folder)  # which says what is missing
        else:
            paths = [composite_path(folder.parent, folder.name, n) for n in range(math.ceil(self.left / PER_SHARD))]
        self.style = style
        self.jobs = [Job(path, size, style, folder.name, n * PER_SHARD) for n, path in enumerate(paths)]
        self.folder, self.taken, self.given = folder, 0, 0
        self.futures: list[Future] = []
        self.pool: ProcessPoolExecutor | None = None
        self.scratch: tempfile.TemporaryDirectory | None = None

    def __enter__(self) -> Feed:
        start: tuple = ()
        if any(not job.path.exists() for job in self.jobs):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.scratch = tempfile.TemporaryDirectory(dir=self.folder.parent)
            start = (str(self.assets), self.scratch.name, self.size, True)
        if self.workers:
            spawn = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(min(self.workers, len(self.jobs)), spawn, _start_worker, start)
        elif start:
            start_composer(*start)
        return self

    def __exit__(self, *error) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)
        if self.scratch:
            self.scratch.cleanup()

    def due(self, progress: float) -> int:
        """How many shards a training at this progress has."""
        if self.assets is None:
            return len(self.jobs)
        share = min(1.0, FIRST + (1 - FIRST) * progress / GROWN)
        return min(len(self.jobs), math.ceil(math.ceil(share * GROWTHS) / GROWTHS * len(self.jobs)))

    def take(self, progress: float) -> list[Scenes]:
        """The scenes that are new since the last call; waits for them. Raises DataError where there are none at all."""
        due, found = self.due(progress), []
        if due <= self.taken or self.left <= 0:
            return []
        while self.taken < due and self.left > 0:
            scenes = self._next()
            if scenes is not None:
                scenes = scenes.first(self.left)
                self.left -= len(scenes)
                self.given += len(scenes)
                found.append(scenes)
        if not self.given:
            raise no_squares(self.folder)
        print(f"{self.given} scenes from {self.taken} of {len(self.jobs)} shards in {self.folder}", flush=True)
        return found

    def _next(self) -> Scenes | None:
        job = self.jobs[self.taken]
        self.taken += 1
        if self.pool is None:
            return job.run()
        while len(self.futures) < min(len(self.jobs), self.taken + 2 * self.workers):
            self.futures.append(self.pool.submit(Job.run, self.jobs[len(self.futures)]))
        future, self.futures[self.taken - 1] = self.futures[self.taken - 1], Future()  # its scenes aren't kept twice
        return future.result()


def held_out(folder, size: int, limit: int, style=None, assets=None) -> Samples:
    """The first square scenes of a split that is small, in memory; assets: as for Feed. Raises DataError."""
    folder = Path(folder)
    if assets is None:
        samples = read_shards(folder, size)
    else:
        job = Job(composite_path(folder.parent, folder.name, 0), size, style, folder.name, 0)
        if not job.path.exists():
            with tempfile.TemporaryDirectory() as scratch:
                start_composer(str(assets), scratch, size, square=True)
                job.compose()
        samples = read_shards(folder, size, [job.path])
    samples = samples.select(range(min(len(samples), 4 * limit))).in_memory()  # more than half are square
    samples = samples.select(np.flatnonzero(samples.arrays["square"])[:limit])
    if not len(samples):
        raise no_squares(folder)
    return restyled(samples, style) if style else samples


def no_squares(folder: Path) -> DataError:
    return DataError(
        f"{quoted(folder)} holds no square pictures, and the family paints only such: compose some with `synthetic"
        " compose --square`."
    )


def _start_worker(*composing) -> None:
    """Ends this process with the training, also where that one is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    if composing:
        start_composer(*composing)
