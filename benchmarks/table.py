"""Puts all figures of benchmarks/results/*.json into docs/figures.md, and some into tables of README.md and docs/:
`python -m benchmarks.table` (`--check` only compares). Tables stand between marks such as <!-- figures --> and
<!-- /figures -->; what a figure is called, its target and its tables are its definition's (benchmarks/figures/).
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, replace

from reliable_ads.rfnet.files import write_text

from .common import RESULTS, ROOT, reviewer_print
from .figures import BEFORE, REGISTRY, Definition, find

OF_BEFORE = " (family of 128-pixel pictures)"  # the end of their titles
IN_SHORT = " (128 px)"
MADE_BEFORE = "Measured with the family of 128-pixel pictures."
EARLIER = "¹ Measured with the previous reviewer; not yet repeated."
HEADLINES = "figures"  # the README's table, which says no dates
MARKS = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)
SIGNS = {"<": "< ", "<=": "≤ ", ">": "> ", ">=": "≥ ", "": ""}
INTRODUCTION = """Every figure of the project, with its 95 % interval, its sample (n) and its target.
`python -m benchmarks.table` writes this page from `benchmarks/results/`.

| holds | means |
|---|---|
| yes | the whole interval meets the target |
| not shown | the value meets the target, and the interval reaches beyond it |
| **no** | the value misses the target |

Each table comes from the command above it, some rows from its `--only`: docs/reviewer.md, rfft.md and sampler.md say
which. Where a row speaks of labels, language models gave them, blind. [reviewer.md](reviewer.md) says what "available"
and "accepted" mean."""


@dataclass(frozen=True)
class Unit:
    """How a number is written: times `scale`, with so many digits and this ending."""

    scale: float = 1
    digits: int = 2
    ending: str = ""
    sign: str = ""  # "+": always with its sign

    def number(self, value: float) -> str:
        if 0 < abs(value) < 1e-3 and self.digits == 2:
            return f"{value:.1e}"
        return f"{self.scale * value:{self.sign}.{self.digits}f}"

    def limit(self, value: float) -> str:
        """A target's number, with no more digits than it needs."""
        return f"{self.scale * value:.6g}"


UNITS = {
    "share": Unit(100, 1, " %"),
    "points": Unit(100, 1, " points", "+"),
    "of before": Unit(100, 0, " %"),
    "s": Unit(1, 1, " s"),
    "ms": Unit(1, 1, " ms"),
    "MiB": Unit(1, 0, " MiB"),
    "GiB": Unit(1, 1, " GiB"),
    "bytes": Unit(1, 0, " bytes"),
    "count": Unit(1, 0),
}


@dataclass(frozen=True)
class Row:
    """A measured figure beside its definition. siblings: all figures of the same file."""

    definition: Definition
    figure: dict
    siblings: dict[str, dict]
    benchmark: str

    @property
    def unit(self) -> Unit:
        return UNITS.get(self.definition.unit, Unit())

    @property
    def earlier(self) -> bool:
        """Whether it was measured with a reviewer that has been replaced since."""
        return self.figure["reviewer"] not in (None, reviewer_print())

    @property
    def before(self) -> bool:
        """Whether the family of 128-pixel pictures painted what was measured."""
        return self.figure.get("painter") == BEFORE

    def value(self) -> str:
        return self.unit.number(self.figure["value"]) + self.unit.ending

    def measured(self) -> str:
        """The value with its interval."""
        low = self.figure["low"]
        high = self.figure["high"]
        interval = "" if low is None else f" ({self.unit.number(low)} to {self.unit.number(high)})"
        return self.value() + interval

    def title(self, table: str = "") -> str:
        text = self.definition.shown.get(table) or self.definition.title
        for key in re.findall(r"{(\w+)}", text):
            text = text.replace(f"{{{key}}}", Row(find(self.benchmark, key), self.siblings[key], {}, "").value())
        if not self.before or text.endswith(OF_BEFORE):
            return text
        return text + (IN_SHORT if table == HEADLINES else OF_BEFORE)

    def target(self) -> str:
        if not self.definition.target:
            return self.figure["target"]
        sign, low, high = self.definition.limits(self.siblings)
        if sign == "to":
            return f"{self.unit.limit(low)} to {self.unit.limit(high)}{self.unit.ending}"
        return f"{SIGNS[sign]}{self.unit.limit(low)}{self.unit.ending}"

    def verdict(self) -> str:
        """In bold where the target is missed."""
        said = self.definition.verdict(self.figure, self.siblings)
        return "**no**" if said == "no" else said


def reports() -> dict[str, dict]:
    """{benchmark: report}, in the registry's order; those that it doesn't know at the end."""
    known = [*REGISTRY]
    files = sorted(
        RESULTS.glob("*.json"), key=lambda file: (known.index(file.stem) if file.stem in known else len(known), file)
    )
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def rows_of(benchmark: str, report: dict) -> list[Row]:
    """A report's figures in the order of their definitions; those without one at the end."""
    figures = report["figures"]
    keys = [key for key in REGISTRY.get(benchmark, {}) if key in figures]
    keys += [key for key in figures if key not in keys]
    return [Row(definition_of(benchmark, key, figures[key]), figures[key], figures, benchmark) for key in keys]


def definition_of(benchmark: str, key: str, figure: dict) -> Definition:
    """A figure's definition; of the family before, what it was measured as: its own title, unit and target."""
    known = find(benchmark, key)
    if figure.get("painter") != BEFORE:
        return known
    return replace(known, title=figure["title"], unit=figure["unit"], target=figure["target"])


def listed(rows: list[Row], table: str = "") -> list[str]:
    """The lines of a table with a row for each figure. README's says once what holds for all of its rows."""
    dated = table != HEADLINES
    of_all = table == HEADLINES and all(row.before for row in rows)
    what = "what (128-pixel family)" if of_all else "what"
    lines = [
        f"| {what} | measured (95 % interval) | n | target | holds |" + (" on |" if dated else ""),
        "|---|---|---|---|---|" + ("---|" if dated else ""),
    ]
    for row in rows:
        cells = [
            row.title(table).removesuffix(IN_SHORT if of_all else ""),
            row.measured() + (" ¹" if row.earlier else ""),
            str(row.figure["n"] or ""),
            row.target(),
            row.verdict(),
            *([row.figure["date"]] if dated else []),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines + (["", EARLIER] if any(row.earlier for row in rows) else [])


def crossed(rows: list[Row], table: str) -> list[str]:
    """The lines of a table whose figures say in which row and column they stand."""
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        line, column = row.definition.shown[table]
        cells.setdefault(line, {})[column] = row.measured()
    columns = list(dict.fromkeys(column for line in cells.values() for column in line))
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, line in cells.items():
        lines.append(f"| {name} | {' | '.join(line.get(column, '') for column in columns)} |")
    notes = [MADE_BEFORE] if any(row.before for row in rows) else []
    notes += [EARLIER.removeprefix("¹ ")] if any(row.earlier for row in rows) else []
    return lines + (["", " ".join(notes)] if notes else [])


def shown_in(table: str) -> str | None:
    """A table between marks; None where no figure is shown in one of this name."""
    rows = [
        row
        for benchmark, report in reports().items()
        for row in rows_of(benchmark, report)
        if table in row.definition.shown
    ]
    if not rows:
        return None
    return "\n".join(listed(rows, table) if isinstance(rows[0].definition.shown[table], str) else crossed(rows, table))


def filled(text: str) -> str:
    """A page with its tables between their marks."""

    def between(match: re.Match) -> str:
        name = match[1]
        table = shown_in(name)
        return match[0] if table is None else f"<!-- {name} -->\n{table}\n<!-- /{name} -->"

    return MARKS.sub(between, text)


def everything() -> str:
    """docs/figures.md."""
    lines = ["# Figures", "", INTRODUCTION, ""]
    for benchmark, report in reports().items():
        lines += [
            f"`{report['command']}`, last run on {report['date']} on {report['machine']}.",
            *conditions(report.get("details", {})),
            "",
            *listed(rows_of(benchmark, report)),
            "",
        ]
    return "\n".join(lines)


def conditions(details: dict) -> list[str]:
    """What the trainings of a report had: each detail that says minutes or passes, in words."""
    lines = []
    for key, had in details.items():
        if isinstance(had, dict) and "trainings" in had:
            told = [
                f"{' '.join(map(str, value)) if isinstance(value, list) else value} {name}"
                for name, value in had.items()
                if name in ("minutes", "passes", "trainings", "scenes")
            ]
            lines.append(f"{key.replace('table', 'Table ')}: {', '.join(told)}.")
    return sorted(lines)


def retitled(benchmark: str, report: dict) -> str:
    """A report's file with today's titles, and with what today's rules say of its targets."""
    for key, figure in report["figures"].items():
        definition = definition_of(benchmark, key, figure)
        said = definition.verdict(figure, report["figures"])
        figure |= {"title": definition.title, "holds": said == "yes" if said else None}
    return json.dumps(report, indent=1) + "\n"


def main() -> int:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    new = {page: filled(page.read_text(encoding="utf-8")) for page in pages}
    new[ROOT / "docs" / "figures.md"] = everything()
    new |= {RESULTS / f"{benchmark}.json": retitled(benchmark, report) for benchmark, report in reports().items()}
    changed = {
        page: text for page, text in new.items() if not page.exists() or page.read_text(encoding="utf-8") != text
    }
    if "--check" in sys.argv:
        return int(bool(changed))
    for page, text in changed.items():
        write_text(page, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
