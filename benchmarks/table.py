"""Writes docs/figures.md and the tables between marks in README.md and docs/ from benchmarks/results/*.json.

    python -m benchmarks.table [--check]

`--check` only compares, and ends with exit status 1 where a page is not as it would be written. What a figure is
called, and where it is shown: benchmarks/figures/.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from . import figures
from .common import RESULTS, ROOT, reviewer_print
from .figures.entry import Entry

MARKED = re.compile(r"<!-- (\w+) -->\n(?:.*?\n)?<!-- /\1 -->", re.DOTALL)
EARLIER = "Measured with the previous reviewer; not yet repeated."
ABOUT = (
    "Every figure of the project with its 95 % interval, its sample, its target, and whether it holds: those that fall"
    ' short stand here like the others. It holds ("yes") where the whole interval meets the target; where only the'
    ' value does, the table says "not shown". Each table comes from the command above it, some rows from its `--only`.'
    " `python -m benchmarks.table` writes this page from `benchmarks/results/`."
)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def signed(value: float) -> str:
    return f"{100 * value:+.1f}"


def small(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.2f}"


# how a unit is written: the number, and what follows it
UNITS = {
    "share": (percent, " %"),
    "points": (signed, ""),
    "s": (lambda value: f"{value:.1f}", " s"),
    "count": (lambda value: f"{value:.0f}", ""),
    "bytes": (lambda value: f"{value:.0f}", ""),
}


def number(figure: dict, entry: Entry) -> str:
    """A value with its interval, as its unit is written."""
    write, unit = UNITS.get(entry.unit, (small, ""))
    text = write(figure["value"]) + unit
    return text if figure["low"] is None else f"{text} ({write(figure['low'])} to {write(figure['high'])})"


def earlier(figures: list[dict]) -> list[bool]:
    """Which figures were measured with a reviewer that has been replaced since."""
    shipped = reviewer_print()
    return [figure["reviewer"] not in (None, shipped) for figure in figures]


def rows(titled: list[tuple[str, dict, Entry]], days: bool = False) -> list[str]:
    """(title, figure, entry) → the lines of a Markdown table; days: with the day of each figure."""
    columns = ("what", "measured", "n", "target", "holds", *(("on",) if days else ()))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    old = earlier([figure for _, figure, _ in titled])
    for (title, figure, entry), marked in zip(titled, old, strict=True):
        mark = " ¹" if marked else ""
        cells = (
            title,
            number(figure, entry) + mark,
            str(figure["n"] or ""),
            entry.target,
            entry.verdict(figure["value"], figure["low"], figure["high"]),
            *((figure["date"],) if days else ()),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", f"¹ {EARLIER}"] if any(old) else lines


def grid(placed: list[tuple[tuple[str, str], dict, Entry]]) -> list[str]:
    """((row, column), figure, entry) → the lines of a Markdown table with these rows and columns."""
    cells = {place: number(figure, entry) for place, figure, entry in placed}
    columns = list(dict.fromkeys(column for _, column in cells))
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in dict.fromkeys(row for row, _ in cells):
        lines.append(f"| {row} | " + " | ".join(cells.get((row, column), "") for column in columns) + " |")
    return [*lines, "", EARLIER] if any(earlier([figure for _, figure, _ in placed])) else lines


def reports() -> dict[str, dict]:
    """{benchmark: its report}, in the order of the registry."""
    files = {name: RESULTS / f"{name}.json" for name in figures.REGISTRY}
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.exists()}


def measured(name: str, report: dict) -> list[tuple[dict, Entry]]:
    """(figure, entry) of one report, in the order of the registry. KeyError: a figure without an entry."""
    order = {key: place for place, key in enumerate(figures.REGISTRY[name])}
    entries = sorted((figures.find(name, key) for key in report["figures"]), key=lambda entry: order[entry.key])
    return [(report["figures"][entry.key], entry) for entry in entries]


def everything() -> str:
    """docs/figures.md."""
    lines = ["# Figures", "", ABOUT, ""]
    for name, report in reports().items():
        lines += [
            f"## {name}",
            "",
            f"`{report['command']}`, last run on {report['date']} on {report['machine']}; 95 % intervals in brackets.",
            *conditions(report.get("details", {})),
            "",
            *rows([(entry.title, figure, entry) for figure, entry in measured(name, report)], days=True),
            "",
        ]
    return "\n".join(lines)


def conditions(details: dict) -> list[str]:
    """For each table of trained networks, on what and for how long they were trained."""
    told = []
    for name, how in details.items():
        if isinstance(how, dict) and "trainings" in how and "scenes" in how:
            values = [
                f"{' '.join(map(str, value)) if isinstance(value, list) else value} {key}"
                for key, value in how.items()
                if key in ("minutes", "passes", "trainings", "scenes")
            ]
            told.append(f"{name.capitalize().replace('Table', 'Table ')}: {', '.join(values)}.")
    return sorted(told)


def table(mark: str) -> list[str]:
    """The lines between <!-- MARK --> and <!-- /MARK -->. KeyError: no figure is shown there."""
    shown = [
        (entry.shown[mark] or entry.title, figure, entry)
        for name, report in reports().items()
        for figure, entry in measured(name, report)
        if mark in entry.shown
    ]
    if not shown:
        raise KeyError(f"no figure is shown between the marks <!-- {mark} -->")
    return grid(shown) if isinstance(shown[0][0], tuple) else rows(shown)


def filled(text: str) -> str:
    """A page with its tables between their marks."""
    return MARKED.sub(
        lambda found: "\n".join((f"<!-- {found[1]} -->", *table(found[1]), f"<!-- /{found[1]} -->")), text
    )


def written(root: Path = ROOT) -> dict[Path, str]:
    """{file: its text} of every page that holds figures."""
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    texts = {page: filled(page.read_text(encoding="utf-8")) for page in pages}
    return {**texts, root / "docs" / "figures.md": everything()}


def main() -> int:
    new = written()
    if "--check" in sys.argv:
        stale = [file for file, text in new.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
        for file in stale:
            print(f"{file.relative_to(ROOT)} is not what `python -m benchmarks.table` writes")
        return int(bool(stale))
    for file, text in new.items():
        file.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
