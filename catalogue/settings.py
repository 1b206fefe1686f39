"""What is the same for every product of a catalogue, whatever draws it: the verdict, the budgets, the answers."""

from __future__ import annotations

import hashlib
import platform
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from ..cyclic.profiles import AUTO
from ..rfnet.files import sha256_of
from ..rfnet.weights import DEFAULT_WEIGHTS

OURS = __package__.rpartition(".")[0]  # this pack, by whatever name it was imported


@dataclass(frozen=True)
class Verdict:
    """Which pictures are accepted, as RF Cyclic Sampler has it. threshold None: the reviewer's own."""

    reviewer: str = str(DEFAULT_WEIGHTS)
    threshold: float | None = None
    accept: str = "threshold"

    def settings(self) -> dict:
        return {"reviewer": print_of(self.reviewer), "threshold": self.threshold, "accept": self.accept}


@dataclass(frozen=True)
class Budgets:
    """What a product may cost, as RF Cyclic Sampler has it; None is no limit.

    early_rejection: "auto", "off", or a profile's file; remedies: names of those that answer a rejected picture.
    """

    attempts: int = 5
    on_exhausted: str = "best"
    usable: int = 1
    seconds: float | None = None
    steps: int | None = None
    parallel: int = 1
    early_rejection: str = AUTO
    remedies: tuple[str, ...] = ()

    def settings(self) -> dict:
        found = asdict(self)
        found["step_budget"] = found.pop("steps")  # steps are also what a drawing has
        if Path(self.early_rejection).is_file():
            found["early_rejection"] = print_of(self.early_rejection)
        return {**found, "remedies": list(self.remedies)}


@lru_cache(maxsize=64)
def print_of(location: str) -> str:
    """A file's name with 16 hex digits of its content; a folder's with those of all its weights. Raises OSError."""
    path = Path(location)
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*.safetensors")):
            digest.update(f"{file.relative_to(path).as_posix()} {sha256_of(file)}\n".encode())
        return f"{path.name} {digest.hexdigest()[:16]}"
    return f"{path.name} {sha256_of(path)[:16]}"


def versions_of(*packages: str) -> dict:
    """{"reliable_ads", "python", each package: its version}."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"reliable_ads": getattr(sys.modules[OURS], "__version__", ""), "python": platform.python_version()}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
