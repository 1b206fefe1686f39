"""Bringing batches of images to a size, and maps to their whole range."""

import torch
import torch.nn.functional as F

EPSILON = 1e-6
HALF = (torch.bfloat16, torch.float16)


def resize(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize (B, C, H, W), without aliasing when it shrinks; differentiable.

    Returns the input itself where nothing changes.
    """
    if images.shape[-2:] == (height, width):
        return images
    shrinks = height < images.shape[-2] or width < images.shape[-1]
    exact = images.float() if shrinks and images.device.type == "cpu" and images.dtype in HALF else images
    # torch's CPU kernels can't shrink half precision without aliasing
    return F.interpolate(exact, (height, width), mode="bilinear", align_corners=False, antialias=shrinks).to(images)


def spread(maps: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) stretched to [0, 1], each image by itself; an image without contrast becomes 0."""
    low, high = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=EPSILON)
