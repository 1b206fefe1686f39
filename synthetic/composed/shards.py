"""Composites on disk: zip shards of a hundred beside the rendered ones, in the same format.

DATA/SPLIT/SPLIT-c00012.zip; the rows carry four more keys than rendered ones: "family" of the product, "held_family"
and "held_cause" (kept out of training and validation, for the harder split), and "shown_metres", the product's largest
side as the scene makes it look.
"""

from __future__ import annotations

from pathlib import Path

from ...rfnet.data.shards import write_shard
from ..assets import Assets
from ..shards import PER_SHARD
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

    progress is called with the number of scenes each shard added.

    A worker's fault ends the run with its error; finished shards are kept, and a last shard of another length is made
    again.
    """
    import multiprocessing
    import tempfile
    from concurrent.futures import ProcessPoolExecutor, as_completed

    (data / split).mkdir(parents=True, exist_ok=True)
    wanted = [
        (n * PER_SHARD, min((n + 1) * PER_SHARD, count))
        for n in range(start // PER_SHARD, (count + PER_SHARD - 1) // PER_SHARD)
    ]
    wanted = [
        (first, last)
        for first, last in wanted
        if _length(composite_path(data, split, first // PER_SHARD)) != last - first
    ]
    if not wanted:
        return
    with (
        tempfile.TemporaryDirectory(dir=data) as scratch,
        ProcessPoolExecutor(
            min(workers, len(wanted)),
            multiprocessing.get_context("spawn"),
            start_composer,
            (str(assets), scratch, size, square),
        ) as pool,
    ):
        jobs = [
            pool.submit(compose_shard, str(composite_path(data, split, first // PER_SHARD)), split, first, last)
            for first, last in wanted
        ]
        try:
            for job in as_completed(jobs):
                progress(job.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _length(path: Path) -> int:
    """How many scenes a shard's index names; 0 where there is none or it can't be read."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read("index.jsonl").count(b"\n")
    except (OSError, KeyError, zipfile.BadZipFile):
        return 0
