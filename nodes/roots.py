"""Which folders a graph may read: below ComfyUI's input, output and models, and below those that the owner lists.

A graph may come from anywhere, so it must not say where on the disk to look. The list is a text file beside these
folders, where no node writes.
"""

import os
import re
from pathlib import Path

import folder_paths

from .inputs import quoted

LIST = "reliable_ads_folders.txt"
LARGEST = 65536  # bytes of the list
NETWORK = re.compile(r"[\\/]{2}")  # \\server\share: Windows sends the user's password hash to whatever server is named


def folder_in_reach(name: str, node: str) -> Path:
    """The folder that a graph names: a path, or a name below ComfyUI's input folder.

    Symbolic links are followed before it is looked where it lies. Raises ValueError where nothing is named, and where
    it lies elsewhere.
    """
    name = name.strip().strip("\"'")  # quotes come with a path that is copied on Windows
    if not name:
        raise ValueError(f'{node} has no folder: write into "folder" where your product cut-outs lie.')
    try:
        named = Path(os.path.abspath(Path(folder_paths.get_input_directory()) / Path(name).expanduser()))
        if not NETWORK.match(name) or any(named.is_relative_to(root) for root in roots()):
            folder = named.resolve()
            folder.is_dir()  # which fails on what the disk can't name
            if any(folder.is_relative_to(root.resolve()) for root in roots()):
                return folder
    except (ValueError, OSError, RuntimeError):  # a NUL, a loop of links, an unknown user's home, a name too long
        pass
    raise ValueError(
        f"{node} may not read {quoted(name, 100)}, which is outside ComfyUI's input, output and models folders: copy"
        f" the products into input, or write the folder's path as a line into the text file {LIST} in"
        f" {folder_paths.base_path}"
    )


def roots() -> list[Path]:
    """The folders below which graphs may read."""
    own = (folder_paths.get_input_directory(), folder_paths.get_output_directory(), folder_paths.models_dir)
    return [Path(os.path.abspath(folder)) for folder in (*own, *listed(Path(folder_paths.base_path)))]


def listed(base: Path) -> list[str]:
    """The folders in the owner's list, one a line; # begins a remark. Relative paths begin in the list's folder."""
    path = base / LIST
    try:
        lines = path.read_bytes()[:LARGEST].decode("utf-8-sig").splitlines() if path.is_file() else []
    except (OSError, UnicodeDecodeError):
        lines = []
    named = (line.strip().strip("\"'") for line in lines if not line.lstrip().startswith("#"))
    return [os.path.join(base, os.path.expanduser(name)) for name in named if name and "\0" not in name]
