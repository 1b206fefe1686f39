"""What RFFT needs of a Stable Diffusion family: four diffusers modules, one way to call each, and a count of the UNet's
passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from .schedule import Schedule


class ModelError(ValueError):
    """These models can't be tuned; the message names the file, what is wrong and what to do."""


@dataclass
class Passes:
    """UNet passes, one per picture and prompt: guidance costs two.

    A pass with gradient costs more: the way back, and another pass when activations are recomputed.
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

    unet: Any  # diffusers' classes, whose methods and configs torch.nn.Module doesn't know
    controlnet: Any
    vae: Any
    encode_prompts: Callable
    schedule: Schedule
    passes: Passes = field(default_factory=Passes)
    # The module behind encode_prompts, where there is one: it moves and freezes with the others
    text_encoder: torch.nn.Module | None = None

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
            if on:
                part.enable_gradient_checkpointing()
            else:
                part.disable_gradient_checkpointing()
        # Within a block of the decoder, too: three of these layers at full size are most of what a step holds
        for layer in self.vae.modules():
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

    def encode_text(self, prompts: list) -> Text:
        """Prompts -> Text, in the dtype of `like`."""
        text = self.encode_prompts(prompts)
        return (text if isinstance(text, Text) else Text(text)).map(lambda values: values.to(**self.like))

    def predict(self, x: torch.Tensor, t: float, text: Text, hint: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
        """The noise in x_t (B, 4, h, w) at timestep t, in the dtype of x_t, seen by UNet and ControlNet, which are told
        the nearest whole timestep: text of B prompts, hint (B, 3, 8h, 8w) in [0, 1].
        """
        if torch.is_grad_enabled():
            self.passes.gradient += len(x)
        else:
            self.passes.plain += len(x)
        times = torch.full((len(x),), round(t), device=x.device, dtype=torch.long)
        conditions = {"encoder_hidden_states": text.context, "added_cond_kwargs": self.added_conditions(text, hint)}
        down, mid = self.controlnet(
            x, times, controlnet_cond=hint, conditioning_scale=strength, return_dict=False, **conditions
        )
        output = self.unet(
            x, times, down_block_additional_residuals=down, mid_block_additional_residual=mid, **conditions
        ).sample.to(x.dtype)
        return self.schedule.epsilon(x, output, t)

    @staticmethod
    def added_conditions(text: Text, hint: torch.Tensor) -> dict | None:
        """SDXL's further conditions (arXiv:2307.01952): the pooled text; the original size, the crop's corner and the
        target size, here of an uncropped picture.
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
        encoded = self.vae.encode(images * 2 - 1)  # AutoencoderTiny has latents, AutoencoderKL a distribution
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return latents.to(images.dtype) * self.vae.config.scaling_factor

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents -> (B, 3, H, W) in [0, 1], of the latents' dtype; differentiable."""
        decoded = self.vae.decode(latents / self.vae.config.scaling_factor).sample.to(latents.dtype)
        return ((decoded + 1) / 2).clamp(0, 1)
