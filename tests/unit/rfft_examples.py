"""The small world that the tests of rfft train and draw in: a tiny family, an untrained reviewer, bottles to draw."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from reliable_ads.pocket.family import POCKET, alphas_cumprod, build_pocket
from reliable_ads.pocket.ldm import save_controlnet
from reliable_ads.rfft.config import TrainConfig
from reliable_ads.rfft.models import Models
from reliable_ads.rfft.rollout import Job
from reliable_ads.rfft.schedule import Schedule
from reliable_ads.rfft.train import Run
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.reviewer import Reviewer

from .rfnet_examples import bottle_rgba, small_networks

TINY = {
    **POCKET,
    "unet": {"channels": [32, 32], "attention": [False, True], "layers": 1, "context": 32, "heads": 4},
    "vae": {"latent_channels": 4, "channels": 16, "encoder_blocks": [0, 1, 1, 1], "decoder_blocks": [1, 1, 1, 0]},
    "clip": {
        **POCKET["clip"],
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
    },
}


def tiny_pocket(seed=0):
    """A pocket family with random weights whose ControlNet has something to say."""
    pocket = build_pocket(TINY, seed)
    torch.manual_seed(seed)
    for block in (*pocket.controlnet.controlnet_down_blocks, pocket.controlnet.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=0.1)
    return pocket.eval()


def models_of(pocket) -> Models:
    """The thin loader that a family of its own needs."""
    return Models(
        pocket.unet,
        pocket.controlnet,
        pocket.vae,
        pocket.encode_prompts,
        Schedule(alphas_cumprod(), "v_prediction"),
        text_encoder=pocket.text_encoder,
    ).freeze()


def small_reviewer():
    return Reviewer(*small_networks(), {"temperature": "1.5"}).requires_grad_(False)


def jobs(count=2, seed=0):
    """Bottles in several colours on 64x64 canvases."""
    found = []
    for i in range(count):
        rgba = bottle_rgba()
        rgba[rgba[..., 3] > 0, :3] = np.roll((30, 60, 200), i)
        found.append(
            Job(
                place(Product.from_arrays(rgba, caption=f"bottle {i}"), 64, 64),
                ("on sand, a park", "on a table, a white wall")[i % 2],
                seed + i,
            )
        )
    return found


def vae_ldm(name: str, levels: int) -> str:
    """diffusers' AutoencoderKL name -> the name in a single file."""
    name = re.sub(r"encoder\.down_blocks\.(\d)\.resnets\.", r"encoder.down.\1.block.", name)
    name = re.sub(r"decoder\.up_blocks\.(\d)\.resnets\.", lambda m: f"decoder.up.{levels - 1 - int(m[1])}.block.", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name).replace(
        "mid_block.attentions.0", "mid.attn_1"
    )
    for old, new in (
        ("conv_norm_out", "norm_out"),
        ("conv_shortcut", "nin_shortcut"),
        ("group_norm", "norm"),
        ("to_q", "q"),
        ("to_k", "k"),
        ("to_v", "v"),
        ("to_out.0", "proj_out"),
    ):
        name = name.replace(old, new)
    return name


SCORES = {"scores": json.dumps({"ap": {"value": 0.9}}), "data_fingerprint": "abc"}


def state(run) -> dict:
    """The tensors that a run goes on from."""
    return load_file(run.config.state)


SETTINGS = {
    "checkpoint": "tiny",
    "products": "",
    "prompts": "",
    "name": "tuned",
    "size": 64,
    "steps": 2,
    "batch": 1,
    "gradient_steps": 2,
    "last_steps": 2,
    "sampling_steps": 2,
    "checkpointing": False,
    "guidance": 3.0,
    "rank": 2,
    "evaluate_every": 2,
    "evaluation_products": 1,
    "evaluation_seeds": 2,
    "warm_up": 1,
    "lr": 1e-3,
    "diversity_loss": 1.0,
}


def runs_in(folder: Path):
    """(config changes -> Run) on a tiny family; every Run gets networks of its own, as a new process would."""
    save_controlnet(folder / "base.safetensors", tiny_pocket())
    places = {"controlnet": str(folder / "base.safetensors"), "folder": str(folder / "out")}

    def make(watch=lambda event: None, **changes) -> Run:
        reviewer = small_reviewer()
        reviewer.metadata |= SCORES
        config = TrainConfig(**{**SETTINGS, **places, **changes})
        pairs = [(job.canvas, job.prompt) for job in jobs(3)]
        return Run(config, models_of(tiny_pocket()), reviewer, pairs, watch=watch)

    return make
