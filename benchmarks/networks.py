"""The paper's tables 1 and 2 in small: RFNet against single-image networks, and RFNet without each of its inputs (arXiv:2408.00418).

Every network is trained here, by `rfnet train`'s own code, on the rendered training split, on one thread and for the same time of the processor, and judged on
the shipped test split, whose products and rooms no training scene shows. Those of table 1 start anew, RFNet's time includes its map
estimator's. Those of table 2 go on from the shipped reviewer for half as long, all inputs or all but one, so that what differs is what the
input tells and not how far the training came. Weights stay in the work folder: a run that was stopped goes on.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from reliable_ads.rfnet.architectures import ARCHITECTURES, INPUTS
from reliable_ads.rfnet.config import TrainConfig
from reliable_ads.rfnet.evaluate import predict, score
from reliable_ads.rfnet.metrics import average_precision, intervals
from reliable_ads.rfnet.train import Run
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks

from .common import Figure

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
KINDS = ("ap", "precision", "recall", "f1")
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
        Run(TrainConfig(**{**dict(train=data / "train", val=data / "val", out=out, minutes=minutes, seed=SEED), **changes}), time.process_time)()
    return out


def logits_of(weights, scenes) -> torch.Tensor:
    rfnet, mapnet, _ = load_networks(weights)
    return predict(rfnet, mapnet, scenes)


def ap_gap(scenes, logits: torch.Tensor, others: torch.Tensor) -> dict:
    """AP of "available" by `logits` minus that by `others`, with an interval by product, both on the same draws."""
    available, first, second = scenes.labels == 0, *(x.softmax(1)[:, 0].double().numpy() for x in (logits, others))
    return intervals(lambda weights: [average_precision(available, first, weights) - average_precision(available, second, weights)], scenes.product_ids, 1000)[0]


def networks(part: dict, minutes: float, data: Path, work: Path, scenes, **common) -> dict[str, torch.Tensor]:
    """{name: logits on the test split} of every network of one table, trained where they aren't yet."""
    logits = {}
    for name, changes in part.items():
        single = changes["architecture"].inputs == ALONE.inputs
        logits[name] = logits_of(trained(name, {**changes, **common, **({"map_epochs": 0} if single else {})}, minutes, data, work), scenes)
        report = score(logits[name], scenes, resamples=0)
        print(f"{name}: " + ", ".join(f"{kind} {report[kind]['value']:.3f}" for kind in KINDS), flush=True)
    return logits


def baselines(minutes: float, data: Path, work: Path, scenes) -> dict[str, Figure]:
    """Table 1: every network's four scores, and how far RFNet is ahead of each, the two that begin with ImageNet's weights and the others apart."""
    logits = networks(BASELINES, minutes, data, work, scenes)
    reports = {name: score(found, scenes) for name, found in logits.items()}
    figures = {f"table1_{name}_{kind}": Figure(**report[kind], n=len(scenes)) for name, report in reports.items() for kind in KINDS}
    others = [name for name in BASELINES if not name.startswith("rfnet")]
    for name in others:
        gap = ap_gap(scenes, logits["rfnet" if name == "lite0" else "rfnet_anew"], logits[name])
        figures[f"table1_ahead_of_{name}"] = Figure(**gap, n=len(scenes), target="> 0, interval too", holds=gap["low"] > 0)
    for kind in ("ap", "f1"):
        figures[f"{kind}_best_baseline"] = figures[max((f"table1_{name}_{kind}" for name in others), key=lambda key: figures[key].value)]
    return figures


def ablations(minutes: float, data: Path, work: Path, scenes) -> dict[str, Figure]:
    """Table 2: AP without each input and with two labels, and how much the whole is ahead."""
    logits = networks(ABLATIONS, minutes / 2, data, work, scenes, weights=[str(DEFAULT_WEIGHTS)], map_epochs=0, lr=3e-4, backbone_lr=1e-4)
    figures = {}
    for name, found in logits.items():
        figures["table2_whole" if name == "whole" else f"ap_{name}"] = Figure(**score(found, scenes)["ap"], n=len(scenes))
        if name != "whole":
            gap = ap_gap(scenes, logits["whole"], found)
            figures[f"whole_ahead_of_{name}"] = Figure(**gap, n=len(scenes), target="> 0, interval too", holds=gap["low"] > 0)
    return figures
