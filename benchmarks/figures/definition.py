"""One figure: what it is called, in which unit, what it should be, and where it is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBER = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
BETWEEN = re.compile(rf"({NUMBER}) to ({NUMBER})")
BOUND = re.compile(rf"(<=|>=|<|>)? ?({NUMBER})(?: of (\w+))?")


@dataclass(frozen=True)
class Definition:
    """A figure under its key in `benchmarks/results/NAME.json`; docs/figures.md shows all of them.

    title: in words.
    unit: "share" is shown in per cent, "points" as a difference of shares; see table.UNITS.
    target: such as "<= 0.75", "> 0", "14", "0.40 to 0.70", or ">= 0.5 of KEY", a share of another figure of the same
        file; empty where there is nothing to meet.
    shown: {table: title there}, or {table: (row, column)}, for tables between marks such as <!-- figures --> in
        README.md and docs/; an empty title stands for the figure's own, {KEY} in it for the value of another figure.
    """

    key: str
    title: str
    unit: str = ""
    target: str = ""
    shown: Mapping[str, str | tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self):
        if self.target and not (BETWEEN.fullmatch(self.target) or BOUND.fullmatch(self.target)):
            raise ValueError(
                f'the target "{self.target}" of {self.key} can\'t be read: write "<= 0.5", "> 0", "0.4 to 0.7" or'
                ' ">= 0.5 of KEY"'
            )

    def limits(self, figures: Mapping[str, dict]) -> tuple[str, float, float]:
        """The target as (sign, number, number): "to" has two, the others the same twice. figures: those of its file."""
        if between := BETWEEN.fullmatch(self.target):
            return "to", float(between[1]), float(between[2])
        sign, number, key = BOUND.fullmatch(self.target).groups()
        limit = float(number) * (figures[key]["value"] if key else 1)
        return sign or "", limit, limit

    def verdict(self, figure: Mapping, figures: Mapping[str, dict]) -> str:
        """ "yes": the value and its whole interval meet the target; "not shown": the value alone does; "no"; empty
        without a target.
        """
        if not self.target:
            return ""
        sign, low, high = self.limits(figures)

        def met(value: float) -> bool:
            return {
                "<": value < high,
                "<=": value <= high,
                ">": value > low,
                ">=": value >= low,
                "to": low <= value <= high,
                "": value == low,
            }[sign]

        if not met(figure["value"]):
            return "no"
        return "yes" if all(met(figure[end]) for end in ("low", "high") if figure[end] is not None) else "not shown"
