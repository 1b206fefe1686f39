"""A small pocket family, and smooth random pictures to train it on."""

from types import SimpleNamespace

import numpy as np
import torch

from reliable_ads.pocket import family

SMALL = {
    **family.POCKET,
    "unet": {**family.POCKET["unet"], "channels": [32, 32, 64], "context": 32},
    "vae": {"latent_channels": 4, "channels": 8, "encoder_blocks": [0, 1, 1, 1], "decoder_blocks": [1, 1, 1, 0]},
    "clip": {
        **family.POCKET["clip"],
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "projection_dim": 32,
    },
}


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures, uint8 (N, 128, 128, 3)."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return (
        (torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bilinear") * 255).byte().movedim(1, -1).numpy()
    )


def scenes(count: int, seed: int = 0):
    alpha = np.zeros((count, 128, 128, 1), np.uint8)
    alpha[:, 30:100, 40:90] = 255
    images = pictures(count, seed)
    return SimpleNamespace(
        images=images,
        products=np.concatenate([images, alpha], -1),
        prompts=["photo, on a wooden table"] * count,
        captions=["a box"] * count,
        causes=[""] * count,
        ids=[str(i) for i in range(count)],
        labels=np.arange(count) % 5,
    )
