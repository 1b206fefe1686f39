"""A second task for RFNet in training: to read how large the product is and how large the scene makes it look.

A label tells of a wrong size in one picture of eight and not by how much. Scenes whose makers know both sizes tell it
in every picture, so that comparing them, which is what size_mismatch asks for, is learned from all. The head for it is
left out of the weights file.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from ..data.shards import SIZES
from ..model import RFNet


def log_sizes(sample: dict) -> list:
    """[log of each of SIZES], NaN where the sample doesn't say."""
    logs = []
    for name in SIZES:
        try:
            metres = float(sample.get(name) or "nan")
        except ValueError:
            metres = math.nan
        logs.append(math.log(metres) if 0 < metres < math.inf else math.nan)
    return logs


class ScaleReader(nn.Module):
    """RFNet and the second task's head: arguments of RFNet.forward -> logits (B, 5), log sizes (B, 2) in the order of
    SIZES.

    The sizes are read off the verdict token before the last layer of the fusion, where there are several: that layer is
    left to compare them.
    """

    def __init__(self, rfnet: RFNet):
        super().__init__()
        self.rfnet = rfnet
        self.sizes = nn.Linear(rfnet.config.width, len(SIZES))

    def forward(self, *inputs):
        states: list[torch.Tensor] = []
        logits = self.rfnet(*inputs, states=states)  # a call, so that hooks on RFNet see it
        return logits, self.sizes(states[max(1, len(states) - 2)])


def scale_loss(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Huber's loss of log sizes (B, 2), over those that are known; 0 where none is."""
    known = truth.isfinite()
    error = F.smooth_l1_loss(predicted, truth.nan_to_num(), reduction="none", beta=0.5)
    return (error * known).sum() / known.sum().clamp(min=1)
