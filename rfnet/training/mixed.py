"""Several data sources as one list of samples for training, read from disk as they are needed."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..data.errors import BrokenSample, DataError
from ..data.samples import count_labels
from ..data.sources import open_samples
from ..files import open_file, quoted
from ..structured import shortened
from .augment import Batch, collate


@dataclass
class Pool:
    """N samples of one or more Samples, one after the other; name: the part of the data they are."""

    name: str
    parts: list

    @classmethod
    def open(
        cls,
        paths: list,
        size: int,
        limit: int | None = None,
        name: str = "data",
        maps: list = (),
        every: bool = True,
        readable: bool = False,
    ) -> "Pool":
        """Everything at these paths (sources.open_samples), read as size x size, at most `limit` of each; maps: as many
        folders of bulk_maps.precompute_maps, or none. Raises DataError, also where a label has no sample: a reviewer
        can't learn what it never sees. every=False, to score on: only where nothing or everything is available.
        readable: every picture is opened, and those that can't be read are left out and counted.
        """
        try:
            parts = [open_samples(path, size) for path in paths]
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        parts = [part.with_maps(folder) for part, folder in zip(parts, maps)] if maps else parts
        pool = cls(name, [part.select(np.arange(min(limit, len(part)))) if limit else part for part in parts])
        pool.parts = [part.without_broken() for part in pool.parts] if readable else pool.parts
        if not pool.parts:
            raise DataError(f"{name} names no data: give at least one folder or table.")
        counts = count_labels(pool.labels)
        empty = [label for label, count in counts.items() if not count]
        if empty and (every or counts["available"] in (0, len(pool))):
            raise DataError(
                f"{name} has no scene labelled {', '.join(empty)}: every label needs some; render or label more."
            )
        return pool

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, row: int) -> dict:
        part = int(np.searchsorted(self.ends, row, side="right"))
        return self.parts[part].read(row - (int(self.ends[part - 1]) if part else 0))

    @cached_property
    def ends(self) -> np.ndarray:
        return np.cumsum([len(part) for part in self.parts])

    @cached_property
    def labels(self) -> np.ndarray:
        return np.concatenate([part.labels for part in self.parts])

    @cached_property
    def product_ids(self) -> list:
        return [product for part in self.parts for product in part.product_ids]

    @property
    def map_name(self) -> str | None:
        """What made the maps that were computed beforehand; None where there are none.

        Raises DataError where they differ.
        """
        names = {part.map_name for part in self.parts if part.map_name}
        if len(names) > 1:
            raise DataError(
                f"{self.name} mixes maps of {', '.join(sorted(names))}: compute all of them with the same models."
            )
        return next(iter(names), None)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name this selection of samples and labels."""
        prints = [part.fingerprint for part in self.parts]
        return prints[0] if len(prints) == 1 else hashlib.sha256(" ".join(prints).encode()).hexdigest()[:16]

    @property
    def damaged(self) -> int:
        """How many samples and files were left out because something is wrong with them."""
        return sum(part.findings.damaged for part in self.parts)

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {len(self)} samples, {len(set(self.product_ids))} products, {count_labels(self.labels)}"
        ]
        for part in self.parts:
            lines += [
                f"  {line}" for line in str(part.findings).splitlines() if part.findings.counts or part.findings.notes
            ]
        return "\n".join(lines)


class Batches:
    """A torch Dataset of whole batches, so that DataLoader's workers read and augment them: (seed, rows) ->
    augment.Batch of those samples that can be read, in every process the same. Raises DataError where none can.
    """

    def __init__(self, pool: Pool, roundtrips: list = (), augment: bool = False):
        self.pool, self.roundtrips, self.augment = pool, roundtrips, augment

    def __len__(self) -> int:
        return len(self.pool)

    def __getstate__(self) -> dict:
        # what a worker that isn't forked gets: files to open itself, for a memory-mapped array is pickled with all it
        # maps
        return self.__dict__ | {"roundtrips": [getattr(array, "filename", None) or array for array in self.roundtrips]}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state | {
            "roundtrips": [
                np.load(found, mmap_mode="r", allow_pickle=False) if isinstance(found, (str, Path)) else found
                for found in state["roundtrips"]
            ]
        }

    def __getitem__(self, step: tuple) -> Batch:
        (seed, rows), kept, samples, broken = step, [], [], {}
        for row in rows:
            try:
                samples.append(self.pool[row])
                kept.append(row)
            except BrokenSample as error:
                broken[row] = str(error)
        if not samples:
            raise DataError(
                f"none of the samples {', '.join(map(str, rows[:5]))} ... can be read: check the data's folder; is its"
                " disk still there?"
            )
        torch.manual_seed(seed)
        batch = collate(samples, kept, self.roundtrips, self.augment)
        batch.broken = broken
        return batch


def plainly(loader):
    """The batches of a DataLoader.

    What its workers say of broken data is raised as they said it, without the tale of where.
    """
    try:
        yield from loader
    except DataError as error:
        if not str(error).startswith("Caught "):
            raise
        raise type(error)(str(error).strip().splitlines()[-1].partition(": ")[2]) from error


def load_roundtrips(paths: list, count: int, size: int) -> list:
    """The .npy files at these paths (files, or folders of them), each uint8 (M, size, size, 3) with M <= count,
    memory-mapped. Raises DataError.
    """
    files = [file for path in map(Path, paths) for file in (sorted(path.glob("*.npy")) if path.is_dir() else [path])]
    if paths and not files:
        raise DataError(
            f'"{paths[0]}" holds no .npy files: make them with `pocket train roundtrip`, or leave roundtrip out.'
        )
    arrays = []
    for file in files:
        try:
            open_file(file).close()  # regular files only
            array = np.load(file, mmap_mode="r", allow_pickle=False)
            if not isinstance(array, np.ndarray):  # what else numpy opens, as .npz
                raise ValueError("it holds something else")
        except Exception as error:  # what numpy's reader of headers raises is not bounded
            raise DataError(
                f"{quoted(file)} is no readable .npy array ({shortened(str(error), 150)[1:-1]}): make it again with"
                " `pocket train roundtrip`."
            ) from error
        if array.dtype != np.uint8 or array.shape[1:] != (size, size, 3) or not 0 < len(array) <= count:
            raise DataError(
                f'"{file}" is {array.dtype} {array.shape} but the training images are uint8 ({count}, {size}, {size},'
                " 3): make it again from this split."
            )
        arrays.append(array)
    return arrays
