"""One figure: what it is called, in which unit, what it should be, and where it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NUMBER = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
WHOLE = ", interval too"
BETWEEN = re.compile(rf"({NUMBER}) to ({NUMBER})")
BOUND = re.compile(rf"(<=|>=|<|>)? ?({NUMBER})")


@dataclass(frozen=True)
class Entry:
    """A figure under its key in `benchmarks/results/NAME.json`; docs/figures.md shows all of them.

    title: in words; "... and so on" continues the title above it.
    unit: "share" is shown in per cent, "points" as a difference of shares, "s" in seconds; others as plain numbers.
    target: such as "<= 0.75", "> 0, interval too", "14" or "0.40 to 0.70"; none where there is nothing to meet.
    shown: {table: title there, or (row, column)} for the tables between marks such as <!-- figures --> in README.md
    and in docs/; an empty title stands for the figure's own.
    """

    key: str
    title: str
    unit: str = ""
    target: str = ""
    shown: dict[str, str | tuple[str, str]] = field(default_factory=dict)

    def met(self, value: float) -> bool | None:
        """Whether this value meets the target; None without a target. ValueError: a target that can't be read."""
        if not self.target:
            return None
        target = self.target.removesuffix(WHOLE)
        if between := BETWEEN.fullmatch(target):
            return float(between[1]) <= value <= float(between[2])
        if not (bound := BOUND.fullmatch(target)):
            raise ValueError(f'the target "{self.target}" of {self.key} is none: write "<= 0.5", "> 0" or "0.4 to 0.7"')
        limit = float(bound[2])
        return {
            "<": value < limit,
            "<=": value <= limit,
            ">": value > limit,
            ">=": value >= limit,
            None: value == limit,
        }[bound[1]]

    def holds(self, value: float, low: float | None = None, high: float | None = None) -> bool | None:
        """Whether the value and the whole interval meet the target; None without a target."""
        met = [self.met(number) for number in (value, low, high) if number is not None]
        return None if met[0] is None else all(met)

    def verdict(self, value: float, low: float | None = None, high: float | None = None) -> str:
        """The same in words: where only the value meets the target, that is "not shown", or a miss where the target
        asks for the interval.
        """
        if not self.target:
            return ""
        if self.holds(value, low, high):
            return "yes"
        return "not shown" if self.met(value) and not self.target.endswith(WHOLE) else "**no**"
