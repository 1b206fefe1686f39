"""The pocket family as RFFT takes it: `python -m reliable_ads.pocket.tuning train CONFIG` is `rfft train CONFIG` that
also knows family = "pocket".
"""

from __future__ import annotations

import torch

from ..rfft.flow import FlowSchedule
from ..rfft.loading import Family
from ..rfft.models import Models
from ..rfft.schedule import Schedule
from .family import PICTURE_SIZE, alphas_cumprod, build_pocket
from .ldm import Pocket, check_pair, load_pocket, read_file

# As the shipped workflows draw: KSampler's inputs, and what RFFT takes of them (its dpmpp_2m is sgm_uniform's).
DRAWING = {"sampler_name": "dpmpp_2m", "scheduler": "sgm_uniform", "steps": 8, "cfg": 1.0}
FLOW_SAMPLER = "euler"  # of a family that was turned into one that matches flows; the rest is the same
SAMPLING = {
    "size": PICTURE_SIZE,
    "sampling_steps": DRAWING["steps"],
    "guidance": DRAWING["cfg"],
    "sampler": DRAWING["sampler_name"],
}


def load(checkpoint, controlnet) -> Models:
    """Two pocket files -> Models. Raises PocketFileError."""
    return models_of(load_pocket(checkpoint, controlnet))


def skeleton(checkpoint, controlnet) -> Models:
    """The same without weights, on the meta device."""
    check_pair(checkpoint, controlnet)
    with torch.device("meta"):
        pocket = build_pocket(read_file(checkpoint)[1])
    return models_of(pocket)


def models_of(pocket: Pocket) -> Models:
    return Models(
        pocket.unet,
        pocket.controlnet,
        pocket.vae,
        pocket.encode_prompts,
        FlowSchedule() if pocket.flow else Schedule(alphas_cumprod(), "v_prediction"),
        text_encoder=pocket.text_encoder,
    )


def own_sampler(flow: bool) -> str:
    """What a family is drawn with where nobody says. flow: whether it matches flows."""
    return FLOW_SAMPLER if flow else DRAWING["sampler_name"]


FAMILY = {"pocket": Family(load, skeleton)}


if __name__ == "__main__":
    from ..rfft.cli import main

    raise SystemExit(main(families=FAMILY))
