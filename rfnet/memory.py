"""What a reviewer keeps of its training, in its weights file: a few labelled pictures, so that it can learn on without
forgetting where its data are not at hand, and what familiar pictures look like to it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from .familiarity import Familiarity
from .files import write_bytes

PREFIX = "memory."
SHARD = "memory-000.zip"
MOST = 1 << 27  # bytes of pictures


class MemoryFault(ValueError):
    """These tensors are no memory; the message says why."""


@dataclass
class Memory:
    """shard: labelled pictures as a zip that data.shards.write_shard wrote, as small as the reviewer looks at them,
    empty where there are none; familiarity: of features of this reviewer's network.
    """

    shard: bytes
    familiarity: Familiarity

    def tensors(self) -> dict[str, torch.Tensor]:
        """As a weights file holds them."""
        pictures = torch.frombuffer(bytearray(self.shard or b"\0"), dtype=torch.uint8)
        return {f"{PREFIX}shard": pictures} | {
            f"{PREFIX}{name}": value.float().contiguous() for name, value in self.familiarity.tensors.items()
        }

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor], width: int) -> "Memory | None":
        """The memory among a file's tensors, for a network with so many features; None where there is none. Raises
        MemoryFault.
        """
        found = {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
        if not found:
            return None
        names = Familiarity.__dataclass_fields__
        if found.keys() != {"shard", *names}:
            raise MemoryFault(f"it lacks or has too much of {', '.join(sorted(found.keys() ^ {'shard', *names}))}")
        shard = found.pop("shard")
        if shard.dtype != torch.uint8 or shard.ndim != 1 or not 0 < len(shard) <= MOST:
            raise MemoryFault("its pictures are no row of bytes")
        for name, value in found.items():
            if not value.is_floating_point() or not value.isfinite().all():
                raise MemoryFault(f"{name} holds NaN, infinity or something else than numbers with a point")
        means, directions, floor, distances = (found[name] for name in names)
        if any(value.ndim != 2 or value.shape[1] != width or not len(value) for value in (means, directions)):
            raise MemoryFault("its shapes don't fit the network")
        if floor.ndim or not floor > 0 or distances.ndim != 1 or not len(distances) or (distances.diff() < 0).any():
            raise MemoryFault("its distances are not in order")
        content = shard.numpy().tobytes()
        familiarity = Familiarity(**{name: value.float() for name, value in found.items()})
        return cls(b"" if content == b"\0" else content, familiarity)

    def unpack(self, folder) -> Path | None:
        """Writes the pictures into a folder that sources.open_samples reads; None where there are none."""
        if not self.shard:
            return None
        write_bytes(Path(folder) / SHARD, self.shard)
        return Path(folder)
