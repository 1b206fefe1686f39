"""A Stable Diffusion 1.5 with random weights of the real shapes, as the files that ComfyUI's stock loaders read."""

from __future__ import annotations

from pathlib import Path

import torch

from reliable_ads.pocket.ldm import TEXT_PREFIX, UNET_PREFIX
from reliable_ads.rfft.names import unet_key
from reliable_ads.rfnet.files import write_safetensors

CHECKPOINT = "random_sd15.safetensors"
VAE = "random_sd15_vae.safetensors"
ATTENTION = [True, True, True, False]  # of the UNet's levels, from the finest


def write_sd15(models: Path, seed: int = 0) -> None:
    """MODELS/checkpoints (UNet and text encoder, fp16, 2 GB) and MODELS/vae; the shapes are SD 1.5's (runwayml's
    config.json files).
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    text = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768
        )
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    tensors = {UNET_PREFIX + unet_key(name, 2, ATTENTION): value.half() for name, value in unet.state_dict().items()}
    tensors |= {
        TEXT_PREFIX + name.removeprefix("text_model."): value.half()
        for name, value in text.state_dict().items()
        if not name.endswith("position_ids")
    }
    for folder in ("checkpoints", "vae"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    write_safetensors(
        models / "checkpoints" / CHECKPOINT, {name: value.contiguous() for name, value in tensors.items()}, {}
    )
    write_safetensors(
        models / "vae" / VAE, {name: value.half().contiguous() for name, value in vae.state_dict().items()}, {}
    )
