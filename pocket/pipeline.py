"""Sampling with the pocket family in plain diffusers modules: DDIM, classifier-free guidance, canny ControlNet, latent
blending, paste-back.

The recipe is the paper's sampling script (arXiv:2408.00418) in small; inside ComfyUI the stock KSampler does the same
work.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .family import Pocket


def scheduler(steps: int):
    """diffusers' DDIM on SD's noise schedule, set to `steps` steps."""
    from diffusers import DDIMScheduler

    ddim = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    ddim.set_timesteps(steps)
    return ddim


def start_noise(seeds: list[int], shape: tuple[int, int, int]) -> torch.Tensor:
    """(B, 4, h, w): one generator per picture, so that a picture doesn't depend on its neighbours in the batch."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed % 2**63)) for seed in seeds])


@torch.no_grad()
def sample_latents(
    pocket: Pocket,
    canvases: list,
    prompts: list[str],
    seeds: list[int],
    negative: str = "",
    steps: int = 20,
    cfg: float = 4.0,
    strength: float = 1.0,
    on_step=None,
) -> torch.Tensor:
    """Draws one latent per canvas → (B, 4, H/8, W/8), scaled.

    Where a canvas' inpaint mask is 0 the product's own latents are put back, noised to the current level, before every
    step. `on_step(i, steps)` is called after each step. All canvases must have one size; canvases, prompts and seeds
    must be equally many, otherwise ValueError.
    """
    if not len(canvases) == len(prompts) == len(seeds):
        raise ValueError(
            f"{len(canvases)} canvases, {len(prompts)} prompts and {len(seeds)} seeds: give one prompt and one seed per"
            " canvas"
        )
    product = pocket.encode(torch.stack([c.shown for c in canvases]))
    mask = F.interpolate(
        torch.stack([c.inpaint_mask for c in canvases])[:, None], size=product.shape[-2:], mode="bilinear"
    )
    hints = torch.stack([c.hint for c in canvases])
    context = torch.cat(
        [pocket.encode_prompts(prompts), pocket.encode_prompts([negative]).expand(len(prompts), -1, -1)]
    )
    noise = start_noise(seeds, tuple(product.shape[1:]))
    ddim, x = scheduler(steps), noise
    for i, t in enumerate(ddim.timesteps):
        x = mask * x + (1 - mask) * ddim.add_noise(product, noise, t)
        wanted, unwanted = pocket.epsilon(
            x.repeat(2, 1, 1, 1), t.expand(2 * len(x)), context, hints.repeat(2, 1, 1, 1), strength
        ).chunk(2)
        x = ddim.step(unwanted + cfg * (wanted - unwanted), t, x).prev_sample
        if on_step:
            on_step(i + 1, steps)
    return mask * x + (1 - mask) * product


@torch.no_grad()
def sample(
    pocket: Pocket, canvases: list, prompts: list[str], seeds: list[int], paste: bool = True, **options
) -> torch.Tensor:
    """Draws one picture per canvas → (B, 3, H, W) in [0, 1]; the product's own pixels are put back unless `paste` is
    false. Options: see sample_latents.
    """
    pictures = pocket.decode(sample_latents(pocket, canvases, prompts, seeds, **options))
    return torch.stack([c.paste(p[None])[0] for c, p in zip(canvases, pictures)]) if paste else pictures
