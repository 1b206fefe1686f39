"""What the pack costs before anything is drawn: time at the server's start, time to import the reviewer's library, and
JavaScript in the page.

    python -m benchmarks.startup [--quick] [--pairs 9]

Each time is of a process of its own that has ComfyUI's own nodes loaded already: how long it then takes to load this
pack, less the time for a pack with one empty node, the two in turns. The first pair, which compiles modules and reads
files into memory, is left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from reliable_ads.devtools.comfy import PACK, link

from .common import ROOT, Figure, mean, publish

COMMAND = "python -m benchmarks.startup"
EMPTY = """from comfy_api.latest import ComfyExtension, io


class Nothing(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Nothing", inputs=[], outputs=[])

    @classmethod
    def execute(cls):
        return io.NodeOutput()


class Pack(ComfyExtension):
    async def get_node_list(self):
        return [Nothing]


async def comfy_entrypoint():
    return Pack()
"""


def load_seconds(pack: Path, bytecode: Path) -> float:
    """bytecode: where compiled modules are kept, as users have them from their first start on."""
    variables = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(bytecode),
    }
    finished = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "load_pack.py"), str(pack)],
        capture_output=True,
        text=True,
        env=variables,
    )
    if finished.returncode:
        raise RuntimeError(f"ComfyUI did not load {pack}:\n{finished.stderr[-2000:]}")
    return float(finished.stdout)


def start_ms(pairs: int) -> tuple[np.ndarray, dict]:
    """What this pack adds to the start, per pair."""
    seconds = {"ours": [], "empty": []}
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as folder:
        packs = {"ours": Path(folder) / PACK, "empty": Path(folder) / "empty"}
        link(ROOT, packs["ours"])
        packs["empty"].mkdir()
        (packs["empty"] / "__init__.py").write_text(EMPTY, encoding="utf-8")
        for pair in range(pairs + 1):
            for name in ("ours", "empty") if pair % 2 else ("empty", "ours"):
                seconds[name].append(load_seconds(packs[name], Path(folder) / "bytecode"))
            print(f"\rpair {pair}/{pairs}", end="", file=sys.stderr, flush=True)
    seconds = {name: values[1:] for name, values in seconds.items()}
    return 1000 * (np.array(seconds["ours"]) - seconds["empty"]), seconds


IMPORT = """
import time, torch
began = time.perf_counter()
import reliable_ads.rfnet as rfnet
for name in rfnet.__all__:
    getattr(rfnet, name)
print(time.perf_counter() - began)
"""


def import_seconds(rounds: int) -> np.ndarray:
    """Seconds to import rfnet with every name that it offers, torch loaded already; each in a process of its own."""
    command = [sys.executable, "-c", IMPORT]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(rounds + 1)]
    return np.array([float(run.stdout) for run in runs[1:]])  # the first one compiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair; nothing written")
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args()
    added, seconds = start_ms(1 if options.quick else options.pairs)
    imported = import_seconds(1 if options.quick else options.pairs)
    scripts = {
        path.relative_to(ROOT).as_posix(): path.stat().st_size for path in sorted((ROOT / "web").glob("**/*.js"))
    }
    figures = {
        "start_ms": Figure(*mean(added), len(added)),
        "import_seconds": Figure(*mean(imported), len(imported)),
        "javascript_bytes": Figure(sum(scripts.values()), n=len(scripts)),
    }
    publish("startup", COMMAND, "none", figures, options.quick, {"seconds": seconds, "scripts": scripts}, reviews=False)


if __name__ == "__main__":
    main()
