"""What a larger picture is worth to RFNet at equal training time: `compact` at 160, 224 and 256 px.

    synthetic compose --data data/input_size --assets ASSETS --size 256 --train 2000 --val 200 --test 600
    python -m benchmarks.reviewer --only input_size [--input-sizes 160 224]

Every training begins with the package's ImageNet weights, has the same minutes of one core (or of the GPU) and the same
composites, stored at 256 px and read at the network's size; a larger picture costs more, so that its network sees fewer
of them for it. All take the shipped estimator's maps, which it makes at 160 px whatever the picture's size. They are
judged on the test split's composites, read at their own size: no product of it is ever trained on, a third are of
families and a third of the defects made in ways that training doesn't show. Trainings and intervals are those of
networks.py: several of each size, drawn again together with the products, and kept in the work folder.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import torch

from reliable_ads.rfnet.architectures import RFNetConfig
from reliable_ads.rfnet.data.samples import Samples
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.reviewer import Reviewer
from reliable_ads.rfnet.training.metrics import average_precision
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks, read_metadata

from .common import Figure, mean, reviewer_print
from .figures.reviewer import INPUT_SIZES, SIZE_SCORES
from .networks import COMPACT, Judged, Training, about, judge, of_draws, picked

SMALLEST = INPUT_SIZES[0]  # the size that ships
BATCH = 32
SIDE = 512  # pixels of a picture as SD 1.5 draws it
QUICK = 60  # pictures that --quick judges


def at(size: int) -> RFNetConfig:
    """`compact` for pictures of this size; its maps are read by stems, which need them as large as the picture."""
    return replace(COMPACT, image_size=size, map_size=size)


def aps(labels: np.ndarray, trainings: list, weights: np.ndarray) -> np.ndarray:
    """Average precision of each of SIZE_SCORES, the mean over trainings. labels (N,); trainings: each one's
    probabilities (N, 5).
    """
    numbers = [LABELS.index(label) for label in SIZE_SCORES]
    return np.mean([[average_precision(labels == n, p[:, n], weights) for n in numbers] for p in trainings], 0)


def scores(samples: Samples, found: dict[int, list]) -> dict[str, Figure]:
    """The APs of each size, and how far the larger ones are ahead, on the same draws of products and of seeds.

    found: {size: trainings}.
    """
    probabilities = {size: [probabilities_of(judged) for judged in trainings] for size, trainings in found.items()}
    larger = [size for size in found if size != SMALLEST]
    names = [f"{size}_ap" for size in found] + [f"{size}_ahead" for size in larger]

    def statistic(seeds, weights):
        ap = {size: aps(samples.labels, picked(each, seeds), weights) for size, each in probabilities.items()}
        return np.concatenate([*ap.values(), *(ap[size] - ap[SMALLEST] for size in larger)])

    keys = [f"input_{name}_{label}" for name in names for label in SIZE_SCORES]
    values = of_draws(samples, statistic, min(map(len, found.values())), keys)
    return {key: Figure(**value, n=len(samples.labels)) for key, value in values.items()}


def probabilities_of(judged: Judged) -> np.ndarray:
    return judged.logits.softmax(1).double().numpy()


@torch.no_grad()
def milliseconds(sizes, rounds: int) -> dict[str, Figure]:
    """Of reviewing one picture by one thread of the CPU, the product's features kept, in turns. Weights don't matter to
    it: these are random.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    estimator = load_networks(DEFAULT_WEIGHTS)[1]
    random = torch.Generator().manual_seed(0)
    product = np.zeros((SIDE // 2, SIDE // 4, 4), np.uint8)
    product[16:-16, 16:-16] = 255
    canvas = place(Product.from_arrays(product, caption="a white box"), SIDE, SIDE)
    reviewers = {size: Reviewer(RFNet(at(size)), estimator) for size in sizes}
    took: dict[int, list] = {size: [] for size in sizes}
    for number in range(rounds + 1):
        picture = torch.rand(1, 3, SIDE, SIDE, generator=random)
        for size, reviewer in reviewers.items():
            began = time.perf_counter()
            reviewer.review(picture, canvas)
            if number:  # the first review pays for what is allocated then, and for the product
                took[size].append(1000 * (time.perf_counter() - began))
    torch.set_num_threads(threads)
    return {f"input_{size}_ms": Figure(*mean(values), n=rounds) for size, values in took.items()}


def input_size(training: Training, sizes: list[int], quick: bool) -> tuple[dict[str, Figure], dict]:
    """The figures of these sizes, the smallest among them; quick: of validation composites, so that nothing is looked
    at before it counts. What a review costs is measured for all sizes.
    """
    samples = open_samples(training.data / ("val" if quick else "test"))
    samples = samples.select(range(min(QUICK, len(samples)))) if quick else samples
    training = training.below("input_size", reviewer_print())
    found = {}
    for size in sorted({SMALLEST, *sizes}):
        part = {f"{size}px": {"architecture": at(size)}}
        common = {"batch": BATCH, "estimator": str(DEFAULT_WEIGHTS)}
        found |= {size: judge(part, training, samples.resized(size), **common)[f"{size}px"]}
    figures = scores(samples, found) | milliseconds(INPUT_SIZES, 3 if quick else 20)
    everyone = np.ones(len(samples))
    each = {
        size: [np.round(aps(samples.labels, [probabilities_of(one)], everyone), 4).tolist() for one in trainings]
        for size, trainings in found.items()
    }
    seen = {size: [pictures_seen(training, f"{size}px", seed) for seed in range(training.seeds)] for size in found}
    return figures, {"input sizes": {**about(training, found), "ap_of_each": each, "pictures_seen": seen}}


def pictures_seen(training: Training, name: str, seed: int) -> int:
    """How many pictures a training had in its minutes, each as often as it came."""
    history = json.loads(read_metadata(training.work / f"{name}-{seed}.safetensors")["history"])
    return BATCH * history[-1]["step"]
