"""What the flow-matching families share: a transformer in the place of the UNet, and hints that the VAE encodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import torch

from ..models import Models, Text


@dataclass
class FlowModels(Models, ABC):
    """As Models, of which `unet` is the transformer and `schedule` a flow.FlowSchedule.

    Latents are (B, C, h, w) and so is the hint, outside of `run`: a family packs them as its networks want them.
    """

    def __post_init__(self):
        """What a family adds to its networks."""

    @property
    def transformer(self):
        return self.unet

    def predict(
        self, x: torch.Tensor, t: float, text: Text, hint: torch.Tensor, strength: float = 1.0, told: float = 3.5
    ) -> torch.Tensor:
        """The velocity at x_t (B, C, h, w), in its dtype; hint: what encode_hint gave; told: the guidance that a
        guidance-distilled transformer is told.
        """
        self.count_passes(len(x))
        times = torch.full((len(x),), self.schedule.network_time(t), device=x.device, dtype=x.dtype)
        output = self.run(x, times, text, hint, strength, torch.full_like(times, told))
        return self.schedule.predicted(x, output.to(x.dtype), t)

    @abstractmethod
    def run(self, x, times, text: Text, hint, strength: float, told: torch.Tensor) -> torch.Tensor:
        """What the transformer puts out (B, C, h, w) with its ControlNet; times, told: (B,)."""

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] -> latents (B, C, H/8, W/8) as the transformer knows them: the VAE's mode."""
        return (self.vae_mode(images) - self.vae.config.shift_factor) * self.vae.config.scaling_factor

    def encode_hint(self, hint: torch.Tensor) -> torch.Tensor:
        return self.encode(hint)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents -> (B, 3, H, W) in [0, 1], of the latents' dtype; differentiable."""
        scaled = latents / self.vae.config.scaling_factor + self.vae.config.shift_factor
        return ((self.vae.decode(scaled).sample.to(latents.dtype) + 1) / 2).clamp(0, 1)

    @torch.no_grad()
    def vae_mode(self, images: torch.Tensor) -> torch.Tensor:
        """The VAE's own latents of (B, 3, H, W) in [0, 1], in their dtype."""
        return self.vae.encode(images * 2 - 1).latent_dist.mode().to(images.dtype)


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) -> (B, h/2 * w/2, 4 C): a token for 2x2 latents, channels first."""
    batch, channels, height, width = latents.shape
    blocks = latents.reshape(batch, channels, height // 2, 2, width // 2, 2)
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(batch, height // 2 * (width // 2), channels * 4)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The way back, to latents (B, C, height, width)."""
    batch, _, channels = tokens.shape
    blocks = tokens.reshape(batch, height // 2, width // 2, channels // 4, 2, 2)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels // 4, height, width)


@dataclass(frozen=True)
class Network:
    """A network of a family: its class in diffusers or transformers, and how files show it.

    marks: keys that only its files have, without prefix; of a text encoder the first is as wide as it is. prefixes:
    where it may begin in a file; needed: whether the family can't do without it.
    """

    library: str
    kind: str
    marks: tuple[str, ...]
    prefixes: tuple[str, ...] = ("",)
    needed: bool = True


@dataclass(frozen=True)
class FlowFamily(ABC):
    """How a family's files are read.

    folder: of its shapes in rfft/configs; models: its FlowModels; networks: by the names of diffusers' folders;
    tokenizers: {folder: the text encoder that it is for}; controlnet: its class in diffusers; example: one that
    fits; schedule: what FlowSchedule is told besides the scheduler's config.
    """

    name: str
    folder: str
    models: type[FlowModels]
    networks: dict[str, Network]
    tokenizers: dict[str, str]
    controlnet: str
    example: str
    schedule: dict[str, Any] = field(default_factory=dict)

    @abstractmethod
    def control_config(self, shapes: dict, transformer: dict) -> dict:
        """The config of a ControlNet with tensors of these shapes, for a transformer of this config."""

    def extra_channels(self, shapes: dict, transformer: dict) -> int:
        """How many channels more than a hint's latents a ControlNet takes, packed or not."""
        return shapes["controlnet_x_embedder.weight"][1] - transformer["in_channels"]

    @abstractmethod
    def encode(self, texts: dict, tokenizers: dict, prompts: list[str]) -> Text:
        """Prompts -> Text; texts: {name: network} of the text encoders that are there."""


def blocks_in(shapes, name: str) -> int:
    """How many blocks a list of them has in a state: "transformer_blocks" counts those with
    "transformer_blocks.N.".
    """
    places = {key[len(name) + 1 :].partition(".")[0] for key in shapes if key.startswith(f"{name}.")}
    return len({place for place in places if place.isdigit()})
