"""Flow matching (arXiv:2210.02747, arXiv:2403.03206): x_t = (1 - sigma) x0 + sigma e on a straight line from the
picture x0 to the noise e, and a network that predicts its velocity v = e - x0.

It stands where schedule.Schedule stands for diffusion models. Timesteps are plain numbers there and here: t = 1000
sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Literal

import torch

LENGTH = 1000  # timesteps from clean to noise
# No weight of a score is larger. SD 1.5's at its last timestep is 24
WEIGHT_LIMIT = 20.0


@dataclass(frozen=True)
class DynamicShift:
    """The larger a picture, the longer a drawing stays at high noise: mu is linear in the number of tokens (one for
    2x2 latents), through base_shift at base_tokens and max_shift at max_tokens. As diffusers' calculate_shift.
    """

    base_shift: float = 0.5
    max_shift: float = 1.15
    base_tokens: int = 256
    max_tokens: int = 4096
    kind: Literal["exponential", "linear"] = "exponential"

    def mu(self, tokens: int) -> float:
        slope = (self.max_shift - self.base_shift) / (self.max_tokens - self.base_tokens)
        return self.base_shift + slope * (tokens - self.base_tokens)

    def factor(self, tokens: int) -> float:
        """The static shift that does the same for pictures of this size."""
        return exp(self.mu(tokens)) if self.kind == "exponential" else self.mu(tokens)


def shifted(sigma: float, factor: float) -> float:
    """sigma moved towards noise by a factor above 1; 0 and 1 stay (arXiv:2403.03206, eq. 23)."""
    return factor * sigma / (1 + (factor - 1) * sigma)


@dataclass(frozen=True)
class FlowSchedule:
    """How a flow-matching model is drawn with.

    shift: the same for all sizes, unless `dynamic` says how it grows. terminal: the last noise level, to which the
    others are stretched; 0 = none. spacing: "even" from 1 to 1 / steps, or "trained" from 1 to the least level that was
    trained, before they are shifted. sign: -1 for networks that put out -v. clock: how the network counts time: "t"
    (1000 to 0), "sigma" (1 to 0), or "rising" (1 - sigma). weight_limit: the clamp of `score_weight`.
    """

    shift: float = 1.0
    dynamic: DynamicShift | None = None
    terminal: float = 0.0
    spacing: Literal["even", "trained"] = "even"
    sign: int = 1
    clock: Literal["t", "sigma", "rising"] = "t"
    weight_limit: float = WEIGHT_LIMIT

    def timesteps(self, steps: int, sampler: str = "euler", tokens: int | None = None) -> list[float]:
        """`steps` timesteps from noise to clean, as diffusers' FlowMatchEulerDiscreteScheduler spaces them.

        tokens: of the picture, which dynamic shifts need. ValueError outside 1 ... 1000, and for other samplers.
        """
        self.sampler(sampler)
        if not 1 <= steps <= LENGTH:
            raise ValueError(f"{steps} sampling steps: use between 1 and {LENGTH}.")
        factor = self.factor(tokens)
        least = shifted(1 / LENGTH, factor) if self.spacing == "trained" else 1 / steps
        sigmas = [shifted(1 + (least - 1) * i / max(1, steps - 1), factor) for i in range(steps)]
        if self.terminal and sigmas[-1] < 1:
            stretch = (1 - self.terminal) / (1 - sigmas[-1])
            sigmas = [1 - (1 - sigma) * stretch for sigma in sigmas]
        return [LENGTH * sigma for sigma in sigmas]

    def factor(self, tokens: int | None = None) -> float:
        """By how much noise levels are shifted. ValueError where it depends on a size that isn't given."""
        if self.dynamic is None:
            return self.shift
        if tokens is None:
            raise ValueError("these timesteps depend on the size of the picture: give its number of tokens.")
        return self.dynamic.factor(tokens)

    def sampler(self, name: str) -> Euler:
        """DDIM with eta 0 is Euler's method here, so both names are one sampler. ValueError for any other."""
        if name not in SAMPLERS:
            raise ValueError(f'sampler is "{name}": flow-matching models are drawn with sampler = "euler".')
        return SAMPLERS[name](self)

    @staticmethod
    def sigma(t: float) -> float:
        """The noise level of a timestep; behind the last one it is 0."""
        return max(t, 0.0) / LENGTH

    def network_time(self, t: float) -> float:
        """A timestep as the network counts it."""
        sigma = self.sigma(t)
        return {"t": LENGTH * sigma, "sigma": sigma, "rising": 1 - sigma}[self.clock]

    def predicted(self, x: torch.Tensor, output: torch.Tensor, t: float) -> torch.Tensor:
        """v, from what the network puts out for x_t."""
        return self.sign * output

    def noisy(self, x0: torch.Tensor, noise: torch.Tensor, t: float) -> torch.Tensor:
        """x_t = (1 - sigma) x0 + sigma e; so is the product blended in, too."""
        sigma = self.sigma(t)
        return (1 - sigma) * x0 + sigma * noise

    def clean(self, x: torch.Tensor, v: torch.Tensor, t: float) -> torch.Tensor:
        """x0-hat = x_t - sigma v."""
        return x - self.sigma(t) * v

    def noise(self, x: torch.Tensor, v: torch.Tensor, t: float) -> torch.Tensor:
        """e-hat = x_t + (1 - sigma) v."""
        return x + (1 - self.sigma(t)) * v

    def step(self, x: torch.Tensor, v: torch.Tensor, t: float, before: float) -> torch.Tensor:
        """x at the cleaner timestep `before` (0 or less: the end): Euler's step along the line, which is also
        noisy(clean(x_t), noise(x_t), before).
        """
        return x + (self.sigma(before) - self.sigma(t)) * v

    def score_weight(self, t: float) -> float:
        """A difference of velocities times this is a difference of scores, but for the sign: (1 - sigma) / sigma.

        It grows without bound as sigma goes to 0, so it is clamped.
        """
        sigma = self.sigma(t)
        return self.weight_limit if sigma * (1 + self.weight_limit) <= 1 else (1 - sigma) / sigma

    def alpha_bar(self, t: float) -> float:
        """alpha-bar of the diffusion timestep that has as much noise in its signal."""
        sigma = self.sigma(t)
        return (1 - sigma) ** 2 / ((1 - sigma) ** 2 + sigma**2)


class Euler:
    """A drawing's steps by Euler's method; as schedule.Ddim."""

    def __init__(self, schedule: FlowSchedule):
        self.schedule = schedule

    def start(self, noise: torch.Tensor, product: torch.Tensor, t: float) -> torch.Tensor:
        """x at the first timestep, noise where that is 1000."""
        return self.schedule.noisy(product, noise, t)

    def step(self, x: torch.Tensor, v: torch.Tensor, x0: torch.Tensor, t: float, before: float | None):
        return self.schedule.step(x, v, t, 0.0 if before is None else before)


SAMPLERS: dict[str, type[Euler]] = {"euler": Euler, "ddim": Euler}

KNOWN = {
    "num_train_timesteps": (LENGTH,),
    "invert_sigmas": (False,),
    "use_karras_sigmas": (False, None),
    "use_exponential_sigmas": (False, None),
    "use_beta_sigmas": (False, None),
    "stochastic_sampling": (False,),
    "time_shift_type": ("exponential", "linear"),
}


def from_diffusers(config: dict, **model) -> FlowSchedule:
    """A schedule from the config of a FlowMatchEulerDiscreteScheduler; model: what the model adds, as sign and clock.

    ValueError, which names the setting, for what is drawn in another way.
    """
    for name, known in KNOWN.items():
        if config.get(name, known[0]) not in known:
            raise ValueError(f"{name} is {config[name]}, which RFFT doesn't know")
    dynamic = DynamicShift(
        config.get("base_shift", 0.5),
        config.get("max_shift", 1.15),
        config.get("base_image_seq_len", 256),
        config.get("max_image_seq_len", 4096),
        config.get("time_shift_type", "exponential"),
    )
    return FlowSchedule(
        shift=config.get("shift", 1.0),
        dynamic=dynamic if config.get("use_dynamic_shifting") else None,
        terminal=config.get("shift_terminal") or 0.0,
        **model,
    )
