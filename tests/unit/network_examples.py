"""Scenes, and networks that are more or less right about them."""

from types import SimpleNamespace

import numpy as np
import torch

from reliable_ads.benchmarks import networks


def split(count=400, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, count)
    return SimpleNamespace(labels=labels, product_ids=[str(number // 4) for number in range(count)])


def logits_for(scenes, sure, shift=0.0, seed=1):
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(scenes.labels), 5))).float()
    return (
        noise
        + sure * torch.nn.functional.one_hot(torch.from_numpy(scenes.labels), 5)
        + shift * torch.tensor([1.0, 0, 0, 0, 0])
    )


def judged(scenes, *trainings):
    return [networks.Judged(logits, networks.even_threshold(logits, scenes.labels)) for logits in trainings]
