"""Flow-matching families of the real architectures with small random weights, written as their users have them: a
diffusers folder, and a ControlNet's file with its config beside.
"""

import json
from pathlib import Path

import torch

from reliable_ads.rfft.families.base import Network
from reliable_ads.rfft.families.loading import FLOW_FAMILIES, class_of
from reliable_ads.rfft.kinds import CONFIGS

CLIP = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "projection_dim": 32,
    "vocab_size": 49408,
    "eos_token_id": 49407,
    "hidden_act": "gelu",
}
T5 = {
    "d_model": 64,
    "d_ff": 64,
    "d_kv": 16,
    "num_layers": 1,
    "num_heads": 2,
    "vocab_size": 64,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.0,
}
QWEN = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "vocab_size": 64,
}
VAE = {
    "block_out_channels": [8, 8, 8, 8],
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
TINY: dict = {
    "sd35": {
        "transformer": {
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "caption_projection_dim": 32,
            "joint_attention_dim": 64,
            "pooled_projection_dim": 64,
            "in_channels": 4,
            "out_channels": 4,
            "num_layers": 2,
            "pos_embed_max_size": 16,
            "sample_size": 8,
        },
        "vae": VAE,
        "text_encoder": CLIP,
        "text_encoder_2": CLIP,
        "text_encoder_3": T5,
        "controlnet": {
            "num_layers": 1,
            "joint_attention_dim": None,
            "use_pos_embed": False,
            "pos_embed_type": None,
            "force_zeros_for_pooled_projection": False,
        },
    },
    "flux": {
        "transformer": {
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "axes_dims_rope": [4, 6, 6],
            "in_channels": 16,
            "joint_attention_dim": 64,
            "pooled_projection_dim": 32,
            "num_layers": 2,
            "num_single_layers": 2,
        },
        "vae": VAE,
        "text_encoder": CLIP,
        "text_encoder_2": T5,
        "controlnet": {"num_layers": 1, "num_single_layers": 1, "guidance_embeds": True},
    },
    "qwen_image": {
        "transformer": {
            "attention_head_dim": 16,
            "num_attention_heads": 2,
            "axes_dims_rope": [4, 6, 6],
            "in_channels": 16,
            "out_channels": 4,
            "joint_attention_dim": 32,
            "num_layers": 2,
        },
        "vae": {
            "base_dim": 8,
            "z_dim": 4,
            "dim_mult": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "latents_mean": [0.1, -0.2, 0.3, 0.0],
            "latents_std": [1.5, 1.0, 2.0, 0.8],
        },
        "text_encoder": {**QWEN, "rope_scaling": {"rope_type": "default", "mrope_section": [2, 3, 3]}},
        "controlnet": {"num_layers": 1},
    },
    "z_image": {
        "transformer": {
            "dim": 32,
            "n_heads": 2,
            "n_kv_heads": 2,
            "n_layers": 2,
            "n_refiner_layers": 1,
            "cap_feat_dim": 32,
            "in_channels": 4,
            "axes_dims": [4, 6, 6],
            "axes_lens": [256, 64, 64],
        },
        "vae": VAE,
        "text_encoder": {**QWEN, "head_dim": 16},
        "controlnet": {"control_layers_places": [0, 1], "control_in_dim": 4},
    },
}
WORDS = [
    "on",
    "a",
    "table",
    "sand",
    "the",
    "in",
    "sunlight",
    "bottle",
    ",",
    "white",
    "wall",
    "park",
    ".",
    "describe",
    "image",
    "user",
    "assistant",
    "system",
]


def tiny_configs(family: str) -> dict:
    """{part: its config}: the shipped one, made small."""
    changes = TINY[family]
    configs = {}
    for name in FLOW_FAMILIES[family].networks:
        shipped = json.loads((CONFIGS / family / name / "config.json").read_text())
        configs[name] = {**shipped, **changes[name]}
    shapes = {"controlnet_x_embedder.weight": (0, configs["transformer"]["in_channels"])}
    shapes |= {
        "pos_embed_input.proj.weight": (0, 4),
        "control_all_x_embedder.2-1.weight": (0, 16),
        "control_layers.0": 0,
    }
    shapes |= {"control_noise_refiner.0.attention.to_q.weight": (0,)}
    control = FLOW_FAMILIES[family].control_config(shapes, configs["transformer"])
    configs["controlnet"] = {**control, **changes["controlnet"]}
    return configs


def build(network: Network, config: dict) -> torch.nn.Module:
    """A network with random weights, none of which is zero, so that all of them count."""
    kind = class_of(network)
    model = kind.from_config(config) if network.library == "diffusers" else kind(kind.config_class(**config))
    for p in model.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.05)
    return model.eval()


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<pad>": 0, "</s>": 1, "<unk>": 2, **{word: 3 + i for i, word in enumerate(WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def save_family(family: str, folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """(checkpoint folder, ControlNet file) of a small family."""
    torch.manual_seed(seed)
    checkpoint, control = folder / "checkpoint", folder / "control"
    configs = tiny_configs(family)
    about = FLOW_FAMILIES[family]
    for name, network in about.networks.items():
        build(network, configs[name]).save_pretrained(checkpoint / name)
    for name in about.tokenizers:
        save_tokenizer(checkpoint / name)
    (checkpoint / "scheduler").mkdir()
    scheduler = (CONFIGS / family / "scheduler" / "scheduler_config.json").read_text()
    (checkpoint / "scheduler" / "scheduler_config.json").write_text(scheduler)
    build(Network("diffusers", about.controlnet, ()), configs["controlnet"]).save_pretrained(control)
    return checkpoint, control / "diffusion_pytorch_model.safetensors"
