"""The stand-in on disk: DATA/SPLIT/SPLIT-p00012.zip, a hundred pictures each, in the format of `rfnet.data.shards`.

The rows carry two more keys than rendered ones: "shown_metres", the product's largest side as the picture shows it, and
"objects", [name, height / the product's largest side as drawn] of each prop.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...rfnet.data.shards import write_shard
from ..assets import Assets
from ..shard_pool import fill
from .composer import Composer

_COMPOSER: list = []  # one per process, made by start


def start(assets: str, scratch: str, size: int) -> None:
    """Gives this process the composer that `write` asks; scratch: a folder for what it unpacks."""
    import os

    import cv2

    cv2.setNumThreads(1)
    _COMPOSER[:] = [Composer(Assets(assets, Path(scratch) / str(os.getpid())), size)]


def write(split: str, path: str, first: int, last: int) -> int:
    """Writes pictures first ... last - 1 of a split, whole or not at all; returns how many."""
    write_shard(path, (_COMPOSER[0].compose(split, number).row() for number in range(first, last)))
    return last - first


def photograph_split(data: Path, split: str, count: int, assets: Path, size: int, workers: int, progress, first: int):
    """Every shard of a split that is not there yet, from picture `first` on; see `shard_pool.fill`."""
    fill(
        data / split,
        lambda number: data / split / f"{split}-p{number:05d}.zip",
        count,
        first,
        workers,
        lambda scratch: (start, (str(assets), scratch, size)),
        partial(write, split),
        progress,
    )
