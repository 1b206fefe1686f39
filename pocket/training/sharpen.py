"""Sharpens the pocket decoder: a critic of patches (arXiv:1611.07004) learns to tell its pictures from true ones, and
the decoder learns to please it, while the encoder rests, so that all latents stay what they are.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm

from ...rfnet.devices import find_device
from ...rfnet.files import quoted
from ..family import RestingBlock
from .training import Training, named
from .vae import SHEET_SECONDS, Pictures, load_vae, take_pictures, vae_loss, validate, write_vae

BETAS = (0.5, 0.95)
CRITIC_RATE = 2.0  # times the decoder's rate
LATENT_NOISE = 0.05  # as of a sampler's latents
ADVICE = 0.03  # weight of the critic's word beside the autoencoder's loss
ADVICE_FROM = 0.1  # progress before which the critic only learns


def build_critic(seed: int = 0) -> nn.Sequential:
    """(B, 3, H, W) in [-1, 1] -> what it thinks of every patch, high where it takes it for true."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (3, 64, 128, 256)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 4, 1, 1)))


def sharpen(
    feed,
    held_out: np.ndarray,
    work,
    minutes: float | None = None,
    steps: int | None = None,
    lr: float = 2e-4,
    batch: int = 4,
    seed: int = 0,
    start=None,
    device: str | None = None,
    bf16: bool | None = None,
) -> Path:
    """Trains the decoder of WORK/vae.safetensors, or of `start` (a checkpoint, or another vae.safetensors), on the
    images of a feed (feed.Feed); reports PSNR on `held_out`, uint8 (N, S, S, 3), and returns WORK/vae.safetensors,
    which it replaces.
    """
    work = Path(work)
    source = start or work / "vae.safetensors"
    if not Path(source).exists():
        raise ValueError(f"{quoted(source)} does not exist: run `pocket train vae` first, or give --start.")
    where = find_device(device)
    vae, config = load_vae(source)
    vae.to(where, memory_format=torch.channels_last)
    vae.decoder.requires_grad_(True)
    for block in vae.decoder.modules():
        if isinstance(block, RestingBlock):
            block.requires_grad_(False)
    critic = build_critic(seed).to(where)
    beside = {"critic": (critic, torch.optim.AdamW(critic.parameters(), CRITIC_RATE * lr, BETAS, weight_decay=0.0))}
    settings = {"seed": seed, "batch": batch, "start": named(start)}
    options = {"betas": BETAS, "bf16": bf16, "beside": beside, "settings": settings}
    run = Training(work, "sharpen", {"vae": vae}, lr, minutes, steps, 0.995, 0.0, seed, **options)
    pictures = Pictures()
    while run.running:
        take_pictures(feed, pictures, run)
        run.update(_loss(run, vae, critic, pictures.draw(batch, run)))
        run.report(batch, lambda: validate(run, vae, held_out), SHEET_SECONDS)
    return write_vae(run, vae, held_out, config)


def _loss(run: Training, vae, critic: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Of decoder and critic in one sum: neither part moves the other's weights."""
    with run.cast():
        with torch.no_grad():
            latents = vae.encode(pictures).latents
            noise = torch.randn(latents.shape, generator=run.random, device=run.device)
        drawn = vae.decode(latents + LATENT_NOISE * noise).sample
        true, false = critic(pictures).float(), critic(drawn.detach()).float()
        critic.requires_grad_(False)
        advice = -critic(drawn).float().mean()
        critic.requires_grad_(True)
    telling = relu(1 - true).mean() + relu(1 + false).mean()
    weight = ADVICE if run.progress >= ADVICE_FROM else 0.0
    return telling + vae_loss(drawn.float(), pictures, latents.float()) + weight * advice
