"""The built-in depth and saliency estimator: one small U-Net, trained on rendered truth, differentiable."""

import torch
import torch.nn.functional as F
from torch import nn

from .sizes import resize

WORKING = 128  # maps steer a verdict about the whole picture; this is fine enough and cheap


class Block(nn.Sequential):
    def __init__(self, inner: int, outer: int, stride: int = 1):
        super().__init__(nn.Conv2d(inner, outer, 3, stride, 1), nn.GroupNorm(8, outer), nn.ReLU(inplace=True))


class MapNet(nn.Module):
    """images (B, 3, H, W) in [0, 1] -> depth (B, 1, H, W), saliency (B, 1, H, W), both in [0, 1].

    Depth is inverse depth, 1 = nearest, 0 = infinitely far, as DPT gives it. Saliency is 1 on what stands out.
    """

    name = "builtin"  # as a map_sources.MapSource

    def __init__(self, channels=(16, 32, 64, 96)):
        super().__init__()
        self.down = nn.ModuleList([Block(3, channels[0], 2)])
        self.narrow, self.up = nn.ModuleList(), nn.ModuleList()
        for fine, coarse in zip(channels, channels[1:]):
            self.down.append(nn.Sequential(Block(fine, coarse, 2), Block(coarse, coarse)))
            self.narrow.append(nn.Conv2d(coarse, fine, 1))
            self.up.append(Block(fine, fine))
        self.head = nn.Sequential(nn.Conv2d(channels[0], 2 * 4, 3, 1, 1), nn.PixelShuffle(2))
        self.to(memory_format=torch.channels_last)  # the faster layout on CPUs too

    def forward(self, images: torch.Tensor):
        x = (resize(images, WORKING, WORKING) * 2 - 1).contiguous(memory_format=torch.channels_last)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        for narrow, up, skip in zip(reversed(self.narrow), reversed(self.up), reversed(skips[:-1])):
            x = up(F.interpolate(narrow(x), scale_factor=2) + skip)
        maps = resize(self.head(x).sigmoid(), *images.shape[-2:])
        return maps[:, :1], maps[:, 1:]
