"""Flux.1: packed latents, T5's words and CLIP's summary, and, in Flux.1 dev, guidance that the transformer is told
instead of a null branch.
"""

from __future__ import annotations

import torch

from ..models import Text
from . import texts as encode
from .base import FlowFamily, FlowModels, Network, blocks_in, pack, unpack
from .sd35 import CLIP_MARK

T5_LENGTH = 512
CANNY = 0  # the mode of canny hints in union ControlNets


class FluxModels(FlowModels):
    def run(self, x, times, text: Text, hint, strength: float, told: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        shared = {
            "hidden_states": pack(x),
            "timestep": times,
            "encoder_hidden_states": text.context,
            "pooled_projections": text.pooled,
            "txt_ids": torch.zeros(text.context.shape[1], 3, device=x.device, dtype=x.dtype),
            "img_ids": image_ids(height // 2, width // 2).to(x),
            "return_dict": False,
        }
        mode = torch.full((len(x), 1), CANNY, device=x.device) if self.controlnet.union else None
        blocks, single_blocks = self.controlnet(
            controlnet_cond=pack(hint),
            controlnet_mode=mode,
            conditioning_scale=strength,
            guidance=told if self.controlnet.config.guidance_embeds else None,
            **shared,
        )
        (output,) = self.transformer(
            guidance=told if self.transformer.config.guidance_embeds else None,
            controlnet_block_samples=blocks,
            controlnet_single_block_samples=single_blocks,
            **shared,
        )
        return unpack(output, height, width)


def image_ids(height: int, width: int) -> torch.Tensor:
    """(height * width, 3): where each token lies: 0, its row, its column."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.zeros_like(rows), rows, columns], -1).reshape(-1, 3)


class Flux(FlowFamily):
    def control_config(self, shapes: dict, transformer: dict) -> dict:
        modes = shapes.get("controlnet_mode_embedder.weight")
        return {
            **transformer,
            "num_layers": blocks_in(shapes, "transformer_blocks"),
            "num_single_layers": blocks_in(shapes, "single_transformer_blocks"),
            "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in shapes,
            "num_mode": modes and modes[0],
        }

    def encode(self, texts: dict, tokenizers: dict, prompts: list[str]) -> Text:
        summary = encode.clip(texts["text_encoder"], prompts).pooler_output
        return Text(encode.t5(texts["text_encoder_2"], tokenizers["tokenizer_2"], prompts, T5_LENGTH), summary)


FAMILY = Flux(
    name="Flux.1",
    folder="flux",
    models=FluxModels,
    networks={
        "transformer": Network(
            "diffusers",
            "FluxTransformer2DModel",
            ("double_blocks.0.img_attn.qkv.weight",),
            ("model.diffusion_model.", ""),
        ),
        "vae": Network(
            "diffusers", "AutoencoderKL", ("decoder.mid.block_1.conv1.weight",), ("first_stage_model.", "vae.", "")
        ),
        "text_encoder": Network(
            "transformers", "CLIPTextModel", (CLIP_MARK,), ("text_encoders.clip_l.transformer.", "")
        ),
        "text_encoder_2": Network(
            "transformers",
            "T5EncoderModel",
            ("encoder.block.0.layer.0.SelfAttention.q.weight",),
            ("text_encoders.t5xxl.transformer.", ""),
        ),
    },
    tokenizers={"tokenizer_2": "text_encoder_2"},
    controlnet="FluxControlNetModel",
    example="InstantX's FLUX.1-dev-Controlnet-Canny",
    schedule={"clock": "sigma"},
)
