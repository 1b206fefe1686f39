"""Where depth and saliency come from: the built-in MapNet, or a model that the user has on disk.

A further source is one entry of OPENERS, at its end. What RF Load Reviewer lists is nodes/folders.py's business.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from .depth_model import DepthModel
from .map_names import BUILTIN, map_name
from .saliency_model import SaliencyModel


class MapSource(Protocol):
    """What a Reviewer looks through. name: what weights trained with it record under "maps", as map_name writes it."""

    name: str

    def __call__(self, images: torch.Tensor) -> tuple:
        """images (B, 3, H, W) in [0, 1] -> depth, saliency, both (B, 1, H, W) in [0, 1]; depth is inverse, 1 =
        nearest.
        """


class Estimator(Protocol):
    """One kind of map. name: what weights trained with it record, such as the model's file name."""

    name: str

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, 3, H, W) in [0, 1] -> maps (B, 1, H, W), stretched to [0, 1] in each image."""


@dataclass(frozen=True)
class Opener:
    """How a user's file or folder becomes an Estimator.

    kind: "depth" or "saliency"; accepts(path): whether the path looks like one of these, without reading weights;
    open(path) -> an Estimator, or raises MapError with a sentence.
    """

    kind: str
    accepts: Callable[[Path], bool]
    open: Callable[[Path], Estimator]


OPENERS = [
    Opener("depth", lambda path: (path / "config.json").is_file(), DepthModel),
    Opener("saliency", lambda path: path.suffix.lower() == ".onnx", SaliencyModel),
]


class MapPair(nn.Module):
    """A MapSource of two estimators; either may be left to the built-in one (a MapNet)."""

    def __init__(self, builtin: nn.Module, depth=None, saliency=None):
        super().__init__()
        self.builtin, self.depth, self.saliency = builtin, depth, saliency
        self.name = map_name(*(BUILTIN if model is None else model.name for model in (depth, saliency)))

    def forward(self, images: torch.Tensor) -> tuple:
        depth, saliency = self.builtin(images) if self.depth is None or self.saliency is None else (None, None)
        return depth if self.depth is None else self.depth(images), (
            saliency if self.saliency is None else self.saliency(images)
        )


def open_maps(builtin: nn.Module, depth=None, saliency=None) -> MapPair:
    """A MapSource of what the user has on disk, None for built-in.

    depth: the folder of a DPT or Depth-Anything model; saliency: the .onnx file of a U2-Net or BiRefNet; or what an
    Opener of one's own takes. Raises MapError.
    """
    return MapPair(builtin, open_map("depth", depth), open_map("saliency", saliency))


def open_map(kind: str, path) -> Estimator | None:
    """The estimator of this kind behind a path; None for no path. Raises MapError."""
    if not path:
        return None
    openers = [opener for opener in OPENERS if opener.kind == kind]
    chosen = next((opener for opener in openers if opener.accepts(Path(path))), openers[0])  # which says what it lacks
    return chosen.open(Path(path))
