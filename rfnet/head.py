"""An added head: what a reviewer learned from a user's own labels beside its network, which stays as it was."""

import torch
import torch.nn.functional as F
from torch import nn

from .labels import LABELS


class AddedHead(nn.Module):
    """logits = scale * logits of the network + weight f + bias, f being RFNet.features.

    As made it changes nothing. Linear, so that it is fitted in seconds on features that were computed once
    (training/head.py), and differentiable, so that a ControlNet can be tuned on it, too.
    """

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.weight = nn.Parameter(torch.zeros(len(LABELS), width))
        self.bias = nn.Parameter(torch.zeros(len(LABELS)))

    def forward(self, logits: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """logits (B, 5), features (B, width) -> logits (B, 5)."""
        return self.scale * logits + F.linear(features, self.weight, self.bias)

    def after(self, first: "AddedHead") -> "AddedHead":
        """One head that does what `first` and then this one do."""
        both = AddedHead(self.weight.shape[1])
        both.load_state_dict(
            {
                "scale": self.scale * first.scale,
                "weight": self.scale * first.weight + self.weight,
                "bias": self.scale * first.bias + self.bias,
            }
        )
        return both
