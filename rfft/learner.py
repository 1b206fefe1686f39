"""What learns: an adapter, its optimiser, and the moving average of its weights."""

from __future__ import annotations

import torch

from ..rfnet.training.moving_average import MovingAverage
from .adapter import Adapter
from .config import ConfigError, TrainConfig

BROKEN_UPDATES = 3  # in a row, before a run gives up
CLIP = 1.0  # the longest gradient that is taken as it is


class Learner:
    """An adapter on a ControlNet that is updated by AdamW. What is evaluated and written is its moving average.

    updates: how many there were; broken: how many were passed over in a row, because their gradient wasn't finite.
    """

    def __init__(self, config: TrainConfig, controlnet: torch.nn.Module, accelerator):
        self.config = config
        self.accelerator = accelerator
        self.adapter = Adapter(controlnet, config.rank, seed=config.seed)
        self.parameters = list(self.adapter.parameters())
        self.optimizer = optimizer_of(config, self.parameters)
        self.average = MovingAverage({str(i): p for i, p in enumerate(self.parameters)}, config.ema)
        self.updates = 0
        self.broken = 0

    @torch.no_grad()
    def update(self, step: int) -> None:
        """One AdamW step on the gradient's mean over all processes, and the moving average.

        A gradient that isn't finite is passed over, in every process alike. Raises RuntimeError where this happens
        BROKEN_UPDATES times in a row; step: the training step, for that sentence.
        """
        self._share_gradient()
        length = torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        if not torch.isfinite(length):
            self.broken += 1
            self.forget_gradient()
            if self.broken >= BROKEN_UPDATES:
                raise RuntimeError(
                    f"the gradient was not finite {self.broken} times in a row at step {step}: the state from before"
                    f' lies in "{self.config.state}"; lower lr, or set precision to no.'
                )
            return
        self.broken = 0
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * min(1.0, (self.updates + 1) / max(1, self.config.warm_up))
        self.optimizer.step()
        self.forget_gradient()
        self.average.update(self.updates)
        self.updates += 1

    def _share_gradient(self) -> None:
        """The mean over all processes, in one message."""
        if self.accelerator.num_processes > 1:
            gradients = [p.grad for p in self.parameters if p.grad is not None]
            flat = self.accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
            for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
                gradient.copy_(mean.view_as(gradient))

    def forget_gradient(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)


def optimizer_of(config: TrainConfig, parameters: list) -> torch.optim.Optimizer:
    """AdamW, with moments in 32 or 8 bits. Raises ConfigError where bitsandbytes is missing."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as error:
        raise ConfigError(
            "optimizer is adamw8bit, which needs bitsandbytes: pip install bitsandbytes, or set optimizer to adamw."
        ) from error
    return AdamW8bit(parameters, lr=config.lr, weight_decay=config.weight_decay)
