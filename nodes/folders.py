"""Where the nodes look for weights: the user's models folder first, then what ships beside the code."""

import json
import logging
import os
import re
import shutil
from pathlib import Path

import folder_paths

from .inputs import few, quoted, shown

BUILT_IN = "built-in"
DEPTH_FOLDERS = ("depth", "depthanything", "depth_anything", "dpt", "rfnet")  # below models/, where people keep them
SALIENCY_FOLDERS = ("rembg", "u2net", "birefnet", "BiRefNet", "BEN", "rfnet")
SAM_FOLDERS = ("sam", "sams", "sam2", "rfnet")
LANGUAGE_FOLDERS = ("LLM", "VLM", "vlm", "rfnet")
SERVERS = "rfnet/servers"  # files that name servers of vision-language models
SALIENCY_FILES = re.compile(r"(u2netp?|silueta|birefnet.*)\.onnx", re.IGNORECASE)
PACK = Path(__file__).resolve().parent.parent
EXAMPLES = ("demo_product.png", "demo_products")  # below pocket/: what the shipped workflows open


def register_folders() -> None:
    """Makes models/rfnet (reviewers) and models/pocket (pocket checkpoints and ControlNets) known to ComfyUI."""
    for name in ("rfnet", "pocket"):
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))
        folder_paths.add_model_folder_path(name, str(PACK / name / "weights"))
        paths, _ = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, {".safetensors"})  # a new key starts without extensions


def offer_examples() -> None:
    """Puts the example products into ComfyUI's input folder, unless they are there: Load Image looks nowhere else, and
    a shipped workflow must run as it is opened.
    """
    for name in EXAMPLES:
        example = PACK / "pocket" / name
        offered = Path(folder_paths.get_input_directory()) / name
        try:
            if not offered.exists():
                offered.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if example.is_dir() else shutil.copyfile)(example, offered)
        except OSError as error:
            logging.info(
                "Reliable Ads: %s could not be put into the input folder (%s); the workflows that show it need another"
                " picture.",
                name,
                error,
            )


def path_of(folder: str, name: str) -> str:
    """The full path of a weights file. Raises FileNotFoundError naming file, folders and remedy."""
    path = folder_paths.get_full_path(folder, name) if isinstance(name, str) and "\0" not in name else None
    if path is None:
        choices = few(folder_paths.get_filename_list(folder))
        raise FileNotFoundError(
            f"there is no file {shown(str(name), 80)} in models/{folder}, nor among the files that ship with the pack:"
            f" put it there, or choose another (found: {choices})"
        )
    return path


def state_of(folder: str, name: str) -> str:
    """Changes when the file changes, so that a retrained model of the same name is loaded again; where a link gives the
    name, when any file does.
    """
    if not isinstance(name, str):
        return " ".join(state_of(folder, each) for each in folder_paths.get_filename_list(folder))
    path = folder_paths.get_full_path(folder, name)
    return f"{path} {os.path.getmtime(path)} {os.path.getsize(path)}" if path else "missing"


def depth_models() -> list:
    """Folders of DPT or Depth-Anything models as transformers writes them, relative to the models folder."""
    folders = (path.parent for name in DEPTH_FOLDERS for path in _below(name, "*/config.json"))
    return sorted(_relative(folder) for folder in folders if (folder / "model.safetensors").is_file())


def saliency_models() -> list:
    """U2-Net and BiRefNet .onnx files with the names that rembg gives them, relative to the models folder."""
    return sorted(
        _relative(path)
        for name in SALIENCY_FOLDERS
        for pattern in ("*.onnx", "*/*.onnx")
        for path in _below(name, pattern)
        if SALIENCY_FILES.fullmatch(path.name)
    )


def segmentation_models() -> list:
    """BiRefNet and U2-Net .onnx files, and folders of SAM as transformers writes them, relative to the models
    folder.
    """
    return [*saliency_models(), *_transformers_folders(SAM_FOLDERS, "sam")]


def language_models() -> list:
    """Folders of models that read pictures and write text, as transformers writes them, relative to the models
    folder.
    """
    return _transformers_folders(LANGUAGE_FOLDERS, "")


def servers() -> list:
    """Files that name a server, relative to the models folder."""
    return sorted(_relative(path) for path in _below(SERVERS, "*.json"))


def _transformers_folders(names: tuple, kind: str) -> list:
    """kind: what the model type begins with in their config.json."""
    folders = {path.parent for name in names for path in _below(name, "*/config.json")}
    return sorted(
        _relative(folder)
        for folder in folders
        if (folder / "preprocessor_config.json").is_file() or (folder / "processor_config.json").is_file()
        if any(folder.glob("*.safetensors")) and _model_type(folder).startswith(kind)
    )


def _model_type(folder: Path) -> str:
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    return str(found.get("model_type", "")) if isinstance(found, dict) else ""


def model_path(name: str, known: list):
    """The path of a model that one of the lists above names; None for the built-in one.

    Raises FileNotFoundError naming file and remedy.
    """
    if name == BUILT_IN:
        return None
    if name not in known:  # the list is what keeps a name inside the models folder
        choices = few(known) if known else "none"
        raise FileNotFoundError(
            f"there is no model {quoted(name, 80)} below the models folder: put it there, or choose another (found:"
            f" {choices})"
        )
    return Path(folder_paths.models_dir) / name


def _below(name: str, pattern: str):
    return (Path(folder_paths.models_dir) / name).glob(pattern)


def _relative(path: Path) -> str:
    return path.relative_to(folder_paths.models_dir).as_posix()
