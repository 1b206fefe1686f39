"""What becomes of the pictures that benchmarks/sampler.py accepts.

`costs` leaves sheets of each arm's picture with the first seed in --out, mixed so that nobody sees which arm drew it;
benchmarks/labelled.py keeps what language models say of them, and `labels` counts it. `second` asks the second
reviewer, of another backbone and trained on rendered scenes alone (benchmarks/second_reviewer.toml), that nothing in
the loop looks at. `graph` draws what an accepted picture costs.
"""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import torch
from PIL import Image

from reliable_ads.cyclic.remedies import replaced
from reliable_ads.pocket.tuning import SAMPLING
from reliable_ads.rfft.evaluate import image_features
from reliable_ads.rfnet.files import write_bytes
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.sheets import to_planes
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

from . import labelled
from .common import DRAWS, RESULTS, ROOT, Figure, between, mean, products
from .sampler_costs import ARMS


def path_of(row: dict, out):
    return out / f"{row['arm']}-{row['product']:03d}-{row['seed']}.png"


def sheets_of(rows: list, jobs: list, out) -> None:
    """The pictures to label: what each arm served with a product's first seed."""
    shown = [row for row in rows if row["hash"] and row["seed"] == 0 and row["arm"] in ARMS]
    labelled.blind_sheets([(path_of(row, out), row["hash"], jobs[row["product"]].product) for row in shown], out)


@torch.no_grad()
def variety(rows: list, out) -> dict[str, Figure]:
    """How far a product's accepted pictures lie apart across seeds, in the reviewer's features, against the plain
    loop's of the same products.
    """
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    spread: dict[str, dict] = {}
    for arm in ARMS:
        own = sorted((row for row in rows if row["arm"] == arm and row["hash"]), key=lambda row: row["product"])
        spread[arm] = {}
        for product, group in itertools.groupby(own, key=lambda row: row["product"]):
            with_pictures = list(group)
            if len(with_pictures) > 1:
                pictures = torch.stack([to_planes(Image.open(path_of(row, out))) for row in with_pictures])
                pairs = itertools.combinations(image_features(reviewer, pictures), 2)
                spread[arm][product] = float(np.mean([(a - b).square().mean().sqrt() for a, b in pairs]))
    figures = {}
    for arm in ARMS[1:]:
        both = sorted(spread[arm].keys() & spread["plain"].keys())
        if both:
            one, other = (np.array([spread[name][product] for product in both]) for name in (arm, "plain"))
            chosen = np.random.default_rng(0).integers(len(both), size=(DRAWS, len(both)))
            draws = one[chosen].sum(1) / other[chosen].sum(1)
            figures[f"variety_{arm}"] = Figure(float(one.sum() / other.sum()), *between(draws), len(both))
    return figures


def accepted_rows() -> list:
    return json.loads((RESULTS / "sampler.json").read_text(encoding="utf-8"))["details"]["accepted"]


def second(options) -> tuple[dict[str, Figure], dict]:
    """The share of each arm's accepted pictures that the second reviewer calls bad."""
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(options.out.glob("rows-*.json"))]
    rows = {key: row for run in runs for key, row in run["rows"].items()}.values()
    reviewer, jobs, bad = (
        load_reviewer(options.second),
        products(options.products, options.quick or options.validation),
        {},
    )
    for row in rows:
        if not row["hash"] or row["arm"] not in ARMS or row["product"] >= len(jobs):
            continue
        picture = Image.open(path_of(row, options.out)).convert("RGB")
        if labelled.picture_hash(picture) != row["hash"]:
            raise SystemExit(f"{options.out} holds other pictures than the last `costs` run: run it again")
        changes = {change["remedy"]: change["after"] for change in row["remedies"]}
        canvas = replaced(place(jobs[row["product"]].product, *[SAMPLING["size"]] * 2), changes)
        verdict = reviewer.review(to_planes(picture)[None], canvas).rows()[0]
        bad.setdefault(row["arm"], {}).setdefault(row["product"], []).append(not verdict["accepted"])
    return worse("bad", bad), {}


def labels(options) -> tuple[dict[str, Figure], dict]:
    """The share of each arm's accepted pictures that the labels call bad."""
    answers, bad = labelled.available("accepted"), {}
    rows = [row for row in accepted_rows() if row["seed"] == 0 and row["arm"] in ARMS]
    if not any(row["hash"] in answers for row in rows):
        raise SystemExit("no label fits a picture of the last `costs` run: have its sheets labelled again")
    for row in rows:
        if row["hash"] in answers:
            bad.setdefault(row["arm"], {}).setdefault(row["product"], []).append(not answers[row["hash"]])
    return worse("labels_bad", bad), {}


def worse(key: str, bad: dict) -> dict[str, Figure]:
    """The share of each arm's accepted pictures that are bad, and how many more that are than the plain loop's, of the
    products that both served; bad: {arm: {product: [bool]}}.
    """
    figures = {}
    for arm, of in bad.items():
        each = {product: float(np.mean(said)) for product, said in of.items()}
        figures[f"{key}_{arm}"] = Figure(*mean(list(each.values())), sum(map(len, of.values())))
        if arm != "plain" and (both := sorted(of.keys() & bad.get("plain", {}).keys())):
            more = [each[product] - float(np.mean(bad["plain"][product])) for product in both]
            figures[f"{key}_{arm}_more"] = Figure(*mean(more), len(both))
    return figures


NAMES = {
    "plain": "plain loop",
    "early": "early\nrejection",
    "remedies": "remedies",
    "tuned": "tuned\nControlNet",
    "best_of_n": "best of five",
    "early_tuned": "early rejection\n+ tuned",
}


def graph(options) -> tuple[dict[str, Figure], dict]:
    """docs/cost_per_usable.png: steps per accepted picture of each arm, and how many products it serves."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    file = RESULTS / "sampler.json"
    found = json.loads(file.read_text(encoding="utf-8"))["figures"] if file.exists() else {}
    if options.quick or "steps_per_accepted_plain" not in found:
        print("graph: there are no figures of a whole `costs` run")
        return {}, {}
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 3.6), layout="constrained")
    for axis, key, unit in zip(
        axes, ("steps_per_accepted", "served"), ("sampling steps per accepted picture", "served")
    ):
        for shift, (part, text, colour) in enumerate(
            (("", "all products", "#4878a8"), ("_hard", "hardest quarter", "#c05040"))
        ):
            values = [found[f"{key}_{arm}{part}"]["value"] for arm in ARMS]
            bars = axis.bar(np.arange(len(ARMS)) + 0.38 * (shift - 0.5), values, 0.36, label=text, color=colour)
            axis.bar_label(bars, fmt="%.1f" if key.startswith("steps") else "%.2f", fontsize=8)
        axis.set_xticks(range(len(ARMS)), [NAMES[arm] for arm in ARMS], fontsize=8)
        axis.set_ylabel(unit)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130)
    write_bytes(ROOT / "docs" / "cost_per_usable.png", drawn.getvalue())
    return {}, {}
