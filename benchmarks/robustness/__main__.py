"""A thousand bad inputs with a fixed seed: how many end in one clear sentence.

    python -m benchmarks.robustness [--quick] [--only KIND] [--seed N] [--list] [--keep DIR]

A tenth of them with --quick. Each is read by a worker process, or by a real ComfyUI server, which has 20 seconds and a
gigabyte more than it had. `--list` prints what came of each, `--keep` writes the files of those that fail. What counts
as clear: sentences.py; what may be accepted: accepted.py.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from ..common import Figure, publish
from . import cases
from .inputs import SHARES, plan
from .run import BAD, CLEAR, HANG, HARMLESS, MATTERS, MEMORY, SAME, TRACEBACK, UNCLEAR, Outcome, outcomes

COMMAND = "python -m benchmarks.robustness"
QUICK = 10  # every tenth of the inputs


def main() -> int:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the inputs; nothing written")
    parser.add_argument(
        "--only",
        metavar="KIND",
        default="",
        help=f"a kind, or a part of its name: {', '.join(SHARES)}; nothing written",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print what came of each input")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where to keep the inputs that fail")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")
    found = []
    for outcome in outcomes(plan(options.seed, options.only, QUICK if options.quick else 1), options.keep):
        found.append(outcome)
        if options.list or outcome.verdict in BAD:
            print(outcome, flush=True)
    print(table(found))
    wrong = {} if options.only else cases.outcomes()
    for number, words in wrong.items():
        print(f"case {number}: {words or 'right'}")
    whole = not (options.quick or options.only or options.seed)
    publish(
        "robustness",
        COMMAND,
        [options.seed],
        figures(found, wrong),
        not whole,
        {"cases": wrong, "kinds": by_kind(found), "accepted": accepted(found)},
        reviews=False,
    )
    return int(any(outcome.verdict in BAD for outcome in found) or any(wrong.values()))


def figures(found: list[Outcome], wrong: dict) -> dict[str, Figure]:
    """wrong: {case: what is wrong with it, empty where it is right}; none where they were not tried."""
    counts = Counter(outcome.verdict for outcome in found)
    n = len(found)
    verdicts = {"unclear": UNCLEAR, "tracebacks": TRACEBACK, "hangs": HANG, "over_memory": MEMORY}
    made = {"bad_inputs": Figure(n)}
    for key, verdict in {**verdicts, "accepted_that_matter": MATTERS}.items():
        made[key] = Figure(counts[verdict], n=n)
    if wrong:
        made["cases_right"] = Figure(list(wrong.values()).count(""), n=len(wrong))
    return made


def by_kind(found: list[Outcome]) -> dict:
    """{kind: {verdict: how many}}."""
    return {
        kind: dict(Counter(outcome.verdict for outcome in found if outcome.planned.kind == kind))
        for kind in SHARES
        if any(outcome.planned.kind == kind for outcome in found)
    }


def accepted(found: list[Outcome]) -> dict:
    """{kind and way: [how many, why that harms nobody]} of what was accepted with another result than the good
    input's."""
    ways = Counter(
        (f"{outcome.planned.kind}: {outcome.planned.way}", outcome.why)
        for outcome in found
        if outcome.verdict == HARMLESS
    )
    return {way: [count, why] for (way, why), count in sorted(ways.items())}


def table(found: list[Outcome]) -> str:
    columns = (CLEAR, SAME, HARMLESS, *BAD)
    lines = ["", f"{'':18s}" + "".join(f"{column:>16s}" for column in columns)]
    for kind, counts in by_kind(found).items():
        lines.append(f"{kind:18s}" + "".join(f"{counts.get(column, 0) or '':>16}" for column in columns))
    lines += [f"accepted, harmless: {count} of {way}: {why}" for way, (count, why) in accepted(found).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
