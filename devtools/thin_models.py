"""A thin Stable Diffusion 1.5 with random weights and its canny ControlNet, which all three web UIs load.

The UNet is 320 wide on all of its four levels; the text encoder and the VAE have full size, for Forge builds these two
from SD 1.5's own configs. Pictures are coloured noise. 637 MB, so they are kept between runs.
"""

import base64
import io
import os
from pathlib import Path

import torch

from ..pocket.ldm import TEXT_PREFIX, VAE_PREFIX, key_maps
from ..rfnet.files import write_safetensors
from ..rfnet.sheets import to_image
from .comfy import ROOT, link
from .webui import Host

MODELS = ROOT / "out" / "thin"  # kept between runs
KIT = Path(__file__).with_name("webui_kit")  # an extension that lets web UIs load them
SHAPES = {"layers": 2, "attention": [True, True, True, False], "channels": [320] * 4, "context": 768, "heads": 8}
YAML = """
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    linear_end: 0.0120
    timesteps: 1000
    first_stage_key: jpg
    cond_stage_key: txt
    image_size: 64
    channels: 4
    conditioning_key: crossattn
    scale_factor: 0.18215
    use_ema: false
    unet_config:
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
      params: {image_size: 32, in_channels: 4, out_channels: 4, model_channels: 320, channel_mult: [1, 1, 1, 1],
        num_res_blocks: 2, attention_resolutions: [4, 2, 1], num_heads: 8, use_spatial_transformer: true,
        transformer_depth: 1, context_dim: 768, use_checkpoint: false, legacy: false}
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        embed_dim: 4
        ddconfig: {double_z: true, z_channels: 4, resolution: 256, in_channels: 3, out_ch: 3, ch: 128,
          ch_mult: [1, 2, 4, 4], num_res_blocks: 2, attn_resolutions: [], dropout: 0.0}
        lossconfig: {target: torch.nn.Identity}
    cond_stage_config: {target: ldm.modules.encoders.modules.FrozenCLIPEmbedder}
"""
VAE_NAMES = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
    "mid_block.attentions.0.to_q": "mid.attn_1.q",
    "mid_block.attentions.0.to_k": "mid.attn_1.k",
    "mid_block.attentions.0.to_v": "mid.attn_1.v",
    "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
    "samplers.0": "sample",
    "resnets": "block",
    "conv_shortcut": "nin_shortcut",
    "conv_norm_out": "norm_out",
    **{f"down_blocks.{level}": f"down.{level}" for level in range(4)},
    **{f"up_blocks.{level}": f"up.{3 - level}" for level in range(4)},
}


def write(folder: Path) -> Path:
    """The checkpoint thin_sd.safetensors with its yaml, and thin_canny.safetensors beside it -> the checkpoint."""
    checkpoint, control = folder / "thin_sd.safetensors", folder / "thin_canny.safetensors"
    if not (checkpoint.is_file() and control.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        parts = networks()
        names = key_maps({"unet": SHAPES}, unet=parts["unet"], controlnet=parts["controlnet"])
        names["vae"] = {name: VAE_PREFIX + vae_name(name) for name in parts["vae"].state_dict()}
        names["text_encoder"] = {
            name: TEXT_PREFIX + name.removeprefix("text_model.") for name in parts["text_encoder"].state_dict()
        }
        generator = torch.Generator().manual_seed(0)
        filled = {part: weights(parts[part], names[part], generator) for part in names}
        write_safetensors(control, {f"control_model.{k}": v for k, v in filled.pop("controlnet").items()}, {})
        write_safetensors(checkpoint, settled({k: v for part in filled.values() for k, v in part.items()}), {})
    checkpoint.with_suffix(".yaml").write_text(YAML)
    return checkpoint


def networks() -> dict:
    """diffusers' modules of these shapes, without weights."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    from reliable_ads.pocket.family import build_controlnet, build_unet

    with torch.device("meta"):
        unet = build_unet({"unet": SHAPES})
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
        )
        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        )
        return {"unet": unet, "vae": vae, "text_encoder": text, "controlnet": build_controlnet(unet)}


def vae_name(name: str) -> str:
    """diffusers' name of a VAE's weight -> the name in Stable Diffusion's own files."""
    for ours, theirs in VAE_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def weights(module: torch.nn.Module, names: dict, generator: torch.Generator) -> dict:
    """{name in the file: random weights, which keep their input's size}."""
    made = {}
    for name, empty in module.state_dict().items():
        if name not in names or name.endswith("position_ids"):
            continue
        shape = empty.shape
        if len(shape) == 1:
            value = torch.full(shape, float(name.endswith("weight")))  # only norms have weights of one dimension
        else:
            size = 0.05 if "embedding.weight" in name else shape[1:].numel() ** -0.5
            value = torch.randn(shape, generator=generator) * size
        if "first_stage" in names[name] and len(shape) == 2:
            value = value[..., None, None]  # a convolution there
        made[names[name]] = value.half()
    return made


def settled(model: dict) -> dict:
    """Automatic1111 divides by the mean of the last norm's output, which without a bias is 0; and the encoded product's
    variance stays small, so that what is encoded comes back.
    """
    model[TEXT_PREFIX + "final_layer_norm.bias"] = torch.linspace(0.05, 0.15, 768).half()
    model[TEXT_PREFIX + "embeddings.position_ids"] = torch.arange(77)[None]
    model[VAE_PREFIX + "quant_conv.bias"] = torch.tensor([0.0] * 4 + [-10.0] * 4).half()
    return model


def plain(web, canvas, start=None, control_net: str = "thin_canny") -> dict:
    """For a request's alwayson_scripts, without Reliable Ads: the host's own ControlNet with the product's lines, and
    the latent held to the product where its mask says so. What a user could set up without us.

    web: the WebUI; canvas: an rfnet.product.Canvas; start: what is encoded (3, H, W), the product over grey unless
    given.
    """
    size = canvas.height // 8, canvas.width // 8
    mask = torch.nn.functional.interpolate(canvas.inpaint_mask[None, None], size, mode="bilinear")[0, 0]
    file = io.BytesIO()
    to_image(canvas.hint).save(file, "PNG")
    listed = web.ask("/controlnet/model_list")["model_list"]
    unit = {
        "enabled": True,
        "model": next(name for name in listed if control_net in name),  # Forge takes the whole name only
        "image": base64.b64encode(file.getvalue()).decode(),
        "weight": 1.0,
        "resize_mode": "Just Resize",
        "control_mode": "Balanced",
        "save_detected_map": False,
    }
    held = {"picture": (canvas.shown if start is None else start).tolist(), "mask": mask.tolist()}
    return {"controlnet": {"args": [unit]}, "kit": {"args": [held]}}


def data_folder(host: Host, folder: Path) -> Path:
    """Makes a web UI's data folder with the thin models and the extensions that they need -> the checkpoint."""
    write(MODELS)
    for place in ("extensions", "models/ControlNet", "models/rfnet"):
        (folder / place).mkdir(parents=True)
    (folder / "models" / "ControlNet" / "thin_canny.safetensors").symlink_to(MODELS / "thin_canny.safetensors")
    link(KIT, folder / "extensions" / "kit")
    if host.kind == "Automatic1111":
        controlnet = Path(os.environ.get("RELIABLE_ADS_CONTROLNET") or host.root / "extensions" / "sd-webui-controlnet")
        assert controlnet.is_dir(), f"{controlnet} is no folder: RELIABLE_ADS_CONTROLNET must name sd-webui-controlnet"
        link(controlnet, folder / "extensions" / "sd-webui-controlnet")
    return MODELS / "thin_sd.safetensors"
