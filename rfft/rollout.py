"""Drawing without gradient, and single steps of the same drawing with it (arXiv:2408.00418).

A rollout is the authors' sampling: DDIM, or DPM-Solver++(2M), or Euler's method for flow-matching models, with
classifier-free guidance and a canny ControlNet, and at every step the product's own latents, noised to the step's
level, wherever the inpaint mask is 0. It keeps x_t of chosen steps. Each of these is then taken once more with
gradient: predict x0-hat, decode it, put the product back, and let the reviewer look. The paper takes one such step per
rollout; several cost little more, because the rollout is what costs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..rfnet.product import Canvas, over_grey
from .flow import FlowSchedule
from .models import Models, Text
from .schedule import Schedule


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn.

    guidance: the scale of classifier-free guidance, 1 = off; strength: of the ControlNet; null_prompt: what guidance
    and the consistent condition call no text; a negative prompt, where one is wanted; sampler: a name of
    schedule.SAMPLERS or flow.SAMPLERS; told_guidance: the scale that guidance-distilled models are told, which draw
    without a null branch (guidance = 1) and have one in the gradient step alone.
    """

    steps: int = 40
    guidance: float = 7.5
    strength: float = 1.0
    null_prompt: str = ""
    sampler: str = "ddim"
    told_guidance: float = 3.5

    @property
    def guided(self) -> bool:
        return self.guidance != 1.0

    def timesteps(self, schedule: Schedule | FlowSchedule, tokens: int | None = None) -> list:
        """Those of its steps, from noisy to clean; tokens: of the pictures, see Batch.tokens."""
        return schedule.timesteps(self.steps, self.sampler, tokens)


@dataclass(frozen=True)
class Job:
    """One picture to draw: a placed product, a prompt and a seed."""

    canvas: Canvas
    prompt: str
    seed: int


@dataclass
class Batch:
    """B jobs as tensors: product, noise (B, 4, h, w) latents, mask (B, 1, h, w) with 1 = paint here, hint (B, 3, H, W)
    or its latents, text, null of B prompts.
    """

    jobs: list[Job]
    product: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor
    hint: torch.Tensor
    text: Text
    null: Text

    def __len__(self) -> int:
        return len(self.jobs)

    @property
    def tokens(self) -> int:
        """Of each picture, as transformers count them: one for 2x2 latents."""
        height, width = self.product.shape[-2:]
        return (height // 2) * (width // 2)

    def rows(self, rows: slice) -> Batch:
        """Some of the jobs."""
        return Batch(
            self.jobs[rows],
            self.product[rows],
            self.noise[rows],
            self.mask[rows],
            self.hint[rows],
            self.text.rows(rows),
            self.null.rows(rows),
        )

    @staticmethod
    def join(batches: list[Batch]) -> Batch:
        """Several batches as one."""
        return Batch(
            [job for batch in batches for job in batch.jobs],
            torch.cat([batch.product for batch in batches]),
            torch.cat([batch.noise for batch in batches]),
            torch.cat([batch.mask for batch in batches]),
            torch.cat([batch.hint for batch in batches]),
            Text.join([batch.text for batch in batches]),
            Text.join([batch.null for batch in batches]),
        )

    def blend(self, x: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
        """x where the mask says paint, the product's latents elsewhere."""
        return self.mask * x + (1 - self.mask) * product

    def paste(self, pictures: torch.Tensor) -> torch.Tensor:
        """The product's own pixels on pictures (B, 3, H, W), each with its own canvas; differentiable."""
        return torch.cat([job.canvas.paste(picture[None]) for job, picture in zip(self.jobs, pictures)])


def start_noise(seeds, shape) -> torch.Tensor:
    """(B, *shape): one CPU generator per picture, so that a picture depends neither on its neighbours in the batch nor
    on the device.
    """
    return torch.stack(
        [torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed % 2**63)) for seed in seeds]
    )


@torch.no_grad()
def prepare(models: Models, jobs: list[Job], sampling: Sampling) -> Batch:
    """Everything about B jobs that doesn't change while they are drawn.

    All canvases must have one size, otherwise ValueError.
    """
    sizes = sorted({(job.canvas.width, job.canvas.height) for job in jobs})
    if len(sizes) != 1:
        raise ValueError(
            f"a batch needs canvases of one size, these are {', '.join(f'{w}x{h}' for w, h in sizes)}: place the"
            " products on equal canvases."
        )

    def stack(name):
        return torch.stack([getattr(job.canvas, name) for job in jobs]).to(**models.like)

    product = models.encode(stack("shown"))
    # ComfyUI, too, scales masks bilinearly; diffusers takes the nearest pixel
    mask = F.interpolate(stack("inpaint_mask")[:, None], size=product.shape[-2:], mode="bilinear")
    null = models.encode_text([sampling.null_prompt])
    text = models.encode_text([job.prompt for job in jobs])
    noise = start_noise([job.seed for job in jobs], product.shape[1:]).to(product)
    hint = models.encode_hint(stack("hint"))
    return Batch(list(jobs), product, noise, mask, hint, text, null.expand(len(jobs)))


@torch.no_grad()
def rollout(
    models: Models,
    batch: Batch,
    sampling: Sampling,
    keep: Collection[int] = (),
    to_the_end: bool = True,
    on_step: Callable[[int, int], object] | None = None,
    on_clean: Callable[[int, int, torch.Tensor], object] | None = None,
) -> tuple:
    """Draw a batch -> (latents (B, 4, h, w), {step: x_t as the UNet saw it} for the steps in `keep`), steps counted
    from 0.

    to_the_end=False stops before the last kept step is computed, since nothing after it is needed; the latents are then
    None. on_step(steps done, steps) is called after each step, on_clean(steps done, steps, x0-hat with the product put
    back) likewise; what it raises ends the drawing.
    """
    kept: dict[int, torch.Tensor] = {}
    times = sampling.timesteps(models.schedule, batch.tokens)
    sampler = models.schedule.sampler(sampling.sampler)
    x = sampler.start(batch.noise, batch.product, times[0])
    for i, (t, before) in enumerate(zip(times, [*times[1:], None])):
        # Blended latent diffusion (arXiv:2206.02779): what the UNet sees of the product is the product itself, under
        # the very noise that the drawing began with, so that the noise outside of the mask agrees with that inside.
        # Before the step and not after it, as ComfyUI's samplers do.
        x = batch.blend(x, models.schedule.noisy(batch.product, batch.noise, t))
        if i in keep:
            kept[i] = x
            if not to_the_end and len(kept) == len(set(keep)):
                return None, kept
        eps, _, _ = guided_epsilon(models, batch, sampling, x, t)
        x0 = clean(models, batch, x, eps, t)
        x = sampler.step(x, eps, x0, t, before)
        if on_step:
            on_step(i + 1, sampling.steps)
        if on_clean:
            on_clean(i + 1, sampling.steps, x0)
    return batch.blend(x, batch.product), kept


def clean(models: Models, batch: Batch, x: torch.Tensor, eps: torch.Tensor, t: float) -> torch.Tensor:
    """x0-hat with the product's latents put back, which need no noise at level 0."""
    return batch.blend(models.schedule.clean(x, eps, t), batch.product)


def guided_epsilon(
    models: Models, batch: Batch, sampling: Sampling, x: torch.Tensor, t: float, with_null: bool = False
) -> tuple:
    """(eps that the step goes by, eps of the text, eps of no text); the last is None where neither guidance nor the
    caller asks for it.
    """
    if not (with_null or sampling.guided):
        eps = models.predict(x, t, batch.text, batch.hint, sampling.strength, sampling.told_guidance)
        return eps, eps, None
    # One pass of 2 B pictures rather than two of B
    texts, hint = Text.join([batch.text, batch.null]), batch.hint.repeat(2, 1, 1, 1)
    both = models.predict(x.repeat(2, 1, 1, 1), t, texts, hint, sampling.strength, sampling.told_guidance)
    text, null = both.chunk(2)
    # Classifier-free guidance, arXiv:2207.12598, its scale as Stable Diffusion counts it
    return (null + sampling.guidance * (text - null) if sampling.guided else text), text, null


@dataclass
class Step:
    """What one step gave: eps_text, eps_null (B, C, h, w) or None, pictures (B, 3, H, W) of x0-hat with the product put
    back, the schedule's score_weight and alpha_bar_t.
    """

    eps_text: torch.Tensor
    eps_null: torch.Tensor | None
    pictures: torch.Tensor
    score_weight: float
    alpha_bar: float


def differentiable_step(
    models: Models, batch: Batch, sampling: Sampling, i: int, x: torch.Tensor, with_null: bool = True
) -> Step:
    """Take step i alone on its kept x_t, predict x0-hat, decode it and put the product back; with gradient if gradients
    are on.
    """
    t = sampling.timesteps(models.schedule, batch.tokens)[i]
    eps, text, null = guided_epsilon(models, batch, sampling, x, t, with_null)
    # x0-hat of the guided noise: the picture that the drawing is heading for, and not the one that the text alone would
    # give.
    x0 = clean(models, batch, x, eps, t)
    pictures = batch.paste(models.decode(x0))
    return Step(text, null, pictures, models.schedule.score_weight(t), models.schedule.alpha_bar(t))


@torch.no_grad()
def reference(
    models: Models, batch: Batch, sampling: Sampling, i: int, x: torch.Tensor, with_null: bool = True
) -> tuple:
    """(eps_text, eps_null or None) of step i, for the reference: call it with the adapter switched off."""
    t = sampling.timesteps(models.schedule, batch.tokens)[i]
    if with_null:
        return guided_epsilon(models, batch, sampling, x, t, with_null=True)[1:]
    return models.predict(x, t, batch.text, batch.hint, sampling.strength, sampling.told_guidance), None


@torch.no_grad()
def draw(models: Models, batch: Batch, sampling: Sampling) -> torch.Tensor:
    """Finished pictures (B, 3, H, W) in [0, 1], the product's own pixels put back."""
    latents, _ = rollout(models, batch, sampling)
    return batch.paste(models.decode(latents))


def chosen_steps(sampling: Sampling, last: int, count: int, seed: int) -> list[int]:
    """`count` different steps among the last `last`, drawn by `seed`, in the order of the drawing.

    count=1 is the paper's schedule: one random step of the last ten.
    """
    last = min(last, sampling.steps)
    return sorted(random.Random(seed).sample(range(sampling.steps - last, sampling.steps), min(count, last)))


def review_logits(reviewer, pictures: torch.Tensor, canvases: list[Canvas], through_maps: bool = True) -> torch.Tensor:
    """The reviewer's logits (B, 5) for pictures with their products, divided by its temperature; differentiable.

    through_maps=False: depth and saliency are looked at but carry no gradient, so that no picture is made available by
    fooling their estimator.
    """

    def stack(name):
        return torch.stack([getattr(canvas, name) for canvas in canvases]).to(pictures)

    rgb, alpha = stack("rgb"), stack("alpha")
    captions = [canvas.product.caption for canvas in canvases]
    # Never in half precision: everything is judged by the verdict, and it costs little
    with torch.autocast(pictures.device.type, enabled=False):
        if through_maps:
            return reviewer.logits(pictures, rgb, alpha, captions)
        rfnet = reviewer.rfnet
        images = pictures.to(rfnet.head.weight)
        with torch.no_grad():
            depth, saliency = reviewer.maps(images)
        tokens = rfnet.tokenize(captions).to(images.device)
        return rfnet(over_grey(rgb, alpha).to(images), images, depth, saliency, tokens) / reviewer.temperature
