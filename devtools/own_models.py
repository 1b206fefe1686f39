"""`python dev.py demo --checkpoint FILE --controlnet FILE [--vae FILE]`: the demo's job on models of the user's, SD 1.5
or SDXL, by ComfyUI's own loaders: shipped templates 2 and 3.

What doesn't fit is refused from the files' headers, before a server starts.
"""

from __future__ import annotations

import os
import shutil
from argparse import Namespace
from pathlib import Path

from ..rfft.adapter import AdapterError
from ..rfft.kinds import UNET, shapes
from ..rfft.merge import BY_WIDTH, weight_names
from ..rfnet.files import quoted
from .graph import workflow

TEMPLATES = {"SD 1.5": "with SD 1.5", "SDXL": "with SDXL"}
FOLDERS = {"checkpoint": "checkpoints", "controlnet": "controlnet", "vae": "vae"}  # below ComfyUI's models


class ModelsRefused(ValueError):
    """Files that the demo can't draw with; one sentence that names them and says what to do."""


def template(options: Namespace) -> Path:
    """The shipped workflow for these models. Raises ModelsRefused and the readers' errors, each a sentence."""
    kind = kind_of(options.checkpoint)
    check_controlnet(options.controlnet, kind, options.checkpoint)
    if options.vae:
        check_vae(options.vae)
    return workflow(TEMPLATES[kind])


def kind_of(checkpoint: Path) -> str:
    """ "SD 1.5" or "SDXL", by how wide the text is that a checkpoint's UNet looks at."""
    keys, name = shapes(checkpoint), quoted(checkpoint.name)
    unet = {key: shape for key, shape in keys.items() if key.startswith(UNET)}
    if not unet:
        raise ModelsRefused(
            f"{name} holds no UNet of Stable Diffusion (no key begins with {UNET}): choose a whole checkpoint of SD 1.5"
            " or SDXL."
        )
    kind = kind_by(text_width(unet))
    if kind not in TEMPLATES:
        raise ModelsRefused(
            f"{name} is a checkpoint of {kind}: the demo draws with SD 1.5 and SDXL; choose one of these, or leave"
            " --checkpoint and --controlnet out to draw with the small models that ship."
        )
    channels = unet.get(f"{UNET}input_blocks.0.0.weight", (0, 4))[1]
    if channels != 4:
        raise ModelsRefused(
            f"{name} is an inpainting checkpoint (its UNet takes {channels} channels): products are kept by blending"
            " latents; choose the normal checkpoint."
        )
    return kind


def check_controlnet(controlnet: Path, kind: str, checkpoint: Path) -> None:
    keys, name = shapes(controlnet), quoted(controlnet.name)
    try:
        weight_names(keys, controlnet.name)
    except AdapterError as error:
        raise ModelsRefused(str(error)) from error
    other = kind_by(text_width(keys))
    if other != kind:
        raise ModelsRefused(
            f"{name} is a ControlNet of {other}, and {quoted(checkpoint.name)} is a checkpoint of {kind}: choose a"
            f" canny ControlNet of {kind}."
        )


def check_vae(vae: Path) -> None:
    if not any("decoder." in key for key in shapes(vae)):
        raise ModelsRefused(f"{quoted(vae.name)} holds no VAE (no key has decoder. in it): choose another file.")


def text_width(keys: dict) -> int:
    return max((shape[1] for key, shape in keys.items() if key.endswith("attn2.to_k.weight")), default=0)


def kind_by(width: int) -> str:
    return BY_WIDTH.get(width, "another family")


def install(options: Namespace, models: Path) -> None:
    """Puts the files where ComfyUI looks for them, by links where the disk allows it."""
    for option, folder in FOLDERS.items():
        if source := getattr(options, option):
            (models / folder).mkdir(parents=True, exist_ok=True)
            link_or_copy(source, models / folder / source.name)


def link_or_copy(source: Path, target: Path) -> None:
    for place in (os.symlink, os.link, shutil.copyfile):  # Windows wants a privilege for the first
        try:
            return place(source, target)
        except OSError:
            if place is shutil.copyfile:
                raise


def put(graph: dict, options: Namespace) -> None:
    """The files' names into the template's loaders; with --vae another loader in the place of the checkpoint's VAE."""
    loaders = {node["class_type"]: key for key, node in graph.items()}
    checkpoint = loaders["CheckpointLoaderSimple"]
    graph[checkpoint]["inputs"]["ckpt_name"] = options.checkpoint.name
    graph[loaders["ControlNetLoader"]]["inputs"]["control_net_name"] = options.controlnet.name
    if options.vae:
        for node in graph.values():
            for name, value in node["inputs"].items():
                if value == [checkpoint, 2]:
                    node["inputs"][name] = ["own_vae", 0]
        loader = {"class_type": "VAELoader", "inputs": {"vae_name": options.vae.name}, "_meta": {"title": "VAE"}}
        graph["own_vae"] = loader
