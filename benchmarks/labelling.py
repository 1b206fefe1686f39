"""Whether labels of chosen pictures teach more than labels of pictures at random (docs/protocol.md, 6), and how long a
round of ten takes.

    python -m benchmarks.labelling [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.training.head import Features, fit_head, read_features
from reliable_ads.rfnet.training.metrics import average_precision, intervals
from reliable_ads.rfnet.training.rounds import ROUND, Learner, choose
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks

from .adapting import Shop
from .common import DRAWS, Figure, publish

COUNTS = (50, 100)
MORE_COUNTS = (25, 50, 100, 200)  # out of a larger pool
SEEDS = (0, 1, 2)
POOL = 0.75  # of the pictures to learn from, drawn anew for each seed
EACH, MORE_EACH = 2, 3  # pictures of each product to learn from, and in the larger pool


class Pictures:
    """A split of the shop: calibrated features, labels, products."""

    def __init__(self, folder: Path):
        rfnet, mapnet, metadata = load_networks(DEFAULT_WEIGHTS)
        samples = open_samples(folder, rfnet.config.image_size)
        seen = read_features(rfnet, mapnet, samples)
        self.features = Features(seen.judged(rfnet.added) / float(metadata["temperature"]), seen.features)
        self.labels = samples.labels.astype(int)
        self.products = samples.product_ids

    def __len__(self) -> int:
        return len(self.labels)

    def taught(self, rows: np.ndarray, held: Pictures) -> np.ndarray:
        """p(available) of the held pictures after a head has learned these rows."""
        head = fit_head(self.features.select(rows), self.labels[rows])
        return held.features.judged(head).softmax(1)[:, 0].double().numpy()


def learned(pool: Pictures, size: int, held: Pictures, seeds, counts) -> dict[str, list[np.ndarray]]:
    """{"50_active": p(available) of the held pictures for each seed, ...}. size: pictures of the pool, from its first
    on, that seeds draw from.
    """
    found: dict[str, list[np.ndarray]] = {}
    for seed in seeds:
        rows = np.random.default_rng(seed).permutation(size)[: round(POOL * size)]
        products = [pool.products[row] for row in rows]
        asked = choose(pool.features.select(rows), pool.labels[rows], products, max(counts))
        for count in counts:
            found.setdefault(f"{count}_random", []).append(pool.taught(rows[:count], held))
            found.setdefault(f"{count}_active", []).append(pool.taught(rows[asked[:count]], held))
    return found


def scores(held: Pictures, found: dict[str, list[np.ndarray]], draws: int, ending: str = "") -> dict[str, Figure]:
    """Means over seeds, intervals over products; the gain is paired. ending: of the figures' keys."""
    available = held.labels == 0

    def statistic(weights):
        ap = {name: np.mean([average_precision(available, p, weights) for p in each]) for name, each in found.items()}
        return [*ap.values(), ap["50_active"] - ap["100_random"]]

    names = [*(f"ap_after_{name}{ending}" for name in found), f"active_gain{ending}"]
    values = intervals(statistic, held.products, draws)
    return {name: Figure(**value, n=len(available)) for name, value in zip(names, values)}


def round_seconds(scenes: list[dict], folder: Path, rounds: int) -> Figure:
    """Seconds from the tenth label of a round to the next order of pictures, after each of some rounds."""
    labels = LabelFolder(folder)
    truth = {}
    for scene in scenes:
        picture, product = (Image.fromarray(np.asarray(scene[name])) for name in ("image", "product"))
        labels.add(picture, product, scene["product_id"], scene["caption"])
        truth |= dict.fromkeys(labels.read().items.keys() - truth.keys(), scene["label"])
    learner = Learner(labels)
    for _ in learner.learn():
        pass
    taken = []
    for _ in range(rounds):
        for key in learner.learned.plan[:ROUND]:
            labels.label(key, truth[key])
        began = time.perf_counter()
        for _ in learner.learn():
            pass
        taken.append(time.perf_counter() - began)
    return Figure(float(np.median(taken)), min(taken), max(taken), n=rounds)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less work, on validation products; writes nothing")
    quick = parser.parse_args(arguments).quick
    seeds = SEEDS[:1] if quick else SEEDS
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shop = Shop(folder, quick, MORE_EACH)
        write_shard(folder / "pool" / "pool-000.zip", shop.taught)
        pool, held = Pictures(folder / "pool"), Pictures(folder / "held")
        figures = {}
        for size, counts, ending in (
            (len(pool) * EACH // MORE_EACH, COUNTS, ""),
            (len(pool), COUNTS if quick else MORE_COUNTS, "_more"),
        ):
            found = learned(pool, size, held, seeds, counts)
            figures |= scores(held, found, 200 if quick else DRAWS, ending)
        figures["round_seconds"] = round_seconds(
            shop.taught[: 60 if quick else 120], folder / "labels", 3 if quick else 10
        )
    publish("labelling", "python -m benchmarks.labelling", list(seeds), figures, quick)


if __name__ == "__main__":
    main()
