"""Socket types, and tensors turned between ComfyUI's (B, H, W, 3) and the libraries' (B, 3, H, W)."""

import comfy.model_management
import torch
from comfy_api.latest import io

from ..rfnet.risks import ACCEPT

CATEGORY = "reliable ads"
Product = io.Custom("RF_PRODUCT")  # an rfnet.product.Canvas
Reviewer = io.Custom("RF_REVIEWER")  # a nodes.review.LoadedReviewer
Job = io.Custom("RF_JOB")  # a nodes.product_folder.ListedJob
Remedies = io.Custom("RF_REMEDIES")  # a nodes.remedies.Remedies
ModelPatch = io.Custom("MODEL_PATCH")  # ComfyUI's own, which not every version of its V3 API names
BackgroundRemoval = io.Custom("BACKGROUND_REMOVAL")  # ComfyUI's own, where its version has it
Opinions = io.Custom("RF_OPINIONS")  # a list of rfnet.opinions.protocol.Opinion

THRESHOLD_TOOLTIP = (
    "Accept a picture when its probability of being available is at least this, from 0 to 1. "
    "Start with 0: the reviewer's own threshold. Raise it to be stricter."
)

ACCEPT_TOOLTIP = (
    "threshold: use the value above. 5 % risk: ignore it; use the certified one, at which at most 5 in 100 accepted"
    " pictures are bad, with 95 % confidence. `rfnet calibrate` certifies a reviewer for one painter, a checkpoint with"
    " its ControlNet; with another the node says so. The shipped one is certified for none."
)


def accept_input() -> io.Combo.Input:
    """The choice between a threshold and a certified risk.

    Optional and last, so that graphs saved before there was a choice still run.
    """
    return io.Combo.Input("accept", options=list(ACCEPT), default="threshold", optional=True, tooltip=ACCEPT_TOOLTIP)


def opinions_input():
    """Optional and last, so that graphs saved before there was one still run."""
    return Opinions.Input(
        "opinions",
        optional=True,
        tooltip=(
            "From RF Opinions: what else looks at the finished pictures. The report says which one decided. Without it"
            " the reviewer decides alone."
        ),
    )


def channels_first(images: torch.Tensor) -> torch.Tensor:
    """(B, H, W, C) → (B, 3, H, W); a fourth channel is dropped."""
    return images[..., :3].movedim(-1, 1)


def one_channel(maps):
    """IMAGE (B, H, W, C) or MASK (B, H, W) or (H, W) → (B, 1, H, W), colours averaged; None stays None."""
    if maps is None:
        return None
    if maps.ndim == 4:
        maps = maps[..., :3].mean(-1)
    return maps.reshape(-1, 1, *maps.shape[-2:])


def channels_last(images: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) → (B, H, W, 3)."""
    return images.movedim(1, -1)


def to_picture(image: torch.Tensor):
    """(3, H, W) in [0, 1] → PIL."""
    from PIL import Image

    return Image.fromarray((image.nan_to_num().clamp(0, 1) * 255).byte().movedim(0, -1).cpu().numpy())


def from_pictures(pictures: list) -> torch.Tensor:
    """PIL pictures of one size → (B, H, W, 3) in [0, 1]."""
    import numpy as np

    return torch.stack(
        [torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255) for picture in pictures]
    )


def stop_if_cancelled() -> None:
    """Raises ComfyUI's InterruptProcessingException when the user has pressed cancel."""
    comfy.model_management.throw_exception_if_processing_interrupted()
