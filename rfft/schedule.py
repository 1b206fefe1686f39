"""DDIM (arXiv:2010.02502) with eta 0 and DPM-Solver++(2M) (arXiv:2211.01095), on any noise schedule, for networks that
predict epsilon or v (arXiv:2202.00512). flow.FlowSchedule is its counterpart for flow matching.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

PREDICTIONS = ("epsilon", "v_prediction")


def scaled_linear() -> torch.Tensor:
    """alpha-bar of Stable Diffusion's 1,000 timesteps, (1000,) float32 on the CPU: betas whose roots are evenly
    spaced.
    """
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64, device="cpu") ** 2
    return torch.cumprod(1 - betas, 0).float()


@dataclass(frozen=True, eq=False)
class Schedule:
    """alphas_cumprod: (T,) alpha-bar per timestep; prediction: what the UNet puts out, as diffusers' schedulers call
    it. Timesteps are plain numbers; between two of them log sigma is linear, as in ComfyUI.
    """

    alphas_cumprod: torch.Tensor
    prediction: str = "epsilon"
    _alphas: list = field(init=False, repr=False)  # as plain numbers, since every step asks for some

    def __post_init__(self):
        object.__setattr__(self, "_alphas", self.alphas_cumprod.tolist())
        if self.prediction not in PREDICTIONS:
            raise ValueError(
                f'the UNet predicts "{self.prediction}": RFFT works with {" and ".join(PREDICTIONS)}; take a checkpoint'
                " of that kind."
            )

    def timesteps(self, steps: int, sampler: str = "ddim", tokens: int | None = None) -> list:
        """`steps` timesteps from noisy to clean, as the sampler spaces them for pictures of any number of tokens.

        ValueError outside 1 ... T, and for other samplers.
        """
        length = len(self._alphas)
        if not 1 <= steps <= length:
            raise ValueError(f"{steps} sampling steps: use between 1 and {length}.")
        return self.sampler(sampler).timesteps(steps, length)

    def sampler(self, name: str) -> Ddim | DpmSolver2M:
        """A sampler of SAMPLERS, for one drawing. ValueError for any other."""
        if name not in SAMPLERS:
            raise ValueError(f'sampler is "{name}": diffusion models are drawn with {" or ".join(SAMPLERS)}.')
        return SAMPLERS[name](self)

    def alpha_bar(self, t: float) -> float:
        """alpha_bar_t; before the first timestep it is that of timestep 0, as in SD's DDIM."""
        low = max(math.floor(t), 0)
        if t <= low:
            return self._alphas[low]
        sigmas = [math.log((1 - a) / a) for a in self._alphas[low : low + 2]]  # twice the logarithm of each
        return 1 / (1 + math.exp(sigmas[0] + (t - low) * (sigmas[1] - sigmas[0])))

    def noisy(self, x0: torch.Tensor, eps: torch.Tensor, t: float) -> torch.Tensor:
        """x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps (arXiv:2006.11239, eq. 4)."""
        a = self.alpha_bar(t)
        return a**0.5 * x0 + (1 - a) ** 0.5 * eps

    def network_time(self, t: float) -> int:
        """A timestep as the network is told it: the nearest whole one."""
        return round(t)

    def predicted(self, x: torch.Tensor, output: torch.Tensor, t: float) -> torch.Tensor:
        """The noise that a UNet's output for x_t stands for; of v it is sqrt(alpha_bar_t) v + sqrt(1 - alpha_bar_t) x_t
        (arXiv:2202.00512).
        """
        a = self.alpha_bar(t)
        return output if self.prediction == "epsilon" else a**0.5 * output + (1 - a) ** 0.5 * x

    def score_weight(self, t: float) -> float:
        """A difference of predicted noises times this is a difference of scores, but for the sign."""
        return 1 / (1 - self.alpha_bar(t)) ** 0.5

    def clean(self, x: torch.Tensor, eps: torch.Tensor, t: float) -> torch.Tensor:
        """x0-hat = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t)."""
        a = self.alpha_bar(t)
        return (x - (1 - a) ** 0.5 * eps) / a**0.5

    def step(self, x: torch.Tensor, eps: torch.Tensor, t: float, before: float) -> torch.Tensor:
        """x at the cleaner timestep `before` (negative: the end) from x_t and the noise in it: DDIM's eq. 12 with
        sigma = 0.
        """
        return self.noisy(self.clean(x, eps, t), eps, before)


class Ddim:
    """A drawing's steps by DDIM."""

    def __init__(self, schedule: Schedule):
        self.schedule = schedule

    @staticmethod
    def timesteps(steps: int, length: int) -> list:
        """Spaced as SD's DDIM has them (diffusers: "leading", offset 1)."""
        return [min(length - 1, i * (length // steps) + 1) for i in reversed(range(steps))]

    def start(self, noise: torch.Tensor, product: torch.Tensor, t: float) -> torch.Tensor:
        """x at the first timestep."""
        return noise

    def step(self, x: torch.Tensor, eps: torch.Tensor, x0: torch.Tensor, t: float, before: float | None):
        """x at the timestep `before` (None: the end) from x_t, the noise in it, and x0-hat with the product put back,
        which DDIM has no need of.
        """
        return self.schedule.step(x, eps, t, -1 if before is None else before)


class DpmSolver2M:
    """A drawing's steps by DPM-Solver++(2M), from the second one on with the last x0-hat, as ComfyUI's "dpmpp_2m" on
    its "sgm_uniform" timesteps.
    """

    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        self.last: tuple | None = None  # x0-hat of the step before, and its half log-SNR

    @staticmethod
    def timesteps(steps: int, length: int) -> list:
        return [(length - 1) * (1 - i / steps) for i in range(steps)]

    def start(self, noise: torch.Tensor, product: torch.Tensor, t: float) -> torch.Tensor:
        """ComfyUI adds the noise to the latents that it is given, which are the product's over grey."""
        return noise + self.schedule.alpha_bar(t) ** 0.5 * product

    def step(self, x: torch.Tensor, eps: torch.Tensor, x0: torch.Tensor, t: float, before: float | None):
        """As Ddim.step; the paper's algorithm 2, with its lambda, h and r."""
        if before is None:
            return x0
        now, then = self._half_log_snr(t), self._half_log_snr(before)
        h, estimate = then - now, x0
        if self.last is not None:
            last_x0, last = self.last
            r = (now - last) / h
            estimate = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * last_x0
        self.last = (x0, now)
        a, b = self.schedule.alpha_bar(t), self.schedule.alpha_bar(before)
        return ((1 - b) / (1 - a)) ** 0.5 * x - b**0.5 * math.expm1(-h) * estimate

    def _half_log_snr(self, t: float) -> float:
        a = self.schedule.alpha_bar(t)
        return 0.5 * math.log(a / (1 - a))


SAMPLERS: dict = {"ddim": Ddim, "dpmpp_2m": DpmSolver2M}
