"""Size: is the product as large in the picture as it really is? What RFNet's features tell of the shown size, beside
the true one.

RFNet sees the things beside a product and reads off them how large it looks, but doesn't know how large it is.
"""

import math
from typing import NamedTuple

import torch

from ..common_sizes import usual_size
from ..structured import shortened
from .protocol import OpinionError, about

WRONG = math.log(4)  # a wrong size is about four times too large or too small: the deviation of its log


class Known(NamedTuple):
    """The true size: log metres, how far it may lie from that, and where it is from."""

    log_metres: float
    spread: float
    source: str


class Size:
    """Evidence for size_mismatch: how much likelier the error of the shown size is where the size is wrong.

    It reads nothing of its own, and looks at what the reviewer read in its review.
    """

    name, model, proof = "size", "", False
    cost = "next to nothing"

    def evidence_in(self, canvas, review) -> torch.Tensor:
        """(B, 4) log-odds of DEFECTS for a reviewer.Review of pictures of this product.Canvas. Raises OpinionError."""
        off, sigma, _ = self._compared(canvas, review)
        right, wrong = sigma**2, sigma**2 + WRONG**2
        return about("size_mismatch", (off**2 * (1 / right - 1 / wrong) - math.log(wrong / right)) / 2)

    def said(self, canvas, review) -> list[str]:
        """What it says of each picture in words, "" where it finds nothing. Raises OpinionError."""
        off, _, known = self._compared(canvas, review)
        against = self.evidence_in(canvas, review).nan_to_num().amax(1) > 0
        true = centimetres(known.log_metres)
        return [
            f"too {'large' if each > 0 else 'small'}: it looks {centimetres(known.log_metres + each)} large, and"
            f" {true} is {known.source}"
            if wrong
            else ""
            for each, wrong in zip(off.tolist(), against.tolist())
        ]

    def _compared(self, canvas, review) -> tuple[torch.Tensor, float, Known]:
        """(log of shown over true size (B,), its deviation where the size is right, the true size)."""
        if review.shown_size is None:
            raise OpinionError("this reviewer reads no sizes: fit that with `rfnet sizes`.")
        known = true_size(canvas.product)
        log_metres, sigma = review.shown_size
        return log_metres - known.log_metres, math.hypot(sigma, known.spread), known


def true_size(product) -> Known:
    """The true size of a product.Product: what was given, or what is usual by its caption. Raises OpinionError."""
    if product.size_cm:
        return Known(math.log(product.size_cm / 100), 0.0, "its size")
    usual = usual_size(product.caption)
    if usual is None:
        raise OpinionError(
            f"nobody knows how large {shortened(product.caption) if product.caption else 'this product'} is: give"
            " size_cm, its largest side in centimetres, or a caption that ends in what it is."
        )
    return Known(usual.log_metres, usual.spread, f"usual for {usual.name}")


def centimetres(log_metres: float) -> str:
    """Such as "32 cm" or "1.8 m"."""
    metres = math.exp(log_metres)
    return f"{metres:.2g} m" if metres >= 1 else f"{100 * metres:.2g} cm"
