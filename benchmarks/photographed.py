"""What labels of one's own bring on the second stand-in for photographs (docs/protocol.md, 7).

    synthetic photographed --data data/photographed --assets NODE_MODULES
    synthetic compose --data data/input_size --assets NODE_MODULES --size 256 --train 2000 --val 200 --test 600
    python -m benchmarks.photographed                # a head on its features, as rounds of labelling learn
    python -m benchmarks.photographed --only auto    # what RF Adapt Reviewer's "auto" makes of 100 labels
    python -m benchmarks.photographed --quick        # a look, on validation pictures

What each adapted reviewer said is kept in the work folder; run it again after an interruption and it goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.files import sha256_of
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.training.head import Features
from reliable_ads.rfnet.training.metrics import average_precision, intervals
from reliable_ads.rfnet.training.rounds import choose
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_memory
from reliable_ads.synthetic.jobs import TEST_SPLIT

from . import drawn
from .adapting import Pictures, Reviewers, auroc, rewritten
from .common import DRAWS, ROOT, Figure, publish
from .networks import of_draws, picked

COUNTS = (25, 50, 100, 200)
SEEDS = (0, 1, 2)
ASKED = 100  # labels after which targets stand
SHARE = 0.75  # of the pool, which each seed draws anew: labels are taken from these pictures
COMMAND = "python -m benchmarks.photographed"


class Pool:
    """The pictures that labels are taken from."""

    def __init__(self, folder: Path, reviewers: Reviewers, counts):
        self.pictures = reviewers.ask(folder, whole=True)
        self.folder = reviewers.folder
        self.most = max(counts)
        calibrated = self.pictures.seen.judged(reviewers.rfnet.added) / float(reviewers.metadata["temperature"])
        self.features = Features(calibrated, self.pictures.seen.features)

    def labelled(self, count: int, way: str, seed: int) -> Path:
        """A table of so many of them, at random or as `rfnet next` asks for them; each larger one holds the smaller
        ones.
        """
        labels, products = self.pictures.labels, self.pictures.samples.product_ids
        rows = np.random.default_rng(seed).permutation(len(labels))[: round(SHARE * len(labels))]
        if way == "active":
            asked = choose(self.features.select(rows), labels[rows], [products[row] for row in rows], self.most)
            rows = rows[asked]
        return rewritten(self.pictures.samples, rows[:count], self.folder / f"{count}-{way}-{seed}")


def judged(reviewers: Reviewers, labelled: Path, method: str, seed: int, asked: dict[str, Pictures]) -> dict:
    """{name: probabilities (N, 5)} of a reviewer that learned from these labels, kept in a file beside it."""
    kept = reviewers.folder / f"{labelled.stem}-{method}.npz"
    if not kept.exists():
        kept.with_suffix(".safetensors").unlink(missing_ok=True)  # adapted, and not asked yet
        partial = kept.with_name(f"partial-{kept.name}")
        np.savez(partial, **reviewers.adapted(labelled, method, seed, asked))
        partial.replace(kept)
    with np.load(kept) as file:
        return dict(file)


def statistics(labels: np.ndarray, trainings: list[np.ndarray], weights: np.ndarray) -> list[float]:
    """AP of "available", the lowest AP of a defect, and the calibration error of p(available): means over trainings'
    probabilities (N, 5).
    """
    ap = [np.mean([average_precision(labels == n, p[:, n], weights) for p in trainings]) for n in range(len(LABELS))]
    drawn_rows = np.repeat(np.arange(len(labels)), weights.astype(int))
    good = (labels == 0)[drawn_rows]
    errors = [drawn.calibration(p[drawn_rows, 0], good) for p in trainings]
    return [ap[0], np.nanmin(ap[1:]), np.mean(errors)]


def scores(held: Pictures, found: dict[tuple[int, str], list[np.ndarray]]) -> dict[str, Figure]:
    """Of {(labels, way): each seed's probabilities}; intervals over seeds and products together."""
    names = {key: ("ap", "worst_defect", "ece") if key[0] == ASKED else ("ap",) for key in found}
    keys = [f"photographed_{name}_after_{count}_{way}" for (count, way), of in names.items() for name in of]
    gain = (50, "active"), (100, "random")
    paired = all(one in found for one in gain)

    def statistic(seeds, weights):
        of = {key: statistics(held.labels, picked(trainings, seeds), weights) for key, trainings in found.items()}
        values = [value for key, each in of.items() for value in each[: len(names[key])]]
        return [*values, of[gain[0]][0] - of[gain[1]][0]] if paired else values

    keys += ["photographed_active_gain"] if paired else []
    values = of_draws(held.samples, statistic, min(map(len, found.values())), keys)
    return {key: Figure(**value, n=len(held.labels)) for key, value in values.items()}


def forgetting(known: dict[str, Pictures], after: list[dict]) -> Figure:
    """What AP of "available" falls by where it falls most, mean over seeds, interval over seeds and products."""

    def lost(pictures: Pictures, name: str):
        good = pictures.labels == 0

        def statistic(seeds, weights):
            new = np.mean([average_precision(good, p[name][:, 0], weights) for p in picked(after, seeds)])
            return [average_precision(good, pictures.before[:, 0], weights) - new]

        return statistic

    found = [
        Figure(**of_draws(pictures.samples, lost(pictures, name), len(after), ["lost"])["lost"], n=len(pictures.labels))
        for name, pictures in known.items()
    ]
    return max(found, key=lambda figure: figure.value)


def unfamiliar(reviewers: Reviewers, known: list[Pictures], other: Pictures) -> Figure:
    """AUROC of the shipped memory's distance: known pictures against those of the stand-in."""
    memory = load_memory(DEFAULT_WEIGHTS, reviewers.rfnet.feature_width)
    distances = [memory.familiarity.distance(each.seen.features).numpy() for each in (*known, other)]
    truth = np.repeat([*(0.0 for _ in known), 1.0], [len(each) for each in distances])
    products = [product for each in (*known, other) for product in each.samples.product_ids]
    far = np.concatenate(distances)
    (value,) = intervals(lambda weights: [auroc(truth, far, weights)], products, DRAWS)
    return Figure(**value, n=len(truth))


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "photographed")
    parser.add_argument("--composites", type=Path, default=ROOT / "data" / "input_size" / "test")
    parser.add_argument("--only", choices=("head", "auto"), default="head")
    parser.add_argument("--quick", action="store_true", help="less work, on validation pictures; writes nothing")
    args = parser.parse_args(arguments)
    counts, seeds = ((50, 100), SEEDS[:1]) if args.quick else (COUNTS, SEEDS)
    counts = counts if args.only == "head" else (ASKED,)
    held_folder = args.data / ("val" if args.quick else "test")
    name = "val" if args.quick else open_samples(held_folder).fingerprint
    work = args.data / "work" / f"{name}-{sha256_of(DEFAULT_WEIGHTS)[:8]}"
    work.mkdir(parents=True, exist_ok=True)
    reviewers = Reviewers(work, args.quick)
    pool = Pool(args.data / "train", reviewers, counts)
    held = reviewers.ask(held_folder)
    known = {
        "drawn": reviewers.ask(Path(reviewers.mixed["val"]) if args.quick else drawn.UNSEEN),
        "scenes": reviewers.ask(TEST_SPLIT),
    }
    found, figures, every = {}, {}, {}
    if args.only == "head":
        found[0, "random"] = [held.before] * len(seeds)
        composites = reviewers.ask(args.composites)
        figures["photographed_unfamiliar_auroc"] = unfamiliar(reviewers, [known["scenes"], composites], held)
    for way in ("random", "active") if args.only == "head" else ("random",):
        for count in counts:
            labelled = {seed: pool.labelled(count, way, seed) for seed in seeds}
            after = [judged(reviewers, labelled[seed], args.only, seed, {"held": held, **known}) for seed in seeds]
            key = count, way if args.only == "head" else "auto"
            found[key] = [one["held"] for one in after]
            every[key] = after
            print(f"{count} labels, {way}: done", flush=True)
    figures |= scores(held, found)
    figures |= {
        f"photographed_forgetting_after_{count}_{way}": forgetting(known, after)
        for (count, way), after in every.items()
        if count == ASKED
    }
    command = COMMAND if args.only == "head" else f"{COMMAND} --only auto"
    publish("photographed", command, list(seeds), figures, args.quick)


if __name__ == "__main__":
    main()
