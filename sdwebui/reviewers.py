"""Reviewers in a web UI: the user's own in models/rfnet, and the one that ships."""

from __future__ import annotations

from copy import copy
from functools import lru_cache
from pathlib import Path

import torch
from modules import devices, shared

from ..rfnet.files import quoted
from ..rfnet.weights import DEFAULT_WEIGHTS
from . import host, opinions
from .settings import Refused

SHIPPED = Path(DEFAULT_WEIGHTS)
DEVICE = "reliable_ads_device"  # the user's choice among the web UI's settings: "auto" or "cpu"


def paths() -> dict[str, Path]:
    """{file name: path}; the user's own come before what ships."""
    own = {path.name: path for path in sorted(host.RFNET.glob("*.safetensors"))}
    return {**own, SHIPPED.name: own.get(SHIPPED.name, SHIPPED)}


def profile_folders() -> list[Path]:
    """Where profiles of early rejection lie."""
    return [host.RFNET, SHIPPED.parent]


def load(name: str) -> HostedReviewer:
    """The reviewer of this file name. Raises Refused, WeightsError."""
    found = paths()
    if name not in found:
        raise Refused(
            f"there is no reviewer {quoted(name)} in models/rfnet: put it there, or choose another (found:"
            f" {', '.join(found)})."
        )
    state = found[name].stat()
    device = devices.cpu if shared.opts.data.get(DEVICE) == "cpu" else devices.get_optimal_device()
    return _loaded(found[name], device, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _loaded(path: Path, device: torch.device, *state) -> HostedReviewer:
    return HostedReviewer(path, device)


class HostedReviewer:
    """A reviewer, where the host lets it compute."""

    def __init__(self, path: Path, device: torch.device):
        from ..rfnet.weights import load_reviewer

        self.path = path
        self.reviewer = self.judge = load_reviewer(path).to(device)

    def advised(self, names: tuple) -> HostedReviewer:
        """This reviewer with second opinions beside it; itself without any. Raises Refused, OpinionError."""
        from ..rfnet.opinions.panel import Panel

        if not names:
            return self
        other = copy(self)
        other.judge = Panel(self.reviewer, opinions.opened(names))
        return other

    def threshold_for(self, accept: str, threshold: float) -> float:
        """The least p(available) to accept; a threshold of 0 takes the reviewer's own. Raises ReviewError."""
        return self.judge.threshold_for(accept, threshold or None)

    def row(self, picture: torch.Tensor, canvas, threshold: float) -> dict:
        """The verdict on a picture (3, H, W) in [0, 1]: a row of Review.rows()."""
        with devices.without_autocast():
            return self.judge.review(picture[None], canvas, threshold).rows()[0]

    def preview_row(self, picture: torch.Tensor, canvas, threshold: float) -> dict:
        """The same of a preview, by RFNet alone, as early rejection was measured."""
        with devices.without_autocast():
            return self.reviewer.review(picture[None], canvas, threshold).rows()[0]

    def explain(self, picture: torch.Tensor, canvas):
        """(verdict row, rfnet.explain.Explanation) of a picture (3, H, W)."""
        from ..rfnet.explain import explain

        with devices.without_autocast():
            review = self.reviewer.review(picture[None], canvas)
            return review, explain(self.reviewer, picture[None], canvas, review=review)
