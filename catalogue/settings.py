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
from ..rfnet.opinions.opening import check_opinions, open_opinions, with_networks
from ..rfnet.opinions.panel import Panel
from ..rfnet.tensors import read_header
from ..rfnet.weights import DEFAULT_WEIGHTS
from .rows import CatalogueError

OURS = __package__.rpartition(".")[0]  # this pack, by whatever name it was imported


@dataclass(frozen=True)
class Verdict:
    """Which pictures are accepted, as RF Cyclic Sampler has it. threshold None: the reviewer's own; opinions: second
    ones, such as "contact" or "expansion=FILE.onnx".
    """

    reviewer: str = str(DEFAULT_WEIGHTS)
    threshold: float | None = None
    accept: str = "threshold"
    opinions: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises OpinionError for opinions that can't be had, as far as it is seen without loading them."""
        check_opinions(self.opinions)

    def settings(self) -> dict:
        asked = {"opinions": [opinion_print(text) for text in self.opinions]} if self.opinions else {}
        return {"reviewer": print_of(self.reviewer), "threshold": self.threshold, "accept": self.accept, **asked}

    def weights(self) -> int:
        """Bytes of memory that the reviewer and the opinions' networks take."""
        paths = [Path(text.partition("=")[2]) for text in self.opinions if "=" in text]
        files = [file for path in paths for file in (path.rglob("*.safetensors") if path.is_dir() else [path])]
        return 4 * read_header(self.reviewer, CatalogueError).count("") + sum(file.stat().st_size for file in files)

    def advised(self, reviewer, device):
        """The reviewer, or with opinions a Panel around it, their networks on the device. Raises OpinionError."""
        if not self.opinions:
            return reviewer
        opinions = open_opinions(self.opinions)
        for model in with_networks(opinions):
            model.network.to(device)
        return Panel(reviewer, opinions)


def opinion_print(text: str) -> str:
    """An opinion as settings name it: with its file's content. Raises OSError."""
    name, sign, path = text.partition("=")
    return f"{name}={print_of(path)}" if sign else name


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
