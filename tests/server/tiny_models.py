"""Random-weight models in the project's own file formats, the same on every machine."""

from pathlib import Path

import torch

from reliable_ads.pocket.family import build_pocket
from reliable_ads.pocket.ldm import save_checkpoint, save_controlnet
from reliable_ads.rfnet.architectures import RFNetConfig
from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.weights import save_reviewer

from ..former_family import FORMER


def write_pocket(checkpoint: Path, controlnet: Path, broken_decoder: bool = False) -> None:
    """A pocket family whose ControlNet has an effect. broken_decoder: its VAE decodes everything to NaN."""
    pocket = build_pocket(FORMER, seed=1)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(2)
        outputs = [
            *pocket.controlnet.controlnet_down_blocks,
            pocket.controlnet.controlnet_mid_block,
            pocket.controlnet.controlnet_cond_embedding.conv_out,
        ]
        for output in outputs:
            torch.nn.init.normal_(output.weight, std=0.05)
        if (
            broken_decoder
        ):  # by numbers that are finite in the file and overflow on their way, as half precision does it
            for layer in pocket.vae.decoder.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.weight.mul_(6e4 / layer.weight.abs().max().clamp(min=1e-3))
    save_checkpoint(checkpoint, pocket)
    save_controlnet(controlnet, pocket)


def write_reviewer(path: Path, metadata: dict | None = None) -> None:
    """An RFNet of the smallest useful size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = RFNetConfig(
            image_size=64, map_size=64, width=32, heads=4, fusion_layers=1, text_width=32, text_layers=1, text_heads=2
        )
        save_reviewer(path, RFNet(config), MapNet(), metadata or {})
