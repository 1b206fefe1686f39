"""How large the product looks in a picture: a line through RFNet's features, a row of numbers in the weights' metadata.

`rfnet sizes` fits it (training/fit_sizes.py); the second opinion "size" compares it with the product's true size.
"""

from typing import Annotated

import msgspec
import torch
from msgspec import Meta

from .structured import from_json

LARGEST = 1000.0
Value = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]


class SizeReader(msgspec.Struct, kw_only=True):
    """log metres of the product's largest side, as the picture shows it: weight f + bias, f being RFNet.features.

    sigma: how far it is off, in log metres, in pictures of right size that it was not fitted on; about: how it was
    fitted.
    """

    weight: Annotated[list[Value], Meta(min_length=1, max_length=100_000)]
    bias: Value
    sigma: Annotated[float, Meta(ge=0.01, le=10)]
    about: dict = {}

    def read(self, features: torch.Tensor) -> torch.Tensor:
        """features (N, W) -> log metres (N,)."""
        return features.float().cpu() @ torch.tensor(self.weight) + self.bias

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()


def parse_sizes(text: str) -> SizeReader | None:
    """The "sizes" of a weights file, as to_json wrote it; None for "". Raises StructureError, a ValueError."""
    return from_json(text, SizeReader, "it") if text else None


def kept_sizes(metadata: dict) -> dict:
    """What a reviewer with the same network as the file with this metadata keeps: {"sizes": text}, or nothing."""
    return {"sizes": metadata["sizes"]} if metadata.get("sizes") else {}
