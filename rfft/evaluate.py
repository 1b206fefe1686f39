"""The same pictures before, during and after a training: how many pass, what is wrong with the others, and whether they
have become dull.

Every figure comes from fixed jobs (product, prompt, seed), so that two evaluations differ by the adapter alone. Each
product and prompt is drawn with several seeds, since what a collapse takes away is that another seed gives another
picture (arXiv:2408.00418 shows one plain background for all).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..rfnet import intervals
from ..rfnet.labels import LABELS
from ..rfnet.resize import resize
from .losses import AVAILABLE, consistent_condition
from .models import Models, Passes
from .rollout import Job, Sampling, prepare, reference, review_logits, rollout

# Evaluation's seeds begin here, training's stay below. torch's generator on the CPU takes 32 bits of a seed
EVALUATION_SEEDS = 2**31


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
    accepted: list = field(default_factory=list)  # one bool per job, for paired comparisons

    def row(self) -> dict:
        """All of it, JSON-able."""
        return dict(vars(self))

    def drift(self, before: Evaluation) -> dict:
        """How far colours moved: {"brightness", "saturation", "contrast"} now minus before."""
        return {name: getattr(self, name) - getattr(before, name) for name in ("brightness", "saturation", "contrast")}

    def __str__(self) -> str:
        r = self.rate
        defects = ", ".join(f"{name} {self.probabilities[name]:.2f}" for name in LABELS)
        return (
            f"rate {r['value']:.1%} ({r['low']:.1%} to {r['high']:.1%}, n {r['n']}); mean probabilities {defects};"
            f" diversity {self.diversity:.3f}, colour {self.diversity_colour:.3f}, products"
            f" {self.diversity_products:.3f}; saturation {self.saturation:.3f}; CC {self.cc:.2f}"
        )


def evaluation_jobs(pairs: list, seeds: int) -> list[Job]:
    """Every (canvas, prompt) with the same `seeds` seeds, which no training uses.

    ValueError below two seeds: diversity couldn't be measured.
    """
    if seeds < 2:
        raise ValueError(f"{seeds} seeds per product: diversity across seeds needs at least 2.")
    return [
        Job(canvas, prompt, EVALUATION_SEEDS + 1000 * place + seed)
        for place, (canvas, prompt) in enumerate(pairs)
        for seed in range(seeds)
    ]


def wilson(successes: int, n: int) -> dict:
    """A share with its Wilson 95 % interval: {"value", "low", "high", "n"}. n must be at least 1."""
    value, low, high = intervals.wilson(successes, n)
    return {"value": value, "low": low, "high": high, "n": n}


@dataclass
class Drawn:
    """N drawn and reviewed pictures (N, 3, H, W), the reviewer's probabilities (N, 5), image_features (N, D) of the
    pictures, and the consistent condition at a late step; all on the CPU.
    """

    pictures: torch.Tensor
    probabilities: torch.Tensor
    features: torch.Tensor
    cc: float


@torch.no_grad()
def evaluate(
    models: Models,
    reviewer,
    jobs: list[Job],
    sampling: Sampling,
    adapter=None,
    batch: int = 8,
    threshold: float | None = None,
    cc_from_end: int = 5,
    progress: Callable = lambda batches: batches,
) -> tuple[Evaluation, torch.Tensor]:
    """Draw and review the jobs -> (Evaluation, pictures (N, 3, H, W) on the CPU).

    adapter: the one that is attached and learns, or None: then cc is 0. threshold: for p(available), by default the
    reviewer's own. cc_from_end: how many steps before the end the consistent condition is taken. The models' own count
    of passes is left as it was.
    """
    counted, models.passes = models.passes, Passes()
    late = max(0, sampling.steps - cc_from_end)
    try:
        parts = [
            draw_and_review(models, reviewer, jobs[start : start + batch], sampling, adapter, late)
            for start in progress(range(0, len(jobs), batch))
        ]
        passes = models.passes.total
    finally:
        models.passes = counted
    drawn = Drawn(
        torch.cat([part.pictures for part in parts]),
        torch.cat([part.probabilities for part in parts]),
        torch.cat([part.features for part in parts]),
        sum(part.cc * len(part.pictures) for part in parts) / len(jobs),
    )
    return evaluation_of(jobs, drawn, reviewer.threshold if threshold is None else threshold, passes), drawn.pictures


def draw_and_review(models: Models, reviewer, jobs: list[Job], sampling: Sampling, adapter, late: int) -> Drawn:
    """One batch of evaluate. late: the step at which the consistent condition is taken."""
    batch = prepare(models, jobs, sampling)
    latents, kept = rollout(models, batch, sampling, keep=[late])
    pictures = batch.paste(models.decode(latents))
    logits = review_logits(reviewer, pictures, [job.canvas for job in jobs])
    features = image_features(reviewer, pictures)
    cc = 0.0
    if adapter is not None:
        eps_text, eps_null = reference(models, batch, sampling, late, kept[late])
        with adapter.off():
            ref_text, ref_null = reference(models, batch, sampling, late, kept[late])
        weight = models.schedule.score_weight(sampling.timesteps(models.schedule, batch.tokens)[late])
        cc = float(consistent_condition(eps_text, eps_null, ref_text, ref_null, weight))
    return Drawn(pictures.float().cpu(), logits.float().softmax(1).cpu(), features.cpu(), cc)


def evaluation_of(jobs: list[Job], drawn: Drawn, threshold: float, passes: int) -> Evaluation:
    """The figures of drawn pictures."""
    backgrounds = [1 - job.canvas.alpha for job in jobs]
    colours = torch.stack([colour_statistics(picture, weight) for picture, weight in zip(drawn.pictures, backgrounds)])
    shades = torch.stack([shade(picture, weight) for picture, weight in zip(drawn.pictures, backgrounds)]).mean(0)
    brightness, saturation, contrast = shades.tolist()
    accepted = drawn.probabilities[:, AVAILABLE] >= threshold
    groups = [(id(job.canvas), job.prompt) for job in jobs]  # pictures of one product and prompt

    def feature_distance(i, j):
        return (drawn.features[i] - drawn.features[j]).square().mean().sqrt()

    def colour_distance(i, j):
        return (colours[i] - colours[j]).norm()

    return Evaluation(
        rate=wilson(int(accepted.sum()), len(jobs)),
        probabilities=dict(zip(LABELS, drawn.probabilities.mean(0).tolist())),
        diversity=mean_distance(groups, feature_distance, True),
        diversity_colour=mean_distance(groups, colour_distance, True),
        diversity_products=mean_distance(groups, colour_distance, False),
        brightness=brightness,
        saturation=saturation,
        contrast=contrast,
        cc=drawn.cc,
        evaluation_passes=passes,
        accepted=accepted.tolist(),
    )


def image_features(reviewer, pictures: torch.Tensor) -> torch.Tensor:
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
    distances = [
        float(distance(i, j))
        for i, j in itertools.combinations(range(len(groups)), 2)
        if (groups[i] == groups[j]) == within
    ]
    return sum(distances) / len(distances) if distances else 0.0
