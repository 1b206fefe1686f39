"""Kinds of defects as data: a cause is one way of making a defect, and scenes choose among the causes of their label.

To add one, write an entry: to `rendered_causes.CAUSES` for scenes of Blender, to a file of `composed.causes` for
composites. Nothing else asks for a cause's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from ..rfnet.labels import LABELS

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Cause:
    """What every cause says. Fields of a kind of scene follow in its own class; what is left out changes nothing."""

    name: str  # as the rows of a shard tell it; "" for a scene without a defect
    label: str  # the defect that it makes
    often: int = 1  # how often, compared with the other causes of its label
    held: bool = False  # kept for the test split, to see what a reviewer makes of a cause that it never met
    splits: tuple[str, ...] = SPLITS  # where it occurs, held out or not

    @property
    def defect(self) -> bool:
        return self.label != LABELS[0]


C = TypeVar("C", bound=Cause)


class Causes(dict[str, C]):
    """name -> cause, in the order in which scenes choose: a new one goes last."""

    def __init__(self, causes: Iterable[C]):
        super().__init__()
        for cause in causes:
            self.add(cause)

    def add(self, cause: C) -> None:
        """Raises ValueError where the label is unknown or the name is taken."""
        if cause.label not in LABELS:
            raise ValueError(f'cause "{cause.name}" has the label "{cause.label}": use one of {", ".join(LABELS)}')
        if cause.name in self:
            raise ValueError(f'there is a cause "{cause.name}" already: give this one another name')
        self[cause.name] = cause

    def of(self, label: str) -> list[C]:
        """The causes of a label; none for "available"."""
        return [cause for cause in self.values() if cause.label == label and cause.defect]


def names_to_choose(causes: Iterable[Cause]) -> list[str]:
    """Names to draw one of with equal chances; a cause stands there as often as it is to come."""
    return [cause.name for cause in causes for _ in range(cause.often)]
