"""ControlNets that patch the model instead of standing in the conditioning: Z-Image's, and Qwen-Image's DiffSynth ones.

Stock ZImageFunControlnet and QwenImageDiffsynthControlnet put such a patch into a MODEL. Here it is found there, and a
copy of the MODEL gets one with another strength, other weights or another picture, built as those nodes build it.
"""

import inspect

import torch

from .hints import same
from .types import channels_first, channels_last

PARTS = ("model_patch", "vae", "image", "strength")  # of a patch that is a ControlNet
PICTURES = ("image", "inpaint_image")


def patches_of(patcher) -> list:
    """The ControlNets among a MODEL's patches, each once: Z-Image's stands in two lists."""
    lists = patcher.model_options.get("transformer_options", {}).get("patches", {}).values()
    patches = [patch for each in lists for patch in each if all(hasattr(patch, part) for part in PARTS)]
    return list({id(patch): patch for patch in patches}.values())


def changed(patcher, strength: float, canvas, moved, tuned=None):
    """A copy of a MODEL whose ControlNets have their strength times this.

    Those that show the canvas get the pictures of the `moved` one and, where there is a `tuned` MODEL_PATCH, its
    weights.
    """
    patcher = patcher.clone()
    replaced = {}
    for patch in patches_of(patcher):
        changes = {"strength": patch.strength * strength}
        if shows(patch, canvas):
            changes |= placed(patch, canvas, moved) | ({} if tuned is None else {"model_patch": tuned})
        replaced[id(patch)] = rebuilt(patch, **changes)
    lists = patcher.model_options["transformer_options"]["patches"]
    for name, patches in lists.items():
        lists[name] = [replaced.get(id(patch), patch) for patch in patches]
    return patcher


def rebuilt(patch, **changes):
    """The patch as its node would build it with these changes; it encodes its pictures anew."""
    names = inspect.signature(type(patch)).parameters
    return type(patch)(**{**{name: getattr(patch, name) for name in names}, **changes})


def shows(patch, canvas) -> bool:
    """Whether every picture that a patch has is the canvas's."""
    pictures = [name for name in PICTURES if getattr(patch, name, None) is not None]
    return bool(pictures) and placed(patch, canvas, canvas).keys() >= set(pictures)


def placed(patch, canvas, moved) -> dict:
    """{name: value} of the patch's pictures and mask that are the canvas's, as they are of the `moved` one."""
    values = {}
    for name in PICTURES:
        picture = getattr(patch, name, None)
        for kind in ("hint", "shown"):
            if picture is not None and same(channels_first(picture), getattr(canvas, kind)[None]):
                values[name] = channels_last(getattr(moved, kind)[None])
    mask, own = getattr(patch, "mask", None), 1 - canvas.inpaint_mask
    if mask is not None and mask.numel() == own.numel() and torch.equal(mask.reshape(own.shape).to(own), own):
        values["mask"] = (1 - moved.inpaint_mask).reshape(mask.shape)
    return values


def fits(tuned, patch) -> bool:
    """Whether a MODEL_PATCH has the layers of the one in a patch."""
    own, other = (
        {key: value.shape for key, value in each.model.state_dict().items()} for each in (patch.model_patch, tuned)
    )
    return own == other
