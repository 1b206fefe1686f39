"""A background removal model of ComfyUI's own, such as BiRefNet, asked what in a picture is the product."""

import torch

from ..rfnet.opinions.expansion import Expansion
from ..rfnet.opinions.protocol import OpinionError
from ..rfnet.structured import shortened
from .text_model import known_as


def expansion_of(model) -> Expansion:
    """The opinion expansion by what Load Background Removal Model gives. Raises OpinionError."""
    if not callable(getattr(model, "encode_image", None)):
        raise OpinionError(
            "what is connected at segmentation_model finds no objects: use Load Background Removal Model."
        )
    name = str(getattr(model, "model_type", "segmentation"))

    def segment(images: torch.Tensor, canvas) -> torch.Tensor:
        try:
            masks = model.encode_image(images.movedim(1, -1))  # (B, H, W) from ComfyUI's (B, H, W, 3)
        except torch.cuda.OutOfMemoryError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            reason = shortened(str(error).split("\n")[0].rstrip("."), 150)[1:-1]
            raise OpinionError(f"{name} could not be asked ({reason}).") from error
        return masks.float().cpu()[:, None]

    return Expansion(segment, known_as(name, getattr(model, "model", None)))
