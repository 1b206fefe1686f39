"""What of a canvas a ControlNet holds on to: RF Product's hint, or its picture and mask."""

from typing import NamedTuple

import torch


class Hint(NamedTuple):
    """What nodes give a ControlNet of a canvas.

    picture (1, 3, H, W): in [0, 1]; further: what is appended to its latent, (1, C, H, W) each.
    """

    picture: torch.Tensor
    further: list


def shows(control, canvas) -> bool:
    """Whether a CONTROL_NET's hint is the canvas's."""
    return which(control, canvas) is not None


def moved(control, canvas, to) -> Hint:
    """The hint of the canvas `to`, of the kind that a ControlNet has of `canvas`."""
    return hints(control, to)[which(control, canvas)]


def which(control, canvas) -> int | None:
    """The number among `hints` of what a ControlNet has been given; None where that is another picture's."""
    given = control.cond_hint_original
    if given is None:
        return None
    return next((number for number, hint in enumerate(hints(control, canvas)) if same(given, hint.picture)), None)


def hints(control, canvas) -> list[Hint]:
    """All that may be given of a canvas: its canny hint and, to an inpainting ControlNet, what
    ControlNetInpaintingAliMamaApply makes of its picture and mask.
    """
    canny = Hint(canvas.hint[None], list(getattr(control, "extra_concat_orig", ())))
    if not getattr(control, "concat_mask", False):
        return [canny]
    keep = 1 - canvas.inpaint_mask[None, None]
    return [canny, Hint(canvas.shown[None] * keep.round(), [keep])]


def same(given: torch.Tensor, own: torch.Tensor) -> bool:
    """Whether a picture, of a batch the first, is this one (1, ...)."""
    return given.shape[1:] == own.shape[1:] and torch.equal(given[:1].to(own), own)
