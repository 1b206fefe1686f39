"""What RFFT needs of a Stable Diffusion family, as four diffusers modules with one way to ask each; and a count of what
the UNet was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from .schedule import Schedule


class ModelError(ValueError):
    """These models can't be tuned; the message names the file, what is wrong and what to do."""


@dataclass
class Passes:
    """UNet passes, one per picture and prompt: guidance costs two.

    Those with gradient are run a second time, backwards, and a third when they are checkpointed.
    """

    plain: int = 0
    gradient: int = 0

    @property
    def total(self) -> int:
        return self.plain + self.gradient


@dataclass(frozen=True)
class Text:
    """B prompts as the networks read them: context (B, L, C) and, for SDXL, pooled (B, P)."""

    context: torch.Tensor
    pooled: torch.Tensor | None = None

    def map(self, function) -> Text:
        """The same function of all that there is."""
        return Text(function(self.context), None if self.pooled is None else function(self.pooled))

    def rows(self, rows: slice) -> Text:
        return self.map(lambda values: values[rows])

    def expand(self, count: int) -> Text:
        """One prompt for a whole batch."""
        return self.map(lambda values: values.expand(count, *values.shape[1:]))

    @staticmethod
    def join(texts: list) -> Text:
        return Text(
            torch.cat([text.context for text in texts]),
            None if texts[0].pooled is None else torch.cat([text.pooled for text in texts]),
        )


@dataclass
class Models:
    """A UNet, a ControlNet and a VAE of diffusers, and encode_prompts: list of B prompts -> Text, or its context alone;
    all on one device.

    vae: AutoencoderKL or AutoencoderTiny. passes counts every UNet pass; exchange it to count a part of the work by
    itself.
    """

    unet: torch.nn.Module
    controlnet: torch.nn.Module
    vae: torch.nn.Module
    encode_prompts: Callable
    schedule: Schedule
    passes: Passes = field(default_factory=Passes)
    text_encoder: torch.nn.Module | None = (
        None  # the module behind encode_prompts, where there is one: it moves and freezes with the others
    )

    def parts(self) -> dict:
        """{name: module} of all there are."""
        return {
            name: getattr(self, name)
            for name in ("unet", "controlnet", "vae", "text_encoder")
            if getattr(self, name) is not None
        }

    def freeze(self) -> Models:
        """No part takes a gradient of its own; only an adapter learns."""
        for part in self.parts().values():
            part.eval().requires_grad_(False)
        return self

    def to(self, device) -> Models:
        for part in self.parts().values():
            part.to(device)
        return self

    def checkpoint(self, on: bool = True) -> Models:
        """Recompute activations in the backward pass of ControlNet, UNet and VAE; the decode is the largest of the
        three (arXiv:1604.06174).
        """
        for part in (self.controlnet, self.unet, self.vae):
            part.enable_gradient_checkpointing() if on else part.disable_gradient_checkpointing()
        for layer in (
            self.vae.modules()
        ):  # within a block of the decoder, too: three of these at full size are most of what a step holds
            if type(layer).__name__ == "ResnetBlock2D":
                layer.__dict__.pop("forward", None)
                if on:
                    layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        return self

    @property
    def like(self) -> dict:
        """Device and dtype of what goes into the models: the UNet's, but at least float32, since a drawing adds up many
        small steps.
        """
        weight = next(self.unet.parameters())
        return {"device": weight.device, "dtype": torch.promote_types(weight.dtype, torch.float32)}

    def read(self, prompts: list) -> Text:
        """Prompts -> Text, in the dtype of `like`."""
        found = self.encode_prompts(prompts)
        return (found if isinstance(found, Text) else Text(found)).map(lambda values: values.to(**self.like))

    def predict(self, x: torch.Tensor, t: int, text: Text, hint: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
        """The noise in x_t (B, 4, h, w) at timestep t, in the dtype of x_t, seen by UNet and ControlNet: text of B
        prompts, hint (B, 3, 8h, 8w) in [0, 1].
        """
        if torch.is_grad_enabled():
            self.passes.gradient += len(x)
        else:
            self.passes.plain += len(x)
        times = torch.full((len(x),), t, device=x.device, dtype=torch.long)
        asked = {"encoder_hidden_states": text.context, "added_cond_kwargs": self.added(text, hint)}
        down, mid = self.controlnet(
            x, times, controlnet_cond=hint, conditioning_scale=strength, return_dict=False, **asked
        )
        output = self.unet(
            x, times, down_block_additional_residuals=down, mid_block_additional_residual=mid, **asked
        ).sample.to(x.dtype)
        return self.schedule.epsilon(x, output, t)

    @staticmethod
    def added(text: Text, hint: torch.Tensor) -> dict | None:
        """What SDXL is told besides (arXiv:2307.01952): the pooled text, and that the picture is whole: its size, cut
        off nowhere, and its size again.
        """
        if text.pooled is None:
            return None
        height, width = hint.shape[-2:]
        times = torch.tensor([[height, width, 0, 0, height, width]], device=hint.device, dtype=hint.dtype)
        return {"text_embeds": text.pooled, "time_ids": times.expand(len(hint), -1)}

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] -> latents (B, 4, H/8, W/8) as the UNet knows them; an AutoencoderKL gives its mode,
        as ComfyUI does.
        """
        answer = self.vae.encode(images * 2 - 1)
        latents = answer.latents if hasattr(answer, "latents") else answer.latent_dist.mode()
        return latents.to(images.dtype) * self.vae.config.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents -> (B, 3, H, W) in [0, 1], of the latents' dtype; differentiable."""
        return ((self.vae.decode(latents / self.vae.config.scaling_factor).sample.to(latents.dtype) + 1) / 2).clamp(
            0, 1
        )
