"""The paper's tables 1 and 2 in small: RFNet against single-image networks, and RFNet without each of its inputs (arXiv:2408.00418).

Every network is trained here, by `rfnet train`'s own code, on the rendered training split and one thread, and judged on
the shipped test split, whose products and rooms no training scene shows. Those of table 1 start anew and accept, at a threshold of their own, as
many validation scenes as are available, so that none gets its recall from accepting everything. They are given the same time of the processor, RFNet's map estimator included;
RFNet and its backbone alone, which both begin with ImageNet's weights, are compared once more after as many passes over the scenes as in the paper.
Those of table 2 go on from the shipped reviewer for half as long, all inputs or all but one, so that what differs is what the
input tells and not how far the training came. Weights stay in the work folder: a run that was stopped goes on.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from reliable_ads.rfnet.architectures import ARCHITECTURES, INPUTS
from reliable_ads.rfnet.config import TrainConfig
from reliable_ads.rfnet.evaluate import predict, score
from reliable_ads.rfnet.metrics import average_precision, intervals
from reliable_ads.rfnet.sources import open_samples
from reliable_ads.rfnet.train import Run
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks

from .common import Figure, reviewer_print

COMPACT = ARCHITECTURES["compact"]
ALONE = replace(COMPACT, inputs=("generated",))
SEED = 0
PASSES = dict(epochs=10, precision="bf16")  # 10 as in the paper
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
    "rfnet_passes": dict(architecture=COMPACT, map_epochs=1.5, **PASSES),
    "lite0_passes": dict(architecture=ALONE, **PASSES),
}
RIVALS = {"lite0": "rfnet", "resnet50": "rfnet_anew", "resnext50": "rfnet_anew", "hrnet_w18_small": "rfnet_anew", "vit_tiny": "rfnet_anew", "lite0_passes": "rfnet_passes"}
KINDS = ("ap", "precision", "recall", "f1")
ABLATIONS = {"whole": dict(architecture=COMPACT)}
ABLATIONS |= {f"without_{name}": dict(architecture=replace(COMPACT, inputs=tuple(kept for kept in INPUTS if kept != name))) for name in INPUTS}
ABLATIONS["two_labels"] = dict(architecture=COMPACT, labels=2)


def trained(name: str, changes: dict, minutes: float, data: Path, work: Path) -> Path:
    """The weights of one network, trained now unless they lie in `work`."""
    out = work / f"{name}.safetensors"
    if not out.exists() or Path(f"{out}.state").exists():
        minutes = None if "epochs" in changes else minutes
        print(f"\n{name}: " + (f"{minutes:.1f} minutes" if minutes else f"{changes['epochs']} passes"), flush=True)
        if minutes and changes.get("map_epochs") == 0:
            minutes /= 0.75  # a run by the clock keeps a quarter for the maps
        Run(TrainConfig(**{**dict(train=data / "train", val=data / "val", out=out, minutes=minutes, seed=SEED), **changes}), time.process_time)()
    return out


def logits_of(weights, scenes) -> torch.Tensor:
    rfnet, mapnet, _ = load_networks(weights)
    return predict(rfnet, mapnet, scenes)


def even_threshold(logits: torch.Tensor, labels: np.ndarray) -> float:
    """The p(available) from which on as many are accepted as are available."""
    p = np.sort(logits.softmax(1)[:, 0].double().numpy())[::-1]
    return float(p[int((labels == 0).sum()) - 1])


def four(available: np.ndarray, p: np.ndarray, threshold: float, weights: np.ndarray) -> list:
    """Of "available", in the order of KINDS: average precision, precision, recall, F1."""
    hits, accepted, there = ((weights * chosen).sum() for chosen in (available & (p >= threshold), p >= threshold, available))
    return [average_precision(available, p, weights), hits / max(accepted, 1e-9), hits / max(there, 1e-9), 2 * hits / max(accepted + there, 1e-9)]


def gaps(scenes, one: tuple, other: tuple) -> dict[str, dict]:
    """{kind: how far one network is ahead of another}, intervals by product, both on the same draws. one, other: (logits, threshold)."""
    available = scenes.labels == 0
    (first, at), (second, beside) = ((logits.softmax(1)[:, 0].double().numpy(), threshold) for logits, threshold in (one, other))
    found = intervals(lambda weights: np.subtract(four(available, first, at, weights), four(available, second, beside, weights)), scenes.product_ids, 1000)
    return dict(zip(KINDS, found))


def networks(part: dict, minutes: float, data: Path, work: Path, scenes, **common) -> dict[str, tuple]:
    """{name: (logits on the test split, threshold of its own)} of every network of one table, trained where they aren't yet."""
    found = {}
    for name, changes in part.items():
        single = changes["architecture"].inputs == ALONE.inputs
        weights = trained(name, {**changes, **common, **({"map_epochs": 0} if single else {})}, minutes, data, work)
        val = open_samples(data / "val", changes["architecture"].image_size)
        found[name] = logits_of(weights, scenes), even_threshold(logits_of(weights, val), val.labels)
        report = score(found[name][0], scenes, threshold=found[name][1], resamples=0)
        print(f"{name}: " + ", ".join(f"{kind} {report[kind]['value']:.3f}" for kind in KINDS), flush=True)
    return found


def baselines(minutes: float, data: Path, work: Path, scenes) -> dict[str, Figure]:
    """Table 1: every network's four scores, and how far RFNet is ahead of each, those that begin with ImageNet's weights and the others apart."""
    found = networks(BASELINES, minutes, data, work, scenes)
    reports = {name: score(logits, scenes, threshold=threshold) for name, (logits, threshold) in found.items()}
    figures = {f"table1_{name}_{kind}": Figure(**report[kind], n=len(scenes)) for name, report in reports.items() for kind in KINDS}
    for name, rfnet in RIVALS.items():
        for kind, gap in gaps(scenes, found[rfnet], found[name]).items():
            figures[f"table1_ahead_of_{name}" + ("" if kind == "ap" else f"_{kind}")] = Figure(**gap, n=len(scenes), target="> 0, interval too", holds=gap["low"] > 0)
    for kind in ("ap", "f1"):
        figures[f"{kind}_best_baseline"] = figures[max((f"table1_{name}_{kind}" for name in RIVALS), key=lambda key: figures[key].value)]
    return figures


def ablations(minutes: float, data: Path, work: Path, scenes) -> dict[str, Figure]:
    """Table 2: AP without each input and with two labels, and how much the whole is ahead."""
    found = networks(ABLATIONS, minutes / 2, data, work / reviewer_print(), scenes, weights=[str(DEFAULT_WEIGHTS)], map_epochs=0, lr=3e-4, backbone_lr=1e-4)
    figures = {}
    for name, network in found.items():
        figures["table2_whole" if name == "whole" else f"ap_{name}"] = Figure(**score(network[0], scenes)["ap"], n=len(scenes))
        if name != "whole":
            gap = gaps(scenes, found["whole"], network)["ap"]
            figures[f"whole_ahead_of_{name}"] = Figure(**gap, n=len(scenes), target="> 0, interval too", holds=gap["low"] > 0)
    return figures
