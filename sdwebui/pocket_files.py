"""The small demo models as Automatic1111 loads them: the checkpoint, beside it a yaml that describes its networks, and
a folder with its text encoder's config and tokenizer.

Imports no web UI, so that `dev.py demo --webui` can write them before one starts. Forge and reForge have no use for
them: they know checkpoints by their shapes, and don't know these.
"""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

from ..pocket.family import PICTURE_SIZE
from ..pocket.ldm import CHECKPOINT, PocketFileError, read_config
from ..pocket.tuning import DRAWING
from ..rfnet.files import quoted, write_text
from ..rfnet.tensors import read_header

NAME = CHECKPOINT.name
PRODUCT = CHECKPOINT.parent.parent / "demo_product.png"
# What the first template for ComfyUI draws. No ControlNet: sd-webui-controlnet has Stable Diffusion's shapes built in.
LABELS = {"sampler_name": "DPM++ 2M", "scheduler": "SGM Uniform"}  # what the host calls DRAWING's
DRAW = {
    "prompt": "photo, on a wooden table, a pine forest, soft daylight",
    "negative_prompt": "",
    "steps": DRAWING["steps"],
    "cfg_scale": DRAWING["cfg"],
    **LABELS,
    "width": PICTURE_SIZE,
    "height": PICTURE_SIZE,
    "seed": 1,  # the first one whose attempt 1 is surely rejected, and 2 surely accepted
}
SETTINGS = {
    "caption": "a green bottle with a white label",
    "attempts": 5,
    "control_net_name": "none",
    "early_rejection": "off",  # the profile that ships was measured with the ControlNet
    "keep_rejected": True,
}


def product() -> str:
    """The demo product, as the API takes pictures."""
    return base64.b64encode(PRODUCT.read_bytes()).decode()


def install(models: Path, source: Path = CHECKPOINT) -> Path:
    """Puts the demo models into a web UI's folder of models -> the checkpoint there. Again after the folder has moved.

    Raises PocketFileError, OSError.
    """
    name = quoted(source)[1:-1]
    header = read_header(source, PocketFileError, f"{name} is missing: install Reliable Ads again", name=name)
    config = read_config(header, name)
    tokenizer = Path(models).absolute() / "rfnet" / f"{source.stem}_text"
    checkpoint = Path(models) / "Stable-diffusion" / source.name
    described = description(config, tokenizer)  # before anything is written: it may not be possible
    for folder in (tokenizer, checkpoint.parent):
        folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(tokenizer, config["clip"])
    write_text(checkpoint.with_suffix(".yaml"), json.dumps(described, indent=1))  # JSON is YAML
    draft = checkpoint.with_suffix(".part")
    shutil.copyfile(source, draft)
    draft.replace(checkpoint)
    return checkpoint


def description(config: dict, tokenizer: Path) -> dict:
    """The checkpoint's networks, as ldm's instantiate_from_config takes them. config: a pocket file's own.

    Raises PocketFileError.
    """
    unet, vae = config["unet"], config["vae"]
    first = unet["channels"][0]
    if any(width % first for width in unet["channels"]):
        raise PocketFileError("Automatic1111 can't build a UNet whose widths are no multiples of the first")
    network = {
        "image_size": 32,
        "in_channels": vae["latent_channels"],
        "out_channels": vae["latent_channels"],
        "model_channels": first,
        "channel_mult": [width // first for width in unet["channels"]],
        "num_res_blocks": unet["layers"],
        "attention_resolutions": [2**level for level, attends in enumerate(unet["attention"]) if attends],
        "num_heads": unet["heads"],
        "use_spatial_transformer": True,
        "transformer_depth": 1,
        "context_dim": unet["context"],
        "use_checkpoint": False,
        "legacy": False,
    }
    params = {
        "parameterization": "v",
        "linear_start": 0.00085,
        "linear_end": 0.012,
        "timesteps": 1000,
        "first_stage_key": "jpg",
        "cond_stage_key": "txt",
        "image_size": PICTURE_SIZE // 8,
        "channels": vae["latent_channels"],
        "conditioning_key": "crossattn",
        "scale_factor": 1.0,  # the family's latents need none
        "use_ema": False,
        "unet_config": part("ldm.modules.diffusionmodules.openaimodel.UNetModel", network),
        "first_stage_config": part("reliable_ads.sdwebui.pocket_vae.PocketVae", {"ddconfig": {}, "config": vae}),
        "cond_stage_config": part("ldm.modules.encoders.modules.FrozenCLIPEmbedder", {"version": str(tokenizer)}),
    }
    return {"model": part("ldm.models.diffusion.ddpm.LatentDiffusion", params)}


def part(target: str, params: dict) -> dict:
    return {"target": target, "params": params}


def write_tokenizer(folder: Path, clip: dict) -> None:
    """The text encoder's config and CLIP's tokenizer, which open_clip brings, as transformers reads them."""
    from open_clip.tokenizer import SimpleTokenizer

    bpe = SimpleTokenizer()
    words = [word for word, _ in sorted(bpe.encoder.items(), key=lambda entry: entry[1])]
    words[clip["bos_token_id"]], words[clip["eos_token_id"]] = "<|startoftext|>", "<|endoftext|>"
    merges = [" ".join(pair) for pair in sorted(bpe.bpe_ranks, key=bpe.bpe_ranks.get)]
    config = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **clip}
    write_text(folder / "config.json", json.dumps(config))
    write_text(folder / "vocab.json", json.dumps({word: place for place, word in enumerate(words)}))
    write_text(folder / "merges.txt", "\n".join(["#version: 0.2", *merges, ""]))
