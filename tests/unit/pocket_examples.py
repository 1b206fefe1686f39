"""A small pocket family, and smooth random pictures to train it on."""

import numpy as np
import torch

from reliable_ads.pocket import family
from reliable_ads.rfnet.data.samples import Findings, Samples
from reliable_ads.rfnet.data.spans import Texts

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


def pictures(count: int, seed: int = 0, side: int = 128) -> np.ndarray:
    """Smooth random pictures, uint8 (N, side, side, 3)."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (smooth * 255).byte().movedim(1, -1).numpy()


def scenes(count: int, seed: int = 0, side: int = 128) -> Samples:
    """Samples in memory, as read_shards(...).in_memory() gives them."""
    alpha = np.zeros((count, side, side, 1), np.uint8)
    alpha[:, side // 4 : side * 3 // 4, side // 3 : side * 2 // 3] = 255
    images, keys = pictures(count, seed, side), np.arange(count, dtype=np.uint64)
    arrays = {"image": images, "product": np.concatenate([images, alpha], -1)}
    arrays |= {name: np.ones(count, bool) for name in ("aligned", "square")}
    texts = {
        "prompt": ["photo, on a wooden table"] * count,
        "caption": ["a box"] * count,
        "cause": [""] * count,
        "id": [f"{seed}-{i}" for i in range(count)],
    }
    return Samples(
        labels=np.arange(count) % 5,
        products=np.arange(count),
        product_keys=keys,
        ids=keys,
        files={},
        texts={name: Texts.of(column) for name, column in texts.items()},
        size=side,
        findings=Findings(),
        arrays=arrays,
    )
