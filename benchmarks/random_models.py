"""Stable Diffusion with random weights of the real shapes, to run commands on that take a checkpoint and a ControlNet.

    python -m benchmarks.random_models sd15 data/random/sd15     # 2.7 GB
    python -m benchmarks.random_models sdxl data/random/sdxl     # 9 GB, as much memory

writes DIR/checkpoint, a diffusers folder in bfloat16, and DIR/controlnet/diffusion_pytorch_model.safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from reliable_ads.rfft.kinds import SD15, SDXL
from reliable_ads.rfft.loading import untrained

KINDS = {"sd15": SD15, "sdxl": SDXL}


def write(name: str, folder: Path, seed: int = 0) -> None:
    """The models of a name of KINDS, made in bfloat16."""
    kind = KINDS[name]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        torch.manual_seed(seed)
        models = untrained(kind)
    finally:
        torch.set_default_dtype(before)
    texts = [models.text_encoder] if len(kind.texts) == 1 else models.text_encoder
    parts = {"unet": models.unet, "vae": models.vae, **dict(zip(kind.texts, texts))}
    for part, network in parts.items():
        network.save_pretrained(folder / "checkpoint" / part)
    models.controlnet.save_pretrained(folder / "controlnet")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=KINDS)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    write(options.name, options.folder)


if __name__ == "__main__":
    main()
