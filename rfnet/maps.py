"""The built-in depth and saliency estimator: a small U-Net on ImageNet's features, trained on rendered truth,
differentiable.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .map_names import BUILTIN
from .resize import resize
from .towers import timm_pyramid

BACKBONE = "tf_efficientnet_lite0"
STRIDES = (4, 8, 16)  # of the backbone's features
WORKING = 160  # as large as compact's picture


class Block(nn.Sequential):
    def __init__(self, width: int):
        super().__init__(nn.Conv2d(width, width, 3, 1, 1), nn.GroupNorm(8, width), nn.ReLU(inplace=True))


class MapNet(nn.Module):
    """images (B, 3, H, W) in [0, 1] -> depth (B, 1, H, W), saliency (B, 1, H, W), both in [0, 1].

    Depth is inverse depth, 1 = nearest, 0 = infinitely far, as DPT gives it. Saliency is 1 on what stands out. Its
    backbone is its own, apart from RFNet's: trained on every pixel's depth and not on five labels, it sees what RFNet's
    doesn't.
    """

    name = BUILTIN  # as a map_sources.MapSource
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, width: int = 48):
        super().__init__()
        self.backbone, channels, settings = timm_pyramid(BACKBONE, STRIDES)
        self.narrow = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.up = nn.ModuleList(Block(width) for _ in channels)
        self.head = nn.Sequential(nn.Conv2d(width, 2 * STRIDES[0] ** 2, 3, 1, 1), nn.PixelShuffle(STRIDES[0]))
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(settings[name]).view(1, 3, 1, 1), persistent=False)
        self.to(memory_format=torch.channels_last)  # the faster layout on CPUs too

    def forward(self, images: torch.Tensor):
        x = (resize(images, WORKING, WORKING) - self.mean) / self.std
        features = self.backbone(x.contiguous(memory_format=torch.channels_last))
        x = torch.zeros((), dtype=features[-1].dtype, device=images.device)
        for narrow, up, finer in zip(reversed(self.narrow), reversed(self.up), reversed(features)):
            x = up(narrow(finer) + x)
            if finer is not features[0]:
                x = F.interpolate(x, scale_factor=2)
        maps = resize(self.head(x).sigmoid().to(images.dtype), *images.shape[-2:])  # theirs, under autocast too
        return maps[:, :1], maps[:, 1:]
