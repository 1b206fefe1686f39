"""From a trainer's work folder to the two files that ship; and the scenes as the family draws them, for training the
reviewer.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ...rfnet.files import quoted, whole, write_text
from ...rfnet.resize import resize
from ..family import POCKET, Pocket, alphas_cumprod, build_pocket
from ..ldm import (
    CHECKPOINT,
    CONTROLNET,
    WEIGHTS,
    PocketFileError,
    check_diffusion,
    load_pocket,
    save_checkpoint,
    save_controlnet,
)
from .feed import hint_of
from .latents import cached_latents
from .training import read_averages, read_state, to_unit
from .vae import load_vae


def trained_pocket(work) -> Pocket:
    """The moving averages of WORK's training with a ControlNet, and its autoencoder, in eval mode."""
    work = Path(work)
    vae, trained = load_vae(work / "vae.safetensors")
    # The last stage that is there; "diffusion" is of a UNet alone, beside a ControlNet that rested
    files = [work / f"{stage}.state.safetensors" for stage in ("flow", "controlnet", "diffusion")]
    file = next((file for file in files if file.exists()), files[-1])
    state, _ = read_state(file)
    if not state["extra"].get("control"):
        raise PocketFileError(
            f"{quoted(work)} holds no training of a ControlNet: run `pocket train controlnet`, then export"
        )
    pocket = build_pocket({**state["extra"].get("config", POCKET), "vae": trained["vae"]})
    pocket.vae = vae
    read_averages(file, {name: part for name, part in pocket.parts().items() if name != "vae"})
    return pocket.eval()


def export(work, out=None) -> list[Path]:
    """Writes pocket_sd.safetensors and pocket_canny.safetensors into `out` (default: the pack's own folder) and returns
    their paths.
    """
    out = Path(out or WEIGHTS)
    pocket = trained_pocket(work)
    paths = [out / CHECKPOINT.name, out / CONTROLNET.name]
    save_checkpoint(paths[0], pocket)
    save_controlnet(paths[1], pocket)
    return paths


@torch.no_grad()
def denoise_once(
    pocket: Pocket,
    latents: torch.Tensor,
    hints: torch.Tensor,
    prompts: list[str],
    random: torch.Generator,
    low: int,
    high: int,
) -> torch.Tensor:
    """Latents noised to a random t in low..high and brought back in one step: x0 = (x_t - sqrt(1 - a) eps) /
    sqrt(a).
    """
    t = torch.randint(low, high, (len(latents),), generator=random)
    a = alphas_cumprod()[t][:, None, None, None]
    noisy = a.sqrt() * latents + (1 - a).sqrt() * torch.randn(latents.shape, generator=random)
    return (noisy - (1 - a).sqrt() * pocket.epsilon(noisy, t, pocket.encode_prompts(prompts), hints)) / a.sqrt()


@torch.no_grad()
def roundtrip(
    scenes,
    out,
    checkpoint=None,
    controlnet=None,
    variant: str = "vae",
    seed: int = 0,
    batch: int = 16,
    cache=None,
    noise=(150, 350),
    size: int = 160,
) -> Path:
    """Writes the images of Samples in memory as the family would draw them: uint8 (N, size, size, 3) .npy in the
    samples' order, ids beside it in a .txt; returns its path.

    variant: "vae", through the autoencoder; "denoised", noised to a timestep between those of `noise` and denoised in
    one step, as a draw that is looked at early. cache: the latents file of a diffusion training with the same
    autoencoder, which saves encoding the scenes again.
    """
    from tqdm import tqdm

    pocket = load_pocket(checkpoint or CHECKPOINT, controlnet or CONTROLNET)
    check_diffusion(pocket.config, checkpoint or CHECKPOINT)
    random = torch.Generator().manual_seed(seed)
    images = scenes.arrays["image"]
    prompts = scenes.column("prompt")
    copies = np.empty((len(scenes), size, size, 3), np.uint8)
    cached = cached_latents(scenes, pocket.vae, Path(cache)) if cache else None
    for i in tqdm(range(0, len(copies), batch), desc=f"roundtrip ({variant})"):
        rows = slice(i, i + batch)
        latents = pocket.encode(to_unit(images[rows])) if cached is None else cached[rows]
        if variant == "denoised":
            hints = torch.from_numpy(np.stack([hint_of(product) for product in scenes.arrays["product"][rows]]))
            latents = denoise_once(pocket, latents, hints, prompts[rows], random, *noise)
        copies[rows] = (resize(pocket.decode(latents), size, size) * 255).round().byte().movedim(1, -1).numpy()
    out = Path(out)
    with whole(out) as partial, open(partial, "wb") as file:
        np.save(file, copies)
    write_text(out.with_suffix(".txt"), "\n".join(scenes.column("id")) + "\n")
    return out
