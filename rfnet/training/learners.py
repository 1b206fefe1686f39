"""The candidates of an adaptation, on the features and pictures of a user's labels."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..data.samples import Samples, split
from ..data.sources import open_samples
from ..files import sha256_of
from ..head import AddedHead
from ..maps import MapNet
from ..memory import Memory
from ..model import RFNet
from ..weights import load_memory, load_networks
from .candidates import Candidate, available_ap
from .evaluate import predict
from .finetune import Tuning, all_but_frozen, tune
from .head import RIDGES, Features, cached_features, fit_head, read_features
from .low_rank import add_low_rank
from .mixed import MixedDataset
from .remember import relearned

NETWORK = {"low_rank", "full"}  # methods that train the network itself


@dataclass
class Old:
    """The reviewer that is adapted: its file, that file's SHA-256, networks, metadata, head (a copy) and memory."""

    path: Path
    fingerprint: str
    rfnet: RFNet
    mapnet: MapNet
    metadata: dict
    added: AddedHead | None
    memory: Memory | None

    @classmethod
    def load(cls, path, watch: Callable) -> "Old":
        rfnet, mapnet, metadata = load_networks(path)
        watch(rfnet, 0)
        watch(mapnet, 0)
        memory = load_memory(path, rfnet.feature_width)
        return cls(Path(path), sha256_of(path), rfnet, mapnet, metadata, deepcopy(rfnet.added), memory)

    @property
    def size(self) -> int:
        """Pixels of a side of the pictures that it looks at."""
        return self.rfnet.config.image_size

    @property
    def temperature(self) -> float:
        return float(self.metadata["temperature"])

    @property
    def threshold(self) -> float:
        return float(self.metadata["threshold"])


@dataclass
class Learners:
    """old: the reviewer; own: labelled pictures; others: {"train", "val": pictures from elsewhere}; cache: a file for
    features, or None; watch: as in adapt; options: how a network is trained on.
    """

    old: Old
    own: Samples
    others: dict[str, Samples]
    cache: Path | str | None
    watch: Callable
    options: Tuning

    def candidates(self, method: str) -> list[Candidate]:
        """To keep the reviewer as it is, and what the method allows beside it."""
        ways = [Candidate("keep", "keep", lambda learn, judge: self.features.select(judge).judged(self.old.added))]
        if method in ("auto", "head"):
            ways += [self._head(ridge) for ridge in RIDGES]
        ways += [self._network(name) for name in ("low_rank", "full") if method in ("auto", name)]
        return ways

    def learn(self, candidate: Candidate) -> tuple:
        """(RFNet, MapNet) that have learned from all labels."""
        if candidate.method in NETWORK:
            return self._trained(candidate.method, self.own)
        rfnet, mapnet, _ = load_networks(self.old.path)
        rfnet.added = self._fitted(candidate.options["ridge"], np.arange(len(self.own)))
        return rfnet, mapnet

    def before(self) -> np.ndarray:
        """Probabilities (N, 5) of the old reviewer for one's own pictures."""
        return (self.features.judged(self.old.added) / self.old.temperature).softmax(1).double().numpy()

    def remembered(self, candidate: Candidate, learned: tuple) -> dict | None:
        """{"before", "after": average precision of "available" on others["val"], "n"}; None where there are none."""
        if "val" not in self.others:
            return None
        samples = self.others["val"]
        seen = self.features_of["val"]
        after = self._predict(learned, samples) if candidate.method in NETWORK else seen.judged(learned[0].added)
        return {
            "before": available_ap(seen.judged(self.old.added), samples.labels),
            "after": available_ap(after, samples.labels),
            "n": len(samples),
        }

    def memory(self, candidate: Candidate, learned: tuple, folder) -> Memory | None:
        """What the new reviewer keeps: what the old one kept, and one's own pictures as familiar ones."""
        if self.old.memory is None:
            return None
        if candidate.method in NETWORK:
            return relearned(self.old.memory, learned, self.own, folder)
        return Memory(self.old.memory.shard, self.old.memory.familiarity.with_more(self.features.features))

    @cached_property
    def features(self) -> Features:
        """Of one's own pictures."""
        return self._read(self.own)

    @cached_property
    def features_of(self) -> dict[str, Features]:
        """Of the others."""
        return {name: self._read(samples) for name, samples in self.others.items()}

    def _read(self, samples: Samples) -> Features:
        networks = self.old.rfnet.to(self.options.device), self.old.mapnet.to(self.options.device)
        if self.cache is None:
            return read_features(*networks, samples)
        return cached_features(self.cache, self.old.fingerprint, *networks, samples)

    def _head(self, ridge: float) -> Candidate:
        def predict_with(learn, judge):
            return self.features.select(judge).judged(self._fitted(ridge, learn))

        return Candidate(f"head ridge {ridge:g}", "head", predict_with, {"ridge": None if math.isinf(ridge) else ridge})

    def _fitted(self, ridge: float | None, rows: np.ndarray) -> AddedHead:
        """A head fitted on these of one's own pictures, and on the others with as much weight in all."""
        features = self.features.select(rows)
        labels = self.own.labels[rows].astype(int)
        weights = torch.ones(len(rows))
        if "train" in self.others:
            other = self.features_of["train"]
            features = features + other
            labels = np.concatenate([labels, self.others["train"].labels.astype(int)])
            weights = torch.cat([weights, torch.full((len(other),), min(1.0, len(rows) / len(other)))])
        return fit_head(features, labels, math.inf if ridge is None else ridge, weights, self.old.added)

    def _network(self, method: str) -> Candidate:
        def predict_with(learn, judge):
            return self._predict(self._trained(method, self.own.select(learn)), self.own.select(judge))

        return Candidate(method, method, predict_with)

    def _trained(self, method: str, samples: Samples) -> tuple:
        other = MixedDataset("train", [self.others["train"]]) if "train" in self.others else None
        how = add_low_rank if method == "low_rank" else all_but_frozen
        return tune(self.old.path, samples, other, self.options, self.watch, how)

    def _predict(self, networks: tuple, samples: Samples) -> torch.Tensor:
        rfnet, mapnet = networks
        return predict(rfnet.to(self.options.device), mapnet.to(self.options.device), samples)


def remembered_pictures(old: Old, folder) -> dict[str, Samples]:
    """{"train", "val"} of the pictures that a reviewer remembers, two thirds and a third of the products; {} where it
    remembers none.
    """
    if old.memory is None or (pictures := old.memory.unpack(Path(folder) / "memory")) is None:
        return {}
    parts = split(open_samples(pictures, old.size), {"train": 2 / 3, "val": 1 / 3}, salt="remembered")
    return {name: samples for name, samples in parts.items() if len(set((samples.labels == 0).tolist())) == 2}
