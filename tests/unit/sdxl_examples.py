"""A small SDXL with random weights, as files of its users."""

import re
from pathlib import Path

import torch
from safetensors.torch import save_file

from reliable_ads.rfft.loading import BLOCK, OPEN_CLIP
from reliable_ads.rfft.names import attention_of, ldm_key, unet_name

from .rfft_examples import vae_ldm

LEVELS = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 64,
    "attention_head_dim": (2, 4),
    "transformer_layers_per_block": (1, 2),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 32 + 6 * 8,
}
CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "max_position_embeddings": 77,
    "vocab_size": 49408,
    "projection_dim": 32,
    "eos_token_id": 2,
}


def named(module, name):
    return {
        name(key): value.contiguous() for key, value in module.state_dict().items() if not key.endswith("position_ids")
    }


def leaf(rule):
    return lambda key: f"{rule(key.rsplit('.', 1)[0])}.{key.rsplit('.', 1)[1]}"


def single_file(unet, vae, first, second) -> dict:
    """The weights of an SDXL checkpoint in one file."""
    single = named(
        unet,
        leaf(lambda module: "model.diffusion_model." + unet_name(module, 1, attention_of(LEVELS["down_block_types"]))),
    )
    linear = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight")
    single |= {
        f"first_stage_model.{vae_ldm(key, 4)}": value[..., None, None].contiguous() if key.endswith(linear) else value
        for key, value in vae.state_dict().items()
    }
    single |= named(
        first, lambda key: "conditioner.embedders.0.transformer.text_model." + key.removeprefix("text_model.")
    )
    single |= {
        f"conditioner.embedders.1.model.{key}": value for key, value in to_open_clip(second.state_dict()).items()
    }
    return single


def save_small_sdxl(root: Path) -> None:
    """Fills a folder with a small SDXL as a diffusers folder, as single files in both ControlNet layouts, and configs
    that say how small it is.
    """
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(0)
    unet = UNet2DConditionModel(up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **LEVELS)
    controlnet = ControlNetModel.from_unet(unet)
    for block in (*controlnet.controlnet_down_blocks, controlnet.controlnet_mid_block):
        torch.nn.init.normal_(block.weight, std=0.1)
    vae = AutoencoderKL(
        block_out_channels=(32,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        scaling_factor=0.13025,
    )
    first, second = (
        CLIPTextModel(CLIPTextConfig(**CLIP)),
        CLIPTextModelWithProjection(CLIPTextConfig(**CLIP, hidden_act="gelu")),
    )
    parts = {"unet": unet, "vae": vae, "text_encoder": first, "text_encoder_2": second}
    for name, part in parts.items():
        part.save_pretrained(root / "folder" / name, safe_serialization=True)
        (root / "configs" / name).mkdir(parents=True)
        (root / "configs" / name / "config.json").write_text((root / "folder" / name / "config.json").read_text())
    controlnet.save_config(root / "configs" / "controlnet")

    single = single_file(unet, vae, first, second)
    save_file(single, root / "xl.safetensors")
    save_file(controlnet.state_dict(), root / "diffusers.safetensors")
    save_file(named(controlnet, lambda key: ldm_key(key, 1)), root / "ldm.safetensors")


def to_open_clip(state: dict) -> dict:
    """transformers' text tower in open_clip's layout."""
    state = {key.removeprefix("text_model."): value for key, value in state.items() if not key.endswith("position_ids")}
    found = {old: state.pop(new) for old, new in OPEN_CLIP.items() if old != "text_projection.weight"}
    found["text_projection"] = state.pop("text_projection.weight").T.contiguous()
    blocks = {new: old for old, new in BLOCK.items()}
    for key, value in state.items():
        number, inside, leaf = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", key).groups()
        if inside == "self_attn.q_proj":
            parts = [state[f"encoder.layers.{number}.self_attn.{name}_proj.{leaf}"] for name in "qkv"]
            found[f"transformer.resblocks.{number}.attn.in_proj_{leaf}"] = torch.cat(parts)
        elif inside in blocks:
            found[f"transformer.resblocks.{number}.{blocks[inside]}.{leaf}"] = value.clone()
    return found
