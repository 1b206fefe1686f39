"""What a latent shows, without its decoder: a linear map from a latent cell to its colour, fitted to what the decoder
makes of some latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

RIDGE = 1e-3  # keeps channels that hardly vary from getting large factors


@dataclass(frozen=True)
class Preview:
    """factors: 3 rows (red, green, blue) of C + 1 numbers, the last of them the colour of an empty cell.

    Colours are in [0, 1].
    """

    factors: list

    @classmethod
    def fit(cls, latents: torch.Tensor, pictures: torch.Tensor) -> Preview:
        """The least-squares map between latents (N, C, h, w) and the pictures (N, 3, H, W) in [0, 1] that they decode
        to.
        """
        cells = _with_ones(latents).flatten(0, 2).double()
        colours = F.interpolate(pictures.double(), latents.shape[-2:], mode="area").movedim(1, -1).flatten(0, 2)
        squares = cells.T @ cells / len(cells) + RIDGE * torch.eye(cells.shape[1], dtype=torch.float64)
        return cls(
            [
                [round(value, 6) for value in row]
                for row in torch.linalg.solve(squares, cells.T @ colours / len(cells)).T.tolist()
            ]
        )

    def __call__(self, latents: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Latents (N, C, h, w) as pictures (N, 3, height, width) in [0, 1]: soft, for a latent holds a cell's colour
        and not its edges.
        """
        colours = _with_ones(latents).float() @ torch.tensor(self.factors, device=latents.device).T
        return F.interpolate(colours.movedim(-1, 1), (height, width), mode="bicubic").clamp(0, 1)


def _with_ones(latents: torch.Tensor) -> torch.Tensor:
    """(N, C, h, w) -> (N, h, w, C + 1)."""
    return torch.cat([latents, torch.ones_like(latents[:, :1])], 1).movedim(1, -1)
