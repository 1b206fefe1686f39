"""What the UNet's trainings minimise."""

from __future__ import annotations

import copy

import torch

from ..family import Pocket

PRODUCT_WEIGHT = 0.4  # of the loss on the product, whose own pixels are put back after sampling


def velocity_loss(
    pocket: Pocket, latents, shares, hints, contexts, alpha_bar: torch.Tensor, random: torch.Generator
) -> torch.Tensor:
    """Of v, on scenes; hints None: without the ControlNet."""
    noisy, v, t = noised(latents, alpha_bar, random)
    return weighted(pocket.velocity(noisy, t, contexts, hints).float() - v, shares)


def weighted(error: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Mean squared error, weighted by where it will be seen."""
    weight = 1 - (1 - PRODUCT_WEIGHT) * shares
    return (weight * error**2).mean() / weight.mean()


def noised(latents: torch.Tensor, alpha_bar: torch.Tensor, random: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Latents (B, 4, h, w) at random timesteps: (x_t, the v that leads back to them, t (B,))."""
    count, where = len(latents), {"generator": random, "device": latents.device}
    spread = torch.arange(count, device=latents.device) / count  # evenly: less noise between batches
    t = ((torch.rand((), **where) + spread) % 1 * 1000).long()
    noise = torch.randn(latents.shape, **where)
    a = alpha_bar[t][:, None, None, None]
    return a.sqrt() * latents + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * latents, t


class Guided:
    """In the place of velocity_loss: folds guidance into the UNet's weights (arXiv:2210.03142), so that a draw takes
    one pass a step instead of two.

    For a prompt, the UNet learns to put out what the family, as it is now, puts out under guidance:
    v_null + w (v_text - v_null), both with the hint. For the empty prompt this is v_null, so that guidance above 1
    still works on the result.
    """

    def __init__(self, pocket: Pocket, guidance: float):
        self.guidance = guidance
        self.teacher = copy.copy(pocket)
        self.teacher.unet = copy.deepcopy(pocket.unet).eval().requires_grad_(False)
        with torch.no_grad():
            self.null = pocket.encode_prompts([""])

    def __call__(self, pocket: Pocket, latents, shares, hints, contexts, alpha_bar, random) -> torch.Tensor:
        noisy, _, t = noised(latents, alpha_bar, random)
        with torch.no_grad():
            v_text = self.teacher.velocity(noisy, t, contexts, hints).float()
            v_null = self.teacher.velocity(noisy, t, self.null.expand(len(latents), -1, -1), hints).float()
        guided = v_null + self.guidance * (v_text - v_null)
        return weighted(pocket.velocity(noisy, t, contexts, hints).float() - guided, shares)
