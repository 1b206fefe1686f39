"""Stable Diffusion 3.5 (arXiv:2403.03206): a transformer over latents and text, told by two CLIP towers and T5."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..models import Text
from . import texts as encode
from .base import FlowFamily, FlowModels, Network, blocks_in

T5_LENGTH = 256


class SD35Models(FlowModels):
    def run(self, x, times, text: Text, hint, strength: float, told: torch.Tensor) -> torch.Tensor:
        config = self.controlnet.config
        assert text.pooled is not None
        (samples,) = self.controlnet(
            # The official ControlNets have neither an embedding of latents of their own nor a look at the text
            hidden_states=x if self.controlnet.pos_embed is not None else self.transformer.pos_embed(x),
            controlnet_cond=hint,
            conditioning_scale=strength,
            encoder_hidden_states=None if config.joint_attention_dim is None else text.context,
            pooled_projections=torch.zeros_like(text.pooled) if self.no_pooled_text else text.pooled,
            timestep=times,
            return_dict=False,
        )
        return self.transformer(
            hidden_states=x,
            encoder_hidden_states=text.context,
            pooled_projections=text.pooled,
            timestep=times,
            block_controlnet_hidden_states=samples,
            return_dict=False,
        )[0]

    @property
    def no_pooled_text(self) -> bool:
        """Some ControlNets learned without the summary of the text, and from hints without the VAE's shift."""
        return self.controlnet.config.force_zeros_for_pooled_projection

    @property
    def official(self) -> bool:
        """Stability's own ControlNets embed no latents, but take the transformer's."""
        return self.controlnet.pos_embed is None

    def encode_hint(self, hint: torch.Tensor) -> torch.Tensor:
        if self.official:
            # Its canny one learned from lines that reach the VAE as 0.5 and 128 (Stability-AI/sd3.5, sd3_infer.py),
            # where others have -1 and 1
            hint = (hint * 255 / 2 + 0.5 + 1) / 2
        shift = 0.0 if self.no_pooled_text else self.vae.config.shift_factor
        return (self.vae_mode(hint) - shift) * self.vae.config.scaling_factor


class SD35(FlowFamily):
    def control_config(self, shapes: dict, transformer: dict) -> dict:
        context = shapes.get("context_embedder.weight")
        blocks = blocks_in(shapes, "transformer_blocks")
        return {
            **transformer,
            "num_layers": blocks,
            "joint_attention_dim": context and context[1],
            "use_pos_embed": "pos_embed.proj.weight" in shapes,
            "pos_embed_type": "sincos" if "pos_embed.proj.weight" in shapes else None,
            "extra_conditioning_channels": shapes["pos_embed_input.proj.weight"][1] - transformer["in_channels"],
            "qk_norm": transformer["qk_norm"] if "transformer_blocks.0.attn.norm_q.weight" in shapes else None,
            "dual_attention_layers": tuple(
                i for i in range(blocks) if f"transformer_blocks.{i}.attn2.to_q.weight" in shapes
            ),
            "force_zeros_for_pooled_projection": context is not None,
        }

    def extra_channels(self, shapes: dict, transformer: dict) -> int:
        return shapes["pos_embed_input.proj.weight"][1] - transformer["in_channels"]

    def encode(self, texts: dict, tokenizers: dict, prompts: list[str]) -> Text:
        one, two = (
            encode.clip(texts[name], prompts, *padding)
            for name, padding in (("text_encoder", ()), ("text_encoder_2", (0,)))
        )
        words = torch.cat([one.hidden_states[-2], two.hidden_states[-2]], -1)
        if "text_encoder_3" in texts:
            more = encode.t5(texts["text_encoder_3"], tokenizers["tokenizer_3"], prompts, T5_LENGTH)
            words = torch.cat([F.pad(words, (0, more.shape[-1] - words.shape[-1])), more], -2)
        return Text(words, torch.cat([one.text_embeds, two.text_embeds], -1))


CLIP_MARK = "text_model.encoder.layers.0.mlp.fc1.weight"
FAMILY = SD35(
    name="SD 3.5",
    folder="sd35",
    models=SD35Models,
    networks={
        "transformer": Network(
            "diffusers",
            "SD3Transformer2DModel",
            ("joint_blocks.0.x_block.attn.qkv.weight",),
            ("model.diffusion_model.", ""),
        ),
        "vae": Network(
            "diffusers", "AutoencoderKL", ("decoder.mid.block_1.conv1.weight",), ("first_stage_model.", "vae.", "")
        ),
        "text_encoder": Network(
            "transformers", "CLIPTextModelWithProjection", (CLIP_MARK,), ("text_encoders.clip_l.transformer.", "")
        ),
        "text_encoder_2": Network(
            "transformers", "CLIPTextModelWithProjection", (CLIP_MARK,), ("text_encoders.clip_g.transformer.", "")
        ),
        "text_encoder_3": Network(
            "transformers",
            "T5EncoderModel",
            ("encoder.block.0.layer.0.SelfAttention.q.weight",),
            ("text_encoders.t5xxl.transformer.", ""),
            False,
        ),
    },
    tokenizers={"tokenizer_3": "text_encoder_3"},
    controlnet="SD3ControlNetModel",
    example="diffusers' stable-diffusion-3.5-large-controlnet-canny",
    schedule={"spacing": "trained", "clock": "t"},
)
