"""A user's labelled pictures as an adaptation learns from them: read, checked, divided."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.journal import ENOUGH
from ..data.labelling import LabelFolder
from ..data.samples import Samples
from ..data.sources import open_samples
from ..labels import LABELS
from .folds import Folds, check_labels, contradicting, folds


@dataclass
class Labelled:
    """What there is to learn from: samples, their folds, and sentences on what was left out or is lacking."""

    name: str
    samples: Samples
    folds: Folds
    notes: list = field(default_factory=list)

    @property
    def labels(self) -> np.ndarray:
        return self.samples.labels.astype(int)


def open_labelled(labels, size: int, count: int, numbers: dict | None = None) -> Labelled:
    """The labelled pictures that can be learned from, in `count` folds.

    labels: a LabelFolder, or data as sources.open_samples reads them; size: pixels of a side; numbers: as
    open_samples takes them. Raises DataError, OSError.
    """
    if isinstance(labels, LabelFolder):
        check_labels([LABELS.index(label) for label in labels.read().labels.values()], ENOUGH)
        name = labels.folder.name
        samples = open_samples(labels.write_table(), size)
    else:
        name = Path(labels).name
        samples = open_samples(labels, size, numbers)
    samples = samples.without_broken()
    out, sentences = contradicting(samples)
    notes = []
    if sentences:
        notes.append(
            f"{int(out.sum())} labels contradict each other and were left out, first: {sentences[0]} Label one of them"
            " again, or take both labels back."
        )
        samples = samples.select(~out)
    check_labels(samples.labels, ENOUGH)
    divided = folds(samples.labels, samples.product_ids, count)
    products = len(set(samples.product_ids))
    if divided.by == "picture":
        which = "are all of one product" if products == 1 else f"are of {products} products, too few to divide"
        notes.append(
            f"The labels {which}, so pictures of a product both taught and judged: on new products it may do worse."
            " Label pictures of more products, some available and some not."
        )
    if missing := [name for name, number in samples.count_labels().items() if not number]:
        notes.append(
            f"No picture is labelled {', '.join(missing)}: what it knows of that stays as it is. Label some, five of"
            " each at least, where your pictures have such defects."
        )
    return Labelled(name, samples, divided, notes)
