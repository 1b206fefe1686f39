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
    t = (evenly(len(latents), random) * 1000).long()
    noise = torch.randn(latents.shape, generator=random, device=random.device)
    a = alpha_bar[t][:, None, None, None]
    return a.sqrt() * latents + (1 - a).sqrt() * noise, a.sqrt() * noise - (1 - a).sqrt() * latents, t


def evenly(count: int, random: torch.Generator) -> torch.Tensor:
    """(count,) in [0, 1), random and evenly spread: less noise between batches."""
    spread = torch.arange(count, device=random.device) / count
    return (torch.rand((), generator=random, device=random.device) + spread) % 1


class Guided:
    """In the place of velocity_loss: folds guidance into the UNet's weights (arXiv:2210.03142), so that a draw takes
    one pass a step instead of two.

    For a prompt, the UNet learns to put out what the family, as it is now, puts out under guidance:
    v_null + w (v_text - v_null), both with the hint. For the empty prompt this is v_null, so that guidance above 1
    still works on the result.
    """

    def __init__(self, pocket: Pocket, guidance: float):
        self.guidance = guidance
        self.teacher = resting(pocket, "unet")
        with torch.no_grad():
            self.null = pocket.encode_prompts([""])

    def __call__(self, pocket: Pocket, latents, shares, hints, contexts, alpha_bar, random) -> torch.Tensor:
        noisy, _, t = noised(latents, alpha_bar, random)
        with torch.no_grad():
            v_text = self.teacher.velocity(noisy, t, contexts, hints).float()
            v_null = self.teacher.velocity(noisy, t, self.null.expand(len(latents), -1, -1), hints).float()
        guided = v_null + self.guidance * (v_text - v_null)
        return weighted(pocket.velocity(noisy, t, contexts, hints).float() - guided, shares)


class Straightened:
    """In the place of velocity_loss: turns the family into one that matches flows (arXiv:2210.02747).

    On the line x_s = (1 - s) x0 + s eps, at the timestep 1000 s, the networks learn eps-hat - x0-hat: what the family,
    as it is now, sees at its own timestep with as much noise in its signal, where its x_t is x_s but for a factor.
    Levels beyond its noisiest timestep (s = 0.94) have that one's.
    """

    def __init__(self, pocket: Pocket, alpha_bar: torch.Tensor):
        self.teacher = resting(pocket, "unet", "controlnet")
        self.levels = (1 - alpha_bar).sqrt() / (alpha_bar.sqrt() + (1 - alpha_bar).sqrt())  # s of every timestep

    def __call__(self, pocket: Pocket, latents, shares, hints, contexts, alpha_bar, random) -> torch.Tensor:
        levels = self.levels.to(latents.device)
        s = evenly(len(latents), random)
        t = torch.searchsorted(levels, s).clamp(max=len(levels) - 1)
        s = torch.where(s > levels[-1], s, levels[t])
        noise = torch.randn(latents.shape, generator=random, device=random.device)
        a, line = alpha_bar[t][:, None, None, None], s[:, None, None, None]
        x_t = a.sqrt() * latents + (1 - a).sqrt() * noise
        with torch.no_grad():
            v = self.teacher.velocity(x_t, t, contexts, hints).float()
        straight = (a.sqrt() * v + (1 - a).sqrt() * x_t) - (a.sqrt() * x_t - (1 - a).sqrt() * v)  # eps-hat - x0-hat
        x_s = (1 - line) * latents + line * noise
        return weighted(pocket.velocity(x_s, 1000 * s, contexts, hints).float() - straight, shares)


def resting(pocket: Pocket, *parts: str) -> Pocket:
    """The family with copies of these parts, which stay as they are now."""
    teacher = copy.copy(pocket)
    for name in parts:
        setattr(teacher, name, copy.deepcopy(getattr(pocket, name)).eval().requires_grad_(False))
    return teacher
