"""What labels of one's own bring (docs/protocol.md, 6): the shipped reviewer learns from pictures of another composer
(other_composer.py) and is asked about such pictures of other products.

    python -m benchmarks.adapting                # a head on its features, as rounds of labelling learn
    python -m benchmarks.adapting --only auto    # what RF Adapt Reviewer's "auto" makes of 100 labels
    python -m benchmarks.adapting --only why     # what a head can read at all, on validation products
    python -m benchmarks.adapting --quick        # a look, on validation products
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from reliable_ads.rfnet.data.samples import Samples
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.familiarity import fit_familiarity
from reliable_ads.rfnet.files import sha256_of, write_text
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.training.adapt import adapt
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.head import Features, cached_features, fit_head, read_features
from reliable_ads.rfnet.training.metrics import average_precision, calibration_error, intervals
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_memory, load_networks
from reliable_ads.synthetic.jobs import TEST_SPLIT

from .common import DRAWS, ROOT, UNSEEN, VALIDATION, Figure, publish
from .other_composer import OtherComposer, things_of

DRAWN = ROOT / "pocket" / "training" / "drawn_split"
COUNTS = (25, 50, 100, 200)
SEEDS = (0, 1, 2)
RIDGE, LOOSE = 3.0, 0.003  # fit_head's own, and one that hardly holds the weights
COMMAND = "python -m benchmarks.adapting"


@dataclass
class Pictures:
    """What is asked about: samples, the old reviewer's features of them, and its probabilities (N, 5)."""

    samples: object
    seen: Features
    before: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        return self.samples.labels.astype(int)


class Shop:
    """Pictures of another composer: `taught`, scenes to learn from, so many of each product, and `held`, of others."""

    def __init__(self, folder: Path, quick: bool, each: int = 2):
        self.folder = folder
        things = things_of(VALIDATION if quick else UNSEEN, 0, 80 if quick else 240)
        composer = OtherComposer(things)
        half = len(things) // 2
        taught, held = (things[:30], things[half : half + 40]) if quick else (things[:half], things[half:])
        self.taught = [composer.scene(thing, number) for number in range(each) for thing in taught]
        write_shard(
            folder / "held" / "held-000.zip", [composer.scene(t, n) for n in range(1 + (not quick)) for t in held]
        )

    def labelled(self, count: int, seed: int) -> Path:
        """A folder with so many pictures to learn from, at random."""
        rows = np.random.default_rng(seed).permutation(len(self.taught))[:count]
        folder = self.folder / f"taught-{count}-{seed}"
        if not folder.exists():
            write_shard(folder / "taught-000.zip", [self.taught[row] for row in rows])
        return folder


def rewritten(samples: Samples, rows, folder: Path) -> Path:
    """A table of these rows of the samples, with their pictures as RFNet reads them."""
    table = folder / f"{folder.name}.jsonl"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in rows:
        sample = samples.read(row)
        files = {name: f"{row}-{name}.png" for name in ("image", "product")}
        for name, file in files.items():
            Image.fromarray(sample[name]).save(folder / file)
        about = {name: sample[name] for name in ("caption", "product_id")}
        lines.append(json.dumps({**files, **about, "label": LABELS[sample["label"]]}))
    write_text(table, "\n".join(lines) + "\n")
    return table


class Reviewers:
    """The shipped reviewer, and what becomes of it; each is asked about the same pictures."""

    def __init__(self, folder: Path, quick: bool):
        self.folder = folder
        self.quick = quick
        self.rfnet, self.mapnet, self.metadata = load_networks(DEFAULT_WEIGHTS)
        self.mixed = {name: str(self._some(DRAWN / name, 60 if quick else 10**6)) for name in ("train", "val")}

    def _some(self, folder: Path, count: int) -> Path:
        """The folder, or a table of the first of its samples."""
        if not self.quick:
            return folder
        samples = open_samples(folder, self.rfnet.config.image_size)
        return rewritten(samples, range(min(count, len(samples))), self.folder / f"some-{folder.name}")

    def ask(self, folder: Path, whole: bool = False) -> Pictures:
        samples = open_samples(folder, self.rfnet.config.image_size)
        samples = samples if whole or not self.quick else samples.select(np.arange(min(60, len(samples))))
        seen = read_features(self.rfnet, self.mapnet, samples)
        return Pictures(samples, seen, self._at(seen.judged(self.rfnet.added), self.metadata))

    def adapted(self, labelled: Path, method: str, seed: int, asked: dict[str, Pictures]) -> dict[str, np.ndarray]:
        """{name: probabilities (N, 5)} of the reviewer that learned from these labels; the old ones where it stays."""
        out = self.folder / f"{labelled.stem}-{method}.safetensors"
        cache = self.folder / "features.safetensors"
        path = adapt(DEFAULT_WEIGHTS, labelled, out, seed=seed, mixed=self.mixed, method=method, cache=cache).path
        if path is None:
            return {name: pictures.before for name, pictures in asked.items()}
        rfnet, mapnet, metadata = load_networks(path)
        return {
            name: self._at(
                pictures.seen.judged(rfnet.added) if rfnet.added else predict(rfnet, mapnet, pictures.samples), metadata
            )
            for name, pictures in asked.items()
        }

    @staticmethod
    def _at(logits, metadata: dict) -> np.ndarray:
        return (logits / float(metadata["temperature"])).softmax(1).double().numpy()


def scores(pictures: Pictures, probabilities: list[np.ndarray], quick: bool) -> dict[str, Figure]:
    """{"ap", "worst_defect", "ece"}: means over the seeds, with intervals over products."""
    labels = pictures.labels

    def statistic(weights):
        ap = [average_precision(labels == 0, p[:, 0], weights) for p in probabilities]
        defects = [
            np.mean([average_precision(labels == defect, p[:, defect], weights) for p in probabilities])
            for defect in range(1, len(LABELS))
        ]
        ece = [calibration_error(p[:, 0], labels == 0, weights) for p in probabilities]
        return [np.mean(ap), np.nanmin(defects), np.mean(ece)]

    found = intervals(statistic, pictures.samples.product_ids, 200 if quick else DRAWS)
    return {name: Figure(**value, n=len(labels)) for name, value in zip(("ap", "worst_defect", "ece"), found)}


def forgotten(known: dict[str, Pictures], after: list[dict[str, np.ndarray]], quick: bool) -> Figure:
    """What average precision of "available" falls by, after all adaptations on average, where it falls most."""
    found = []
    for name, pictures in known.items():
        labels = pictures.labels

        def lost(weights, pictures=pictures, labels=labels, name=name):
            old = average_precision(labels == 0, pictures.before[:, 0], weights)
            return [old - np.mean([average_precision(labels == 0, one[name][:, 0], weights) for one in after])]

        (value,) = intervals(lost, pictures.samples.product_ids, 200 if quick else DRAWS)
        found.append(Figure(**value, n=len(labels)))
    return max(found, key=lambda figure: figure.value)


def unfamiliar(reviewers: Reviewers, known: Pictures, other: Pictures, quick: bool) -> Figure:
    """AUROC of familiar drawn pictures against those of the other composer."""
    memory = load_memory(DEFAULT_WEIGHTS, reviewers.rfnet.feature_width)
    if memory is None:
        taught = reviewers.ask(Path(reviewers.mixed["train"]))
        familiarity = fit_familiarity([taught.seen.features], [taught.samples.product_ids])
    else:
        familiarity = memory.familiarity
    near, far = (familiarity.distance(pictures.seen.features).numpy() for pictures in (known, other))
    truth = np.r_[np.zeros(len(near)), np.ones(len(far))]
    distances = np.r_[near, far]
    products = [*known.samples.product_ids, *other.samples.product_ids]
    (value,) = intervals(lambda weights: [auroc(truth, distances, weights)], products, 200 if quick else DRAWS)
    return Figure(**value, n=len(truth))


def auroc(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """The chance that one with truth 1 scores higher than one with truth 0; distances don't tie."""
    order = np.argsort(scores, kind="stable")
    positive = (weights * truth)[order]
    below = np.cumsum((weights * (1 - truth))[order])
    return float((positive * below).sum() / (positive.sum() * below[-1]))


def why(reviewers: Reviewers, folder: Path, quick: bool) -> dict[str, Figure]:
    """What a head can read from the features, of three pictures of each validation product: AP of each label on
    products that did not teach; and what a head that is hardly held learns by heart.
    """
    things = things_of(VALIDATION, 0, 40 if quick else 80)
    composer = OtherComposer(things)
    write_shard(folder / "asked" / "asked-000.zip", [composer.scene(thing, n) for n in range(3) for thing in things])
    asked = reviewers.ask(folder / "asked")
    after, _taught = cross_fitted(asked, RIDGE, 2 if quick else 5)
    loose, taught = cross_fitted(asked, LOOSE, 2 if quick else 5)
    figures = {}
    for when, probabilities in (("before", [asked.before]), ("after", after)):
        found = each_ap(asked, probabilities, quick)
        figures |= {f"why_{label}_{when}": figure for label, figure in zip(LABELS, found)}
    shares = np.bincount(asked.labels, minlength=len(LABELS)) / len(asked.labels)
    return figures | {
        **{f"why_{label}_chance": Figure(float(share), n=len(asked.labels)) for label, share in zip(LABELS, shares)},
        "why_loose_taught": Figure(taught, n=len(asked.labels)),
        "why_loose_unseen": each_ap(asked, loose, quick)[0],
    }


def cross_fitted(asked: Pictures, ridge: float, divisions: int) -> tuple[list[np.ndarray], float]:
    """Products divided in three so many times: probabilities (N, 5) of each division, every picture asked of the head
    that the other two thirds taught; and the mean AP of "available" on what taught.
    """
    random = np.random.default_rng(0)
    products = np.asarray(asked.samples.product_ids)
    found, taught = [], []
    for _division in range(divisions):
        third = dict(zip(random.permutation(np.unique(products)).tolist(), itertools.cycle(range(3))))
        part = np.array([third[product] for product in products.tolist()])
        probabilities = np.empty_like(asked.before)
        for held in range(3):
            head = fit_head(asked.seen.select(part != held), asked.labels[part != held], ridge)
            judged = asked.seen.judged(head).softmax(1).double().numpy()
            probabilities[part == held] = judged[part == held]
            known = part != held
            taught.append(average_precision(asked.labels[known] == 0, judged[known, 0], np.ones(known.sum())))
        found.append(probabilities)
    return found, float(np.mean(taught))


def each_ap(pictures: Pictures, probabilities: list[np.ndarray], quick: bool) -> list[Figure]:
    """AP of each label, the mean over several probabilities (N, 5), with intervals over products."""
    labels = pictures.labels

    def statistic(weights):
        return [
            np.mean([average_precision(labels == label, p[:, label], weights) for p in probabilities])
            for label in range(len(LABELS))
        ]

    found = intervals(statistic, pictures.samples.product_ids, 200 if quick else DRAWS)
    return [Figure(**one, n=len(labels)) for one in found]


def round_seconds(reviewers: Reviewers, shop: Shop, repeats: int = 3) -> Figure:
    """Seconds from ten new labels to a reviewer that has learned them, the ninety before them being known."""
    samples = open_samples(shop.labelled(60 if reviewers.quick else 100, 0), reviewers.rfnet.config.image_size)
    fingerprint = sha256_of(DEFAULT_WEIGHTS)
    taken = []
    for repeat in range(repeats):
        cache = reviewers.folder / f"cache-{repeat}.safetensors"
        networks = reviewers.rfnet, reviewers.mapnet
        cached_features(cache, fingerprint, *networks, samples.select(np.arange(len(samples) - 10)))
        began = time.perf_counter()
        fit_head(cached_features(cache, fingerprint, *networks, samples), samples.labels.astype(int))
        taken.append(time.perf_counter() - began)
    return Figure(float(np.median(taken)), min(taken), max(taken), n=repeats)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less work, on validation products; writes nothing")
    parser.add_argument("--only", choices=("head", "auto", "why"), default="head")
    args = parser.parse_args(arguments)
    counts, seeds = ((25, 50), (0,)) if args.quick else (COUNTS, SEEDS)
    counts = counts if args.only == "head" else (50,) if args.quick else (100,)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shop = Shop(folder, args.quick)
        reviewers = Reviewers(folder, args.quick)
        if args.only == "why":
            return publish("adapting", COMMAND, [0], why(reviewers, folder, args.quick), args.quick)
        drawn = Path(reviewers.mixed["val"]) if args.quick else ROOT / "benchmarks" / "drawn"
        asked = {
            "other": reviewers.ask(folder / "held"),
            "drawn": reviewers.ask(drawn),
            "scenes": reviewers.ask(TEST_SPLIT),
        }
        figures = {}
        if args.only == "head":
            figures["ap_after_0_random"] = scores(asked["other"], [asked["other"].before], args.quick)["ap"]
            figures["unfamiliar_auroc"] = unfamiliar(reviewers, asked["drawn"], asked["other"], args.quick)
            figures["round_seconds"] = round_seconds(reviewers, shop)
        for count in counts:
            after = [reviewers.adapted(shop.labelled(count, seed), args.only, seed, asked) for seed in seeds]
            found = scores(asked["other"], [one["other"] for one in after], args.quick)
            ending = "random" if args.only == "head" else "auto"
            figures[f"ap_after_{count}_{ending}"] = found["ap"]
            if count == 100 or args.quick:
                end = "" if args.only == "head" else "_auto"
                figures[f"worst_defect_after_100{end}"] = found["worst_defect"]
                figures[f"ece_after_100{end}"] = found["ece"]
                known = {name: asked[name] for name in ("drawn", "scenes")}
                figures[f"forgetting{end}"] = forgotten(known, after, args.quick)
    command = COMMAND if args.only == "head" else f"{COMMAND} --only auto"
    publish("adapting", command, list(seeds), figures, args.quick)


if __name__ == "__main__":
    main()
