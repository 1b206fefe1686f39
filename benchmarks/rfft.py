"""What RFFT does to the pocket family (docs/protocol.md, 4): how many more pictures are accepted, if they get dull,
with which losses, and whether the gain moves along.

    python -m benchmarks.rfft [--quick] [--only train rates passes transfer sheets labels graph cost] [--runs ...]
    [--products 60] [--second WEIGHTS]

`train` runs benchmarks/tuning.py's trainings on the GPU where there is one; a stopped one goes on. `rates` draws unseen
products by each of them and by the ControlNet as it was, with the same seeds, and compares the losses by their fronts.
`transfer` moves one adapter to other checkpoints and LoRAs (docs/pocket.md says how they are made). `passes` compares
the schedule with the paper's on validation products. The second reviewer is of another backbone, trained on rendered
scenes alone (benchmarks/second_reviewer.toml); no training looks at it. `sheets` mixes pictures of all ways for
labelling (rfft_pictures.py), `labels` counts what was said of them. `cost` is benchmarks/rfft_cost.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import isotonic_regression

from . import rfft_fronts, rfft_pictures, tuning
from .common import DRAWS, ROOT, VALIDATION, Figure, between, mean, publish
from .sampler import SECOND

COMMAND = "python -m benchmarks.rfft"
VARIANTS = ROOT / "data" / "variants"  # where docs/pocket.md's commands leave these
CHECKPOINTS = ("poster",)
LORAS = ("lora_sepia", "lora_night", "lora_pastel")
GAIN = 0.15  # points at which schedules are compared
WITH_GRADIENT = 3  # passes that one with gradient counts as


def gain(after: np.ndarray, before: np.ndarray) -> Figure:
    """mean(after) - mean(before) of the same products, with a paired bootstrap 95 % interval over products."""
    return Figure(*mean(after - before), len(before))


def rate(values: np.ndarray) -> Figure:
    return Figure(*mean(values), n=len(values))


def rates(options) -> tuple[dict[str, Figure], dict]:
    """Every training on the same unseen products and seeds, by both reviewers, and how varied its pictures are."""
    studio = tuning.Studio(options.products, second=options.second, quick=options.quick)
    drawn = {"before": studio.draw("before")} | {name: studio.draw(name, tuning.adapter(name)) for name in options.runs}
    figures, fronts = rfft_fronts.figures_of(drawn, studio)
    history = {name: trimmed(tuning.history(name)) for name in options.runs}
    return figures, {"fronts": fronts, "history": history}


def trimmed(rows: list) -> list:
    """A history without what only its own run needs."""
    return [
        {
            key: row[key]
            for key in (
                "step",
                "updates",
                "passes",
                "seconds",
                "rate",
                "diversity",
                "diversity_colour",
                "brightness",
                "saturation",
                "contrast",
                "cc",
                "probabilities",
            )
        }
        for row in rows
    ]


def passes_to(passes: np.ndarray, rates: np.ndarray, points: float) -> float:
    """UNet passes until the rate has risen by so many points above the first: where the rising line that fits the
    evaluations best (isotonic regression) reaches it.

    passes, rates (E,): of one evaluation after another. Infinite where it is never reached.
    """
    rising = isotonic_regression(rates[1:]).x
    goal = rates[0] + points
    line = np.concatenate([rates[:1], np.maximum(rising, rates[0])])
    if line[-1] < goal - 1e-12:
        return float("inf")
    after = int((line >= goal - 1e-12).argmax())
    part = (goal - line[after - 1]) / (line[after] - line[after - 1])
    return float(passes[after - 1] + part * (passes[after] - passes[after - 1]))


def schedule(name: str) -> tuple[np.ndarray, np.ndarray]:
    """(passes (seeds of the training, E), accepted (the same, products, pictures)) of a schedule's runs on validation
    products, evaluation by evaluation; a pass that carries gradient counts as three.
    """
    runs = [tuning.history(f"{name}_{seed}") for seed in tuning.TRAINING_SEEDS]

    def column(key):
        return np.array([[row[key] for row in rows] for rows in runs], float)

    spent = column("passes") + (WITH_GRADIENT - 1) * column("gradient_passes")
    return spent, column("accepted").reshape(len(runs), len(runs[0]), -1, tuning.SEEDS)


def passes(options) -> tuple[dict[str, Figure], dict]:
    """UNet passes to +15 points on validation products, of the mean curve of three trainings: four updates per drawing
    against one, as the paper has it, at our learning rate. Intervals over products and trainings; a draw in which a
    curve does not get there counts as infinite.
    """
    ways = {"ours": schedule("cc_0.05"), "paper": schedule("paper")}
    random = np.random.default_rng(0)
    runs, _, products, _ = ways["ours"][1].shape

    def costs(chosen: np.ndarray, seeds: dict) -> list:
        return [
            passes_to(spent[seeds[way]].mean(0), accepted[seeds[way]][:, :, chosen].mean((0, 2, 3)), GAIN)
            for way, (spent, accepted) in ways.items()
        ]

    found = costs(np.arange(products), dict.fromkeys(ways, np.arange(runs)))
    drawn = np.array(
        [
            costs(random.integers(products, size=products), {way: random.integers(runs, size=runs) for way in ways})
            for _ in range(DRAWS)
        ]
    )
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isinf(drawn[:, 0]), np.inf, drawn[:, 0] / drawn[:, 1])
        value = found[0] / found[1]

    def sorted_between(values):
        return tuple(float(np.sort(values)[int(part * (len(values) - 1))]) for part in (0.025, 0.975))

    in_all = [spent.mean(0)[-1] for spent, _ in ways.values()]  # what a curve that never gets there has taken at least
    figures = {
        f"passes_{way}": Figure(min(found[i], in_all[i]), *sorted_between(np.minimum(drawn[:, i], in_all[i])), products)
        for i, way in enumerate(ways)
    }
    reached = np.isfinite(found)
    if reached.all():
        figures["passes_ratio"] = Figure(value, *sorted_between(ratios), products)
    curves = {
        way: {"passes": spent.mean(0).tolist(), "rate": accepted.mean((0, 2, 3)).tolist()}
        for way, (spent, accepted) in ways.items()
    }
    never = np.isinf(drawn).mean(0).tolist()
    return figures, {"schedules": {**curves, "trainings": runs, "reached": reached.tolist(), "never_reached": never}}


def variants(quick: bool) -> dict[str, dict]:
    """{name: what Studio.draw takes}: the family itself, other checkpoints, LoRAs on the family's own. quick: those
    that are there.
    """
    files = {name: VARIANTS / f"{name}.safetensors" for name in (*CHECKPOINTS, *LORAS)}
    missing = [name for name, file in files.items() if not file.exists()]
    if missing and not quick:
        raise SystemExit(f"{', '.join(missing)} missing in {VARIANTS}: docs/pocket.md has the commands that make them")
    found = {"pocket": {}} | {name: {"checkpoint": files[name]} for name in CHECKPOINTS if name not in missing}
    return found | {name: {"loras": (files[name],)} for name in LORAS if name not in missing}


def transfer(options) -> tuple[dict[str, Figure], dict]:
    """The same adapter beside other checkpoints and LoRAs, one picture per product."""
    studio = tuning.Studio(options.products, 1, options.second, options.quick)
    threshold = studio.reviewer.threshold
    figures: dict[str, Figure] = {}
    gains: dict[str, dict] = {"rfnet": {}, "second": {}}
    for name, models in variants(options.quick).items():
        before = studio.draw(f"{name}_before", **models)
        after = studio.draw(f"{name}_after", tuning.adapter(options.tuned), **models)
        figures[f"transfer_{name}_before"] = rate(before.reviewer >= threshold)
        figures[f"transfer_{name}_after"] = rate(after.reviewer >= threshold)
        gains["rfnet"][name] = 1.0 * (after.reviewer >= threshold) - (before.reviewer >= threshold)
        if studio.second:
            limit = studio.second.threshold
            gains["second"][name] = 1.0 * (after.second >= limit) - (before.second >= limit)
    for who, found in gains.items():
        for name, values in found.items():
            figures[f"transfer_{name}_{'gain' if who == 'rfnet' else 'second_gain'}"] = Figure(
                *mean(values), len(values)
            )
        if len(found) > 1:
            figures[f"transfer_min_share_{who}"] = least_share(found)
    return figures, {}


def least_share(gains: dict) -> Figure:
    """The smallest gain of another checkpoint or LoRA, as a share of the gain at home; gains: {name: (P,)}."""
    home, others = gains["pocket"], np.stack([values for name, values in gains.items() if name != "pocket"])
    rows = np.random.default_rng(0).integers(len(home), size=(DRAWS, len(home)))
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = others[:, rows].mean(2).min(0) / home[rows].mean(1)
        value = float(others.mean(1).min() / home.mean())
    return Figure(value, *between(draws), len(home)) if np.isfinite(draws).all() else Figure(value, n=len(home))


def train(options) -> tuple[dict[str, Figure], dict]:
    def watch(event: dict) -> None:
        if event["kind"] == "evaluation":
            print(
                f"  {event['step']} steps, {event['passes']} passes, {event['seconds']:.0f} s: {event['evaluation']}",
                flush=True,
            )

    torch.set_num_threads(1)
    for name in options.runs:
        print(f"{name}:", flush=True)
        source = tuning.LEARNED if tuning.LEARNED.exists() or not options.quick else VALIDATION
        tuning.train(name, watch, source, **options.changes)
    return {}, {}


def cost(options) -> tuple[dict[str, Figure], dict]:
    from .rfft_cost import costs

    return costs(128 if options.quick else 256)


PARTS = {
    "train": train,
    "rates": rates,
    "passes": passes,
    "transfer": transfer,
    "cost": cost,
    "sheets": rfft_pictures.sheets,
    "labels": rfft_pictures.labels,
    "graph": rfft_pictures.graph,
}
EVERYTHING = ["train", "rates", "passes", "transfer", "sheets", "graph", "cost"]
QUICK = {"steps": 1, "evaluate_every": 1, "evaluation_products": 2, "batch": 1, "gradient_steps": 1, "last_steps": 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one step, two validation products; nothing is written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=EVERYTHING)
    parser.add_argument(
        "--runs",
        nargs="+",
        choices=tuning.RUNS,
        default=[*tuning.COMPARED, tuning.LONG],
        help="which trainings (default: all but those that compare schedules)",
    )
    parser.add_argument("--products", type=int, default=60, help="unseen products")
    parser.add_argument("--labelled", type=int, default=60, help="products labelled before and after the shipped one")
    parser.add_argument("--each", type=int, default=10, help="products labelled of every other training")
    parser.add_argument("--tuned", choices=tuning.RUNS, default=tuning.TUNED, help="the training that ships")
    parser.add_argument("--second", type=Path, default=SECOND, help="weights of the second reviewer")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "rfft")
    options = parser.parse_args()
    options.changes = {}
    if options.quick:
        options.products = options.labelled = options.each = 2
        options.changes = QUICK
        options.runs = ["kl_0.05_0", "cc_0.05_0", "paper_0"] if len(options.runs) > 3 else options.runs
        options.out, tuning.WORK, tuning.TRAINING_SEEDS = options.out / "quick", tuning.WORK / "quick", (0,)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        figures, details = PARTS[name](options)
        if figures or details:
            seeds = "of each job: its product's place and number (rfft.evaluate.evaluation_jobs)"
            ours = name != "cost"
            publish("rfft", COMMAND, seeds, figures, options.quick, details, reviews=ours, paints=ours)
    return 0


if __name__ == "__main__":
    sys.exit(main())
