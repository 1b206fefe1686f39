"""Which folders the tab reads and writes: whoever has the page open must not say where else on the disk to look.

Reads below the web UI's own folder and its models, and below what the owner lists; writes below outputs/ only.
"""

from __future__ import annotations

from pathlib import Path

from modules import paths_internal

from ..rfnet.data import labelling
from ..rfnet.files import is_safe_name, quoted
from ..rfnet.reach import LIST, in_reach, listed, unquoted
from . import host
from .settings import Refused

DATA = Path(paths_internal.data_path)
OUTPUT = Path(paths_internal.default_output_dir)
EXAMPLES = host.EXTENSION / "pocket" / "demo_products"  # four products to try


def folder_in_reach(name: str, what: str) -> Path:
    """The folder that is named: a path, or a name below the web UI's own folder. Raises Refused.

    what: of the things in it, for the sentence, such as "pictures".
    """
    name = unquoted(name)
    if not name:
        raise Refused(f"no folder is named: write where the {what} lie, such as outputs/txt2img-images.")
    roots = [DATA, OUTPUT, paths_internal.models_path, EXAMPLES, *listed(DATA)]
    if folder := in_reach(name, DATA, roots):
        return folder
    raise Refused(
        f"the folder {quoted(name)} is outside the web UI's own: copy the {what} below {DATA}, or write the folder's"
        f" path as a line into the text file {LIST} there."
    )


def output_folder(name: str) -> Path:
    """The folder below outputs/ that takes copies. Raises Refused on a name that could lead elsewhere."""
    name = name.strip()
    if not is_safe_name(name):
        raise Refused(f"{quoted(name, 60)} can't name a folder in outputs: use letters, digits, - and _.")
    folder = OUTPUT / name
    if folder.is_symlink():
        raise Refused(f"{quoted(folder)} is a symbolic link, which is not followed: choose another name.")
    return folder


def dataset_folder(name: str) -> Path:
    """outputs/labels/NAME. Raises ValueError on a name that could lead elsewhere."""
    return labelling.dataset_folder(OUTPUT, str(name or "").strip())


def datasets() -> list[str]:
    """The names of the datasets that there are."""
    return sorted(path.parent.name for path in OUTPUT.glob(f"labels/*/{labelling.JOURNAL}"))


def still(chosen: str | None, names: list[str]) -> str | None:
    """What was chosen, where it is still there; else the first one."""
    return chosen if chosen in names else next(iter(names), None)
