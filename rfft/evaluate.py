"""The same pictures before, during and after a training: how many pass, what is wrong with the others, and whether they
have become dull.

Every figure comes from fixed orders (product, prompt, seed), so that two evaluations differ by the adapter alone. Each
product and prompt is drawn with several seeds, since what a collapse takes away is that another seed gives another
picture (arXiv:2408.00418 shows one plain background for all).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch

from ..rfnet import intervals
from ..rfnet.labels import LABELS
from ..rfnet.resize import resize
from .losses import consistent_condition
from .models import Models, Passes
from .rollout import Order, Sampling, prepare, reference, review_logits, rollout

EVALUATION_SEEDS = (
    2**31
)  # from here on; training seeds stay below. torch's generator on the CPU takes 32 bits of a seed


@dataclass
class Evaluation:
    """rate: share with p(available) >= threshold, {"value", "low", "high", "n"} (Wilson, 95 %, as if pictures of one
    product had nothing in common: a little narrow). probabilities: mean per label.

    diversity: mean distance between pictures of one product and prompt with different seeds, in the features of the
    reviewer's image encoder (root mean square over its token map); diversity_colour: the same in colour_statistics of
    the backgrounds; diversity_products: in colour_statistics between different products or prompts. brightness,
    saturation, contrast: means over the backgrounds, all in [0, 1]. cc: the consistent condition at one late step, 0
    for the base.
    """

    rate: dict
    probabilities: dict
    diversity: float
    diversity_colour: float
    diversity_products: float
    brightness: float
    saturation: float
    contrast: float
    cc: float
    evaluation_passes: int
    accepted: list = field(default_factory=list)  # one bool per order, for paired comparisons

    def row(self) -> dict:
        """All of it, JSON-able."""
        return dict(vars(self))

    def drift(self, before: Evaluation) -> dict:
        """How far colours moved: {"brightness", "saturation", "contrast"} now minus before."""
        return {name: getattr(self, name) - getattr(before, name) for name in ("brightness", "saturation", "contrast")}

    def __str__(self) -> str:
        r, defects = self.rate, ", ".join(f"{name} {self.probabilities[name]:.2f}" for name in LABELS)
        return (
            f"rate {r['value']:.1%} ({r['low']:.1%} to {r['high']:.1%}, n {r['n']}); mean probabilities {defects};"
            f" diversity {self.diversity:.3f}, colour {self.diversity_colour:.3f}, products"
            f" {self.diversity_products:.3f}; saturation {self.saturation:.3f}; CC {self.cc:.2f}"
        )


def triples(canvases_and_prompts: list, seeds: int) -> list:
    """Orders: every (canvas, prompt) with the same `seeds` seeds, which no training uses.

    ValueError below two seeds: diversity couldn't be measured.
    """
    if seeds < 2:
        raise ValueError(f"{seeds} seeds per product: diversity across seeds needs at least 2.")
    return [
        Order(canvas, prompt, EVALUATION_SEEDS + 1000 * place + seed)
        for place, (canvas, prompt) in enumerate(canvases_and_prompts)
        for seed in range(seeds)
    ]


def wilson(successes: int, n: int) -> dict:
    """A share with its Wilson 95 % interval: {"value", "low", "high", "n"}. n must be at least 1."""
    value, low, high = intervals.wilson(successes, n)
    return {"value": value, "low": low, "high": high, "n": n}


@torch.no_grad()
def evaluate(
    models: Models,
    reviewer,
    orders: list,
    sampling: Sampling,
    adapter=None,
    batch: int = 8,
    threshold: float | None = None,
    cc_from_end: int = 5,
    progress=lambda batches: batches,
) -> tuple:
    """Draw and review the orders -> (Evaluation, pictures (N, 3, H, W) on the CPU).

    adapter: the one that is attached and learns, or None: then cc is 0. threshold: for p(available), by default the
    reviewer's own. cc_from_end: how many steps before the end the consistent condition is taken. The models' own count
    of passes is left as it was.
    """
    counted, models.passes = models.passes, Passes()
    threshold = reviewer.threshold if threshold is None else threshold
    late = max(0, sampling.steps - cc_from_end)
    pictures, probabilities, features, ccs = [], [], [], []
    try:
        for start in progress(range(0, len(orders), batch)):
            chunk = prepare(models, orders[start : start + batch], sampling)
            latents, kept = rollout(models, chunk, sampling, keep=[late])
            drawn = chunk.paste(models.decode(latents))
            probabilities.append(
                review_logits(reviewer, drawn, [order.canvas for order in chunk.orders]).float().softmax(1).cpu()
            )
            features.append(look_of(reviewer, drawn).cpu())
            pictures.append(drawn.float().cpu())
            if adapter is not None:
                mine = reference(models, chunk, sampling, late, kept[late])
                with adapter.off():
                    base = reference(models, chunk, sampling, late, kept[late])
                alpha_bar = models.schedule.alpha_bar(models.schedule.timesteps(sampling.steps)[late])
                ccs.append(float(consistent_condition(*mine, *base, alpha_bar)) * len(chunk))
        passes = models.passes.total
    finally:
        models.passes = counted
    pictures, probabilities, features = torch.cat(pictures), torch.cat(probabilities), torch.cat(features)
    backgrounds = [1 - order.canvas.alpha for order in orders]
    colours = torch.stack([colour_statistics(picture, weight) for picture, weight in zip(pictures, backgrounds)])
    accepted = probabilities[:, 0] >= threshold
    groups = [(id(order.canvas), order.prompt) for order in orders]

    def look_distance(i, j):
        return (features[i] - features[j]).square().mean().sqrt()

    def colour_distance(i, j):
        return (colours[i] - colours[j]).norm()

    shades = torch.stack([shade(picture, weight) for picture, weight in zip(pictures, backgrounds)]).mean(0).tolist()
    return (
        Evaluation(
            wilson(int(accepted.sum()), len(orders)),
            dict(zip(LABELS, probabilities.mean(0).tolist())),
            mean_distance(groups, look_distance, True),
            mean_distance(groups, colour_distance, True),
            mean_distance(groups, colour_distance, False),
            *shades,
            sum(ccs) / len(orders),
            passes,
            accepted.tolist(),
        ),
        pictures,
    )


def look_of(reviewer, pictures: torch.Tensor) -> torch.Tensor:
    """(B, width * h * w): the token maps of the reviewer's image encoder.

    The product, being the same, adds nothing to a distance within one product.
    """
    rfnet = reviewer.rfnet
    images = resize(pictures.to(rfnet.head.weight), rfnet.config.image_size, rfnet.config.image_size)
    with torch.autocast(images.device.type, enabled=False):
        return rfnet.images(images).float().flatten(1)


def colour_statistics(picture: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(6,): mean and standard deviation of red, green and blue where weight (H, W) is 1; picture (3, H, W) in [0,
    1].
    """
    mean = (picture * weight).sum((1, 2)) / weight.sum()
    deviation = ((picture - mean[:, None, None]).square() * weight).sum((1, 2)) / weight.sum()
    return torch.cat([mean, deviation.sqrt()])


def shade(picture: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(3,): brightness (mean of the channels), saturation (largest minus smallest channel) and contrast (deviation of
    the brightness) where weight (H, W) is 1.
    """

    def mean(values):
        return (values * weight).sum() / weight.sum()

    grey = picture.mean(0)
    return torch.stack([mean(grey), mean(picture.amax(0) - picture.amin(0)), mean((grey - mean(grey)).square()).sqrt()])


def mean_distance(groups: list, distance, within: bool) -> float:
    """The mean of distance(i, j) over all pairs of one group (within), or of two groups; 0 where there is no such
    pair.
    """
    found = [
        float(distance(i, j))
        for i, j in itertools.combinations(range(len(groups)), 2)
        if (groups[i] == groups[j]) == within
    ]
    return sum(found) / len(found) if found else 0.0


def front(points: list) -> list:
    """Indices of the (rate, diversity) points that no other point beats in both; of equal points the first."""

    def beats(a, b):
        return a[0] >= b[0] and a[1] >= b[1] and (a[0] > b[0] or a[1] > b[1])

    return [
        i
        for i, p in enumerate(points)
        if not any(beats(q, p) or (tuple(q) == tuple(p) and j < i) for j, q in enumerate(points))
    ]
