"""`python dev.py lint [--quick]`: ruff format, ruff check, and mypy on rfnet, rfft and cyclic.

Prints each finding, then one line for each tool. Exit code: 0 nothing was found, 1 something was, or a tool failed.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .arguments import parse
from .comfy import ROOT

CACHE = Path(sys.prefix) / "lint"


class Tool(NamedTuple):
    """One of the tools. `finding` tells a line of its output that is a finding from one that is not."""

    name: str
    arguments: Sequence[str]
    finding: Callable[[str], object]
    remedy: str
    folder: Path = ROOT


def ruff(command: str, *options: str, remedy: str) -> Tool:
    arguments = ("ruff", command, *options, "--output-format=concise", "--cache-dir", str(CACHE / "ruff"), ".")
    return Tool(f"ruff {command}", arguments, re.compile(r"\.pyi?:").search, remedy)


QUICK = (ruff("format", "--check", remedy="ruff format ."), ruff("check", remedy="ruff check --fix ."))


def mypy() -> Tool:
    """mypy reads the rooms as `reliable_ads.*`, and the clone's folder may have any name: it gets a copy of the code
    below the environment. (A link would do, but what walks through the environment goes in circles in one on Windows.)
    """
    package = CACHE / "reliable_ads"
    shutil.rmtree(package, ignore_errors=True)
    for room in (ROOT, *(file.parent for file in ROOT.glob("*/__init__.py"))):
        for file in room.glob("*.py") if room is ROOT else room.rglob("*.py"):
            target = package / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)  # with its time, by which mypy knows what has changed
    command = ("mypy", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(CACHE / "mypy"))
    options = ("--explicit-package-bases", "--no-error-summary", "--no-color-output")
    return Tool("mypy", (*command, *options), lambda line: ": error:" in line, "see the lines above", CACHE)


def run(tool: Tool) -> bool:
    """Whether the tool found nothing; prints what it found."""
    started = time.monotonic()
    command = [sys.executable, "-m", *tool.arguments]
    done = subprocess.run(command, cwd=tool.folder, capture_output=True, text=True, encoding="utf-8", errors="replace")
    lines = [line.removeprefix("reliable_ads/").removeprefix("reliable_ads\\") for line in done.stdout.splitlines()]
    found = [line for line in lines if tool.finding(line)]
    if done.returncode:
        print("\n".join(lines + done.stderr.splitlines()))
    result = "clean"
    if done.returncode:
        result = f"{len(found)} found ({tool.remedy})" if found else f"failed with exit code {done.returncode}"
    print(f"{tool.name}: {result}, {time.monotonic() - started:.1f} s", flush=True)
    return done.returncode == 0


def main(arguments: list[str]) -> int:
    quick = parse(["lint", *arguments])[0].quick
    clean = [run(tool) for tool in (QUICK if quick else (*QUICK, mypy()))]
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
