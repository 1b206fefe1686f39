"""Depth and saliency that were computed beforehand (bulk_maps): chunks of bytes in a folder, read sample by sample."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from ..files import quoted
from ..structured import convert, parse_json, shortened
from ..tensors import read_header
from ..textfiles import read_text
from .errors import DataError

SUMMARY = "maps.json"
NAMES = ("depth", "saliency")


@dataclass
class MapFiles:
    """Maps on disk: folder; ids (M,) uint64, sorted, with the chunk and the row in it of each. Holds no open file."""

    folder: str
    ids: np.ndarray
    chunks: np.ndarray
    rows: np.ndarray
    estimator: str = "builtin"

    @classmethod
    def open(cls, folder, wanted: np.ndarray | None = None) -> "MapFiles":
        """The maps that precompute_maps left in a folder.

        Raises DataError where it isn't finished, or lacks maps of `wanted` ids.
        """
        from safetensors import safe_open

        folder = Path(folder)
        try:
            summary = parse_json(read_text(folder / SUMMARY), quoted(SUMMARY))
            parts = []
            for number in range(convert(summary["chunks"], Annotated[int, Meta(ge=0, le=10**6)], "chunks")):
                read_header(chunk_file(folder, number), ValueError)
                with safe_open(chunk_file(folder, number), "numpy") as file:
                    parts.append(file.get_tensor("ids").view(np.uint64))
        except Exception as error:  # damaged files raise whatever the parser meets first
            reason = shortened(str(error).rstrip("."), 120)[1:-1] if not isinstance(error, OSError) else error.strerror
            raise DataError(
                f"{quoted(folder)} holds no finished maps ({reason}): compute them again, which goes on where it was"
                " left."
            ) from error
        chunks = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
        rows = np.concatenate([np.arange(len(part), dtype=np.int32) for part in parts] or [np.zeros(0, np.int32)])
        ids = np.concatenate(parts or [np.zeros(0, np.uint64)])
        order = np.argsort(ids)
        maps = cls(str(folder), ids[order], chunks[order], rows[order], summary["estimator"])
        if wanted is not None and (lacking := int((~np.isin(wanted, maps.ids)).sum())):
            raise DataError(
                f'"{folder}" lacks the maps of {lacking} of {len(wanted)} samples: compute maps for these samples, or'
                " leave out those that can't be read."
            )
        return maps

    def read(self, sample: int) -> dict:
        """{"depth", "saliency": (H, W) uint8} of the sample with this id, one of `ids`."""
        from safetensors import safe_open

        place = np.searchsorted(self.ids, sample)
        with safe_open(chunk_file(self.folder, self.chunks[place]), "numpy") as file:
            return {name: file.get_slice(name)[int(self.rows[place])] for name in NAMES}


def chunk_file(folder, number: int) -> Path:
    return Path(folder) / f"maps-{number:05d}.safetensors"
