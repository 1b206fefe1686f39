"""What a bad input is, who makes them, and in which order: the same seed makes the same inputs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

SHARES = {  # of 1,000
    "pictures": 200,
    "reviewers": 150,
    "adapters": 60,
    "loras": 50,
    "pocket files": 50,
    "profiles": 60,
    "galleries": 40,
    "label folders": 40,
    "label files": 30,
    "configs of rfnet": 70,
    "configs of rfft": 70,
    "tables": 60,
    "commands": 60,
    "nodes": 60,
}

MODULES = (  # where the makers are; in this order they take turns
    "commands",
    "configs",
    "models",
    "nodes",
    "learning_nodes",
    "pictures",
    "picture_files",
    "routes",
    "states",
    "tables",
    "weights",
)


@dataclass(frozen=True)
class Bad:
    """One bad input. target: the name of what reads it (targets.TARGETS); arguments: of that target, JSON-able; names:
    one of them has to stand in the sentence, in any case; like: the arguments of a good input, if an accepted one has
    to come out like it."""

    target: str
    arguments: dict
    names: tuple
    like: dict | None = None


@dataclass(frozen=True)
class Bench:
    """What a maker works with. folder: its own, empty; goods: good files, made once (goods.py); random: seeded by kind
    and number; picked: what was chosen so far, for people."""

    random: random.Random
    folder: Path
    goods: Path
    picked: list = field(default_factory=list)

    def pick(self, options):
        """One of them by chance."""
        found = self.random.choice(options)
        self.picked.extend([] if callable(found) else [repr(found)[:60]])
        return found

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return path


@dataclass(frozen=True)
class Planned:
    """The number-th input of a kind; `make(bench)` writes its files and says what reads them."""

    kind: str
    number: int
    way: str
    make: Callable[[Bench], Bad]
    seed: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}: {self.way}"

    def bench(self, folder: Path, goods: Path) -> Bench:
        folder.mkdir(parents=True, exist_ok=True)
        return Bench(random.Random(self.seed), folder, goods)


MAKERS: dict[str, list] = {}


def maker(kind: str):
    """`@maker("pictures") def cut_short(bench) -> Bad`: its name, with blanks, is the way in which the input is bad."""

    def keep(function):
        MAKERS.setdefault(kind, []).append(function)
        return function

    return keep


def plan(seed: int = 0, only: str = "", every: int = 1) -> list[Planned]:
    """The 1,000 inputs, or those of the kinds whose name holds `only`; of them every so many. A kind's makers take
    turns."""
    for name in MODULES:
        import_module(f"{__package__}.{name}")

    found = []
    for kind, share in SHARES.items():
        if only in kind:
            makers = MAKERS[kind]
            for number in range(share):
                function = makers[number % len(makers)]
                found.append(
                    Planned(
                        kind,
                        number,
                        function.__name__.replace("_", " "),
                        function,
                        f"{seed} {kind} {number}",
                    )
                )
    return found[::every]
