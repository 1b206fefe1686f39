"""The paper's tables 1 and 2 in small: RFNet against single-image networks, and RFNet without each of its inputs (arXiv:2408.00418).

    python -m benchmarks.reviewer_tables --data data/pocket [--minutes 8] [--work data/tables] [--only baselines ablations] [--quick]

Every network is trained here, by `rfnet train`'s own code, on the rendered training split, on one thread and for the same time, and judged on
the shipped test split, whose products and rooms no training scene shows. Those of table 1 start anew, RFNet's time includes its map
estimator's. Those of table 2 go on from the shipped reviewer for half as long, all inputs or all but one, so that what differs is what the
input tells and not how far the training came. Weights stay in --work: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reliable_ads.pocket.briefs import TEST_SPLIT
from reliable_ads.rfnet.architectures import ARCHITECTURES, INPUTS
from reliable_ads.rfnet.config import TrainConfig
from reliable_ads.rfnet.data import read_scenes
from reliable_ads.rfnet.evaluate import predict, score
from reliable_ads.rfnet.metrics import average_precision, intervals
from reliable_ads.rfnet.train import Run
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks

from .common import Figure, publish

COMMAND = "python -m benchmarks.reviewer_tables"
COMPACT = ARCHITECTURES["compact"]
ALONE = replace(COMPACT, inputs=("generated",))
SEED = 0
ANEW = dict(init="random", frozen=[], backbone_lr=1e-3)
# ImageNet weights come as a package for EfficientNet-Lite0 alone; what has to start from random numbers is compared with an RFNet that does so, too
BASELINES = {
    "rfnet": dict(architecture=COMPACT),
    "lite0": dict(architecture=ALONE),
    "rfnet_anew": dict(architecture=COMPACT, **ANEW),
    "resnet50": dict(architecture=replace(ALONE, backbone="resnet50"), **ANEW),
    "resnext50": dict(architecture=replace(ALONE, backbone="resnext50_32x4d"), **ANEW),
    "hrnet_w18_small": dict(architecture=replace(ALONE, backbone="hrnet_w18_small"), **ANEW),
    "vit_tiny": dict(architecture=replace(ALONE, backbone="vit_tiny_patch16_224"), **ANEW),
}
ABLATIONS = {"whole": dict(architecture=COMPACT)}
ABLATIONS |= {f"without_{name}": dict(architecture=replace(COMPACT, inputs=tuple(kept for kept in INPUTS if kept != name))) for name in INPUTS}
ABLATIONS["two_labels"] = dict(architecture=COMPACT, labels=2)


def trained(name: str, changes: dict, minutes: float, data: Path, work: Path) -> Path:
    """The weights of one network, trained now unless they lie in `work`."""
    out = work / f"{name}.safetensors"
    if not out.exists() or Path(f"{out}.state").exists():
        print(f"\n{name}: {minutes:.1f} minutes", flush=True)
        if changes.get("map_epochs") == 0:
            minutes /= 0.75  # a run by the clock keeps a quarter for the maps
        Run(TrainConfig(**{**dict(train=data / "train", val=data / "val", out=out, minutes=minutes, seed=SEED), **changes}))()
    return out


def logits_of(weights, scenes) -> torch.Tensor:
    rfnet, mapnet, _ = load_networks(weights)
    return predict(rfnet, mapnet, scenes)


def ap_gap(scenes, logits: torch.Tensor, others: torch.Tensor) -> dict:
    """AP of "available" by `logits` minus that by `others`, with an interval by product, both on the same draws."""
    available, first, second = scenes.labels == 0, *(x.softmax(1)[:, 0].double().numpy() for x in (logits, others))
    return intervals(lambda weights: [average_precision(available, first, weights) - average_precision(available, second, weights)], scenes.product_ids, 1000)[0]


def compare(prefix: str, names, logits: dict, reference: str, scenes, threshold_free=("ap",)) -> dict[str, Figure]:
    """The scores of every network, and how far the reference is ahead of each in AP."""
    figures = {}
    for name in names:
        report = score(logits[name], scenes)
        for kind in ("ap", "precision", "recall", "f1") if prefix == "table1" else ("ap",):
            figures[f"{prefix}_{name}_{kind}"] = Figure(**report[kind], n=len(scenes), target=">= 0.92" if (prefix, name, kind) == ("table1", "rfnet", "ap") else "",
                                                        holds=report[kind]["value"] >= 0.92 if (prefix, name, kind) == ("table1", "rfnet", "ap") else None)
        if name != reference:
            gap = ap_gap(scenes, logits[reference], logits[name])
            figures[f"{prefix}_ahead_of_{name}"] = Figure(**gap, n=len(scenes), target="> 0, interval too", holds=gap["low"] > 0)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/pocket"), help="folder with the rendered train/ and val/")
    parser.add_argument("--work", type=Path, default=Path("data/tables"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--only", nargs="+", choices=("baselines", "ablations"), default=("baselines", "ablations"))
    parser.add_argument("--quick", action="store_true", help="six seconds a network, nothing written")
    args = parser.parse_args()
    torch.set_num_threads(1)
    minutes, work = (0.1, args.work / "quick") if args.quick else (args.minutes, args.work)
    scenes = read_scenes(TEST_SPLIT, limit=200 if args.quick else None)
    figures = {}
    for part, variants, reference in (("baselines", BASELINES, "rfnet"), ("ablations", ABLATIONS, "whole")):
        if part not in args.only:
            continue
        logits = {}
        for name, changes in variants.items():
            if part == "ablations":
                changes = {**changes, "weights": [DEFAULT_WEIGHTS], "map_epochs": 0, "lr": 3e-4, "backbone_lr": 1e-4}
            elif changes["architecture"].inputs == ("generated",):
                changes = {**changes, "map_epochs": 0}
            weights = trained(name, changes, minutes / (2 if part == "ablations" else 1), args.data, work)
            logits[name] = logits_of(weights, scenes)
            print(f"{name}: AP {average_precision(scenes.labels == 0, logits[name].softmax(1)[:, 0].double().numpy(), np.ones(len(scenes))):.4f}", flush=True)
        prefix = "table1" if part == "baselines" else "table2"
        figures |= compare(prefix, variants, logits, reference, scenes)
        if part == "baselines":
            gap = ap_gap(scenes, logits["rfnet_anew"], logits["resnet50"])
            figures["table1_anew_ahead_of_resnet50"] = Figure(**gap, n=len(scenes), target="> 0, interval too", holds=gap["low"] > 0)
    publish("reviewer_tables", f"{COMMAND} --minutes {args.minutes:g}", [SEED], figures, args.quick)


if __name__ == "__main__":
    main()
