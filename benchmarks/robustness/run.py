"""Feeds bad inputs to what reads them, and sorts what comes back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from . import goods
from .accepted import reason
from .inputs import Bad, Planned
from .sentences import unclear
from .server import Server
from .watch import Worker

CLEAR = "clear"
SAME = "as the good one"
HARMLESS = "harmless"
UNCLEAR = "unclear"
TRACEBACK = "traceback"
HANG = "hang"
MEMORY = "over memory"
MATTERS = "matters"
BAD = (UNCLEAR, TRACEBACK, HANG, MEMORY, MATTERS)


@dataclass(frozen=True)
class Outcome:
    """What one input made of us. verdict: one of the words above; message: what was said; why: what is wrong with that,
    or why it is not; picked: what exactly was bad."""

    planned: Planned
    verdict: str
    message: str
    why: str = ""
    seconds: float = 0.0
    picked: str = ""

    def __str__(self) -> str:
        picked = f" ({self.picked})" if self.picked else ""
        why = f"\n    ({self.why})" if self.why else ""
        return f"{self.verdict:16s} {self.planned.name}{picked}  [{self.seconds:.1f} s]\n    {self.message[:600]}{why}"


def outcomes(planned, keep: Path | None = None) -> Iterator[Outcome]:
    """One after the other, in their order. keep: a folder that takes the files of those with a bad verdict."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rf-bad-")))
        made = scratch / "goods"
        made.mkdir()
        goods.make(made)
        worker = stack.enter_context(Worker(warm=("warm_up", {"goods": str(made)})))
        server = None
        for one in planned:
            folder = scratch / "input"
            bench = one.bench(folder, made)
            bad = one.make(bench)
            if bad.target in ("graph", "request"):
                server = server or stack.enter_context(Server(scratch / "comfyui", made))
                outcome = sort_out(one, bad, server.ask)
            else:
                outcome = sort_out(one, bad, worker.ask)
            outcome = replace(outcome, picked=", ".join(bench.picked))
            if keep and outcome.verdict in BAD:
                _keep(folder, keep / one.name.replace(" ", "_").replace(":", ""), outcome)
            shutil.rmtree(folder, ignore_errors=True)
            yield outcome


def sort_out(one: Planned, bad: Bad, ask) -> Outcome:
    answer = ask(bad.target, bad.arguments)
    kind = answer["outcome"]
    message = answer.get("message", "")

    def made(verdict, why=""):
        return Outcome(one, verdict, message, why, answer["seconds"])

    if kind in ("hang", "memory"):
        return made(HANG if kind == "hang" else MEMORY)
    if kind in ("traceback", "crash"):
        return made(TRACEBACK, f"{answer.get('type', '')} {answer.get('trace', '')}".strip()[-1500:])
    if kind == "refused":
        why = unclear(message, bad.names, remedy=not answer.get("said"))
        return made(UNCLEAR if why else CLEAR, why or "")
    message = answer["result"]
    if bad.like is not None and ask(bad.target, bad.like).get("result") == answer["result"]:
        return made(SAME)
    why = reason(one.kind, one.way)
    return made(HARMLESS if why else MATTERS, why or "accepted, and what comes out differs from the good one")


def _keep(folder: Path, target: Path, outcome: Outcome) -> None:
    """Regular files only: a pipe or an endless link can't be copied."""
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**26:
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    (target / "OUTCOME.txt").write_text(f"{outcome}\n", encoding="utf-8", errors="replace")
