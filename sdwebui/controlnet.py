"""The host's own ControlNet: its models, and a unit of it that holds the product's outline.

sd-webui-controlnet in Automatic1111, the built-in one in Forge and reForge; both take a unit as a plain dict.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import torch

from ..rfnet.files import quoted
from ..rfnet.sheets import to_image
from ..rfnet.tensors import read_header
from . import host
from .settings import AUTO, NONE, Refused

PROMPTS = "attn2.to_k.weight"  # (its width, the width of the text that it attends to)


def script_of(runner):
    """The ControlNet among the host's scripts, or None."""
    return next((each for each in runner.alwayson_scripts if each.title().lower() == "controlnet"), None)


def files() -> list[str]:
    """The files in the host's folder of ControlNets."""
    found = host.CONTROLNETS.rglob("*") if host.CONTROLNETS.is_dir() else ()
    return sorted(path.name for path in found if path.suffix in (".safetensors", ".pth"))


def models(script) -> dict[str, Path]:
    """{name as the host lists it: file} of its ControlNets."""
    state = type(script).ui.__globals__["global_state"]  # the same name in all hosts
    if hasattr(state, "cn_models"):
        found = state.cn_models
    else:
        found = {name: state.get_controlnet_filename(name) for name in state.get_all_controlnet_names()}
    files = {name: Path(path) for name, path in found.items() if path and name.lower() != NONE}
    return {name: path for name, path in files.items() if path.is_file()}  # Forge looks into the folder at its start


def choose(script, asked: str, checkpoint: Path | None) -> str | None:
    """The host's name for the ControlNet that is asked for: with "auto" one that fits the checkpoint, canny preferred.

    None for "none". Raises Refused.
    """
    if asked == NONE:
        return None
    if script is None:
        raise Refused(
            "Reliable Ads needs the extension sd-webui-controlnet, which is not here: install it, or choose none as"
            " ControlNet."
        )
    found = models(script)
    width = prompt_width(checkpoint) if checkpoint else None
    if asked != AUTO:
        name = next((name for name in found if asked in (name, name.rsplit(" [", 1)[0], found[name].name)), None)
        if name is None:
            raise Refused(
                f"there is no ControlNet {quoted(asked, 60)}: put it into models/ControlNet, or choose another (found:"
                f" {', '.join(list(found)[:6]) or 'none'})."
            )
        check_family(name, found[name], width)
        return name
    fitting = [name for name in found if width is None or prompt_width(found[name]) in (width, None)]
    if not fitting:
        raise Refused(
            "there is no ControlNet for this checkpoint in models/ControlNet: put a canny ControlNet of its family"
            " there, or choose none as ControlNet."
        )
    return min(fitting, key=lambda name: ("canny" not in name.lower(), prompt_width(found[name]) is None))


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
