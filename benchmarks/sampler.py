"""What a usable picture costs: the plain loop (every draw to its end) beside early rejection, on the same products and seeds.

    python -m benchmarks.sampler [--quick] [--products 100] [--attempts 8] [--profile pocket]

Everything runs through a real ComfyUI server and the shipped workflow; the two ways take turns, product by product. The hardest quarter are the
products that needed most steps by the plain loop with other seeds than those that are compared, so that bad luck does not choose them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.pocket.briefs import test_briefs

from .common import Figure, publish
from .main_job import Session

COMMAND = "python -m benchmarks.sampler"
OTHER_SEEDS = 1_000_000   # added to a brief's seed where its difficulty is found out
DRAWS = 2000              # of the bootstrap


def cost(rows: np.ndarray) -> float:
    """Rows (N, 2) of what was paid and how many usable pictures came → paid per usable picture."""
    paid, usable = rows.sum(0)
    return float(paid / usable) if usable else float("inf")


def ratio(early: np.ndarray, plain: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """cost(early) / cost(plain) with a bootstrap 95 % interval over products, both on the same draws."""
    random = np.random.default_rng(seed)
    draws = [cost(early[rows]) / cost(plain[rows]) for rows in random.integers(len(early), size=(DRAWS, len(early)))]
    return cost(early) / cost(plain), float(np.percentile(draws, 2.5)), float(np.percentile(draws, 97.5))


def measure(session: Session, briefs: list, attempts: int, profile: str) -> dict[str, np.ndarray]:
    """{"plain", "early", "pilot": (N, 4)}: steps, seconds, usable pictures and attempts of each product."""
    found = {"plain": [], "early": [], "pilot": []}
    for number, brief in enumerate(briefs):
        ways = [("plain", brief, "off"), ("early", brief, profile)]
        ways = [*(ways if number % 2 else ways[::-1]), ("pilot", replace(brief, seed=brief.seed + OTHER_SEEDS), "off")]
        for name, order, rejection in ways:
            report, _ = session.draw(order, attempts, early_rejection=rejection)
            found[name].append((report["steps"], report["seconds"], int(report["accepted"]), len(report["attempts"])))
        print(f"\rproduct {number + 1}/{len(briefs)}", end="", file=sys.stderr, flush=True)
    return {name: np.array(rows, float) for name, rows in found.items()}


def figures_of(found: dict[str, np.ndarray]) -> dict[str, Figure]:
    """The ratios on all products and on the hardest quarter, and both ways' costs."""
    hard = np.argsort(-found["pilot"][:, 0], kind="stable")[:max(1, len(found["pilot"]) // 4)]
    every = np.arange(len(found["plain"]))
    figures = {}
    for name, column, rows, most in (("steps_ratio", 0, every, 0.75), ("steps_ratio_hard", 0, hard, 0.60), ("wall_ratio", 1, every, 0.80), ("wall_ratio_hard", 1, hard, 0.65)):
        pair = (found[way][rows][:, [column, 2]] for way in ("early", "plain"))
        value, low, high = ratio(*pair)
        figures[name] = Figure(value, low, high, len(rows), "of plain", f"<= {most}", value <= most)
    for way in ("plain", "early"):
        figures[f"steps_per_usable_{way}"] = Figure(cost(found[way][:, [0, 2]]), n=len(every), unit="steps")
        figures[f"seconds_per_usable_{way}"] = Figure(cost(found[way][:, [1, 2]]), n=len(every), unit="s")
        figures[f"usable_{way}"] = Figure(float(found[way][:, 2].mean()), n=len(every), unit="share")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="six products, nothing written")
    parser.add_argument("--products", type=int, default=100)
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--profile", default="pocket", help="a profile beside the reviewer, as dev.py profile writes it")
    options = parser.parse_args()
    briefs = test_briefs(6 if options.quick else options.products)
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as base, ComfyServer(Path(base), Path(base) / "server.log") as server:
        found = measure(Session(server), briefs, options.attempts, options.profile)
    print(file=sys.stderr)
    details = {way: found[way].tolist() for way in found}
    publish("sampler", COMMAND, "one per product, drawn from its id (pocket.briefs)", figures_of(found), options.quick, {"early": {"attempts": options.attempts, "rows": details}})


if __name__ == "__main__":
    main()
