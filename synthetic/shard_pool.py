"""Shards of composed pictures, made by several processes: a stopped run goes on where it was."""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from .shards import PER_SHARD, length


def fill(folder: Path, path_of, count: int, start: int, workers: int, prepare, write, progress) -> None:
    """Makes every shard of a split that is not there yet, from picture `start` on, a multiple of PER_SHARD.

    path_of(shard number) -> its path; prepare(scratch folder) -> (initializer, its arguments) of a process;
    write(path, first, last) -> how many pictures it wrote, pickled by name; progress is called with that number.

    A worker's fault ends the run with its error; finished shards are kept, and a last shard of another length is made
    again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = range(start // PER_SHARD, (count + PER_SHARD - 1) // PER_SHARD)
    wanted = [(n, n * PER_SHARD, min((n + 1) * PER_SHARD, count)) for n in shards]
    wanted = [(n, first, last) for n, first, last in wanted if length(path_of(n)) != last - first]
    if not wanted:
        return
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
        ProcessPoolExecutor(min(workers, len(wanted)), spawn, *prepare(scratch)) as pool,
    ):
        jobs = [pool.submit(write, str(path_of(n)), first, last) for n, first, last in wanted]
        try:
            for job in as_completed(jobs):
                progress(job.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
