"""DDIM (arXiv:2010.02502) with eta 0, on any noise schedule, for networks that predict epsilon or v
(arXiv:2202.00512).
"""

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
    it. Timesteps are plain integers.
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

    def timesteps(self, steps: int) -> list:
        """`steps` timesteps from noisy to clean, spaced as SD's DDIM has them (diffusers: "leading", offset 1).

        ValueError outside 1 ... T.
        """
        length = len(self._alphas)
        if not 1 <= steps <= length:
            raise ValueError(f"{steps} sampling steps: use between 1 and {length}.")
        return [min(length - 1, i * (length // steps) + 1) for i in reversed(range(steps))]

    def alpha_bar(self, t: int) -> float:
        """alpha_bar_t; before the first timestep it is that of timestep 0, as in SD's DDIM."""
        return self._alphas[max(t, 0)]

    def noisy(self, x0: torch.Tensor, eps: torch.Tensor, t: int) -> torch.Tensor:
        """x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps (arXiv:2006.11239, eq. 4)."""
        a = self.alpha_bar(t)
        return a**0.5 * x0 + (1 - a) ** 0.5 * eps

    def epsilon(self, x: torch.Tensor, output: torch.Tensor, t: int) -> torch.Tensor:
        """The noise that a UNet's output for x_t stands for; of v it is sqrt(alpha_bar_t) v + sqrt(1 - alpha_bar_t) x_t
        (arXiv:2202.00512).
        """
        a = self.alpha_bar(t)
        return output if self.prediction == "epsilon" else a**0.5 * output + (1 - a) ** 0.5 * x

    def clean(self, x: torch.Tensor, eps: torch.Tensor, t: int) -> torch.Tensor:
        """x0-hat = (x_t - sqrt(1 - alpha_bar_t) eps) / sqrt(alpha_bar_t)."""
        a = self.alpha_bar(t)
        return (x - (1 - a) ** 0.5 * eps) / a**0.5

    def step(self, x: torch.Tensor, eps: torch.Tensor, t: int, before: int) -> torch.Tensor:
        """x at the cleaner timestep `before` (negative: the end) from x_t and the noise in it: DDIM's eq. 12 with
        sigma = 0.
        """
        return self.noisy(self.clean(x, eps, t), eps, before)
