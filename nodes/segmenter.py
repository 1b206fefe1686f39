"""A background removal model of ComfyUI's own, such as BiRefNet, asked what in a picture is the product."""

import torch

from ..rfnet.opinions.expansion import Expansion
from ..rfnet.opinions.protocol import OpinionError
from .own_models import asking, known_as


def expansion_of(model) -> Expansion:
    """The opinion expansion by what Load Background Removal Model gives. Raises OpinionError."""
    if not callable(getattr(model, "encode_image", None)):
        raise OpinionError(
            "what is connected at segmentation_model finds no objects: use Load Background Removal Model."
        )
    name = str(getattr(model, "model_type", "segmentation"))

    def segment(images: torch.Tensor, canvas) -> torch.Tensor:
        with asking(name):
            masks = model.encode_image(images.movedim(1, -1))  # (B, H, W) from ComfyUI's (B, H, W, 3)
            return masks.float().cpu()[:, None]

    return Expansion(segment, known_as(name, getattr(model, "model", None)))
