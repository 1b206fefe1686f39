"""Bringing batches of images to a size."""

import torch
import torch.nn.functional as F


def resize(images: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize (B, C, H, W), without aliasing when it shrinks; differentiable; returns the input itself where nothing
    changes.
    """
    if images.shape[-2:] == (height, width):
        return images
    shrinks = height < images.shape[-2] or width < images.shape[-1]
    if (
        shrinks and images.device.type == "cpu" and images.dtype in (torch.bfloat16, torch.float16)
    ):  # which a CPU has no shrinking in
        return F.interpolate(images.float(), (height, width), mode="bilinear", align_corners=False, antialias=True).to(
            images.dtype
        )
    return F.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)
