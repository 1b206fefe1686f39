"""What becomes of the pictures that benchmarks/sampler.py accepts.

`costs` leaves sheets of them in --out, mixed so that nobody sees which way a picture came; labels by language models go
into benchmarks/labels/sampler_labels.json, and `labels` counts them. `judge` asks a second reviewer of another
architecture, trained on other scenes (benchmarks/judge.toml), that nothing in the loop looks at. `graph` draws what an
accepted picture costs.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reliable_ads.cyclic.remedies import replaced
from reliable_ads.pocket.training.label_sheets import sheet
from reliable_ads.rfnet.files import write_bytes, write_text
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.weights import load_reviewer
from reliable_ads.synthetic.jobs import test_jobs

from .common import RESULTS, ROOT, Figure, mean, share
from .end_to_end import picture_hash
from .sampler_costs import COLUMNS, WAYS, cost, hardest

LABELS = ROOT / "benchmarks" / "labels" / "sampler_labels.json"


def blind_sheets(accepted: list, jobs: list, out: Path) -> None:
    """Every accepted picture once, whichever ways drew it, in an order that tells nothing, 20 a sheet, numbered;
    blind.json says which hash is which number.
    """
    once = list({row["hash"]: row for row in accepted}.values())
    rows = [once[i] for i in np.random.default_rng(0).permutation(len(once))]
    for first in range(0, len(rows), 20):
        part = rows[first : first + 20]
        pictures = [Image.open(out / f"{row['way']}-{row['job']:03d}.png").convert("RGB") for row in part]
        texts = [f"{first + place}: {jobs[row['job']].product.caption}" for place, row in enumerate(part)]
        sheet(pictures, texts, 5, 300).save(out / f"blind-{first:03d}.png")
    write_text(out / "blind.json", json.dumps([row["hash"] for row in rows]))


def judge(options) -> tuple[dict[str, Figure], dict]:
    """The share of each way's accepted pictures that the second reviewer calls bad."""
    if options.quick:
        raise SystemExit("judge looks at the pictures of the last whole `costs` run: leave out --quick")
    reviewer = load_reviewer(options.judge)
    jobs = test_jobs(options.products)
    bad = {way: {} for way in WAYS}
    for row in json.loads((RESULTS / "sampler.json").read_text())["details"]["accepted"]:
        picture = Image.open(options.out / f"{row['way']}-{row['job']:03d}.png").convert("RGB")
        if picture_hash(picture) != row["hash"]:
            raise SystemExit(f"{options.out} holds other pictures than the last `costs` run: run it again")
        canvas = replaced(
            place(jobs[row["job"]].product, 128, 128),
            {change["remedy"]: change["after"] for change in row["remedies"]},
        )
        image = torch.from_numpy(np.asarray(picture, np.float32) / 255).movedim(-1, 0)
        bad[row["way"]][row["job"]] = not reviewer.review(image[None], canvas).rows()[0]["accepted"]
    return worse("judge", bad), {}


def worse(who: str, bad: dict) -> dict[str, Figure]:
    """The share of each way's accepted pictures that are bad, and how many more that are than the plain loop's, of the
    products that both served; bad: {way: {product: bool}}.
    """
    figures = {f"{who}_bad_{way}": Figure(*share(sum(of.values()), len(of)), len(of)) for way, of in bad.items()}
    for way in WAYS[1:]:
        both = sorted(bad[way].keys() & bad["plain"].keys())
        more = np.array([float(bad[way][product]) - float(bad["plain"][product]) for product in both])
        figures[f"{who}_bad_{way}_more"] = Figure(*mean(more), len(both))
    return figures


def labels(options) -> tuple[dict[str, Figure], dict]:
    """Language models' labels of accepted pictures, {"labels": {labeller: {hash: label}}}: what most of them say, by
    way.
    """
    given = json.loads(LABELS.read_text())["labels"]
    accepted = json.loads((RESULTS / "sampler.json").read_text())["details"]["accepted"]
    if missing := {row["hash"] for row in accepted if not all(row["hash"] in found for found in given.values())}:
        raise SystemExit(
            f"{LABELS} lacks labels for {len(missing)} pictures of the last `costs` run: label its sheets again"
        )
    bad = {way: {} for way in WAYS}
    for row in accepted:
        against = sum(found[row["hash"]] != "available" for found in given.values())
        bad[row["way"]][row["job"]] = against > len(given) / 2
    return worse("labels", bad), {}


def graph(options) -> tuple[dict[str, Figure], dict]:
    """docs/cost_per_usable.png: steps and seconds per accepted picture, of all products, the harder half and the
    hardest quarter.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = {
        way: np.array(values)
        for way, values in json.loads((RESULTS / "sampler.json").read_text())["details"]["costs"]["rows"].items()
    }
    names = {
        "plain": "plain loop",
        "early": "early rejection",
        "words": "+ remedies without\ntuned ControlNet",
        "remedies": "+ all remedies",
        "answered": "all remedies without\nearly rejection",
    }
    figure, axes = pyplot.subplots(1, 2, figsize=(13, 3.6), layout="constrained")
    for axis, column, unit in zip(axes, ("steps", "seconds"), ("sampling steps", "seconds")):
        for shift, (text, chosen, colour) in enumerate(
            (
                ("all products", slice(None), "#4878a8"),
                ("harder half", hardest(rows["pilot"], 2), "#d0a040"),
                ("hardest quarter", hardest(rows["pilot"], 4), "#c05040"),
            )
        ):
            values = [cost(rows[way][chosen][:, [COLUMNS[column], COLUMNS["usable"]]]) for way in WAYS]
            bars = axis.bar(np.arange(len(WAYS)) + 0.28 * (shift - 1), values, 0.26, label=text, color=colour)
            axis.bar_label(bars, fmt="%.2f" if column == "seconds" else "%.1f", fontsize=8)
        axis.set_xticks(range(len(WAYS)), [names[way] for way in WAYS], fontsize=8)
        axis.set_ylabel(f"{unit} per accepted picture")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    file = io.BytesIO()
    figure.savefig(file, dpi=130)
    write_bytes(ROOT / "docs" / "cost_per_usable.png", file.getvalue())
    return {}, {}
