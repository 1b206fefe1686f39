"""What measurements bring beside the reviewer (docs/protocol.md, 6): contact and own_label are asked of another
composer's pictures, `rfnet fuse`'s layer is fitted on a hundred of them, and judges those of other products.

    python -m benchmarks.advised [--quick]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.opinions.opening import open_opinions
from reliable_ads.rfnet.opinions.panel import Panel
from reliable_ads.rfnet.opinions.protocol import DEFECTS
from reliable_ads.rfnet.training.fuse import SIDE, Evidence, collect, fuse, fuse_probabilities
from reliable_ads.rfnet.training.metrics import average_precision, intervals
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

from .adapting import Shop
from .common import DRAWS, Figure, publish

SPEAKS_OF = {"contact": "space_mismatch", "own_label": "shape_hallucination"}
SEEDS, TAUGHT = (0, 1, 2), 100


def asked(folder: Path) -> Evidence:
    """What the reviewer and both opinions say of a folder's pictures."""
    panel = Panel(load_reviewer(DEFAULT_WEIGHTS), open_opinions(list(SPEAKS_OF)))
    return collect(panel, open_samples(folder, SIDE))


def judged(taught: Evidence, held: Evidence, seeds) -> tuple[list[np.ndarray], list[dict]]:
    """(the held pictures' probabilities (N, 5) of each seed, what fuse reported); where it writes nothing, the
    reviewer's own.
    """
    probabilities, reports = [], []
    for seed in seeds:
        rows = np.random.default_rng(seed).permutation(len(taught.labels))[:TAUGHT]
        fused = fuse(taught.rows(rows), seed)
        after = fuse_probabilities(fused.fusion, held) if fused.fusion else held.log_p.exp()
        probabilities.append(after.double().numpy())
        reports.append({"written": fused.fusion is not None, "reason": fused.report["reason"]})
    return probabilities, reports


def changes(held: Evidence, after: list[np.ndarray], draws: int) -> dict[str, Figure]:
    """AP of each label before and after, means over seeds, and the paired change; intervals over products."""
    before = held.log_p.exp().double().numpy()

    def statistic(weights):
        old = np.array([average_precision(held.labels == n, before[:, n], weights) for n in range(len(LABELS))])
        new = np.mean(
            [[average_precision(held.labels == n, p[:, n], weights) for n in range(len(LABELS))] for p in after], 0
        )
        return np.concatenate([new, new - old])

    keys = [f"{kind}_{label}" for kind in ("advised_ap", "advised_change") for label in LABELS]
    found = intervals(statistic, held.products, draws)
    return {key: Figure(**value, n=len(held.labels)) for key, value in zip(keys, found)}


def alone(held: Evidence, draws: int) -> dict[str, Figure]:
    """Of each opinion: AP of its defect by what it says, and the share of pictures that it knows something about."""
    figures = {}
    for name, defect in SPEAKS_OF.items():
        said = held.opinions[name][:, DEFECTS.index(defect)].double().numpy()
        known = ~np.isnan(said)
        score = np.where(known, said, said[known].mean() if known.any() else 0.0)
        truth = held.labels == LABELS.index(defect)

        def statistic(weights, truth=truth, score=score):
            return [average_precision(truth, score, weights)]

        (value,) = intervals(statistic, held.products, draws)
        figures[f"{name}_ap"] = Figure(**value, n=len(truth))
        figures[f"{name}_known"] = Figure(float(known.mean()), n=len(truth))
        figures[f"{name}_chance"] = Figure(float(truth.mean()), n=len(truth))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less work, on validation products; writes nothing")
    quick = parser.parse_args().quick
    seeds, draws = (SEEDS[:1], 200) if quick else (SEEDS, DRAWS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shop = Shop(folder, quick)
        write_shard(folder / "taught" / "taught-000.zip", shop.taught)
        taught, held = asked(folder / "taught"), asked(folder / "held")
    after, reports = judged(taught, held, seeds)
    figures = changes(held, after, draws) | alone(held, draws)
    figures["advised_written"] = Figure(float(np.mean([report["written"] for report in reports])), n=len(seeds))
    publish("advised", "python -m benchmarks.advised", list(seeds), figures, quick, {"fits": reports})


if __name__ == "__main__":
    main()
