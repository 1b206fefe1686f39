"""Which labelled pictures learn and which judge: folds that keep a product's pictures together, and labels that
contradict each other.
"""

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from ..data.errors import DataError
from ..data.samples import Samples
from ..labels import LABELS

LEAST = 20  # labels in all
LEAST_OF_KIND = 4  # of available ones, and of others
FOLDS = 4


@dataclass
class Folds:
    """of (N,): the fold of each picture. by: "product" where no product is in two folds, else "picture"."""

    of: np.ndarray
    by: str

    def __iter__(self):
        """(rows that learn, rows that judge) for each fold."""
        for fold in range(int(self.of.max()) + 1):
            yield np.flatnonzero(self.of != fold), np.flatnonzero(self.of == fold)

    def __len__(self) -> int:
        return int(self.of.max()) + 1


def check_labels(labels, enough: int) -> None:
    """Raises DataError where these label ids are too few to learn from and to judge by."""
    available = int((np.asarray(labels) == 0).sum())
    if len(labels) < LEAST:
        raise DataError(
            f"{len(labels)} pictures are labelled: at least {LEAST} are needed, {enough} are recommended. Label more"
            " with RF Label."
        )
    for count, what in ((available, "as available"), (len(labels) - available, "with a defect")):
        if count < LEAST_OF_KIND:
            raise DataError(
                f"{count} pictures are labelled {what}: at least {LEAST_OF_KIND} are needed to learn and to score the"
                " difference. Label more with RF Label."
            )


def folds(labels, products, count: int = FOLDS) -> Folds:
    """Folds of about equal size, each with about the same share of available pictures; by product where two products
    or more have available pictures and two or more have others, with as many folds as that allows.

    labels (N,) label ids; products: N product ids. The same labels give the same folds.
    """
    labels = np.asarray(labels)
    products = np.asarray(products)
    available = labels == 0
    possible = min(len(set(products[available])), len(set(products[~available])))
    by = "product" if possible >= 2 else "picture"
    units = products if by == "product" else np.array([f"{number}" for number in range(len(labels))])
    count = min(count, possible) if by == "product" else min(count, int(available.sum()), int((~available).sum()))
    members = defaultdict(list)
    for row, unit in enumerate(units):
        members[unit].append(row)
    held = np.zeros((count, 2))
    wanted = np.array([(~available).sum(), available.sum()]) / count
    of = np.zeros(len(labels), int)
    for unit in sorted(members, key=lambda unit: (-len(members[unit]), _hash(unit))):
        brought = np.bincount(available[members[unit]], minlength=2)
        overfull = [
            np.square((row + brought - wanted) / wanted).sum() - np.square((row - wanted) / wanted).sum()
            for row in held
        ]
        fold = int(np.argmin(overfull))
        held[fold] += brought
        of[members[unit]] = fold
    return Folds(of, by)


def contradicting(samples: Samples) -> tuple[np.ndarray, list[str]]:
    """(mask (N,) of the samples to leave out, a sentence for each picture): pictures that are there twice, alike in
    every pixel and in their product, with different labels. None of them can be believed.
    """
    groups = defaultdict(list)
    for row in range(len(samples)):
        sample = samples.read(row)
        groups[hashlib.sha256(sample["image"].tobytes() + sample["product"].tobytes()).digest()].append(row)
    out = np.zeros(len(samples), bool)
    sentences = []
    for rows in groups.values():
        given = Counter(LABELS[samples.labels[row]] for row in rows)
        if len(given) > 1:
            out[rows] = True
            names = [samples.files["image"].name(row) for row in rows]
            sentences.append(
                f'"{names[0]}" and "{names[1]}" show the same picture but are labelled {" and ".join(given)}.'
            )
    return out, sentences


def _hash(text: str) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()
