"""ControlNets of SD 3.5 in diffusers' layout, which ComfyUI doesn't read: their names in Stability's own layout."""

import re

import torch

BLOCK = re.compile(r"(transformer_blocks\.\d+)\.(.+)\.(weight|bias)")
NAMES = {
    "norm1.linear": "adaLN_modulation.1",
    "attn.to_out.0": "attn.proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
}


def converted(weights: dict) -> dict:
    """The weights in Stability's layout; those of every other ControlNet as they are.

    Raises KeyError where one of the three parts of an attention layer is missing.
    """
    first = "transformer_blocks.0"
    if f"{first}.norm1.linear.weight" not in weights or f"{first}.attn.add_q_proj.weight" in weights:
        return weights  # no blocks without text, which SD 3.5's ControlNets alone have
    named = {}
    for key, value in weights.items():
        block, module, leaf = match.groups() if (match := BLOCK.fullmatch(key)) else (None, None, None)
        if module is None:
            named[key] = value
        elif module == "attn.to_q":
            named[f"{block}.attn.qkv.{leaf}"] = torch.cat([weights[f"{block}.attn.to_{part}.{leaf}"] for part in "qkv"])
        elif module not in ("attn.to_k", "attn.to_v"):
            named[f"{block}.{NAMES.get(module, module)}.{leaf}"] = value
    return named
