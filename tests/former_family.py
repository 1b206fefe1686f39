"""The pocket family that shipped before, of 128-pixel pictures, with random weights: small, quick, and another family
than the one that ships.
"""

from pathlib import Path

import torch

from reliable_ads.pocket.family import POCKET, Pocket, build_pocket
from reliable_ads.pocket.ldm import save_checkpoint, save_controlnet
from reliable_ads.pocket.training.style_lora import low_rank_updates, save_lora
from reliable_ads.rfft.adapter import Adapter, save_adapter, sha256_of

FORMER = {
    **POCKET,
    "unet": {**POCKET["unet"], "channels": [64, 64, 128]},
    "vae": {**POCKET["vae"], "encoder_blocks": [0, 1, 2, 3], "decoder_blocks": [3, 2, 1, 0]},
}


def write_family(folder: Path, config: dict = FORMER) -> Pocket:
    """old_sd, old_canny, and what was trained on them: the adapter old_tuned and the LoRA old_style (.safetensors)."""
    pocket = build_pocket(config, seed=1)
    save_checkpoint(folder / "old_sd.safetensors", pocket)
    save_controlnet(folder / "old_canny.safetensors", pocket)
    write_adapter(folder / "old_tuned.safetensors", pocket, folder / "old_canny.safetensors")
    write_lora(folder / "old_style.safetensors", pocket)
    return pocket


def write_adapter(path: Path, pocket: Pocket, base: Path) -> None:
    adapter = Adapter(pocket.controlnet, rank=2)
    with torch.no_grad():
        for update in adapter.updates:
            update.up.fill_(0.01)
    save_adapter(path, adapter, sha256_of(base), base.name)
    adapter.remove()


def write_lora(path: Path, pocket: Pocket) -> None:
    updates = low_rank_updates(pocket.unet, 2)
    with torch.no_grad():
        for update in updates.values():
            update.up.fill_(0.01)
    save_lora(path, updates)
