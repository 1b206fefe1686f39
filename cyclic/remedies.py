"""Remedies: what to change after a rejected draw, by the defect it was rejected for, where the plain loop only draws
again. Knows no engine.

Each remedy is one number that starts where the graph has it, goes one step further every time its defect is seen, and
has a bound.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from ..rfnet.labels import LABELS
from ..rfnet.pictures import PictureError
from ..rfnet.product import Canvas, default_dilation

EVERY = "every defect"


@dataclass(frozen=True)
class Remedy:
    """One number that answers a defect, or every one: it begins at `neutral`, where it changes nothing, and goes by
    `step` to `bound` at most.
    """

    name: str
    label: str
    neutral: float
    step: float
    bound: float
    about: str

    def answers(self, label: str | None) -> bool:
        return label == self.label or (self.label == EVERY and label in LABELS[1:])

    def next(self, value: float) -> float:
        further = round(value + self.step, 4)
        return min(further, self.bound) if self.step > 0 else max(further, self.bound)


REMEDIES = (
    Remedy(
        "contrast", "indistinctiveness", 0.0, 1.0, 1.0, "how much of the contrast words is added to the prompt, 0 or 1"
    ),
    Remedy(
        "guidance",
        EVERY,
        1.0,
        0.5,
        1.5,
        "factor on cfg: the background follows the prompt, and keeps off the negative one, more closely",
    ),
    Remedy(
        "control",
        "shape_hallucination",
        1.0,
        0.15,
        1.45,
        "factor on the ControlNet's strength: the product's outline is kept more strictly",
    ),
    Remedy(
        "dilation",
        "shape_hallucination",
        0.0,
        -4.0,
        -12.0,
        "change of the dilation box in pixels at 512: the painted area reaches less far under the product's edge",
    ),
    Remedy(
        "surface",
        "space_mismatch",
        0.0,
        1.0,
        1.0,
        "how much of the supporting-surface words is added to the prompt, 0 or 1",
    ),
    Remedy(
        "position",
        "space_mismatch",
        0.0,
        0.03,
        0.09,
        "share of the canvas's height by which the product moves down, towards what it can stand on",
    ),
    Remedy("scale", "size_mismatch", 1.0, -0.1, 0.7, "factor on the product's size on the canvas"),
    Remedy("avoid", EVERY, 0.0, 1.0, 1.0, "how much of the words to avoid is added to the negative prompt, 0 or 1"),
    Remedy("tuned", EVERY, 0.0, 1.0, 1.0, "whether the tuned ControlNet takes the place of the graph's own, 0 or 1"),
)
NAMES = tuple(remedy.name for remedy in REMEDIES)


@dataclass
class Policy:
    """Which remedies may be used, and where each stands now. One per product: begin a run with a new one.

    allowed: names out of NAMES. Raises ValueError on others.
    """

    allowed: tuple = NAMES
    values: dict = field(default_factory=dict)

    def __post_init__(self):
        if unknown := sorted(set(self.allowed) - set(NAMES)):
            raise ValueError(f"there is no remedy {', '.join(unknown)}: choose out of {', '.join(NAMES)}.")

    def __getitem__(self, name: str) -> float:
        return self.values.get(name, next(remedy.neutral for remedy in REMEDIES if remedy.name == name))

    def answer(self, label: str | None) -> None:
        """One step of every allowed remedy for this defect; a label without remedies changes nothing."""
        for remedy in REMEDIES:
            if remedy.answers(label) and remedy.name in self.allowed:
                self.values[remedy.name] = remedy.next(self[remedy.name])

    def begin_at(self, changes: list) -> Policy:
        """Stands where an attempt stood that a report lists with these changes.

        Raises ValueError on what no report says.
        """
        if not isinstance(changes, list):
            raise ValueError('these are no remedies of a report: give a list of {"remedy", "before", "after"}.')
        try:
            found = {change["remedy"]: float(change["after"]) for change in changes}
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f'these are no remedies of a report ({error}): give a list of {{"remedy", "before", "after"}}.'
            ) from error
        for remedy in REMEDIES:
            low, high = sorted((remedy.neutral, remedy.bound))
            if not low <= found.get(remedy.name, low) <= high:
                raise ValueError(f"{remedy.name} is {found[remedy.name]}: it must be between {low} and {high}.")
        if unknown := sorted(set(found) - set(NAMES)):
            raise ValueError(f"there is no remedy {', '.join(unknown)}: choose out of {', '.join(NAMES)}.")
        self.values = found
        return self

    @property
    def other_painter(self) -> bool:
        """Whether draws now come from another network than the graph's own, of which a profile of early rejection says
        nothing.
        """
        return bool(self["tuned"])

    @property
    def changes(self) -> list:
        """[{"remedy", "before", "after"}] against what the graph says, as a report lists them."""
        return [
            {"remedy": remedy.name, "before": remedy.neutral, "after": self[remedy.name]}
            for remedy in REMEDIES
            if self[remedy.name] != remedy.neutral
        ]


def replaced(canvas: Canvas, values: dict) -> Canvas:
    """The canvas with its product moved, scaled and masked as these values of "dilation", "position" and "scale" say;
    itself where they say nothing, or where the product can't be placed so: a fine one may be too fine when it is
    smaller.
    """
    dilation, down, scale = (
        values.get(name, neutral) for name, neutral in (("dilation", 0), ("position", 0), ("scale", 1))
    )
    if (dilation, down, scale) == (0, 0, 1):
        return canvas
    given, side = canvas.placing, min(canvas.width, canvas.height)
    reach = default_dilation(canvas.width, canvas.height) if given["mask_dilation"] is None else given["mask_dilation"]
    try:
        return canvas.again(
            image_scale=given["image_scale"] * scale,
            down=given["down"] + down,
            mask_dilation=max(0, reach + round(dilation * side / 512)),
        )
    except PictureError as error:
        logging.warning("the product stays where it is: %s", error)
        return canvas
