"""Own label: are the product's own pixels still there, after everything that repaints the picture?

Upscalers, refiners and relighting go over the product, too, and turn its letters into others. Equal pixels settle it;
where light or compression changed them, the lines do: what was lettering must still be the same lettering.
"""

import torch
import torch.nn.functional as F

from ..presence import ALIKE, MOST
from .protocol import SURE, about

OPAQUE = 0.999
EQUAL, NEARLY_ALL = 2.5 / 255, 0.995  # of a channel; of the pixels
WINDOW = 7  # pixels: as large as a small letter
DETAIL = 0.03  # deviation of the luminance in a window that holds lines
SAME = 0.5  # correlation from which on two windows show the same lines
USUAL = 0.15  # share of changed windows at which the odds are even; compression and light leave a few per cent
FEWEST = 50  # windows with lines that can be judged by
LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)  # ITU-R BT.709


class OwnLabel:
    """Evidence for shape_hallucination, the label for a product that was painted into: below zero where its pixels or
    lines are kept.

    NaN for a product without lines whose pixels changed, and for one that is elsewhere in the picture.
    """

    name, model, proof = "own_label", "", True
    cost = "a few milliseconds"

    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """As protocol.Opinion."""
        left, top, right, bottom = canvas.box
        box = (..., slice(top, bottom), slice(left, right))
        inside = _eroded(canvas.alpha[box] >= OPAQUE)
        own, shown = canvas.rgb[box], images.detach().float().cpu().clamp(0, 1)[box]
        unknown = torch.full((len(images),), torch.nan)
        if not inside.any():
            return about("shape_hallucination", unknown)
        difference = (shown - own)[:, :, inside].abs().amax(1)
        changed = changed_lines(own[None], shown, inside)
        score = torch.where((difference <= ALIKE).float().mean(1) >= MOST, 4 * (changed / USUAL - 1), unknown)
        kept = (difference <= EQUAL).float().mean(1) >= NEARLY_ALL
        return about("shape_hallucination", torch.where(kept, torch.full_like(score, -SURE), score))


def changed_lines(own: torch.Tensor, shown: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """(B,): the share of windows with lines in them that show other lines; own (1, 3, H, W), shown (B, 3, H, W), inside
    (H, W) bool. NaN where too few windows hold lines.
    """
    first, second = ((picture * LUMINANCE).sum(1, keepdim=True) for picture in (own, shown))
    variance = _mean(first**2) - _mean(first) ** 2
    other = _mean(second**2) - _mean(second) ** 2
    product = _mean(first * second) - _mean(first) * _mean(second)
    lines = (variance[0, 0] >= DETAIL**2) & inside
    if lines.sum() < FEWEST:
        return torch.full((len(shown),), torch.nan)
    alike = product / (variance * other).clamp(min=1e-8).sqrt()
    return (alike[:, 0, lines] < SAME).float().mean(1)


def _mean(values: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(values, WINDOW, 1, WINDOW // 2, count_include_pad=False)


def _eroded(mask: torch.Tensor) -> torch.Tensor:
    """A mask (H, W) without what lies within half a window of its border."""
    outside = F.max_pool2d((~mask).float()[None, None], WINDOW, 1, WINDOW // 2)[0, 0]
    return outside == 0
