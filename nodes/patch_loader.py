"""ControlNets for Z-Image: files of models/model_patches, as the plain MODEL_PATCH that stock nodes take."""

import folder_paths

FOLDER = "model_patches"
KEY = "control_all_x_embedder.2-1.weight"


class PatchError(ValueError):
    """A ControlNet for Z-Image that can't be loaded; one sentence with file and remedy."""


def is_patch(path: str) -> bool:
    """Whether a .safetensors file is such a ControlNet, by its header."""
    from ..rfnet.tensors import read_header

    try:
        return KEY in read_header(path, ValueError).tensors
    except ValueError:  # the loader of other ControlNets says what is wrong with it
        return False


def load(name: str, path: str, adapters: list):
    """A file of models/model_patches and (adapter file, strength) pairs → MODEL_PATCH.

    ComfyUI's loader builds the network, and then gets the weights with the adapters added, as `rfft merge` adds them.
    Raises PatchError, rfft.adapter.AdapterError.
    """
    from comfy_extras import nodes_model_patch

    from ..rfft.merge import fold

    if folder_paths.get_full_path(FOLDER, name) != path:
        raise PatchError(
            f'"{name}" is a ControlNet for Z-Image, which ComfyUI loads as a model patch: put it into'
            " models/model_patches."
        )
    if not hasattr(nodes_model_patch, "z_image_convert"):
        raise PatchError(
            f'"{name}" is a ControlNet for Z-Image, which this version of ComfyUI does not know: update ComfyUI.'
        )
    weights = nodes_model_patch.z_image_convert(fold(path, adapters)[0]) if adapters else None  # refused first
    (patch,) = nodes_model_patch.ModelPatchLoader().load_model_patch(name)
    if weights is not None:
        patch.model.load_state_dict(weights, assign=hasattr(patch, "is_dynamic") and patch.is_dynamic())
    return patch
