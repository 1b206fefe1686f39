"""Throw-away environments with requirements of our choice, torch taken from the environment that runs the tests where
it can be.
"""

import importlib.metadata as metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TORCH = ("torch", "torchvision")
CUDA = ("nvidia-", "cuda-", "triton")  # gigabytes that torch's wheels ask for, of the same use to every Python
TESTED = {"numpy", "pillow"}  # torchvision's requirements that are ours, too


def interpreter(version: str) -> str:
    """The Python of this version ("3.10"), from PATH or from pyenv's folder; this one's for "".

    Skips where there is none.
    """
    if version in ("", f"{sys.version_info.major}.{sys.version_info.minor}"):
        return sys.executable
    name, pyenv = f"python{version}", Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places = [*os.environ["PATH"].split(os.pathsep), *sorted(map(str, pyenv.glob(f"{version}*/bin")))]
    for found in filter(None, (shutil.which(name, path=place) for place in places)):
        if (
            subprocess.run([found, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0
        ):  # pyenv's shims may lead nowhere
            return found
    pytest.skip(f"there is no {name} on PATH")


def closure(names: tuple) -> set:
    """The installed distributions with these names and all that they need, extras included."""
    found, waiting = set(), [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if name in found or name[0] in TESTED:
            continue
        found.add(name)
        for need in map(Requirement, metadata.requires(wanted.name) or []):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in wanted.extras or {""}):
                waiting.append(need)
    return {name for name, _ in found}


def lend(names: set, folder: Path) -> None:
    """Link installed distributions into a folder, so that an environment can have them and nothing else of this one."""
    folder.mkdir()
    for distribution in map(metadata.distribution, names):
        for part in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (folder / part).exists():
                (folder / part).symlink_to(Path(distribution.locate_file("")) / part)


def environment(folder: Path, python: str, packages: list) -> Path:
    """Make an environment with these packages -> its Python. Skips where pip can't reach an index."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    inside = folder / "bin" / "python"
    own_torch = python != sys.executable  # what was made for one Python may be of no use to another
    lend({name for name in closure(TORCH) if name.startswith(CUDA) or not own_torch}, folder / "lent")
    site_packages = next(folder.glob("lib/python*/site-packages"))
    (site_packages / "lent.pth").write_text(f"{folder / 'lent'}\n")
    if own_torch:
        pip(inside, "--no-deps", *(f"{name}=={metadata.version(name)}" for name in TORCH))
        if (folder / "lent" / "nvidia").exists():  # torch looks for CUDA's libraries beside itself
            (site_packages / "nvidia").symlink_to(folder / "lent" / "nvidia")
    pip(inside, *packages)
    return inside


def pip(inside: Path, *arguments: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(inside),
        "install",
        "--quiet",
        "--no-compile",
        "--only-binary",
        ":all:",
        "--retries",
        "1",
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and "connection" in done.stderr.lower():
        pytest.skip(f"pip can't reach its index: {done.stderr.splitlines()[0][:200]}")
    assert done.returncode == 0, done.stderr
