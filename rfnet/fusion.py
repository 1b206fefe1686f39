"""The logistic layer that joins RFNet with second opinions: one small table of numbers in the weights' metadata.

With p RFNet's probabilities and e an opinion's evidence, both in log-odds, the fused log-odds of a defect d against
"available" are

    rfnet * (log p_d - log p_available) + bias_d + sum over opinions of weight_d * (e_d - centre_d) / spread_d

An opinion that doesn't know adds nothing, as does one whose evidence is the usual one. Weights are never negative, so
evidence of a defect can't speak for the picture. `rfnet fuse` fits it (training/fuse.py).
"""

from typing import Annotated

import msgspec
import torch
from msgspec import Meta

from .structured import from_json

LARGEST = 1000.0
MANY = 50  # opinions that one layer may join
Value = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Share = Annotated[float, Meta(ge=0, le=LARGEST)]
Four = Annotated[list[Value], Meta(min_length=4, max_length=4)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class Opinion(msgspec.Struct, kw_only=True):
    """What an opinion counts, for each defect. model: what it asked when the layer was fitted."""

    model: Annotated[str, Meta(max_length=200)] = ""
    weight: Annotated[list[Share], Meta(min_length=4, max_length=4)]
    centre: Four
    spread: Annotated[list[Annotated[float, Meta(ge=1e-6, le=LARGEST)]], Meta(min_length=4, max_length=4)]


class Fusion(msgspec.Struct, kw_only=True):
    """The layer. threshold: the least p(available) to accept; about: how it was fitted, and what came of it;
    refit: RFNet has changed since, so that the layer should be fitted again.
    """

    rfnet: Share
    bias: Four
    opinions: Annotated[dict[Name, Opinion], Meta(max_length=MANY)]
    threshold: Annotated[float, Meta(gt=0, le=1)] = 0.5
    about: dict = {}
    refit: bool = False

    def pulls(self, evidence: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What each opinion adds to the log-odds of the defects against "available": evidence (B, 4) by name, NaN for
        "don't know" -> (B, 4) by name.
        """
        return {
            name: self._pull(self.opinions[name], values.float())
            for name, values in evidence.items()
            if name in self.opinions
        }

    def logits(self, log_probabilities: torch.Tensor, pulls: dict[str, torch.Tensor]) -> torch.Tensor:
        """Fused logits (B, 5) from RFNet's log-probabilities (B, 5); that of "available" is 0."""
        odds = self.rfnet * (log_probabilities[:, 1:] - log_probabilities[:, :1]) + torch.tensor(self.bias)
        odds = odds + sum(pulls.values())
        return torch.cat([odds.new_zeros(len(odds), 1), odds], 1)

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @staticmethod
    def _pull(opinion: Opinion, values: torch.Tensor) -> torch.Tensor:
        centre, spread, weight = (torch.tensor(row) for row in (opinion.centre, opinion.spread, opinion.weight))
        return (weight * (values - centre) / spread).nan_to_num(0.0)


def parse_fusion(text: str) -> Fusion | None:
    """The "fusion" of a weights file, as to_json wrote it; None for "". Raises StructureError, a ValueError."""
    return from_json(text, Fusion, "it") if text else None


def kept_fusion(metadata: dict) -> dict:
    """What a reviewer that was trained on from a file with this metadata keeps of its layer: {"fusion": text}, marked
    to be fitted again, or nothing.
    """
    fusion = parse_fusion(metadata.get("fusion", ""))
    return {"fusion": msgspec.structs.replace(fusion, refit=True).to_json()} if fusion else {}
