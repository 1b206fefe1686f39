"""Which folders a graph may read: below ComfyUI's input, output and models, and below those that the owner lists.

A graph may come from anywhere, so it must not say where on the disk to look. The list is a text file beside these
folders, where no node writes.
"""

from pathlib import Path

import folder_paths

from ..rfnet.reach import LIST, in_reach, listed, unquoted
from .inputs import quoted


def folder_in_reach(name: str, node: str) -> Path:
    """The folder that a graph names: a path, or a name below ComfyUI's input folder.

    Symbolic links are followed before it is looked where it lies. Raises ValueError where nothing is named, and where
    it lies elsewhere.
    """
    name = unquoted(name)
    if not name:
        raise ValueError(f'{node} has no folder: write into "folder" where your product cut-outs lie.')
    if folder := in_reach(name, folder_paths.get_input_directory(), roots()):
        return folder
    raise ValueError(
        f"{node} may not read {quoted(name, 100)}, which is outside ComfyUI's input, output and models folders: copy"
        f" the products into input, or write the folder's path as a line into the text file {LIST} in"
        f" {folder_paths.base_path}"
    )


def roots() -> list:
    """The folders below which graphs may read."""
    own = (folder_paths.get_input_directory(), folder_paths.get_output_directory(), folder_paths.models_dir)
    return [*own, *listed(folder_paths.base_path)]
