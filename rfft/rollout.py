"""Drawing without gradient, and single steps of the same drawing with it (arXiv:2408.00418).

A rollout is the authors' sampling: DDIM with classifier-free guidance and a canny ControlNet, and at every step the
product's own latents, noised to the step's level, wherever the inpaint mask is 0. It keeps x_t of chosen steps. Each of
these is then run once more with gradient: predict x0-hat, decode it, put the product back, and let the reviewer look.
The paper takes one such step per rollout; several cost little more, because the rollout is what costs.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..rfnet.product import over_grey
from .models import Models, Text


@dataclass(frozen=True)
class Sampling:
    """How pictures are drawn.

    guidance: the scale of classifier-free guidance, 1 = off; strength: of the ControlNet; null_prompt: what guidance
    and CC call no text.
    """

    steps: int = 40
    guidance: float = 7.5
    strength: float = 1.0
    null_prompt: str = ""

    @property
    def guided(self) -> bool:
        return self.guidance != 1.0


@dataclass(frozen=True)
class Order:
    """One picture to draw: a placed product, a prompt and a seed."""

    canvas: object  # rfnet.product.Canvas
    prompt: str
    seed: int


@dataclass
class Batch:
    """B orders as tensors: product, noise (B, 4, h, w) latents, mask (B, 1, h, w) with 1 = paint here, hint (B, 3, H,
    W), text, null of B prompts.
    """

    orders: list
    product: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor
    hint: torch.Tensor
    text: Text
    null: Text

    def __len__(self) -> int:
        return len(self.orders)

    def rows(self, rows: slice) -> Batch:
        """Some of the orders."""
        return Batch(
            self.orders[rows],
            *(getattr(self, name)[rows] for name in ("product", "noise", "mask", "hint")),
            self.text.rows(rows),
            self.null.rows(rows),
        )

    @staticmethod
    def join(batches: list) -> Batch:
        """Several batches as one."""
        tensors = (
            torch.cat([getattr(batch, name) for batch in batches]) for name in ("product", "noise", "mask", "hint")
        )
        return Batch(
            [order for batch in batches for order in batch.orders],
            *tensors,
            *(Text.join([getattr(batch, name) for batch in batches]) for name in ("text", "null")),
        )

    def blend(self, x: torch.Tensor, product: torch.Tensor) -> torch.Tensor:
        """x where the mask says paint, the product's latents elsewhere."""
        return self.mask * x + (1 - self.mask) * product

    def paste(self, pictures: torch.Tensor) -> torch.Tensor:
        """The product's own pixels on pictures (B, 3, H, W), each with its own canvas; differentiable."""
        return torch.cat([order.canvas.paste(picture[None]) for order, picture in zip(self.orders, pictures)])


def start_noise(seeds, shape) -> torch.Tensor:
    """(B, *shape): one CPU generator per picture, so that a picture depends neither on its neighbours in the batch nor
    on the device.
    """
    return torch.stack(
        [torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed % 2**63)) for seed in seeds]
    )


@torch.no_grad()
def prepare(models: Models, orders: list, sampling: Sampling) -> Batch:
    """Everything about B orders that doesn't change while they are drawn.

    All canvases must have one size, otherwise ValueError.
    """
    sizes = sorted({(order.canvas.width, order.canvas.height) for order in orders})
    if len(sizes) != 1:
        raise ValueError(
            f"a batch needs canvases of one size, these are {', '.join(f'{w}x{h}' for w, h in sizes)}: place the"
            " products on equal canvases."
        )

    def stack(name):
        return torch.stack([getattr(order.canvas, name) for order in orders]).to(**models.like)

    product = models.encode(stack("shown"))
    mask = F.interpolate(stack("inpaint_mask")[:, None], size=product.shape[-2:], mode="bilinear")
    null, text = models.read([sampling.null_prompt]), models.read([order.prompt for order in orders])
    noise = start_noise([order.seed for order in orders], product.shape[1:]).to(product)
    return Batch(list(orders), product, noise, mask, stack("hint"), text, null.expand(len(orders)))


@torch.no_grad()
def rollout(models: Models, batch: Batch, sampling: Sampling, keep=(), to_the_end: bool = True):
    """Draw a batch -> (latents (B, 4, h, w), {step: x_t as the UNet saw it} for the steps in `keep`), steps counted
    from 0.

    to_the_end=False stops before the last kept step is computed, since nothing after it is needed; the latents are then
    None.
    """
    keep, times, kept = set(keep), models.schedule.timesteps(sampling.steps), {}
    x = batch.noise
    for i, (t, before) in enumerate(zip(times, [*times[1:], -1])):
        x = batch.blend(x, models.schedule.noisy(batch.product, batch.noise, t))
        if i in keep:
            kept[i] = x
            if not to_the_end and len(kept) == len(keep):
                return None, kept
        x = models.schedule.step(x, guided_epsilon(models, batch, sampling, x, t)[0], t, before)
    return batch.blend(x, batch.product), kept


def guided_epsilon(
    models: Models, batch: Batch, sampling: Sampling, x: torch.Tensor, t: int, with_null: bool | None = None
):
    """(eps that the step goes by, eps of the text, eps of no text); the last is None where neither guidance nor the
    caller asks for it.
    """
    with_null = sampling.guided if with_null is None else with_null or sampling.guided
    if not with_null:
        eps = models.predict(x, t, batch.text, batch.hint, sampling.strength)
        return eps, eps, None
    both = models.predict(
        x.repeat(2, 1, 1, 1), t, Text.join([batch.text, batch.null]), batch.hint.repeat(2, 1, 1, 1), sampling.strength
    )
    text, null = both.chunk(2)
    return (null + sampling.guidance * (text - null) if sampling.guided else text), text, null


@dataclass
class Step:
    """What one step gave: eps_text, eps_null (B, 4, h, w) or None, pictures (B, 3, H, W) of x0-hat with the product put
    back, alpha_bar_t.
    """

    eps_text: torch.Tensor
    eps_null: torch.Tensor | None
    pictures: torch.Tensor
    alpha_bar: float


def look(models: Models, batch: Batch, sampling: Sampling, i: int, x: torch.Tensor, with_null: bool = True) -> Step:
    """Run step i alone on its kept x_t, predict x0-hat, decode it and put the product back; with gradient if gradients
    are on.
    """
    t = models.schedule.timesteps(sampling.steps)[i]
    eps, text, null = guided_epsilon(models, batch, sampling, x, t, with_null)
    x0 = batch.blend(models.schedule.clean(x, eps, t), batch.product)
    return Step(text, null, batch.paste(models.decode(x0)), models.schedule.alpha_bar(t))


@torch.no_grad()
def reference(models: Models, batch: Batch, sampling: Sampling, i: int, x: torch.Tensor, with_null: bool = True):
    """(eps_text, eps_null or None) of step i, for the reference: call it with the adapter switched off."""
    t = models.schedule.timesteps(sampling.steps)[i]
    if with_null:
        return guided_epsilon(models, batch, sampling, x, t, True)[1:]
    return models.predict(x, t, batch.text, batch.hint, sampling.strength), None


@torch.no_grad()
def draw(models: Models, batch: Batch, sampling: Sampling) -> torch.Tensor:
    """Finished pictures (B, 3, H, W) in [0, 1], the product's own pixels put back."""
    return batch.paste(models.decode(rollout(models, batch, sampling)[0]))


def chosen_steps(sampling: Sampling, last: int, count: int, seed: int) -> list:
    """`count` different steps among the last `last`, drawn by `seed`, in the order of the drawing.

    count=1 is the paper's schedule.
    """
    last = min(last, sampling.steps)
    return sorted(random.Random(seed).sample(range(sampling.steps - last, sampling.steps), min(count, last)))


def review_logits(reviewer, pictures: torch.Tensor, canvases: list, through_maps: bool = True) -> torch.Tensor:
    """The reviewer's logits (B, 5) for pictures with their products, divided by its temperature; differentiable.

    through_maps=False: depth and saliency are looked at but carry no gradient, so that no picture is made available by
    fooling their estimator.
    """

    def shape(name):
        return torch.stack([getattr(canvas, name) for canvas in canvases]).to(pictures)

    rgb, alpha, captions, rfnet = (
        shape("rgb"),
        shape("alpha"),
        [canvas.product.caption for canvas in canvases],
        reviewer.rfnet,
    )
    with torch.autocast(
        pictures.device.type, enabled=False
    ):  # the verdict is what everything is judged by, and costs little: never in half precision
        if through_maps:
            return reviewer.logits(pictures, rgb, alpha, captions)
        images = pictures.to(rfnet.head.weight)
        with torch.no_grad():
            depth, saliency = reviewer.maps(images)
        return (
            rfnet(over_grey(rgb, alpha).to(images), images, depth, saliency, rfnet.tokenize(captions).to(images.device))
            / reviewer.temperature
        )
