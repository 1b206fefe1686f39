"""The host's own ControlNet: its models, and a unit of it that holds the product's outline.

sd-webui-controlnet in Automatic1111, the built-in one in Forge and reForge; both take a unit as a plain dict.
"""

from __future__ import annotations

import base64
import contextlib
import io
from pathlib import Path

import torch

from ..pocket.ldm import check_pair
from ..rfft.adapter import DOWN
from ..rfnet.files import quoted
from ..rfnet.sheets import to_image
from ..rfnet.tensors import read_header
from . import adapter, host, model_files
from .settings import AUTO, NONE, Refused

PROMPTS = ("attn2.to_k.weight", "attn2.to_k" + DOWN)  # (its width, the width of the text that it attends to)


def script_of(runner):
    """The ControlNet among the host's scripts, or None."""
    return next((each for each in runner.alwayson_scripts if each.title().lower() == "controlnet"), None)


def files() -> list[str]:
    """The files in the host's folder of ControlNets."""
    found = host.CONTROLNETS.rglob("*") if host.CONTROLNETS.is_dir() else ()
    return sorted(path.name for path in found if path.suffix in (".safetensors", ".pth"))


def models(script, anew: bool = False) -> dict[str, Path]:
    """{name as the host lists it: file} of its ControlNets, adapters too. anew: it looks into their folders first."""
    state = type(script).ui.__globals__.get("global_state")  # the same name in all hosts
    if state is None:
        return {}
    if anew:
        (state.update_cn_models if hasattr(state, "cn_models") else state.update_controlnet_filenames)()
    if hasattr(state, "cn_models"):
        found = state.cn_models
    else:
        found = {name: state.get_controlnet_filename(name) for name in state.get_all_controlnet_names()}
    listed = {name: Path(path) for name, path in found.items() if path and name.lower() != NONE}
    return {name: path for name, path in listed.items() if path.is_file()}  # Forge looks into the folder at its start


def choose(script, asked: str, checkpoint: Path | None) -> str | None:
    """The host's name for the ControlNet that is asked for: with "auto" one that fits the checkpoint, canny preferred.

    None for "none". Raises Refused, AdapterError.
    """
    if asked == NONE:
        return None
    if script is None:
        raise Refused(
            "Reliable Ads needs the extension sd-webui-controlnet, which is not here: install it, or choose none as"
            " ControlNet."
        )
    width = prompt_width(checkpoint) if checkpoint else None
    if asked == AUTO:
        return automatic(script, width)
    found = models(script)
    if named(asked, found) is None:
        found = models(script, anew=True)
    name = named(asked, found)
    if name is None:
        raise Refused(
            f"there is no ControlNet {quoted(asked, 60)}: put it into models/ControlNet, or choose another (found:"
            f" {', '.join(list(found)[:6]) or 'none'})."
        )
    check_family(name, found[name], width)
    if checkpoint and model_files.is_pocket(checkpoint) and model_files.is_pocket(found[name]):
        check_pair(checkpoint, found[name])
    if adapter.is_adapter(found[name]):
        adapter.check(found[name])
    return name


def automatic(script, width: int | None) -> str:
    """The host's name for a whole ControlNet that fits a checkpoint that reads prompts this wide. Raises Refused."""
    name = fitting(models(script), width) or fitting(models(script, anew=True), width)
    if name is None:
        raise Refused(
            "there is no ControlNet for this checkpoint in models/ControlNet: put a canny ControlNet of its family"
            " there, or choose none as ControlNet."
        )
    return name


def fitting(found: dict[str, Path], width: int | None) -> str | None:
    """The best of these, a canny one; None without any. A file that can't be read is none: who asks for it is told."""
    widths = {}
    for name, path in found.items():
        if not adapter.is_adapter(path):
            with contextlib.suppress(Refused):
                widths[name] = prompt_width(path)
    names = [name for name, own in widths.items() if None in (own, width) or own == width]
    return min(names, key=lambda name: ("canny" not in name.lower(), widths[name] is None), default=None)


def named(asked: str, found: dict[str, Path]) -> str | None:
    """The host's name for what is called by that name, with or without its hash, or by its file's."""
    asked = asked.lower()  # as Automatic1111's ControlNet does
    for name, path in found.items():
        if asked in (name.lower(), name.lower().rsplit(" [", 1)[0], path.name.lower()):
            return name
    return None


def check_adapters(script, args) -> None:
    """Raises Refused, AdapterError where a unit that is on names an RFFT adapter that the host can't load: it would say
    so in the log alone, and draw on without.
    """
    units = [each for each in args[script.args_from : script.args_to] if is_unit(each) and is_on(each)]
    found = models(script) if units else {}
    for each in units:
        asked = each.get("model") if isinstance(each, dict) else getattr(each, "model", None)
        name = named(asked, found) if isinstance(asked, str) else None
        if name and adapter.is_adapter(found[name]):
            adapter.check(found[name])


def check_family(name: str, path: Path, width: int | None) -> None:
    """Raises Refused where a ControlNet attends to text of another width than the checkpoint does."""
    own = prompt_width(path)
    if own is not None and width is not None and own != width:
        raise Refused(
            f"the ControlNet {quoted(name, 60)} is of another family than the checkpoint (it reads prompts {own} wide,"
            f" the checkpoint {width}): choose one of the checkpoint's family."
        )


def prompt_width(path: Path) -> int | None:
    """How wide the text is that a network in a file attends to: 768 in SD 1.5, 1024 in SD 2, 2048 in SDXL; None where
    the file doesn't say, as pickles don't.
    """
    if path.suffix != ".safetensors":
        return None
    tensors = read_header(path, Refused).tensors
    return next((entry.shape[1] for key, entry in tensors.items() if key.endswith(PROMPTS)), None)


def free_slot(script, args) -> int:
    """The place in the script's arguments of a unit that the user left off. Raises Refused."""
    for place in range(script.args_from, script.args_to):
        if is_unit(args[place]) and not is_on(args[place]):
            return place
    raise Refused(
        "all units of ControlNet are in use, and Reliable Ads needs one for the product's outline: turn one off, or"
        " allow more units in the settings of ControlNet."
    )


def check_applied(script, args, slot: int) -> None:
    """Raises Refused where the host could not load the ControlNet of our unit: it says so in the log alone, and draws
    on without.
    """
    if hasattr(script, "current_params"):  # Forge, reForge: {number of a unit that is on: what it shows}
        applied = getattr(script.current_params.get(number_of(script, args, slot)), "model", None)
    else:
        applied = script.latest_network
    if applied is None:
        raise Refused(
            "the ControlNet could not be loaded, and without it nothing holds the product's outline: the log says why;"
            " choose another ControlNet."
        )


def number_of(script, args, slot: int) -> int:
    """Which of the units that are on is in this place."""
    return sum(map(is_on, args[script.args_from : slot]))


def is_unit(value) -> bool:
    """Whether an argument of the script is one of its units; some hosts have others before them."""
    return value is None or isinstance(value, dict) or hasattr(value, "enabled")


def is_on(value) -> bool:
    return bool(value.get("enabled") if isinstance(value, dict) else getattr(value, "enabled", False))


def unit(name: str, hint: torch.Tensor, weight: float) -> dict:
    """A unit that shows the ControlNet this hint (3, H, W), as it is."""
    return {
        "enabled": True,
        "module": "None" if host.FORGE else "none",
        "model": name,
        "image": base64_png(hint),
        "weight": weight,
        "resize_mode": "Just Resize",
        "control_mode": "Balanced",
        "pixel_perfect": False,
        "save_detected_map": False,  # the gallery is for pictures of the product
        "guidance_start": 0.0,
        "guidance_end": 1.0,
    }


def base64_png(picture: torch.Tensor) -> str:
    file = io.BytesIO()
    to_image(picture).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
