"""diffusers' names of a ControlNet's modules and those of the "ldm" layout that ComfyUI patches by.

Rules, not tables: they hold for SD 1.x, SDXL and smaller ones.

Source of the layout: the original ControlNet repository, as ComfyUI and diffusers read it.
"""

import re

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}


def ldm_name(module: str, layers: int) -> str:
    """diffusers' module name, as "down_blocks.0.resnets.1.conv1" -> ldm's, for `layers` resnets per level.

    KeyError for what no ControlNet has.
    """
    if module in ENDS:
        return ENDS[module]
    if m := re.fullmatch(r"controlnet_down_blocks\.(\d+)", module):
        return f"zero_convs.{m[1]}.0"
    if m := re.fullmatch(r"controlnet_cond_embedding\.blocks\.(\d+)", module):
        return f"input_hint_block.{2 * (int(m[1]) + 1)}"
    if m := re.fullmatch(r"mid_block\.resnets\.(\d)\.(.+)", module):
        return f"middle_block.{2 * int(m[1])}.{RESNET[m[2]]}"
    if m := re.fullmatch(r"mid_block\.attentions\.0\.(.+)", module):
        return f"middle_block.1.{m[1]}"
    m = re.fullmatch(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.(.+)", module)
    if not m:
        raise KeyError(module)
    kind, rest = m[2], m[4]
    level, block = int(m[1]), int(m[3])
    if kind == "downsamplers":
        return f"input_blocks.{(layers + 1) * (level + 1)}.0.op"
    place = f"input_blocks.{1 + (layers + 1) * level + block}"
    return f"{place}.0.{RESNET[rest]}" if kind == "resnets" else f"{place}.1.{rest}"


def channels_of(outputs: dict) -> tuple:
    """The channels of a ControlNet's levels, from the finest: (320, 640, 1280, 1280) for SD 1.5.

    outputs: {ldm module: how many channels it puts out}; () where they don't show it.
    """
    channels: list[int] = []
    block = 0
    while width := outputs.get(f"zero_convs.{block}.0"):
        if f"input_blocks.{block}.0.op" in outputs:  # it halves the picture; the next block is another level's
            channels.append(width)
        channels[-1:] = [width]
        block += 1
    return tuple(channels)


UNET_ENDS = {**ENDS, "conv_norm_out": "out.0", "conv_out": "out.2"}


def unet_name(module: str, layers: int, attention: list) -> str:
    """The same for a UNet's modules; attention: whether each level has some, from the finest.

    KeyError for what no UNet has.
    """
    if module in UNET_ENDS:
        return UNET_ENDS[module]
    m = re.fullmatch(r"up_blocks\.(\d+)\.(resnets|attentions|upsamplers)\.(\d+)\.(.+)", module)
    if not m:
        return ldm_name(module, layers)
    kind, rest = m[2], m[4]
    level, block = int(m[1]), int(m[3])
    if kind == "upsamplers":
        return f"output_blocks.{(layers + 1) * level + layers}.{2 if attention[::-1][level] else 1}.{rest}"
    place = f"output_blocks.{(layers + 1) * level + block}"
    return f"{place}.0.{RESNET[rest]}" if kind == "resnets" else f"{place}.1.{rest}"


def ldm_key(name: str, layers: int) -> str:
    """diffusers' name of a ControlNet's parameter -> ldm's, without prefix."""
    module, leaf = name.rsplit(".", 1)
    return f"{ldm_name(module, layers)}.{leaf}"


def unet_key(name: str, layers: int, attention: list) -> str:
    """The same for a UNet's parameters."""
    module, leaf = name.rsplit(".", 1)
    return f"{unet_name(module, layers, attention)}.{leaf}"


def attention_of(down_block_types) -> list:
    """Whether each level of a UNet has attention, from its config."""
    return ["CrossAttn" in kind for kind in down_block_types]


def layers_of(keys) -> int:
    """Resnets per level, counted in the keys of a diffusers ControlNet."""
    return len({key.split(".")[3] for key in keys if key.startswith("down_blocks.0.resnets.")})
