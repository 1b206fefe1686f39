"""Trains the pocket VAE: pictures in, the same pictures out, through latents of four channels, an eighth of a side.

The architecture is TAESD's (diffusers' AutoencoderTiny), which ComfyUI's stock VAE reads as well. It has no
normalisation layers, so it can start as a working autoencoder (see `pass_through`). With few channels, GroupNorm's 32
groups would hold one or two each and wipe out every picture's mean colour, which the network then has to smuggle past
them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...rfnet.devices import find_device
from ...rfnet.files import write_safetensors
from ..family import POCKET, RestingBlock, build_vae
from ..ldm import from_ldm, key_maps, read_file, to_ldm
from .training import Training, named, to_unit, write_sheet

EDGE_WEIGHT = 0.5
UNIT_WEIGHT = 0.02  # pulls the latents towards mean 0 and deviation 1, which the noise schedule expects
LATENT_NOISE = 0.08  # the decoder has to bear latents that a sampler missed by a little
FULL_SIZE_FROM = 0.3  # share of the budget after which pictures are no longer halved: four times as many steps before
SHEET_SECONDS = 600
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


class Pictures:
    """Pictures (N, S, S, 3) uint8 that come in parts, without a copy of them."""

    def __init__(self):
        self.parts: list[np.ndarray] = []

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def add(self, pictures: np.ndarray) -> None:
        self.parts.append(pictures)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        ends = np.cumsum([len(part) for part in self.parts])
        places = np.searchsorted(ends, rows, side="right")
        return np.stack([self.parts[place][row - ends[place]] for row, place in zip(rows, places)])

    def draw(self, count: int, run: Training) -> torch.Tensor:
        """(count, 3, S, S) in [-1, 1]."""
        index = torch.randint(len(self), (count,), generator=run.random, device=run.device)
        return to_unit(self[index.cpu().numpy()], run.device) * 2 - 1


def train_vae(
    feed,
    held_out: np.ndarray,
    work,
    minutes: float | None = None,
    steps: int | None = None,
    lr: float = 1.5e-3,
    batch: int = 4,
    seed: int = 0,
    config: dict = POCKET,
    start=None,
    device: str | None = None,
    bf16: bool | None = None,
) -> Path:
    """Trains on the images of a feed (feed.Feed), reports PSNR on `held_out`, uint8 (N, S, S, 3), and returns the path
    of WORK/vae.safetensors.

    start: an earlier vae.safetensors or checkpoint to begin from; blocks that rest in `config` are left out of it.
    """
    work = Path(work)
    vae = _start(config, start, seed).to(find_device(device), memory_format=torch.channels_last).train()
    settings = {"seed": seed, "batch": batch, "start": named(start)}
    run = Training(work, "vae", {"vae": vae}, lr, minutes, steps, 0.995, 0.0, seed, bf16=bf16, settings=settings)
    pictures = Pictures()
    while run.running:
        take_pictures(feed, pictures, run)
        x = _young(pictures.draw(batch, run), run)
        with run.cast():
            latents = vae.encode(x).latents
            noise = torch.randn(latents.shape, generator=run.random, device=run.device)
            y = vae.decode(latents + LATENT_NOISE * noise).sample
        run.update(vae_loss(y.float(), x, latents.float()))
        run.report(batch, lambda: validate(run, vae, held_out), SHEET_SECONDS)
    return write_vae(run, vae, held_out, config)


def take_pictures(feed, pictures: Pictures, run: Training) -> None:
    """Adds what the feed has for this progress, off the clock."""
    for scenes in (new := feed.take(run.progress)):
        pictures.add(scenes.images)
    if new:
        run.off_the_clock()


def write_vae(run: Training, vae, held_out: np.ndarray, config: dict) -> Path:
    """The end of a run: its last sheet, its state, and the moving average as WORK/vae.safetensors."""
    validate(run, vae, held_out)
    run.save()
    path = run.work / "vae.safetensors"
    with run.averaged():
        save_vae(path, vae, config, {f"{run.name}_steps": str(run.step), "psnr_held_out": f"{run.extra['psnr']:.2f}"})
    print(f"{run.name}: {path}", flush=True)
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


def _young(pictures: torch.Tensor, run: Training) -> torch.Tensor:
    """Some of them mirrored; halved in size while the training is young."""
    if torch.rand((), generator=run.random, device=run.device) < 0.5:
        pictures = pictures.flip(-1)
    return F.avg_pool2d(pictures, 2) if run.progress < FULL_SIZE_FROM else pictures


def validate(run: Training, vae, held_out: np.ndarray) -> None:
    """Print what the moving average makes of held-out pictures, and put some of them on a sheet."""
    check = to_unit(held_out, run.device) * 2 - 1
    with run.averaged(), torch.no_grad():
        latents = torch.cat([vae.encode(x).latents for x in check.split(8)])
        result = torch.cat([vae.decode(z).sample.clamp(-1, 1) for z in latents.split(8)])
    run.extra["psnr"] = psnr(result, check)
    print(
        f"{run.name} step {run.step} · {100 * run.progress:.0f} % · held-out PSNR {run.extra['psnr']:.2f} dB · latents'"
        f" mean {[round(m, 2) for m in latents.mean((0, 2, 3)).tolist()]}, deviation"
        f" {[round(s, 2) for s in latents.std((0, 2, 3)).tolist()]}",
        flush=True,
    )
    rows = [x for i in range(0, min(16, len(check)), 8) for x in (check[i : i + 8], result[i : i + 8])]
    rows = [row / 2 + 0.5 for row in rows if len(row) == len(rows[0])]
    write_sheet(run.work / "sheets" / f"{run.name}-{run.step:06d}.png", rows)
    run.off_the_clock()
