"""Remedies: what to change after a rejected draw, by the defect it was rejected for.

Without them the loop only draws again. Knows no engine: an engine subclasses `Change` and says there what it can do.

Each remedy is one entry of `REMEDIES`: one number that starts where the graph has it, goes one step further every time
its defect is seen, and has a bound. `register` adds one from another package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from ..rfnet.labels import LABELS
from ..rfnet.pictures import PictureError
from ..rfnet.product import Canvas, default_dilation

EVERY = "every defect"


class Impossible(Exception):
    """What a Change raises for what this draw can't have; the text says why."""


class Change:
    """What remedies may change of a draw. Each method collects; this class changes nothing.

    An engine overrides the methods, and raises Impossible where a draw can't be changed so.
    """

    def add_words(self, name: str, to: str = "positive") -> None:
        """Adds the words of the remedy `name` to the "positive" or "negative" prompt."""

    def scale_guidance(self, factor: float) -> None:
        """Multiplies cfg."""

    def scale_control(self, factor: float) -> None:
        """Multiplies the ControlNets' strength."""

    def place(self, dilation: float = 0.0, down: float = 0.0, scale: float = 1.0) -> None:
        """Places the product anew.

        dilation: added to the mask's dilation box, pixels at 512; down: share of the canvas's height; scale: factor.
        """

    def use_tuned(self) -> None:
        """Puts the tuned ControlNet in the place of the graph's own."""


@dataclass(frozen=True)
class Remedy:
    """One number that answers a defect.

    label: the defect, or EVERY; neutral: the number that changes nothing; it goes by `step` to `bound` at most.
    change(draw, value): tells a Change what to do; tooltip: what it does, then when to use it; on: whether it is on
    unless the user says otherwise; words, words_tooltip: the words that it adds unless the user writes others;
    other_network: whether another network than the graph's own then draws; late: whether it came after the first
    release, so that its inputs are optional and last, and graphs saved before still run.
    """

    name: str
    label: str
    neutral: float
    step: float
    bound: float
    change: Callable[[Change, float], None]
    tooltip: str
    on: bool = True
    words: str = ""
    words_tooltip: str = ""
    other_network: bool = False
    late: bool = True

    def answers(self, label: str | None) -> bool:
        return label == self.label or (self.label == EVERY and label in LABELS[1:])

    def next(self, value: float) -> float:
        further = round(value + self.step, 4)
        return min(further, self.bound) if self.step > 0 else max(further, self.bound)


REMEDIES = [
    Remedy(
        "contrast",
        "indistinctiveness",
        neutral=0.0,
        step=1.0,
        bound=1.0,
        change=lambda draw, value: draw.add_words("contrast"),
        tooltip="If the product doesn't stand out, add the contrast words to the prompt.",
        words="plain contrasting background, product in focus",
        words_tooltip="Added to the prompt when the product is lost in its background.",
        late=False,
    ),
    Remedy(
        "guidance",
        EVERY,
        neutral=1.0,
        step=0.5,
        bound=1.5,
        change=lambda draw, value: draw.scale_guidance(value),
        tooltip=(
            "After any rejected picture, raise cfg to 1.5 times: the background follows the prompt more closely. Turn"
            " it off where colours burn out."
        ),
        late=False,
    ),
    Remedy(
        "control",
        "shape_hallucination",
        neutral=1.0,
        step=0.15,
        bound=1.45,
        change=lambda draw, value: draw.scale_control(value),
        tooltip=(
            "If the product grew extra parts, raise the ControlNet's strength by 15 % each time, to 1.45 times at"
            " most: it keeps the outline more strictly."
        ),
        late=False,
    ),
    Remedy(
        "dilation",
        "shape_hallucination",
        neutral=0.0,
        step=-4.0,
        bound=-12.0,
        change=lambda draw, value: draw.place(dilation=value),
        tooltip=(
            "If the product grew extra parts, paint less far under its edge: 4 pixels less each time, 12 at most (at"
            " 512 pixels)."
        ),
        late=False,
    ),
    Remedy(
        "surface",
        "space_mismatch",
        neutral=0.0,
        step=1.0,
        bound=1.0,
        change=lambda draw, value: draw.add_words("surface"),
        tooltip="If the product floats or stands on nothing, add the surface words to the prompt.",
        words="standing firmly on a solid surface, contact shadow",
        words_tooltip="Added to the prompt when the product floats or stands on nothing.",
        late=False,
    ),
    Remedy(
        "position",
        "space_mismatch",
        neutral=0.0,
        step=0.03,
        bound=0.09,
        change=lambda draw, value: draw.place(down=value),
        tooltip=(
            "If the product floats or stands on nothing, move it down by 3 % of the canvas each time, 9 % at most. Off"
            " at first: it did not help where it was measured, and it moves the product from where RF Product put it."
        ),
        on=False,
        late=False,
    ),
    Remedy(
        "scale",
        "size_mismatch",
        neutral=1.0,
        step=-0.1,
        bound=0.7,
        change=lambda draw, value: draw.place(scale=value),
        tooltip=(
            "If the product has the wrong size, make it 10 % smaller each time, down to 70 %. Off at first: it did not"
            " help where it was measured."
        ),
        on=False,
        late=False,
    ),
    Remedy(
        "avoid",
        EVERY,
        neutral=0.0,
        step=1.0,
        bound=1.0,
        change=lambda draw, value: draw.add_words("avoid", to="negative"),
        tooltip="After any rejected picture, add the words to avoid to the negative prompt.",
        words="floating, wrong size, cluttered background, extra parts",
        words_tooltip=(
            "Added to the negative prompt after any rejected picture. Use words that your model knows for what goes"
            " wrong."
        ),
    ),
    Remedy(
        "tuned",
        EVERY,
        neutral=0.0,
        step=1.0,
        bound=1.0,
        change=lambda draw, value: draw.use_tuned(),
        tooltip="After any rejected picture, use the tuned ControlNet instead of the graph's own.",
        other_network=True,
    ),
]
NAMES = tuple(remedy.name for remedy in REMEDIES)  # of those that ship


def register(remedy: Remedy) -> None:
    """Adds a remedy of another package, for all policies made from now on. Raises ValueError on a name twice."""
    if any(remedy.name == other.name for other in REMEDIES):
        raise ValueError(f"there is a remedy {remedy.name} already: give yours another name.")
    REMEDIES.append(remedy)


def names() -> tuple[str, ...]:
    """The names of all remedies, registered ones included."""
    return tuple(remedy.name for remedy in REMEDIES)


def apply(values: dict[str, float], draw: Change) -> None:
    """Tells `draw` what remedies at these values ask for. Raises what its methods raise."""
    for remedy in REMEDIES:
        value = values.get(remedy.name, remedy.neutral)
        if value != remedy.neutral:
            remedy.change(draw, value)


@dataclass
class Policy:
    """Which remedies may be used, and where each stands now. One per product: begin a run with a new one.

    allowed: names of remedies, all unless given. Raises ValueError on others.
    """

    allowed: tuple = field(default_factory=names)
    values: dict = field(default_factory=dict)

    def __post_init__(self):
        check_names(self.allowed)

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
            values = {change["remedy"]: float(change["after"]) for change in changes}
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f'these are no remedies of a report ({error}): give a list of {{"remedy", "before", "after"}}.'
            ) from error
        for remedy in REMEDIES:
            low, high = sorted((remedy.neutral, remedy.bound))
            if not low <= values.get(remedy.name, low) <= high:
                raise ValueError(f"{remedy.name} is {values[remedy.name]}: it must be between {low} and {high}.")
        check_names(values)
        self.values = values
        return self

    @property
    def other_network(self) -> bool:
        """Whether draws now come from another network than the graph's own."""
        return by_other_network(self.changes)

    @property
    def changes(self) -> list:
        """[{"remedy", "before", "after"}] against what the graph says, as a report lists them."""
        return [
            {"remedy": remedy.name, "before": remedy.neutral, "after": self[remedy.name]}
            for remedy in REMEDIES
            if self[remedy.name] != remedy.neutral
        ]


def check_names(asked) -> None:
    """Raises ValueError where one of these names is no remedy's."""
    if unknown := sorted(set(asked) - set(names())):
        raise ValueError(f"there is no remedy {', '.join(unknown)}: choose from {', '.join(names())}.")


def by_other_network(changes: list) -> bool:
    """Whether a draw with these changes of a report came from another network than the graph's own.

    A profile of early rejection, and a certificate, say nothing of such a draw: both were measured on the graph's own.
    """
    swapping = {remedy.name for remedy in REMEDIES if remedy.other_network}
    return any(change["remedy"] in swapping for change in changes)


class Placement(Change):
    """Collects where remedies place the product, and nothing else."""

    def __init__(self):
        self.dilation = 0.0
        self.down = 0.0
        self.scale = 1.0

    def place(self, dilation: float = 0.0, down: float = 0.0, scale: float = 1.0) -> None:
        self.dilation += dilation
        self.down += down
        self.scale *= scale

    def of(self, canvas: Canvas) -> Canvas:
        """The canvas with its product placed so; itself where nothing is to be changed, or where it can't be placed so:
        a fine product may be too fine when it is smaller.
        """
        if (self.dilation, self.down, self.scale) == (0, 0, 1):
            return canvas
        given = canvas.placing
        side = min(canvas.width, canvas.height)
        before = given["mask_dilation"]
        before = default_dilation(canvas.width, canvas.height) if before is None else before
        try:
            return canvas.again(
                image_scale=given["image_scale"] * self.scale,
                down=given["down"] + self.down,
                mask_dilation=max(0, before + round(self.dilation * side / 512)),
            )
        except PictureError as error:
            logging.warning("the product stays where it is: %s", error)
            return canvas


def replaced(canvas: Canvas, values: dict[str, float]) -> Canvas:
    """The canvas with its product placed as remedies at these values place it."""
    placement = Placement()
    apply(values, placement)
    return placement.of(canvas)
