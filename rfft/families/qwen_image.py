"""Qwen-Image (arXiv:2508.02324): packed latents of a video VAE with one frame, and the words of a language model."""

from __future__ import annotations

import torch

from ..models import Text
from . import texts as encode
from .base import FlowFamily, FlowModels, Network, blocks_in, pack, unpack

TEMPLATE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial"
    " relationships of the objects and background:<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
DROPPED, LENGTH = 34, 1024  # the template's tokens before the prompt, and those of a prompt at most


class QwenImageModels(FlowModels):
    def run(self, x, times, text: Text, hint, strength: float, told: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        shared = {
            "hidden_states": pack(x),
            "timestep": times,
            "encoder_hidden_states": text.context,
            "encoder_hidden_states_mask": mask_of(text),
            "img_shapes": [(1, height // 2, width // 2)] * len(x),
            "return_dict": False,
        }
        samples = self.controlnet(controlnet_cond=pack(hint), conditioning_scale=strength, **shared)
        (output,) = self.transformer(controlnet_block_samples=samples, **shared)
        return unpack(output, height, width)

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._latent_statistics(images)
        return ((self.vae_mode(images[:, :, None]) - mean) / deviation)[:, :, 0]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        mean, deviation = self._latent_statistics(latents)
        scaled = latents[:, :, None] * deviation + mean
        # As the VAE decodes a first frame, but without the cache for the next ones, in which recomputed layers would
        # find another place
        decoded = self.vae.decoder(self.vae.post_quant_conv(scaled.to(self.vae.dtype)))[:, :, 0]
        return ((decoded.to(latents.dtype) + 1) / 2).clamp(0, 1)

    def _latent_statistics(self, like: torch.Tensor) -> list[torch.Tensor]:
        """Mean and deviation (C, 1, 1, 1) of each channel of the VAE's latents."""
        config = self.vae.config
        return [
            torch.tensor(values, device=like.device, dtype=like.dtype).view(-1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        ]


def mask_of(text: Text) -> torch.Tensor | None:
    """(B, L): which of the context's tokens are words; None where all of them are."""
    longest = text.context.shape[1]
    if text.lengths is None or set(text.lengths) == {longest}:
        return None
    rows = [[place < length for place in range(longest)] for length in text.lengths]
    return torch.tensor(rows, device=text.context.device)


class QwenImage(FlowFamily):
    def control_config(self, shapes: dict, transformer: dict) -> dict:
        return {
            **transformer,
            "num_layers": blocks_in(shapes, "transformer_blocks"),
            "extra_condition_channels": shapes["controlnet_x_embedder.weight"][1] - transformer["in_channels"],
        }

    def encode(self, texts: dict, tokenizers: dict, prompts: list[str]) -> Text:
        return encode.language_model(
            texts["text_encoder"], tokenizers["tokenizer"], prompts, LENGTH + DROPPED, TEMPLATE, -1, DROPPED
        )


FAMILY = QwenImage(
    name="Qwen-Image",
    folder="qwen_image",
    models=QwenImageModels,
    networks={
        "transformer": Network(
            "diffusers",
            "QwenImageTransformer2DModel",
            ("transformer_blocks.0.img_mod.1.weight",),
            ("model.diffusion_model.", ""),
        ),
        "vae": Network(
            "diffusers",
            "AutoencoderKLQwenImage",
            ("decoder.middle.0.residual.2.weight",),
            ("first_stage_model.", "vae.", ""),
        ),
        "text_encoder": Network(
            "transformers",
            "Qwen2_5_VLTextModel",
            ("model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_proj.bias"),
            ("text_encoders.qwen25_7b.transformer.", ""),
        ),
    },
    tokenizers={"tokenizer": "text_encoder"},
    controlnet="QwenImageControlNetModel",
    example="InstantX's Qwen-Image-ControlNet-Union",
    schedule={"clock": "sigma"},
)
