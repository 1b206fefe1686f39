"""The pictures of a label folder as Samples, labelled or not, for a reviewer to look at."""

import numpy as np

from .archives import LOOSE, Files
from .journal import Item
from .rows import hashes
from .samples import Findings, Samples, index
from .spans import Texts

UNLABELLED = 255  # in the place of a position in LABELS


def samples_of(folder, items: list[Item], size: int) -> Samples:
    """Samples of N >= 1 items, in their order, pictures read as size x size; no label is given. Their ids are those
    that sources.read_table gives the same pictures.

    Raises DataError.
    """
    images = [f"pictures/{item.key}.png" for item in items]
    products = [f"products/{item.product}.png" for item in items]
    names = [item.product_id or item.product for item in items]
    columns = {
        "labels": np.full(len(items), UNLABELLED, np.uint8),
        "ids": hashes(images),
        "keys": hashes(names),
        "names": Texts.of(names),
        "files": {"image": _loose(folder, images), "product": _loose(folder, products)},
        "texts": {
            "caption": Texts.of(item.caption for item in items),
            "prompt": Texts.of(item.prompt for item in items),
        },
        "lines": images.__getitem__,
    }
    return index(columns, Findings(), size, str(folder))


def _loose(folder, names: list[str]) -> Files:
    """Files below a folder."""
    spans = Texts.of(names)
    return Files.one(folder, spans.starts, spans.lengths, LOOSE, names=spans.buffer.tobytes())
