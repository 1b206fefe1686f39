"""Where the nodes look for weights: the user's models folder first, then what ships beside the code."""

import os
from pathlib import Path

import folder_paths

PACK = Path(__file__).resolve().parent.parent


def register_folders() -> None:
    """Makes models/rfnet (reviewers) and models/pocket (pocket checkpoints and ControlNets) known to ComfyUI."""
    for name in ("rfnet", "pocket"):
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))
        folder_paths.add_model_folder_path(name, str(PACK / name / "weights"))
        paths, _ = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, {".safetensors"})  # a new key starts without extensions


def path_of(folder: str, name: str) -> str:
    """The full path of a weights file. Raises FileNotFoundError naming file, folders and remedy."""
    path = folder_paths.get_full_path(folder, name)
    if path is None:  # ComfyUI itself does not check the lists of V3 nodes in every version
        there = ", ".join(folder_paths.get_filename_list(folder)) or "nothing"
        raise FileNotFoundError(
            f"there is no file {name} in models/{folder}, nor among the files that ship with the pack: put it there, or choose another (found: {there})"
        )
    return path


def state_of(folder: str, name: str) -> str:
    """Changes when the file changes, so that a retrained model of the same name is loaded again."""
    path = folder_paths.get_full_path(folder, name)
    return f"{path} {os.path.getmtime(path)} {os.path.getsize(path)}" if path else "missing"
