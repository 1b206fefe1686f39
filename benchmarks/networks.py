"""The paper's tables 1 and 2 in small: RFNet against single-image networks, and RFNet without each of its inputs
(arXiv:2408.00418).

Every network is trained here, by `rfnet train`'s own code, on rendered scenes, and judged on the shipped test split,
whose products and rooms no training scene shows. In table 1 all have the same scenes and the same minutes: a picture
costs RFNet more than a single-image network, which sees more of them for it, and RFNet's estimator of depth and
saliency is trained within its time. Each accepts, at a threshold of its own, as many validation scenes as are
available, so that none gets its recall from accepting everything. In table 2 all have as many passes over few scenes
and, as in the paper, maps from outside: the shipped estimator's. There the gaps are small beside what two trainings
of one network differ by, so that several of each count with their mean, and intervals are drawn over seeds and
products together. Weights and verdicts stay in the work folder, one for every kind of data and length: a run that was
stopped goes on.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from reliable_ads.rfnet.architectures import ARCHITECTURES, INPUTS
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.files import write_safetensors
from reliable_ads.rfnet.training.config import TrainConfig
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.metrics import average_precision, intervals
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks

from .common import Figure, computes_bf16, keep_memory, reviewer_print

COMPACT = ARCHITECTURES["compact"]
ALONE = replace(COMPACT, inputs=("generated",))
RESAMPLES = 1000
ANEW = {"init": "random", "frozen": [], "backbone_lr": 1e-3}
# ImageNet weights come as a package for EfficientNet-Lite0 alone; what has to start from random numbers is also
# compared with an RFNet that does so
BASELINES = {
    "rfnet": {"architecture": COMPACT, "map_epochs": 1.5},
    "lite0": {"architecture": ALONE},
    "rfnet_anew": dict(architecture=COMPACT, map_epochs=1.5, **ANEW),
    "resnet50": dict(architecture=replace(ALONE, backbone="resnet50"), **ANEW),
    "resnext50": dict(architecture=replace(ALONE, backbone="resnext50_32x4d"), **ANEW),
    "hrnet_w18_small": dict(architecture=replace(ALONE, backbone="hrnet_w18_small"), **ANEW),
    "vit_tiny": dict(architecture=replace(ALONE, backbone="vit_tiny_patch16_224"), **ANEW),
}
RIVALS = {
    "rfnet": [name for name in BASELINES if not name.startswith("rfnet")],
    "rfnet_anew": ["resnet50", "resnext50", "hrnet_w18_small", "vit_tiny"],
}
KINDS = ("ap", "precision", "recall", "f1")
ABLATIONS = {"whole": {"architecture": COMPACT}}
ABLATIONS |= {
    f"without_{name}": {"architecture": replace(COMPACT, inputs=tuple(kept for kept in INPUTS if kept != name))}
    for name in INPUTS
}
ABLATIONS["two_labels"] = {"architecture": COMPACT, "labels": 2}


@dataclass
class Training:
    """How the networks of a table are trained.

    data: folder with train/ and val/; work: where weights and verdicts are kept.
    """

    data: Path
    work: Path
    passes: float | None = None
    minutes: float | None = None  # of one core or of the GPU, RFNet's maps included, in the place of passes
    seeds: int = 1  # trainings of each network
    workers: int = 0  # processes that read pictures; by the clock of a core none, for it would not count theirs

    @property
    def length(self) -> dict:
        return {"minutes": self.minutes} if self.minutes else {"passes": self.passes}

    def below(self, *parts: str) -> Training:
        """The same in the folder of the work folder that is kept for these scenes and this length."""
        ((unit, count),) = self.length.items()
        return replace(
            self, work=self.work.joinpath(*parts, f"{open_samples(self.data / 'train').fingerprint}-{count:g}_{unit}")
        )

    def __call__(self, name: str, changes: dict, seed: int, scenes) -> Judged:
        """One network's verdicts on these scenes, trained and judged now unless they lie in the work folder."""
        file = self.work / f"{name}-{seed}.verdicts.safetensors"
        if not file.exists() or len((found := Judged.read(file)).logits) != len(scenes.labels):
            found = Judged.of(self.train(name, changes, seed), self.data, scenes)
            found.write(file)
        return found

    def train(self, name: str, changes: dict, seed: int) -> Path:
        settings = self.settings(name, changes, seed)
        if not Path(settings.out).exists() or Path(f"{settings.out}.state").exists():
            print(f"\n{name}, seed {seed}: {self.length}", flush=True)
            keep_memory()
            if self.minutes and not torch.cuda.is_available():
                torch.set_num_threads(1)  # process_time adds threads up
            Run(settings, time.monotonic if torch.cuda.is_available() else time.process_time)()
        return Path(settings.out)

    def settings(self, name: str, changes: dict, seed: int) -> TrainConfig:
        changes = {"map_epochs": 0, "precision": "bf16" if computes_bf16() else "no", **changes}
        if self.minutes:
            changes["minutes"] = self.minutes / (
                1 if changes["map_epochs"] else 0.75
            )  # a run by the clock keeps a quarter for the maps
        else:
            changes["epochs"] = self.passes
        return TrainConfig(
            train=self.data / "train",
            val=self.data / "val",
            out=self.work / f"{name}-{seed}.safetensors",
            workers=self.workers,
            seed=seed,
            **changes,
        )


@dataclass
class Judged:
    """One trained network on the test split: logits (N, 5), the p(available) from which on it accepts, and what it was
    trained on and by.
    """

    logits: torch.Tensor
    threshold: float
    about: dict = field(default_factory=dict)

    @classmethod
    def of(cls, weights: Path, data: Path, scenes) -> Judged:
        rfnet, mapnet, _metadata = load_networks(weights)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        rfnet.to(device)
        mapnet.to(device)
        val = open_samples(data / "val", rfnet.config.image_size)
        train = open_samples(data / "train")
        about = {
            "scenes": str(len(train)),
            "data": train.fingerprint,
            "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        }
        return cls(predict(rfnet, mapnet, scenes), even_threshold(predict(rfnet, mapnet, val), val.labels), about)

    def write(self, file: Path) -> None:
        write_safetensors(
            file, {"logits": self.logits, "threshold": torch.tensor([self.threshold], dtype=torch.float64)}, self.about
        )

    @classmethod
    def read(cls, file: Path) -> Judged:
        with safe_open(file, "pt") as found:
            return cls(found.get_tensor("logits"), float(found.get_tensor("threshold")), found.metadata() or {})


def even_threshold(logits: torch.Tensor, labels: np.ndarray) -> float:
    """The p(available) from which on as many are accepted as are available."""
    p = np.sort(logits.softmax(1)[:, 0].double().numpy())[::-1]
    return float(p[int((labels == 0).sum()) - 1])


def four(available: np.ndarray, judged: Judged, weights: np.ndarray) -> list:
    """Of "available", in the order of KINDS: average precision, precision, recall, F1."""
    p = judged.logits.softmax(1)[:, 0].double().numpy()
    accepts = p >= judged.threshold
    hits, accepted, there = ((weights * chosen).sum() for chosen in (available & accepts, accepts, available))
    return [
        average_precision(available, p, weights),
        hits / max(accepted, 1e-9),
        hits / max(there, 1e-9),
        2 * hits / max(accepted + there, 1e-9),
    ]


def four_mean(scenes, trainings: list, weights: np.ndarray) -> np.ndarray:
    """The mean of `four` over the trainings of one network."""
    return np.mean([four(scenes.labels == 0, judged, weights) for judged in trainings], 0)


def scores(scenes, trainings: list) -> dict[str, dict]:
    """{kind: score of one network}, intervals over trainings and products."""
    return of_draws(scenes, lambda seeds, weights: four_mean(scenes, picked(trainings, seeds), weights), len(trainings))


def gaps(scenes, one: list, other: list) -> dict[str, dict]:
    """{kind: how far one network is ahead of another}, intervals over trainings and products, both on the same draws
    of products and of seeds.
    """

    def gap(seeds, weights):
        return four_mean(scenes, picked(one, seeds), weights) - four_mean(scenes, picked(other, seeds), weights)

    return of_draws(scenes, gap, min(len(one), len(other)))


def picked(trainings: list, seeds: np.ndarray) -> list:
    return [trainings[seed] for seed in seeds]


def of_draws(scenes, statistic, seeds: int, kinds=KINDS) -> dict[str, dict]:
    """{kind: value and interval} of statistic(which trainings, weights of scenes): of all of them once each, then of as
    many that are drawn anew with the products.
    """
    random = np.random.default_rng(1)
    drawn = itertools.chain([np.arange(seeds)], (random.integers(seeds, size=seeds) for _ in itertools.count()))
    return dict(zip(kinds, intervals(lambda weights: statistic(next(drawn), weights), scenes.product_ids, RESAMPLES)))


def ahead(scenes, one: list, other: list) -> dict[str, Figure]:
    return {kind: Figure(**gap, n=len(scenes)) for kind, gap in gaps(scenes, one, other).items()}


def judge(part: dict, training: Training, scenes, **common) -> dict[str, list]:
    """{name: what its trainings say on the test split} of every network of one table, trained where they aren't yet."""
    found = {}
    for name, changes in part.items():
        found[name] = [training(name, {**common, **changes}, seed, scenes) for seed in range(training.seeds)]
        print(
            f"{name}: "
            + ", ".join(
                f"{kind} {value:.3f}"
                for kind, value in zip(KINDS, four_mean(scenes, found[name], np.ones(len(scenes))))
            ),
            flush=True,
        )
    return found


def about(training: Training, found: dict[str, list]) -> dict:
    """How long all networks of one table were trained, on what and by what."""
    return {
        **training.length,
        "trainings": training.seeds,
        **{
            key: sorted({judged.about[key] for trainings in found.values() for judged in trainings})
            for key in ("scenes", "data", "device")
        },
    }


def baselines(training: Training, scenes) -> tuple[dict[str, Figure], dict]:
    """Table 1: every network's four scores, how far RFNet is ahead of each, and how far one from random weights is
    ahead of those from random weights.
    """
    found = judge(BASELINES, training.below("table1"), scenes, batch=32)
    figures = {}
    for name, trainings in found.items():
        figures |= {
            f"table1_{name}_{kind}": Figure(**value, n=len(scenes)) for kind, value in scores(scenes, trainings).items()
        }
    for ours, rivals in RIVALS.items():
        for name in rivals:
            figures |= {
                f"table1_{ours}_ahead_of_{name}_{kind}": gap
                for kind, gap in ahead(scenes, found[ours], found[name]).items()
            }
    return figures, {"table1": about(training, found)}


def ablations(training: Training, scenes) -> tuple[dict[str, Figure], dict]:
    """Table 2: AP without each input and with two labels, and how much the whole is ahead."""
    found = judge(
        ABLATIONS, training.below("table2", reviewer_print()), scenes, batch=64, estimator=str(DEFAULT_WEIGHTS)
    )
    figures = {}
    for name, trainings in found.items():
        figures["table2_whole" if name == "whole" else f"ap_{name}"] = Figure(
            **scores(scenes, trainings)["ap"], n=len(scenes)
        )
        if name != "whole":
            figures[f"whole_ahead_of_{name}"] = ahead(scenes, found["whole"], trainings)["ap"]
    each = {
        name: [round(four(scenes.labels == 0, judged, np.ones(len(scenes)))[0], 4) for judged in trainings]
        for name, trainings in found.items()
    }
    return figures, {"table2": {**about(training, found), "ap_of_each": each}}
