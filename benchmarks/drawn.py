"""Is the reviewer right about drawn pictures (docs/protocol.md, 2)? Pictures of unseen products, one draw each
(`pocket draw`), labelled blind by three language models (`pocket label`).

Beside it stand the labellers' agreement in pairs, what two labellers of these rates reach by chance, and the same
figures of the reviewer before it was trained on such pictures (--before).
"""

from __future__ import annotations

import json
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np

from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.metrics import average_precision, intervals
from reliable_ads.rfnet.weights import load_networks

from . import generalisation
from .common import DRAWS, ROOT, Figure, between, share

UNSEEN = ROOT / "benchmarks" / "drawn"  # one draw of each of the test products 0 to 209; nothing may train on them
BINS = 10  # of equal count


def asked(weights: Path, folder: Path, quick: bool) -> tuple:
    """((N, 5) logits before any temperature, the reviewer's metadata, the samples) for a folder of shards."""
    rfnet, mapnet, metadata = load_networks(weights)
    samples = open_samples(folder, rfnet.config.image_size)
    samples = samples.select(np.arange(min(40, len(samples)))) if quick else samples
    return predict(rfnet, mapnet, samples), metadata, samples


def probabilities(logits, metadata: dict) -> np.ndarray:
    """(N, 5), at the reviewer's temperature."""
    return (logits / float(metadata["temperature"])).softmax(1).double().numpy()


def measure(weights: Path, before: Path | None, folder: Path, quick: bool) -> dict[str, Figure]:
    """The figures of `weights`, of `before` where it is given, and of the labellers."""
    said = labellers(folder)
    figures = {}
    for file, ending in ((weights, ""), (before, "_before")):
        if file is not None:
            logits, metadata, samples = asked(file, folder, quick)
            if file == weights:  # AP and its like, as for scenes and composites; the calibration error is figures_of's
                figures |= generalisation.figures_of("drawn_", logits, samples, metadata)
            ids = [samples.texts["id"][row] for row in range(len(samples))]
            agreed = np.array([said.get(name, ([], True))[1] for name in ids])
            p = probabilities(logits, metadata)
            found = figures_of(p, float(metadata["threshold"]), samples.labels, agreed)
            figures |= {f"{key}{ending}": figure for key, figure in found.items()}
    return figures | agreement([labels for labels, _ in said.values() if len(labels) > 1])


def figures_of(p: np.ndarray, threshold: float, labels: np.ndarray, agreed: np.ndarray) -> dict[str, Figure]:
    """p: (N, 5) probabilities; labels: (N,) the majority's; agreed: (N,) whether a majority names this very label."""
    accepted, good = p[:, 0] >= threshold, labels == 0
    named = (p[:, 1:].argmax(1) + 1 == labels)[~good & agreed]

    def part(of: np.ndarray) -> Figure:
        return Figure(*share(int(of.sum()), len(of)), len(of))

    rows = np.random.default_rng(0).integers(len(p), size=(DRAWS, len(p)))
    errors = [calibration(p[chosen, 0], good[chosen]) for chosen in rows]
    return {
        "drawn_agreement": part(accepted == good),
        "drawn_ece": Figure(calibration(p[:, 0], good), *between(errors), len(p)),
        "drawn_bad_rejected": part(~accepted[~good]),
        "drawn_good_lost": part(~accepted[good]),
        "drawn_defect_named": part(named),
        "drawn_available": part(good),
    }


def calibration(p: np.ndarray, good: np.ndarray) -> float:
    """Expected calibration error of p(available), (N,), over bins of equal count."""
    order = np.argsort(p, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return float(sum(len(part) * abs(p[part].mean() - good[part].mean()) for part in bins) / len(p))


def labellers(folder: Path) -> dict[str, tuple[list, bool]]:
    """{id: (what each labeller said, whether a majority names the label)} of `pocket label`'s shards."""
    found = {}
    for shard in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(shard) as archive:
            for text in archive.read("index.jsonl").decode("utf-8").split("\n"):
                if text.strip():
                    row = json.loads(text)
                    found[row["id"]] = (row.get("labels", []), row.get("agreed", True))
    return found


def agreement(said: list) -> dict[str, Figure]:
    """How often two labellers agree on available or not, and how often two of their rates would by chance: means over
    the pairs of labellers. said: a list of labels for each picture.
    """
    if not said:
        return {}
    good = np.array([[label == LABELS[0] for label in labels] for labels in said], float)  # (N, labellers)
    pairs = list(combinations(range(good.shape[1]), 2))

    def agreed(rows: np.ndarray) -> float:
        return float(np.mean([(rows[:, i] == rows[:, j]).mean() for i, j in pairs]))

    rates = good.mean(0)
    chance = float(np.mean([rates[i] * rates[j] + (1 - rates[i]) * (1 - rates[j]) for i, j in pairs]))
    chosen = np.random.default_rng(0).integers(len(good), size=(DRAWS, len(good)))
    return {
        "labellers_agreement": Figure(agreed(good), *between([agreed(good[rows]) for rows in chosen]), len(good)),
        "labellers_by_chance": Figure(chance, n=len(good)),
    }


def change(weights: Path, before: Path, folder: Path, quick: bool) -> Figure:
    """AP of "available" of `weights` more than of `before`, on the same scenes, paired, by product."""
    (logits, metadata, samples), other = asked(weights, folder, quick), asked(before, folder, quick)
    now, then = probabilities(logits, metadata), probabilities(*other[:2])
    truth = samples.labels == 0

    def statistic(counts):
        return [average_precision(truth, now[:, 0], counts) - average_precision(truth, then[:, 0], counts)]

    (found,) = intervals(statistic, samples.product_ids, 100 if quick else DRAWS)
    return Figure(**found, n=len(samples))
