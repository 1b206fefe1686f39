"""What RFFT needs of a Stable Diffusion family: four diffusers modules, one way to call each, and a count of the UNet's
passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

from .union import hint_arguments

# Parts of a decoder that are checkpointed each for itself: three of them at full size are most of what a step holds
DECODER_LAYERS = ("ResnetBlock2D", "QwenImageResidualBlock", "QwenImageAttentionBlock", "QwenImageResample")


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
    """B prompts as the networks read them: context (B, L, C) and, for some models, pooled (B, P).

    lengths: how many of the L each prompt has, where they differ; the rest is padding, which no network looks at.
    """

    context: torch.Tensor
    pooled: torch.Tensor | None = None
    lengths: tuple[int, ...] | None = None

    def map(self, function) -> Text:
        """The same function of all tensors that there are."""
        return Text(function(self.context), None if self.pooled is None else function(self.pooled), self.lengths)

    def rows(self, rows: slice) -> Text:
        return replace(self.map(lambda values: values[rows]), lengths=self.lengths and self.lengths[rows])

    def expand(self, count: int) -> Text:
        """One prompt for a whole batch."""
        expanded = self.map(lambda values: values.expand(count, *values.shape[1:]))
        return replace(expanded, lengths=self.lengths and self.lengths * count)

    @staticmethod
    def join(texts: list) -> Text:
        longest = max(text.context.shape[1] for text in texts)
        contexts = [F.pad(text.context, (0, 0, 0, longest - text.context.shape[1])) for text in texts]
        return Text(
            torch.cat(contexts),
            None if texts[0].pooled is None else torch.cat([text.pooled for text in texts]),
            None if texts[0].lengths is None else tuple(length for text in texts for length in text.lengths),
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
    schedule: Any  # schedule.Schedule, or the flow.FlowSchedule of a flow-matching model
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
            if not part._supports_gradient_checkpointing:
                continue
            if on:
                part.enable_gradient_checkpointing()
            else:
                part.disable_gradient_checkpointing()
        for layer in self.vae.modules():
            if type(layer).__name__ in DECODER_LAYERS:
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

    def predict(
        self, x: torch.Tensor, t: float, text: Text, hint: torch.Tensor, strength: float = 1.0, told: float = 0.0
    ) -> torch.Tensor:
        """What the schedule draws with, noise or velocity, in x_t (B, 4, h, w) at timestep t and in the dtype of x_t,
        seen by UNet and ControlNet: text of B prompts, hint (B, 3, 8h, 8w) in [0, 1].

        told: the guidance that guidance-distilled models are told; these aren't.
        """
        self.count_passes(len(x))
        times = torch.full((len(x),), self.schedule.network_time(t), device=x.device)
        conditions = {"encoder_hidden_states": text.context, "added_cond_kwargs": self.added_conditions(text, hint)}
        down, mid = self.controlnet(
            x,
            times,
            conditioning_scale=float(strength),
            return_dict=False,
            **hint_arguments(self.controlnet, hint),
            **conditions,
        )
        output = self.unet(
            x, times, down_block_additional_residuals=down, mid_block_additional_residual=mid, **conditions
        ).sample.to(x.dtype)
        return self.schedule.predicted(x, output, t)

    def count_passes(self, pictures: int) -> None:
        if torch.is_grad_enabled():
            self.passes.gradient += pictures
        else:
            self.passes.plain += pictures

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

    def encode_hint(self, hint: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] -> the hint as `predict` takes it."""
        return hint

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
