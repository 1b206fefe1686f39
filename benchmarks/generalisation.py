"""How the shipped reviewer generalises: on the shipped test split, and on composites with families and defects it
never saw.

The composites are made by `synthetic compose`; a third of their test split shows product families, and a fifth of its
defects ways of making them, that no training scene had. Drawn pictures have a file of their own, drawn.py.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reliable_ads.pocket.training.label_sheets import sheet
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.risks import parse_risks
from reliable_ads.rfnet.training.augment import collate
from reliable_ads.rfnet.training.evaluate import predict, score
from reliable_ads.rfnet.weights import load_networks
from reliable_ads.synthetic.jobs import TEST_SPLIT

from .common import Figure, mean, share

WORST = 32


def held_marks(folder: Path) -> dict[str, np.ndarray]:
    """{"family", "cause": (N,) bool} of a folder of composites, in the order of its samples: what was kept out of
    training.
    """
    marks = {"family": [], "cause": []}
    for shard in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(shard) as archive:
            for line in archive.read("index.jsonl").decode("utf-8").split("\n"):
                if line.strip():
                    row = json.loads(line)
                    marks["family"].append(row["held_family"])
                    marks["cause"].append(row["held_cause"])
    return {name: np.array(values) for name, values in marks.items()}


def figures_of(prefix: str, logits: torch.Tensor, samples, metadata: dict) -> dict[str, Figure]:
    """The four scores, AP per defect, calibration error, and what accepting at each certified risk does."""
    report = score(
        logits,
        samples,
        float(metadata["temperature"]),
        float(metadata["threshold"]),
        risks=parse_risks(metadata.get("risks", "{}")),
    )
    defects = {f"ap_{name}": value for name, value in report["defects"].items() if np.isfinite(value["value"])}
    kinds = {kind: report[kind] for kind in ("ap", "precision", "recall", "f1", "ece")}
    found = {f"{prefix}{key}": Figure(**value, n=len(samples)) for key, value in {**kinds, **defects}.items()}
    for risk, certified in report.get("risks", {}).items():
        if "refused" not in certified and (count := certified["accepted"]):
            bad = share(round(certified["bad"]["value"] * count), count)
            found[f"{prefix}bad_at_risk_{float(risk) * 100:g}"] = Figure(*bad, count)
    return found


@torch.no_grad()
def map_figures(prefix: str, mapnet, samples) -> dict[str, Figure]:
    """How near the built-in estimator's maps come to the true ones: mean error of inverse depth, and intersection over
    union of what stands out.
    """
    errors = []
    overlaps = []
    for start in range(0, len(samples), 50):
        rows = range(start, min(start + 50, len(samples)))
        batch = collate([samples[row] for row in rows])
        depth, saliency = (found[:, 0] for found in mapnet(batch.image))
        known = batch.depth.isfinite()
        truth = torch.where(batch.saliency.isfinite(), batch.saliency, batch.alpha) > 0.5
        errors += (
            ((depth - batch.depth.nan_to_num()).abs() * known).sum((1, 2)) / known.sum((1, 2)).clamp(min=1)
        ).tolist()
        overlaps += (
            ((saliency > 0.5) & truth).sum((1, 2)) / ((saliency > 0.5) | truth).sum((1, 2)).clamp(min=1)
        ).tolist()
    return {
        f"{prefix}depth_error": Figure(*mean(errors), len(errors)),
        f"{prefix}saliency_iou": Figure(*mean(overlaps), len(overlaps)),
    }


def most_wrong(logits: torch.Tensor, samples, path: Path) -> None:
    """The pictures with the least probability of their own label, each with truth, verdict and that probability."""
    probabilities = logits.softmax(1).numpy()
    rows = probabilities[np.arange(len(samples)), samples.labels].argsort()[:WORST]
    texts = [
        f"{LABELS[samples.labels[row]][:9]} > {LABELS[probabilities[row].argmax()][:9]}"
        f" {probabilities[row, samples.labels[row]]:.2f} {samples[row]['caption'][2:22]}"
        for row in rows
    ]
    sheet([Image.fromarray(samples[row]["image"]) for row in rows], texts).save(path)


def measure(weights: Path, composites: Path, quick: bool, sheets: Path | None = None) -> dict[str, Figure]:
    """The figures of both kinds of pictures. sheets: a folder for the pictures that it gets most wrong."""
    rfnet, mapnet, metadata = load_networks(weights)
    figures = {}

    def scored(prefix: str, folder: Path):
        samples = open_samples(folder, rfnet.config.image_size)
        samples = samples.select(np.arange(min(100, len(samples)))) if quick else samples
        logits = predict(rfnet, mapnet, samples)
        figures.update(figures_of(prefix, logits, samples, metadata))
        if sheets:
            most_wrong(logits, samples, sheets / f"most-wrong-{prefix or 'test'}.png")
        return samples, logits

    samples, _ = scored("", TEST_SPLIT)
    figures |= map_figures("", mapnet, samples)
    if not composites.is_dir():
        print(f"no composites in {composites}: make them with `synthetic compose`")
        return figures
    samples, logits = scored("composites_", composites)
    figures |= map_figures("composites_", mapnet, samples)
    return figures | held_out(composites, samples, logits, metadata)


def held_out(composites: Path, samples, logits: torch.Tensor, metadata: dict) -> dict[str, Figure]:
    """Composites of families and of ways to make defects that no training scene had."""
    held = {name: values[: len(samples)] for name, values in held_marks(composites).items()}
    rows = np.flatnonzero(held["family"])
    figures = {"ap_hard_split": figures_of("", logits[rows], samples.select(rows), metadata)["ap"]}
    rejected = ((logits / float(metadata["temperature"])).softmax(1)[:, 0] < float(metadata["threshold"])).numpy()
    bad = samples.labels > 0
    for name, chosen in (  # one kind of defect has no AP of its own: how many of them are caught
        ("seen_causes_rejected", bad & ~held["cause"]),
        ("held_causes_rejected", bad & held["cause"]),
        ("composites_available_rejected", ~bad),
    ):
        figures[name] = Figure(*share(int(rejected[chosen].sum()), int(chosen.sum())), int(chosen.sum()))
    return figures
