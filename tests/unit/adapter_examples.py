"""An adapter that has learned something, and what a ControlNet answers with it."""

import torch
from safetensors.torch import load_file

from reliable_ads.pocket.ldm import from_ldm, key_maps
from reliable_ads.rfft.adapter import Adapter

from .rfft_examples import TINY, tiny_pocket


def filled(controlnet, rank=4, seed=1):
    """An adapter that has learned something."""
    adapter = Adapter(controlnet, rank, seed=seed)
    torch.manual_seed(seed)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.02)
    return adapter


def answer(controlnet):
    torch.manual_seed(7)
    x, context, hint = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        down, mid = controlnet(
            x, torch.tensor([500, 500]), encoder_hidden_states=context, controlnet_cond=hint, return_dict=False
        )
    return [*down, mid]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b))


def near(a, b):
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(a, b))


def tiny_with(path):
    controlnet = tiny_pocket().controlnet
    from_ldm(controlnet, key_maps(TINY, controlnet=controlnet)["controlnet"], load_file(path), path)
    return controlnet
