"""Composites on disk: zip shards of a hundred beside the rendered ones, in the same format.

DATA/SPLIT/SPLIT-c00012.zip; the rows carry four more keys than rendered ones: "family" of the product, "held_family"
and "held_cause" (kept out of training and validation, for the harder split), and "shown_metres", the product's largest
side as the scene makes it look.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...rfnet.data.shards import write_shard
from ..assets import Assets
from ..shard_pool import fill
from .composer import Composer
from .relief import Finishes
from .scene_plans import FORMATS, SQUARE

_COMPOSER: list = []  # one per process, made by start_composer


def composite_path(data: Path, split: str, number: int) -> Path:
    return data / split / f"{split}-c{number:05d}.zip"


def start_composer(assets: str, scratch: str, size: int, square: bool = False) -> None:
    """Gives this process the composer that `compose_shard` asks; scratch: a folder for what it unpacks."""
    import os

    import cv2

    cv2.setNumThreads(1)
    formats = SQUARE if square else FORMATS
    _COMPOSER[:] = [Composer(Assets(assets, Path(scratch) / str(os.getpid())), Finishes.read(assets), size, formats)]


def compose_shard(path: str, split: str, first: int, last: int) -> int:
    """Writes composites first ... last - 1 of a split, whole or not at all; returns how many."""
    write_shard(path, (_COMPOSER[0].compose(split, number).row() for number in range(first, last)))
    return last - first


def compose_split(
    data: Path,
    split: str,
    count: int,
    assets: Path,
    size: int,
    workers: int,
    progress,
    start: int = 0,
    square: bool = False,
) -> None:
    """Composes every shard of a split that is not there yet, from scene `start` on, a multiple of PER_SHARD; square:
    square pictures alone.

    progress is called with the number of scenes each shard added; for the rest see `shard_pool.fill`.
    """
    fill(
        data / split,
        lambda number: composite_path(data, split, number),
        count,
        start,
        workers,
        lambda scratch: (start_composer, (str(assets), scratch, size, square)),
        partial(_compose, split),
        progress,
    )


def _compose(split: str, path: str, first: int, last: int) -> int:
    return compose_shard(path, split, first, last)
