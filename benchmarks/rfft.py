"""What RFFT does to the pocket family: how many more pictures are accepted, whether they get dull, with which losses,
and whether the gain moves along.

    python -m benchmarks.rfft [--quick] [--only products train rates passes transfer attempts sheets pairs labels graph
    cost] [--products 200] [--judge WEIGHTS]

`train` runs benchmarks/tuning.py's trainings (six to ten minutes of one core each, the long one three quarters of an
hour; a stopped one goes on). `rates` draws test products by each of them and by the ControlNet as it was, with the same
seeds. `transfer` moves one adapter to other checkpoints and LoRAs (docs/pocket.md says how they are made). `passes`
compares the schedule with the paper's on validation products. The judge is a reviewer of another architecture, trained
on other scenes (benchmarks/judge.toml), that no training looks at. `sheets` mixes 100 pictures of before with 100 of
after for labelling, `pairs` lays other 100 of each side by side; labels go into benchmarks/labels/rfft_labels.json, and
`labels` counts them. `products` is only needed to make benchmarks/products anew, from `synthetic render --test 1400`.
`cost` is benchmarks/rfft_cost.py.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import isotonic_regression

from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS

from . import rfft_pictures, tuning
from .common import ROOT, Figure, mean, publish, share
from .sampler import JUDGE

COMMAND = "python -m benchmarks.rfft"
VARIANTS = ROOT / "data" / "variants"  # where docs/pocket.md's commands leave these
CHECKPOINTS = ("seed", "poster")
LORAS = ("lora_sepia", "lora_night", "lora_pastel")
ATTEMPTS = 5
THRESHOLD = 0.5
GAIN = 0.15  # points at which schedules are compared


def of_products(values: np.ndarray, seeds: int) -> np.ndarray:
    """The mean of each product's pictures: what intervals are drawn over."""
    return values.reshape(-1, seeds).mean(1)


def gain(after: np.ndarray, before: np.ndarray, target: float | None = None) -> Figure:
    """mean(after) - mean(before) of the same products, with a paired bootstrap 95 % interval over products."""
    value, low, high = mean(after - before)
    return Figure(
        value, low, high, len(before), "points", f">= {target}" if target else "", value >= target if target else None
    )


def ratio(after: np.ndarray, before: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """mean(after) / mean(before), with the same interval."""
    rows = np.random.default_rng(0).integers(len(before), size=(draws, len(before)))
    found = after[rows].mean(1) / before[rows].mean(1)
    return float(after.mean() / before.mean()), float(np.percentile(found, 2.5)), float(np.percentile(found, 97.5))


def rate(values: np.ndarray) -> Figure:
    return Figure(*mean(values), n=len(values), unit="share")


def rates(options) -> tuple[dict[str, Figure], dict]:
    """Table 3 in small: every training on the same test products and seeds, by its own reviewer and by the judge, and
    how varied its pictures are.
    """
    studio = tuning.Studio(options.products, judge=options.judge)

    def accepted(p):
        return of_products(p >= THRESHOLD, studio.seeds)

    drawn = {
        name: studio.draw(name, None if name == "before" else tuning.adapter(name))
        for name in ("before", *options.runs)
    }
    before = drawn["before"]
    figures: dict[str, Figure] = {}
    details: dict[str, dict] = {}
    figures["rate_before"] = rate(accepted(before.reviewer))
    if studio.judge:
        figures["judge_before"] = rate(accepted(before.judge))
    for name in options.runs:
        now = drawn[name]
        figures[f"rate_{name}"] = rate(accepted(now.reviewer))
        figures[f"gain_{name}"] = gain(
            accepted(now.reviewer), accepted(before.reviewer), 0.20 if name == tuning.TUNED else None
        )
        if studio.judge:
            figures[f"judge_gain_{name}"] = gain(
                accepted(now.judge), accepted(before.judge), 0.15 if name == tuning.TUNED else None
            )
        for key, kind in (("diversity", "diversity"), ("diversity_colour", "colour")):
            value, low, high = ratio(getattr(now, kind), getattr(before, kind))
            bound, holds = {"none_long": ("<= 0.5", value <= 0.5), tuning.TUNED: (">= 0.9", value >= 0.9)}.get(
                name, ("", None)
            )
            figures[f"{key}_{name}"] = Figure(value, low, high, len(before.diversity), "of before", bound, holds)
        details[name] = {
            **now.evaluation.drift(before.evaluation),
            "probabilities": now.evaluation.probabilities,
            "diversity_products": now.evaluation.diversity_products / before.evaluation.diversity_products,
        }
    if tuning.TUNED in drawn:
        figures["rate_after"] = figures[f"rate_{tuning.TUNED}"]
    if {"cc", "kl"} <= drawn.keys():
        found = gain(accepted(drawn["cc"].reviewer), accepted(drawn["kl"].reviewer))
        figures["cc_above_kl"] = Figure(
            found.value, found.low, found.high, found.n, "points", "> 0, interval too", found.low > 0
        )
    return figures, {"rates": details, "history": {name: trimmed(tuning.history(name)) for name in options.runs}}


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
    products, evaluation by evaluation.
    """
    runs = [tuning.history(f"{name}_{seed}") for seed in tuning.SCHEDULE_SEEDS]

    def column(key):
        return np.array([[row[key] for row in rows] for rows in runs], float)

    return column("passes"), column("accepted").reshape(len(runs), len(runs[0]), -1, tuning.SEEDS)


def passes(options) -> tuple[dict[str, Figure], dict]:
    """UNet passes to +15 points on validation products, of the mean curve of two trainings: eight updates per drawing
    and drawings without guidance, against one update per guided drawing, as the paper does it, at our learning rate.
    Intervals over products and trainings; a draw in which a curve does not get there counts as infinite.
    """
    ways = {"ours": schedule("fast"), "paper": schedule("paper")}
    random = np.random.default_rng(0)
    runs = ways["ours"][1].shape[0]
    products = ways["ours"][1].shape[2]

    def costs(chosen: np.ndarray, seeds: dict) -> list:
        return [
            passes_to(spent[seeds[way]].mean(0), accepted[seeds[way]][:, :, chosen].mean((0, 2, 3)), GAIN)
            for way, (spent, accepted) in ways.items()
        ]

    every = dict.fromkeys(ways, np.arange(runs))
    found = costs(np.arange(products), every)
    drawn = np.array(
        [
            costs(random.integers(products, size=products), {way: random.integers(runs, size=runs) for way in ways})
            for _ in range(2000)
        ]
    )
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isinf(drawn[:, 0]), np.inf, drawn[:, 0] / drawn[:, 1])

    def between(values):
        return tuple(float(np.sort(values)[int(part * (len(values) - 1))]) for part in (0.025, 0.975))

    value = found[0] / found[1]
    spent_in_all = [
        spent.mean(0)[-1] for spent, _ in ways.values()
    ]  # what a curve that never gets there has taken at least
    figures = {
        f"passes_{way}": Figure(found[i], *between(np.minimum(drawn[:, i], spent_in_all[i])), n=products, unit="passes")
        for i, way in enumerate(ways)
    }
    figures["passes_ratio"] = Figure(
        value, *between(ratios), n=products, unit="of the paper's", target="<= 0.333", holds=value <= 1 / 3
    )
    curves = {
        way: {"passes": spent.mean(0).tolist(), "rate": accepted.mean((0, 2, 3)).tolist()}
        for way, (spent, accepted) in ways.items()
    }
    return figures, {"schedules": {**curves, "trainings": runs, "never_reached": np.isinf(drawn).mean(0).tolist()}}


def variants() -> dict[str, dict]:
    """{name: what Studio.draw takes}: the family itself, other checkpoints, LoRAs on the family's own."""
    files = {name: VARIANTS / f"{name}.safetensors" for name in (*CHECKPOINTS, *LORAS)}
    if missing := [str(file) for file in files.values() if not file.exists()]:
        raise SystemExit(f"{', '.join(missing)} missing: docs/pocket.md has the commands that make them")
    return (
        {"pocket": {}}
        | {name: {"checkpoint": files[name]} for name in CHECKPOINTS}
        | {name: {"loras": (files[name],)} for name in LORAS}
    )


def transfer(options) -> tuple[dict[str, Figure], dict]:
    """Table 4 in small: the same adapter beside other checkpoints and LoRAs, one picture per product."""
    studio = tuning.Studio(options.products, 1, options.judge)
    figures: dict[str, Figure] = {}
    gains: dict[str, Figure] = {}

    def accepted(drawn):
        return 1.0 * (drawn.reviewer >= THRESHOLD)

    def judged(drawn):
        return 1.0 * (drawn.judge >= THRESHOLD)

    for name, models in variants().items():
        before = studio.draw("before" if name == "pocket" else f"{name}_before", **models)
        after = studio.draw(
            tuning.TUNED if name == "pocket" else f"{name}_after", tuning.adapter(tuning.TUNED), **models
        )
        figures[f"transfer_{name}_before"] = rate(accepted(before))
        figures[f"transfer_{name}_after"] = rate(accepted(after))
        gains[name] = found = gain(accepted(after), accepted(before))
        part = found.value / gains["pocket"].value
        figures[f"transfer_{name}_gain"] = (
            found
            if name == "pocket"
            else Figure(found.value, found.low, found.high, found.n, "points", "half of its own", part >= 0.5)
        )
        if studio.judge:
            figures[f"transfer_{name}_judge_gain"] = gain(judged(after), judged(before))
    if len(gains) > 1:
        least = min(found.value / gains["pocket"].value for name, found in gains.items() if name != "pocket")
        figures["transfer_min_share"] = Figure(
            least, n=len(gains) - 1, unit="of its own", target=">= 0.5", holds=least >= 0.5
        )
    return figures, {}


@torch.no_grad()
def attempts(options) -> tuple[dict[str, Figure], dict]:
    """Recurrent generation before and after: attempts per accepted picture, at most five for a product, on the same
    products and seeds.
    """
    from reliable_ads.rfft.rollout import Job, draw, prepare, review_logits
    from reliable_ads.rfnet.weights import load_reviewer

    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    products = tuning.test_products(options.products)
    found: dict[str, np.ndarray] = {}
    for name, adapter in (("before", None), ("after", tuning.adapter(tuning.TUNED))):
        models = tuning.models_with(adapter)
        jobs = [
            Job(canvas, prompt, product.seed) for product, (canvas, prompt) in zip(products, tuning.placed(products))
        ]
        drawn = np.zeros(len(jobs))
        usable = np.zeros(len(jobs))
        left = list(range(len(jobs)))
        for attempt in range(ATTEMPTS):
            passed = []
            for rows in (left[i : i + 16] for i in range(0, len(left), 16)):
                batch = prepare(
                    models,
                    [Job(jobs[row].canvas, jobs[row].prompt, jobs[row].seed + attempt) for row in rows],
                    tuning.SAMPLING,
                )
                p = review_logits(
                    reviewer, draw(models, batch, tuning.SAMPLING), [job.canvas for job in batch.jobs]
                ).softmax(1)[:, 0]
                passed += [row for row, value in zip(rows, p.tolist()) if value >= THRESHOLD]
            drawn[left] += 1
            usable[passed] = 1
            left = [row for row in left if not usable[row]]
        found[name] = np.stack([drawn, usable], 1)
    rows = np.random.default_rng(0).integers(options.products, size=(2000, options.products))
    figures = {}
    for name, values in found.items():
        draws = values[rows].sum(1)
        costs = draws[:, 0] / draws[:, 1]
        figures[f"attempts_{name}"] = Figure(
            float(values[:, 0].sum() / values[:, 1].sum()),
            float(np.percentile(costs, 2.5)),
            float(np.percentile(costs, 97.5)),
            len(values),
            "attempts",
        )
        figures[f"within_5_{name}"] = Figure(*share(int(values[:, 1].sum()), len(values)), len(values), "share")
    return figures, {}


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
        tuning.train(name, watch, **options.changes)
    return {}, {}


def cost(options) -> tuple[dict[str, Figure], dict]:
    from .rfft_cost import costs

    return costs(128 if options.quick else 256)


PARTS = {
    "products": lambda options: print(tuning.keep_products(options.rendered), "products") or ({}, {}),
    "train": train,
    "rates": rates,
    "passes": passes,
    "transfer": transfer,
    "attempts": attempts,
    "cost": cost,
    "sheets": rfft_pictures.sheets,
    "pairs": rfft_pictures.pairs,
    "labels": rfft_pictures.labels,
    "graph": rfft_pictures.graph,
}
EVERYTHING = ["train", "rates", "passes", "transfer", "attempts", "sheets", "pairs", "graph", "cost"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two steps and six products; nothing is written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=EVERYTHING)
    parser.add_argument(
        "--runs",
        nargs="+",
        choices=tuning.RUNS,
        default=tuning.COMPARED,
        help="which trainings (default: all but those that compare schedules)",
    )
    parser.add_argument("--products", type=int, default=200, help="test products")
    parser.add_argument("--judge", type=Path, default=JUDGE, help="weights of the second reviewer")
    parser.add_argument(
        "--rendered",
        type=Path,
        default=ROOT / "data" / "pocket" / "test",
        help="for products: rendered test scenes from number 1000 on",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "rfft")
    options = parser.parse_args()
    options.changes = {}
    if options.quick:
        options.products = 6
        options.changes = {"steps": 2, "evaluate_every": 1, "evaluation_products": 4, "batch": 2}
        tuning.WORK = tuning.WORK / "quick"
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        figures, details = PARTS[name](options)
        if figures or details:
            publish(
                "rfft",
                COMMAND,
                "of each job: its product's place and number (rfft.evaluate.evaluation_jobs)",
                figures,
                options.quick,
                details,
                reviews=name != "cost",
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
