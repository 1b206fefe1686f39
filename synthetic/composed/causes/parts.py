"""Shape hallucination: a product that the background has grown a part onto."""

from __future__ import annotations

from functools import partial

from .. import extra_parts
from .cause import ComposedCause

LABEL = "shape_hallucination"
TRAIN = ("train",)  # younger than the validation and test splits, which stay as they were
STANDS_ON = (0.14, 0.28)  # how high a product stands on what has grown under it


def grown(make, least: float = 1.0):
    return partial(extra_parts.grow, make, least=least)


CAUSES = [
    ComposedCause("legs", LABEL, above=STANDS_ON, room_below=True, part=grown(extra_parts.legs)),
    ComposedCause("pedestal", LABEL, above=STANDS_ON, room_below=True, part=grown(extra_parts.pedestal)),
    ComposedCause("handle", LABEL, part=grown(extra_parts.handle)),
    ComposedCause("spout", LABEL, part=grown(extra_parts.spout)),
    ComposedCause("lid", LABEL, room_above=True, part=grown(extra_parts.lid)),
    ComposedCause("second_body", LABEL, part=grown(extra_parts.second_body)),
    ComposedCause("strap", LABEL, room_above=True, part=grown(extra_parts.strap, least=0.5)),
    ComposedCause("ghost", LABEL, held=True, part=extra_parts.ghost),
    ComposedCause("stretch", LABEL, splits=TRAIN, part=extra_parts.stretch),
    ComposedCause("limb", LABEL, splits=TRAIN, part=extra_parts.limb),
]
