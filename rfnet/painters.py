"""Who painted: a checkpoint's network and the ControlNets at work, told by their weights.

A certificate for a risk names the files that painted its pictures. A program that draws holds networks and no files, in
another precision perhaps, and a ControlNet's layers have other names in other layouts. So a fingerprint looks at the
first values of every matrix, whatever its name, and a file has one for each precision that it may be loaded in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from .files import quoted, sha256_of
from .tensors import open_tensors

if TYPE_CHECKING:
    import torch

UNET, CONTROL = "model.diffusion_model.", "control_model."  # what the names of these networks begin with in a file
VALUES = 8  # of each matrix
Print = Annotated[str, Meta(pattern="^[0-9a-f]{16}\\Z")]


class PainterError(ValueError):
    """A file that can't be named as a painter; the message says which, why and what to do."""


@dataclass(frozen=True)
class Painter:
    """The networks at work: fingerprints of the checkpoint's and of its ControlNets'."""

    checkpoint: str
    controlnets: frozenset[str] = frozenset()


class PaintingFile(msgspec.Struct):
    """A file that painted a certificate's pictures; weights: its fingerprints, one for each precision."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]
    weights: Annotated[list[Print], Meta(min_length=1, max_length=4)]


class NamedPainter(msgspec.Struct):
    """What painted a certificate's pictures."""

    checkpoint: PaintingFile
    controlnet: PaintingFile | None = None

    def is_(self, painter: Painter) -> bool:
        """Whether a painter is this one: this checkpoint's network with this ControlNet and no other."""
        if self.controlnet is None:
            same_control = not painter.controlnets
        else:
            same_control = len(painter.controlnets) == 1 and painter.controlnets <= set(self.controlnet.weights)
        return same_control and painter.checkpoint in self.checkpoint.weights

    @property
    def text(self) -> str:
        """As sentences name it: "a.safetensors" with "b.safetensors"."""
        files = [self.checkpoint, *([self.controlnet] if self.controlnet else [])]
        return " with ".join(quoted(file.name, 40) for file in files)


def fingerprint(tensors: Iterable[torch.Tensor]) -> str:
    """16 hex digits that name a network by its weights, whatever its layers are called: the same in float32 and in
    bfloat16.
    """
    return _digest([(tensor.numel(), beginning(tensor[0])) for tensor in tensors if tensor.ndim > 1 and len(tensor)])


def beginning(row: torch.Tensor) -> torch.Tensor:
    """The first values of a matrix's first row, float32 on the CPU."""
    import torch

    return row.detach().flatten()[:VALUES].to("cpu", torch.float32)


def _digest(matrices: list, half: bool = False) -> str:
    """matrices: (how many values it has, the first of them) of each; half: as they are after a turn through float16."""
    import torch

    values = torch.cat([first for _, first in matrices] or [torch.zeros(0)])
    bits = (values.half() if half else values).bfloat16().view(torch.int16).numpy()
    parts, begin = [], 0
    for count, first in matrices:
        parts.append(b"%d " % count + bits[begin : begin + len(first)].tobytes())
        begin += len(first)
    return hashlib.sha256(b"\n".join(sorted(parts))).hexdigest()[:16]


def read_painter(checkpoint, controlnet=None) -> NamedPainter:
    """The painter in a checkpoint and a ControlNet, .safetensors both. Raises PainterError."""
    return NamedPainter(painting_file(checkpoint, "checkpoint"), controlnet and painting_file(controlnet, "ControlNet"))


def painter_of(checkpoint, controlnet=None) -> Painter:
    """The same as a painter at work, without reading all of the files. Raises PainterError."""
    controlnets = fingerprints_of(controlnet, "ControlNet")[:1] if controlnet else ()
    return Painter(fingerprints_of(checkpoint, "checkpoint")[0], frozenset(controlnets))


def painting_file(path, kind: str) -> PaintingFile:
    """kind: what the file has to be, "checkpoint" or "ControlNet". Raises PainterError."""
    weights = fingerprints_of(path, kind)
    try:
        return PaintingFile(quoted(Path(path).name, 200)[1:-1], sha256_of(path), weights)
    except OSError as error:
        raise PainterError(f"{quoted(path)} can't be read ({error.strerror or error}): check the file.") from error


def fingerprints_of(path, kind: str) -> list[str]:
    """Of the network in a file, one for each precision that it may be loaded in. Raises PainterError."""
    missing = f"the {kind} {quoted(path)} does not exist: name the file that painted the pictures."
    with open_tensors(path, PainterError, missing) as file:
        names = list(file.keys())
        check_kind(names, kind, quoted(Path(path).name, 60))
        prefix = next((each for each in (UNET, CONTROL) if any(name.startswith(each) for name in names)), "")
        parts = (file.get_slice(name) for name in names if name.startswith(prefix))
        shapes = ((part, part.get_shape()) for part in parts)
        matrices = [
            (math.prod(shape), beginning(part[:1])) for part, shape in shapes if len(shape) > 1 and math.prod(shape)
        ]
    return list(dict.fromkeys(_digest(matrices, half) for half in (False, True)))


def check_kind(names: list, kind: str, file: str) -> None:
    """Raises PainterError where tensors of these names are no whole network of that kind."""
    if any("lora_" in name for name in names):
        raise PainterError(
            f"{file} is a LoRA or an adapter and paints nothing by itself: merge it first (`rfft merge` for an adapter)"
            " and name the merged file."
        )
    control = any(name.startswith(("zero_convs.", CONTROL, "controlnet_")) for name in names)
    if control != (kind == "ControlNet") or not names:
        raise PainterError(f"{file} is no {kind}: name the {kind} that painted the pictures.")
