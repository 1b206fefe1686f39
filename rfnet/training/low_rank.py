"""Low-rank fine-tuning (Hu et al., arXiv:2106.09685): each weight learns a change of a low rank, and takes it in at the
end, so that the reviewer's file has the form that it had.
"""

import torch
from torch import nn
from torch.nn.utils import parametrize

from ..model import RFNet

RANK = 4
RATE = 5.0  # times the learning rate: the change starts at zero and has few weights


class LowRank(nn.Module):
    """weight + up @ down, for a weight of any shape whose first dimension is the output's; up starts at zero."""

    def __init__(self, weight: torch.Tensor, rank: int):
        super().__init__()
        self.up = nn.Parameter(weight.new_zeros(len(weight), rank))
        self.down = nn.Parameter(torch.empty(rank, weight[0].numel(), device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + (self.up @ self.down).view_as(weight)


def add_low_rank(rfnet: RFNet, rank: int = RANK) -> list[dict]:
    """Gives every linear layer, attention and convolution a change to learn, and freezes what it was. The last layer,
    the heads, learns whole. Returns parameter groups as finetune.tune takes them.
    """
    rfnet.requires_grad_(False)
    heads = [rfnet.head, *([rfnet.added] if rfnet.added is not None else [])]
    changes = []
    for module in list(rfnet.modules()):
        for name in ("weight", "in_proj_weight"):
            weight = getattr(module, name, None)
            if module not in heads and _can_change(module) and isinstance(weight, nn.Parameter):
                change = LowRank(weight, min(rank, len(weight), weight[0].numel()))
                parametrize.register_parametrization(module, name, change)
                changes += [change.up, change.down]
    for head in heads:
        head.requires_grad_(True)
    whole = [parameter for head in heads for parameter in head.parameters()]
    return [{"params": changes, "rate": RATE}, {"params": whole, "rate": 1.0}]


def merge(rfnet: RFNet) -> None:
    """Takes the changes into the weights; without such it does nothing."""
    for module in list(rfnet.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[union-attr, arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


def _can_change(module: nn.Module) -> bool:
    """Depthwise convolutions have no rank to save."""
    convolution = isinstance(module, nn.Conv2d) and module.groups == 1
    return convolution or isinstance(module, (nn.Linear, nn.MultiheadAttention))
