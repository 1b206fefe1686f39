"""A DPT folder with random weights, as transformers writes it."""

import json
from pathlib import Path

import torch

PREPARED = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "size": {"height": 64, "width": 64}}


def write_dpt(folder: Path) -> Path:
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        is_hybrid=False,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 16, 16, 16],
        fusion_hidden_size=16,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DPTForDepthEstimation(config)
        for parameter in network.parameters():
            torch.nn.init.xavier_normal_(parameter) if parameter.ndim > 1 else None
    torch.nn.init.constant_(network.head.head[-2].bias, 3.0)  # the last ReLU would blank a random network
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    return folder
