"""Union ControlNets of SDXL: one file for several kinds of hints, which is told that this one is canny."""

from __future__ import annotations

import torch

CANNY = 3  # of openpose, depth, soft edges, canny, normals, segmentation, tile, repaint
KEYS = ("task_embedding", "control_add_embedding.linear_1.weight")  # that no other ControlNet has


def is_union(keys) -> bool:
    """Whether a file with these keys is a union ControlNet."""
    return bool(set(keys) & set(KEYS))


def hint_arguments(controlnet, hint: torch.Tensor) -> dict:
    """The hint (B, 3, H, W), as this ControlNet is given it."""
    kinds = getattr(controlnet.config, "num_control_type", None)
    if kinds is None:
        return {"controlnet_cond": hint}
    control_type = torch.zeros(len(hint), kinds, device=hint.device, dtype=hint.dtype)
    control_type[:, CANNY] = 1
    return {"controlnet_cond": [hint], "control_type": control_type, "control_type_idx": [CANNY]}


def union_config(config: dict, shapes: dict) -> dict:
    """The config of a union ControlNet with tensors of these shapes; config: of the family's other ControlNets."""
    embedding = "controlnet_cond_embedding."
    kinds, channels = shapes["task_embedding"]
    levels = [shapes[f"{embedding}conv_in.weight"][0]]
    while outputs := shapes.get(f"{embedding}blocks.{2 * len(levels) - 1}.weight"):
        levels.append(outputs[0])
    return {
        **config,
        "conditioning_embedding_out_channels": tuple(levels),
        "num_control_type": kinds,
        "num_trans_channel": channels,
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
    }
