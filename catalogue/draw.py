"""One product drawn with a Stable Diffusion family on diffusers' modules, as RFFT draws: what the loop asks for, and
what remedies change of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from ..cyclic.loop import TooMany
from ..cyclic.preview import Preview
from ..cyclic.remedies import REMEDIES, Change, Impossible, Placement, Policy, apply
from ..rfft.models import Models, Text
from ..rfft.rollout import Batch, Job, Sampling, prepare, rollout, start_noise
from ..rfnet.product import Canvas


@dataclass(frozen=True)
class Painting:
    """The models and how they draw. preview: what preview checks see through, None for the VAE; scale: what ComfyUI
    divides latents by, of which a preview was made; half: multiply in bfloat16.
    """

    models: Models
    sampling: Sampling
    preview: Preview | None = None
    scale: float = 1.0
    half: bool = False

    def autocast(self):
        """Around all that the models do."""
        device = next(self.models.unet.parameters()).device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.half)


class RolloutChange(Change):
    """Collects what remedies ask for of a rollout."""

    def __init__(self, sampling: Sampling):
        self.sampling = sampling
        self.words: list[tuple[str, str]] = []  # (which prompt, what is added)
        self.guidance = self.strength = 1.0
        self.placement = Placement()

    def add_words(self, name: str, to: str = "positive") -> None:
        if to == "negative" and not self.sampling.guided:
            raise Impossible("cfg is 1: it draws without guidance")
        self.words.append((to, next(remedy.words for remedy in REMEDIES if remedy.name == name)))

    def scale_guidance(self, factor: float) -> None:
        if not self.sampling.guided:
            raise Impossible("cfg is 1: it draws without guidance")
        self.guidance *= factor

    def scale_control(self, factor: float) -> None:
        self.strength *= factor

    def place(self, dilation: float = 0.0, down: float = 0.0, scale: float = 1.0) -> None:
        self.placement.place(dilation, down, scale)

    def use_tuned(self) -> None:
        raise Impossible("an adapter is used from the first attempt on")


def possible(asked, sampling: Sampling) -> tuple[str, ...]:
    """Those of these remedies that such draws can have."""
    names = []
    for remedy in REMEDIES:
        try:
            if remedy.name in asked:
                remedy.change(RolloutChange(sampling), remedy.next(remedy.neutral))
                names.append(remedy.name)
        except Impossible:
            pass
    return tuple(names)


class ProductDraw:
    """What recurrent asks for, of one canvas and prompt; the policy's present values are in every draw.

    review(image, canvas), alone(image, canvas): of finished pictures, and of previews.
    """

    def __init__(
        self, painting: Painting, canvas: Canvas, prompt: str, review: Callable, policy: Policy, alone: Callable
    ):
        self.painting, self.canvas, self.prompt = painting, canvas, prompt
        self._review, self.policy, self._alone = review, policy, alone
        self._prepared = lru_cache(maxsize=4)(self._prepare)

    def one(self, index: int, seed: int, check) -> tuple[torch.Tensor, Any]:
        """Attempt `index` -> (picture (3, H, W), nothing more to keep)."""
        images = self._draw([seed], lambda step, steps, preview: check(step, steps, lambda: preview([0])[0]))
        return images[0], None

    def several(self, index: int, seeds: list[int], checks) -> tuple[torch.Tensor, list]:
        """The rows that were not stopped early. Raises TooMany where memory runs out."""
        try:
            images = self._draw(seeds, checks)[checks.alive]
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            raise TooMany(f"{len(seeds)} attempts at once don't fit into memory") from None
        return images, [None] * len(images)

    def review(self, image: torch.Tensor) -> dict:
        return self._review(image, self._now()[0])

    def review_preview(self, image: torch.Tensor) -> dict:
        return self._alone(image, self._now()[0])

    def _now(self) -> tuple[Canvas, Sampling, Batch]:
        return self._prepared(tuple(sorted(self.policy.values.items())))

    @torch.no_grad()
    def _draw(self, seeds: list[int], check: Callable) -> torch.Tensor:
        """(N, 3, H, W) on the CPU. check(step, steps, previews(rows))."""
        canvas, sampling, one = self._now()
        models = self.painting.models
        noise = start_noise(seeds, one.product.shape[1:]).to(one.product)
        batch = replace(Batch.join([one] * len(seeds)), noise=noise)

        def on_clean(step: int, steps: int, x0: torch.Tensor) -> None:
            check(step, steps, lambda rows: self._finished(x0[rows], canvas, self.painting.preview))

        with self.painting.autocast():
            latents, _ = rollout(models, batch, sampling, on_clean=on_clean)
            return self._finished(latents, canvas)

    def _finished(self, latents: torch.Tensor, canvas: Canvas, preview: Preview | None = None) -> torch.Tensor:
        if preview:
            pictures = preview(latents / self.painting.scale, canvas.height, canvas.width)
        else:
            pictures = self.painting.models.decode(latents)
        return canvas.paste(pictures.float()).cpu()

    def _prepare(self, values: tuple) -> tuple[Canvas, Sampling, Batch]:
        """The canvas, the sampling and a batch of one, as remedies at these values have them."""
        change = RolloutChange(self.painting.sampling)
        apply(dict(values), change)
        sampling = self.painting.sampling
        sampling = replace(
            sampling, guidance=sampling.guidance * change.guidance, strength=sampling.strength * change.strength
        )
        canvas = change.placement.of(self.canvas)
        with self.painting.autocast():
            batch = prepare(self.painting.models, [Job(canvas, self.prompt, 0)], sampling)
            for to, words in change.words:
                if to == "positive":
                    batch = replace(batch, text=with_words(self.painting.models, batch.text, words))
                else:
                    batch = replace(batch, null=with_words(self.painting.models, batch.null, words))
        return canvas, sampling, even(batch)


@torch.no_grad()
def with_words(models: Models, text: Text, words: str) -> Text:
    """A prompt with more words behind it, as ComfyUI's Conditioning (Concat) joins them."""
    more = models.encode_text([words])
    return Text(torch.cat([text.context, more.context], 1), text.pooled)


def even(batch: Batch) -> Batch:
    """Both texts of one length, so that guidance takes them in one pass: attention gives the same for a text repeated
    a whole number of times.
    """
    length = math.lcm(batch.text.context.shape[1], batch.null.context.shape[1])

    def long(text: Text) -> Text:
        return Text(text.context.repeat(1, length // text.context.shape[1], 1), text.pooled)

    return replace(batch, text=long(batch.text), null=long(batch.null))
