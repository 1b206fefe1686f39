"""Batches for training: which samples each step sees, read and augmented in DataLoader's workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from ..data.errors import BrokenSample, DataError
from ..files import open_file, quoted
from ..structured import shortened
from .augment import Batch, collate


@dataclass(frozen=True)
class Order:
    """What each step of a stage sees, a function of the step's number alone: samples are drawn once per epoch, in an
    order of its own, and shared out evenly over the processes.

    samples: how many there are; batch: of all processes together; stage, of `stages`; process, of `processes`.
    """

    samples: int
    batch: int
    seed: int
    stage: int
    stages: int
    process: int = 0
    processes: int = 1

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.samples // self.batch)

    def seed_of(self, step: int) -> int:
        """What this process's random choices in a step begin from."""
        seed = ((self.seed + 1) * self.stages + self.stage) * 10_000_019 + step
        return seed * self.processes + self.process

    def rows(self, step: int) -> list[int]:
        """This process's share of a step's batch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, self.stage, epoch)).permutation(self.samples)
        return order[place * self.batch : (place + 1) * self.batch][self.process :: self.processes].tolist()

    def from_step(self, step: int) -> Iterator[tuple[int, list[int]]]:
        """(seed, rows) of this step and all that follow, without end."""
        while True:
            yield self.seed_of(step), self.rows(step)
            step += 1


class BatchDataset(Dataset):
    """A torch Dataset of whole batches, so that DataLoader's workers read and augment them: (seed, rows) ->
    augment.Batch of those samples that can be read, in every process the same. Raises DataError where none can.
    """

    def __init__(self, samples, roundtrips: Sequence = (), augment: bool = False):
        """samples: a MixedDataset, or whatever gives a sample for samples[row]."""
        self.samples = samples
        self.roundtrips = roundtrips
        self.augment = augment

    def __len__(self) -> int:
        return len(self.samples)

    def __getstate__(self) -> dict:
        # A worker that isn't forked opens the files itself: a memory-mapped array is pickled with all that it maps.
        return self.__dict__ | {"roundtrips": [getattr(array, "filename", None) or array for array in self.roundtrips]}

    def __setstate__(self, state: dict) -> None:
        self.__dict__ = state | {
            "roundtrips": [
                np.load(array, mmap_mode="r", allow_pickle=False) if isinstance(array, (str, Path)) else array
                for array in state["roundtrips"]
            ]
        }

    def __getitem__(self, step: tuple) -> Batch:
        seed, rows = step
        samples = {}
        broken = {}
        for row in rows:
            try:
                samples[row] = self.samples[row]
            except BrokenSample as error:
                broken[row] = str(error)
        if not samples:
            raise DataError(
                f"none of the samples {', '.join(map(str, rows[:5]))} ... can be read: check the data's folder; is its"
                " disk still there?"
            )
        torch.manual_seed(seed)
        batch = collate(list(samples.values()), list(samples), self.roundtrips, self.augment)
        batch.broken = broken
        return batch


def unwrap_errors(loader):
    """The batches of a DataLoader. A DataError of a worker is raised as the worker said it, without its traceback."""
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
