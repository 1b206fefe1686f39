"""Whether what hangs on a draw belongs to its model.

ComfyUI only logs a ControlNet's output that has the wrong shape, and a LoRA's, and draws on without. Here both are
refused before the first step.
"""

import comfy.utils

from .pocket_models import PocketSD

# by ComfyUI's classes of models, and by where its ControlNets' networks are defined
MODELS = {
    "SD3": "SD 3.5",
    "Flux": "Flux.1",
    "Flux2": "Flux.2",
    "QwenImage": "Qwen-Image",
    "HiDream": "HiDream",
    "Lumina2": "Z-Image",
}
CONTROLS = {
    "comfy.cldm.cldm": "Stable Diffusion",
    "comfy.cldm.mmdit": "SD 3.5",
    "comfy.cldm.dit_embedder": "SD 3.5",
    "comfy.ldm.flux.controlnet": "Flux.1",
    "comfy.ldm.qwen_image.controlnet": "Qwen-Image",
}


class OtherFamily(ValueError):
    """Models that don't fit together; one sentence that names both families and says what to do."""


def all_controls(draw) -> list:
    """The ControlNets of a draw's conditioning, chained ones too."""
    controls = []
    for conds in draw.conditions.values():
        for _, values in conds:
            control = values.get("control")
            while control is not None:
                controls.append(control)
                control = control.previous_controlnet
    return controls


def check(draw) -> None:
    """Raises OtherFamily where a ControlNet, or a LoRA on a pocket model, is of another family than the model."""
    model = draw.patcher.model
    own = family_of_model(model)
    for control in all_controls(draw):
        other = family(control)
        if own and other and own != other:
            pair = words(other), words(own)
        else:
            pair = architecture_of_control(control), architecture_of_model(model)
        if all(pair) and pair[0] != pair[1]:
            raise OtherFamily(
                f"the ControlNet is of another model family ({pair[0]}) than the model ({pair[1]}): choose one that was"
                " made for this model"
            )
    if own and isinstance(draw.patcher.model.model_config, PocketSD):
        check_loras(draw.patcher, own)


def check_loras(patcher, own: tuple) -> None:
    """Raises OtherFamily where a low-rank update has another shape than the weights that it is for."""
    for key, patches in patcher.patches.items():
        shape = tuple(comfy.utils.get_attr(patcher.model, key).shape)
        for patch in patches:
            up, down = (getattr(patch[1], "weights", None) or (None, None))[:2]
            if up is None or down is None:
                continue
            given = len(up), *down.shape[1:2]
            if given != shape[:2]:
                raise OtherFamily(
                    f"a LoRA on the model was made for another model family (it updates {given[0]}x{given[1]} weights"
                    f" of {key.removeprefix('diffusion_model.')}, which has {shape[0]}x{shape[1]}) than the model"
                    f" ({words(own)}): choose one that was trained on this model"
                )


def architecture_of_model(model) -> str:
    """The architecture of one of ComfyUI's models, "Flux.1" for example, or ""."""
    return MODELS.get(type(model).__name__, "Stable Diffusion" if family_of_model(model) else "")


def architecture_of_control(control) -> str:
    """The same of the models that a ControlNet was made for."""
    return CONTROLS.get(type(getattr(control, "control_model", None)).__module__, "")


def family_of_model(model) -> tuple | None:
    """(channels of each level, width of a prompt's token) of a UNet: ((320, 640, 1280, 1280), 768) for SD 1.5; None for
    networks of another kind.
    """
    config = getattr(getattr(model, "model_config", None), "unet_config", None) or {}
    if not all(config.get(name) for name in ("model_channels", "channel_mult", "context_dim")):
        return None
    return tuple(config["model_channels"] * factor for factor in config["channel_mult"]), config["context_dim"]


def family(control) -> tuple | None:
    """The same of a ControlNet; None where its weights don't tell."""
    from ..rfft.names import channels_of

    network = getattr(control, "control_model", None)
    weights = dict(network.named_parameters()) if network is not None else {}
    prompts = next((weight.shape[1] for name, weight in weights.items() if name.endswith("attn2.to_k.weight")), None)
    channels = channels_of({name.removesuffix(".weight"): len(weight) for name, weight in weights.items()})
    return (channels, prompts) if prompts and channels else None


def words(family: tuple) -> str:
    from ..pocket.ldm import family_name

    channels, prompts = family
    return f"{family_name(channels)}, prompts {prompts} wide"
