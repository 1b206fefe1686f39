"""Which folders may be read for someone who need not be the owner: a graph, or whoever has the page of a web UI open.

Below the host's own folders, and below those that the owner lists in a text file, where nothing else writes.
"""

import os
import re
from pathlib import Path

LIST = "reliable_ads_folders.txt"
LARGEST = 65536  # bytes of the list
NETWORK = re.compile(r"[\\/]{2}")  # \\server\share: Windows sends the user's password hash to whatever server is named


def in_reach(name: str, base, roots: list) -> Path | None:
    """The folder that is named, by its path or by a name below `base`, where it lies below one of `roots`; else None.

    Symbolic links are followed before it is looked where it lies.
    """
    name = unquoted(name)
    own = [Path(os.path.abspath(root)) for root in roots]
    try:
        named = Path(os.path.abspath(Path(base) / Path(name).expanduser()))
        if not NETWORK.match(name) or any(named.is_relative_to(root) for root in own):
            folder = named.resolve()
            folder.is_dir()  # which fails on what the disk can't name
            if any(folder.is_relative_to(root.resolve()) for root in own):
                return folder
    except (ValueError, OSError, RuntimeError):  # a NUL, a loop of links, an unknown user's home, a name too long
        pass
    return None


def unquoted(name: str) -> str:
    """Without the quotes that come with a path that is copied on Windows."""
    return name.strip().strip("\"'")


def listed(base) -> list[str]:
    """The folders in the owner's list, one a line; # begins a remark. Relative paths begin in the list's folder."""
    path = Path(base) / LIST
    try:
        lines = path.read_bytes()[:LARGEST].decode("utf-8-sig").splitlines() if path.is_file() else []
    except (OSError, UnicodeDecodeError):
        lines = []
    named = (line.strip().strip("\"'") for line in lines if not line.lstrip().startswith("#"))
    return [os.path.join(base, os.path.expanduser(name)) for name in named if name and "\0" not in name]
