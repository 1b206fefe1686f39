"""The small demo models' VAE in Automatic1111, as their yaml names it (pocket_files.py): TAESD's layers, of which those
that rest are left out.
"""

from __future__ import annotations

import torch
from modules.sd_vae_taesd import Block, Clamp, conv

ENCODER, DECODER = (1, 3, 3, 3), (3, 3, 3, 1)  # TAESD's blocks on each level


class PocketVae(torch.nn.Module):
    """ddconfig: empty, but the web UI looks for it; config: the "vae" of a pocket file. Pictures are in [-1, 1]."""

    def __init__(self, ddconfig=None, config=None):
        super().__init__()
        width, latent = config["channels"], config["latent_channels"]
        encoder, decoder = config.get("encoder_blocks") or ENCODER, config.get("decoder_blocks") or DECODER
        layers = [conv(3, width)]
        for level, (working, count) in enumerate(zip(encoder, ENCODER)):
            layers += [conv(width, width, stride=2, bias=False)] if level else []
            layers += blocks(width, working, count)
        self.taesd_encoder = torch.nn.Sequential(*layers, conv(width, latent))
        layers = [Clamp(), conv(latent, width), torch.nn.ReLU()]
        for level, (working, count) in enumerate(zip(decoder, DECODER)):
            layers += [torch.nn.Upsample(scale_factor=2), conv(width, width, bias=False)] if level else []
            layers += blocks(width, working, count)
        self.taesd_decoder = torch.nn.Sequential(*layers, conv(width, 3))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.taesd_encoder(pictures / 2 + 0.5)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.taesd_decoder(latents) * 2 - 1


def blocks(width: int, working: int, count: int) -> list:
    """A level's blocks; those at rest are a ReLU each."""
    return [Block(width, width) if place < working else torch.nn.ReLU() for place in range(count)]
