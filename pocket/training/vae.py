"""Trains the pocket VAE: pictures in, the same pictures out, through a (4, 16, 16) latent.

The architecture is TAESD's (diffusers' AutoencoderTiny), which ComfyUI's stock VAE reads as well. It has no
normalisation layers, so it can start as a working autoencoder (see `pass_through`): 23 dB after 80 seconds on two
cores, where an AutoencoderKL of the same cost reached 17 dB in eight minutes. With 32 channels, GroupNorm's 32 groups
hold one channel each and wipe out every picture's mean colour, which the network then has to smuggle past them.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F

from ...rfnet.files import write_safetensors
from ..family import POCKET, RestingBlock, build_vae
from ..ldm import from_ldm, key_maps, read_file, to_ldm
from .training import Training, to_unit, write_sheet

EDGE_WEIGHT = 0.5
UNIT_WEIGHT = 0.02  # pulls the latents towards mean 0 and deviation 1, which the noise schedule expects
LATENT_NOISE = 0.08  # the decoder has to bear latents that a sampler missed by a little
FULL_SIZE_FROM = 0.5  # share of the budget after which pictures are no longer halved: four times as many steps before
SHEET_SECONDS = 120
START_SCALE = 4.0  # colours in [0, 1] deviate by about 1/4


@torch.no_grad()
def pass_through(vae) -> None:
    """Starts the autoencoder as one: three channels carry the colours, averaged over 8x8 pixels and smoothly spread
    again.

    The blocks' last convolutions start at zero, so each block is the identity on what it carries; everything else
    starts as usual.
    """
    for block in vae.modules():
        if type(block).__name__ == "AutoencoderTinyBlock":
            block.conv[-1].weight.zero_()
            block.conv[-1].bias.zero_()
    point = torch.zeros(3, 3)
    square = torch.zeros(3, 3)
    point[1, 1] = 1
    square[1:, 1:] = 0.25
    tent = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))

    def carry(conv, kernel, gain: float = 1.0, offset: float = 0.0):
        for colour in range(3):
            conv.weight[colour].zero_()
            conv.weight[colour, colour] = kernel * gain
            if conv.bias is not None:
                conv.bias[colour] = offset

    down = [layer for layer in vae.encoder.layers if isinstance(layer, torch.nn.Conv2d)]
    up = [layer for layer in vae.decoder.layers if isinstance(layer, torch.nn.Conv2d)]
    carry(down[0], point)
    for conv in down[1:-1]:
        carry(conv, square)
    carry(down[-1], point, START_SCALE, -0.5 * START_SCALE)
    carry(up[0], point, 1 / START_SCALE, 0.5)
    for conv in up[1:-1]:
        carry(conv, tent)
    carry(up[-1], point)


def gradients(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def vae_loss(reconstruction: torch.Tensor, target: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
    """L1 on colours and on their gradients (sharp edges, no ringing), and a pull to unit latents.

    Pictures are (B, 3, H, W) in [-1, 1].
    """
    edges = sum(F.l1_loss(a, b) for a, b in zip(gradients(reconstruction), gradients(target)))
    unit = (latents.mean((0, 2, 3)) ** 2 + (latents.std((0, 2, 3)) - 1) ** 2).mean()
    return F.l1_loss(reconstruction, target) + EDGE_WEIGHT * edges + UNIT_WEIGHT * unit


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean over pictures in [-1, 1], in dB."""
    return float((-10 * (((a - b) / 2) ** 2).mean((1, 2, 3)).log10()).mean())


@torch.no_grad()
def reconstruct(vae, pictures: torch.Tensor, batch: int = 8) -> torch.Tensor:
    """(N, 3, H, W) in [-1, 1] → the same through the latents."""
    return torch.cat([vae.decode(vae.encode(x).latents).sample.clamp(-1, 1) for x in pictures.split(batch)])


def save_vae(path, vae, config: dict, metadata: dict[str, str]) -> None:
    write_safetensors(path, to_ldm(vae, key_maps(config, vae=vae)["vae"]), {**metadata, "pocket": json.dumps(config)})


def load_vae(path):
    """(vae in eval mode, config) of a file that `train_vae` wrote, float32."""
    tensors, config = read_file(path)
    vae = build_vae(config)
    from_ldm(vae, key_maps(config, vae=vae)["vae"], tensors, path)
    return vae.eval().requires_grad_(False), config


def train_vae(
    images,
    held_out,
    work,
    minutes: float | None = None,
    steps: int | None = None,
    lr: float = 1e-3,
    batch: int = 4,
    seed: int = 0,
    config: dict = POCKET,
    start=None,
) -> Path:
    """Trains on uint8 images (N, 128, 128, 3), reports PSNR on `held_out`, and returns the path of
    WORK/vae.safetensors.

    start: an earlier vae.safetensors to begin from; blocks that rest in `config` are left out of it.
    """
    work = Path(work)
    vae = _start(config, start, seed)
    run = Training(work, "vae", {"vae": vae}, lr, minutes, steps, ema_decay=0.99, weight_decay=0.0, seed=seed)
    vae.train()
    check = to_unit(held_out[:64]) * 2 - 1
    while run.running:
        pictures = _batch(images, batch, run)
        latents = vae.encode(pictures).latents
        noise = torch.randn(latents.shape, generator=run.random)
        run.update(vae_loss(vae.decode(latents + LATENT_NOISE * noise).sample, pictures, latents))
        run.report(batch, lambda: _validate(run, vae, check), SHEET_SECONDS)
    _validate(run, vae, check)
    run.save()
    with run.averaged():
        path = work / "vae.safetensors"
        save_vae(path, vae, config, {"steps": str(run.step), "psnr_held_out": f"{run.extra['psnr']:.2f}"})
    print(f"vae: {path}", flush=True)
    return path


def _start(config: dict, start, seed: int):
    """A new autoencoder, or one with the weights of the file `start`, whose resting blocks rest again."""
    torch.manual_seed(seed)
    vae = build_vae(config)
    pass_through(vae)
    if start is not None:
        from_ldm(vae, key_maps(config, vae=vae)["vae"], read_file(start)[0], start)
        for block in vae.modules():
            if isinstance(block, RestingBlock):
                block.rest()
    return vae


def _batch(images, count: int, run: Training) -> torch.Tensor:
    """(count, 3, H, W) in [-1, 1], some of them mirrored; halved in size while the training is young."""
    index = torch.randint(len(images), (count,), generator=run.random)
    pictures = to_unit(images[index.numpy()]) * 2 - 1
    if torch.rand((), generator=run.random) < 0.5:
        pictures = pictures.flip(-1)
    return F.avg_pool2d(pictures, 2) if run.progress < FULL_SIZE_FROM else pictures


def _validate(run: Training, vae, check: torch.Tensor) -> None:
    """Print what the moving average makes of held-out pictures, and put some of them on a sheet."""
    with run.averaged(), torch.no_grad():
        result = reconstruct(vae, check)
        latents = vae.encode(check).latents
    run.extra["psnr"] = psnr(result, check)
    print(
        f"vae step {run.step} · {100 * run.progress:.0f} % · held-out PSNR {run.extra['psnr']:.2f} dB · latents' mean"
        f" {[round(m, 2) for m in latents.mean((0, 2, 3)).tolist()]}, deviation"
        f" {[round(s, 2) for s in latents.std((0, 2, 3)).tolist()]}",
        flush=True,
    )
    rows = [
        x
        for i in range(0, min(36, len(check)), 12)
        for x in (check[i : i + 12], result[i : i + 12])
        if len(x) == min(12, len(check))
    ]
    write_sheet(run.work / "sheets" / f"vae-{run.step:06d}.png", [row / 2 + 0.5 for row in rows])
    run.off_the_clock()
