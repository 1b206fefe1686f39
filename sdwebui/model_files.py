"""The model files that the tab offers, by name: told apart by what is in them, never by how they are called."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from modules import sd_models

from ..rfft.adapter import FORMAT as ADAPTER
from ..rfnet.files import quoted
from ..rfnet.tensors import read_header
from . import host
from .adapter import is_adapter
from .settings import Refused

POCKET = host.EXTENSION / "pocket" / "weights"  # the small family that ships
POCKET_CHECKPOINT, POCKET_CONTROLNET = "reliable-ads/pocket", "reliable-ads/pocket-controlnet"


def checkpoints() -> dict[str, Path]:
    """The host's checkpoints that training can read, and the pocket one that ships."""
    own = {info.name: Path(info.filename) for info in sd_models.checkpoints_list.values()}
    found = {name: path for name, path in own.items() if path.suffix == ".safetensors"}
    return {**found, **shipped(POCKET_CHECKPOINT, found)}


def controlnets() -> dict[str, Path]:
    """The ControlNets that training and merging can read, and the pocket one that ships."""
    own = {name: path for name, path in files().items() if not is_adapter(path)}
    return {**own, **shipped(POCKET_CONTROLNET, own)}


def adapters() -> dict[str, Path]:
    """RFFT's adapters, and the one for the pocket ControlNet that ships."""
    own = {name: path for name, path in files().items() if is_adapter(path)}
    return {**own, **shipped(ADAPTER, own)}


def files() -> dict[str, Path]:
    folder = host.CONTROLNETS
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.safetensors"))}


def shipped(kind: str, own: dict) -> dict[str, Path]:
    return {
        path.name: path
        for path in sorted(POCKET.glob("*.safetensors"))
        if path.name not in own and format_of(path) == kind
    }


def is_pocket(file: Path) -> bool:
    return format_of(file) in (POCKET_CHECKPOINT, POCKET_CONTROLNET)


def chosen(name: str, found: dict[str, Path], what: str) -> Path:
    """The file of this name. Raises Refused."""
    if not name:
        raise Refused(f"No {what} is chosen: choose one.")
    if name not in found:
        raise Refused(
            f"There is no {what} {quoted(name, 60)}: choose another (found: {', '.join(list(found)[:6]) or 'none'})."
        )
    return found[name]


def format_of(path: Path) -> str:
    """What a file's metadata call it; "" where they don't."""
    return metadata_of(path).get("format", "")


def metadata_of(path: Path) -> dict:
    """A file's metadata; {} of a file that can't be read."""
    try:
        state = path.stat()
    except OSError:
        return {}
    return _metadata_of(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1024)
def _metadata_of(path: Path, *state) -> dict:
    try:
        return read_header(path, Refused).metadata
    except (Refused, OSError):
        return {}
