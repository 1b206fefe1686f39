"""Drawing with the pocket family in plain diffusers modules: rfft's sampler, with the family's settings.

The recipe is the paper's sampling script (arXiv:2408.00418) in small; inside ComfyUI the stock KSampler does the same
work.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..rfft.rollout import Batch, Job, Sampling, prepare, rollout
from .family import Pocket
from .tuning import DRAWING, models_of, own_sampler


def sample(
    pocket: Pocket,
    canvases: list,
    prompts: list[str],
    seeds: list[int],
    paste: bool = True,
    *,
    negative: str = "",
    steps: int = DRAWING["steps"],
    cfg: float = DRAWING["cfg"],
    strength: float = 1.0,
    sampler: str | None = None,
    bf16: bool = False,
    on_step: Callable[[int, int], object] | None = None,
) -> torch.Tensor:
    """Draws one picture per canvas → (B, 3, H, W) in [0, 1]; the product's own pixels are put back unless `paste` is
    false. `on_step(i, steps)` is called after each step.

    sampler: a name of rfft.schedule.SAMPLERS or rfft.flow.SAMPLERS, by default the family's own; bf16:
    UNet and ControlNet multiply in bfloat16, which is several times faster where the processor has matrix units.

    All canvases must have one size; canvases, prompts and seeds must be equally many, otherwise ValueError.
    """
    if not len(canvases) == len(prompts) == len(seeds):
        raise ValueError(
            f"{len(canvases)} canvases, {len(prompts)} prompts and {len(seeds)} seeds: give one prompt and one seed per"
            " canvas"
        )
    models = models_of(pocket)
    sampling = Sampling(steps, cfg, strength, negative, sampler or own_sampler(pocket.flow))
    with torch.no_grad():
        batch: Batch = prepare(models, [Job(*job) for job in zip(canvases, prompts, seeds)], sampling)
        with torch.autocast(batch.noise.device.type, torch.bfloat16, enabled=bf16):
            latents, _ = rollout(models, batch, sampling, on_step=on_step)
        pictures = models.decode(latents)
        return batch.paste(pictures) if paste else pictures
