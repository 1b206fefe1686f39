"""Several data sources as one dataset for training, read from disk as its samples are needed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..data.errors import DataError
from ..data.samples import Samples, count_labels
from ..data.sources import open_samples


@dataclass
class MixedDataset:
    """N samples of one or more Samples, one after the other; name: the part of the data they are."""

    name: str
    parts: list[Samples]

    @classmethod
    def open(
        cls,
        paths: Sequence,
        size: int,
        limit: int | None = None,
        name: str = "data",
        maps: Sequence | str = (),
        all_labels: bool = True,
        drop_broken: bool = False,
        numbers: dict | None = None,
    ) -> "MixedDataset":
        """Everything at these paths (sources.open_samples), read as size x size, at most `limit` of each.

        maps: as many folders of bulk_maps.precompute_maps, or none; a text: depth and saliency that came with the data,
        and what made them. numbers: as open_samples takes them. all_labels: every label needs a sample, for a
        reviewer can't learn what it never sees; without it, to score on, available and other samples suffice.
        drop_broken: open every picture, leave out those that can't be read, and count them. Raises DataError.
        """
        try:
            parts = [open_samples(path, size, numbers) for path in paths]
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        if isinstance(maps, str):
            parts = [part.with_own_maps(maps) for part in parts]
        elif maps:
            parts = [part.with_maps(folder) for part, folder in zip(parts, maps)]
        parts = [part.select(np.arange(min(limit, len(part)))) if limit else part for part in parts]
        parts = [part.without_broken() for part in parts] if drop_broken else parts
        if not parts:
            raise DataError(f"{name} names no data: give at least one folder or table.")
        dataset = cls(name, parts)
        counts = count_labels(dataset.labels)
        empty = [label for label, count in counts.items() if not count]
        if empty and (all_labels or counts["available"] in (0, len(dataset))):
            raise DataError(
                f"{name} has no scene labelled {', '.join(empty)}: every label needs some; render or label more."
            )
        return dataset

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
    def product_ids(self) -> list[str]:
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
