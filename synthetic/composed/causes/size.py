"""Size mismatch: a product that is shown much larger or smaller than it is, beside things of known size."""

from __future__ import annotations

from .cause import ComposedCause

LABEL = "size_mismatch"
TRAIN = ("train",)  # younger than the validation and test splits, which stay as they were


def beside(product) -> str:
    """What any product can show: small ones as too big, big ones as too small."""
    return "big_beside" if product.metres < 0.6 else "small_beside"


CAUSES = [
    ComposedCause("big_beside", LABEL, sizes=(0.25, 1.6), instead=beside),
    ComposedCause("small_beside", LABEL, sizes=(0.05, 0.6), smaller=True, instead=beside),
    ComposedCause("big_in_room", LABEL, stage="room", sizes=(0.9, 2.6), instead=beside),
    ComposedCause("big_outdoors", LABEL, held=True, stage="outdoors", sizes=(1.2, 8.0), instead=beside),
    ComposedCause("small_in_room", LABEL, splits=TRAIN, stage="room", sizes=(0.15, 0.8), smaller=True, instead=beside),
    ComposedCause(
        "small_outdoors", LABEL, splits=TRAIN, stage="outdoors", sizes=(0.1, 0.8), smaller=True, instead=beside
    ),
]
