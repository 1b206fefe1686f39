"""`python -m reliable_ads.devtools.seeds [--write]`: which seeds the templates show.

A template's note says that attempt 1 is rejected, and why, and that attempt 2 is accepted. Looked for is the first seed
from 0 on that gives such a run in a real ComfyUI, with no probability below --sure: a defect that one can see, and
verdicts that the last bits of another machine don't turn. Each template shows another defect. With --write the seed
goes into the template, and its reason into the note.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

from ..rfnet.arguments import Parser, decimal, whole
from ..rfnet.files import write_text
from ..rfnet.labels import PLAIN
from .client import ComfyClient
from .comfy import ROOT, ComfyServer
from .demo import SAMPLER
from .graph import load, titled, to_api, workflow

TEMPLATES = ("First product ad", "Remedies")
CLAIM = re.compile(r"attempt 1 is rejected \(\*(.+?)\*\)")
SEED = 0  # place of the sampler's seed among its widgets


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sure", type=decimal(0.2, 1), default=0.7, help="least probability of both verdicts")
    parser.add_argument("--most", type=whole(1, 10**6), default=200, help="seeds tried for a template")
    parser.add_argument("--write", action="store_true", help="write what was found into the templates")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
        ComfyServer(Path(base), Path(base) / "server.log") as server,
    ):
        client, shown = ComfyClient(server.address), set()
        for name in TEMPLATES:
            found = search(client, workflow(name), options.sure, options.most, shown)
            if found is None:
                print(f"{name}: none of {options.most} seeds shows it: try a lower --sure", file=sys.stderr)
                return 1
            shown.add(found[1])
            if options.write:
                write(workflow(name), *found)
    return 0


def search(client: ComfyClient, template: Path, sure: float, most: int, shown: set) -> tuple[int, str] | None:
    """(seed, label of attempt 1) of the first seed that gives a run as the note tells it, of a label not in `shown`."""
    graph = to_api(load(template), client.ask("/object_info"))
    sampler = titled(graph, SAMPLER)
    graph[sampler]["inputs"]["attempts"] = 2
    for seed in range(most):
        graph[sampler]["inputs"]["seed"] = seed
        attempts = json.loads(client.outputs(graph)[sampler]["report"][0])["attempts"]
        print(f"{template.stem}: seed {seed}:", *(f"{row['label']} {chance(row):.2f}" for row in attempts), flush=True)
        if tells(attempts, sure) and attempts[0]["label"] not in shown:
            return seed, attempts[0]["label"]
    return None


def chance(row: dict) -> float:
    return row["probabilities"][row["label"]]


def tells(attempts: list[dict], sure: float) -> bool:
    """Whether attempt 1 is rejected for a defect and attempt 2 accepted, both surely."""
    if [row["accepted"] for row in attempts] != [False, True]:
        return False
    return attempts[0]["label"] != "available" and all(chance(row) >= sure for row in attempts)


def write(template: Path, seed: int, label: str) -> None:
    shown = load(template)
    for node in shown["nodes"]:
        if node.get("title") == SAMPLER:
            node["widgets_values"][SEED] = seed
        if node["type"] == "MarkdownNote":
            words = node["widgets_values"]
            words[0] = CLAIM.sub(f"attempt 1 is rejected (*{PLAIN[label]}*)", words[0])
    write_text(template, json.dumps(shown, indent=1, ensure_ascii=ascii_only(template)) + "\n")
    print(f"{template.relative_to(ROOT)}: seed {seed}, {PLAIN[label]}")


def ascii_only(file: Path) -> bool:
    return file.read_text(encoding="utf-8").isascii()


if __name__ == "__main__":
    sys.exit(main())
