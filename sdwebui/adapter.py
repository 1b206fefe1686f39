"""RFFT adapters among the host's own ControlNets: Forge and reForge merge one with its ControlNet while they load it,
to what `rfft merge` writes. Automatic1111 has no way in for that; there it takes the merged file.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from modules import shared

from ..rfft.adapter import FORMAT, PREFIX, AdapterError, read_adapter, sha256_of, updates_of
from ..rfft.merge import fold, weight_names
from ..rfnet.files import quoted
from ..rfnet.structured import shortened
from ..rfnet.tensors import read_header
from . import host
from .settings import Refused


def is_adapter(path: Path) -> bool:
    """Whether a file is an RFFT adapter, by its keys or its metadata; it may be damaged, or unusable here."""
    try:
        state = path.stat()
    except OSError:
        return False
    return path.suffix == ".safetensors" and _is_adapter(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1024)
def _is_adapter(path: Path, *state) -> bool:
    try:
        header = read_header(path, AdapterError)
    except AdapterError:
        return False
    return header.metadata.get("format") == FORMAT or any(key.startswith(PREFIX) for key in header.tensors)


def check(path: Path) -> None:
    """Raises Refused, AdapterError where the host can't draw with this adapter."""
    if not host.FORGE:
        raise Refused(
            f"{quoted(path.name, 60)} is an RFFT adapter, and ControlNet in {host.NAME} takes whole files only: merge"
            " it with its ControlNet in the tab Reliable Ads, and choose the merged file."
        )
    base_of(path)


def base_of(path: Path) -> Path:
    """The ControlNet that an adapter was trained on, among the host's. Raises AdapterError.

    Files are told by their SHA-256, which is computed of those alone that have the adapter's layers, the one of the
    right name first, and once while they stay the same.
    """
    tensors, about = read_adapter(path)
    updates = updates_of(tensors, path.name)
    shapes = {module: [len(up), *down.shape[1:]] for module, (up, down, _) in updates.items()}
    name = about.get("base_name", "")
    files = sorted(candidates(path), key=lambda file: file.name != name)
    for file in files:
        if fits(file, shapes) and sha256_of(file) == about["base_sha256"]:
            return file
    there = ", and the file of that name there is another" if any(file.name == name for file in files) else ""
    raise AdapterError(
        f"{quoted(path.name, 60)} belongs to the ControlNet {quoted(name or 'unknown', 60)} (SHA-256"
        f" {shortened(about['base_sha256'][:12])[1:-1]}...), which is not in models/ControlNet{there}: put the file"
        " that it was trained on there."
    )


def candidates(path: Path) -> list[Path]:
    """The safetensors files in the folders of ControlNets, and beside the adapter."""
    folders = {host.CONTROLNETS, path.parent}
    if more := shared.opts.data.get("control_net_models_path"):
        folders.add(Path(more))
    files = {file for folder in folders if folder.is_dir() for file in folder.rglob("*.safetensors")}
    return sorted(file for file in files if file.is_file() and not is_adapter(file))


def fits(file: Path, shapes: dict) -> bool:
    """Whether a file is a ControlNet that has layers of these shapes."""
    try:
        tensors = read_header(file, AdapterError).tensors
        names = weight_names(tensors, file.name)
    except AdapterError:
        return False
    return all(module in names and tensors[names[module]].shape == shape for module, shape in shapes.items())


def merged(path: Path) -> tuple[dict, Path]:
    """(tensors of the whole ControlNet, the file that it was) of an adapter at strength 1. Raises AdapterError."""
    base = base_of(path)
    return fold(base, [(path, 1.0)])[0], base


def register() -> None:
    """Lets Forge and reForge load adapters wherever they load ControlNets."""
    if not host.FORGE:
        return
    from modules_forge import shared as forge
    from modules_forge.supported_controlnet import ControlNetPatcher

    class AdapterPatcher(ControlNetPatcher):
        @staticmethod
        def try_build_from_state_dict(state_dict, ckpt_path):
            if not (is_adapter(Path(ckpt_path)) or any(key.startswith(PREFIX) for key in state_dict)):
                return None
            tensors, base = merged(Path(ckpt_path))
            return ControlNetPatcher.try_build_from_state_dict(tensors, str(base))

    if all(each.__name__ != AdapterPatcher.__name__ for each in forge.supported_control_models):  # the page made anew
        forge.add_supported_control_model(AdapterPatcher)
