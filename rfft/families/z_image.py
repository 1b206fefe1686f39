"""Z-Image (arXiv:2511.22699): a transformer that takes a picture and its words as one sequence, puts out -v and counts
time from noise to picture. Its ControlNet uses the transformer's own embedders.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..models import Text
from . import texts as encode
from .base import FlowFamily, FlowModels, Network, blocks_in

TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LENGTH = 512
SHARED = (
    "t_scale",
    "t_embedder",
    "all_x_embedder",
    "cap_embedder",
    "rope_embedder",
    "noise_refiner",
    "context_refiner",
    "x_pad_token",
    "cap_pad_token",
)


class ZImageModels(FlowModels):
    def __post_init__(self):
        # diffusers 0.42 looks for it, and forgets to set it
        self.controlnet.gradient_checkpointing = getattr(self.controlnet, "gradient_checkpointing", False)

    def run(self, x, times, text: Text, hint, strength: float, told: torch.Tensor) -> torch.Tensor:
        self._share_embedders()
        frames = list(x[:, :, None].to(self.transformer.dtype).unbind())
        words = [
            words[:length] for words, length in zip(text.context, text.lengths or [text.context.shape[1]] * len(x))
        ]
        # What else a ControlNet takes, as a mask and a masked picture, is zero where there is only a hint
        missing = self.controlnet.config.control_in_dim - hint.shape[1]
        control = F.pad(hint, (0, 0, 0, 0, 0, missing))[:, :, None].to(self.transformer.dtype)
        samples = self.controlnet(frames, times, words, list(control.unbind()), conditioning_scale=strength)
        output = self.transformer(frames, times, words, controlnet_block_samples=samples, return_dict=False)[0]
        return torch.stack(output)[:, :, 0]

    def _share_embedders(self) -> None:
        """The ControlNet sees the transformer's embedders without owning them: they are no part of what it learns, of
        its weights or of its memory.
        """
        for name in SHARED:
            object.__setattr__(self.controlnet, name, getattr(self.transformer, name))


class ZImage(FlowFamily):
    def control_config(self, shapes: dict, transformer: dict) -> dict:
        count, layers = blocks_in(shapes, "control_layers"), transformer["n_layers"]
        refiner = None
        if any(".after_proj." in key for key in shapes if key.startswith("control_noise_refiner.")):
            refiner = "control_noise_refiner"
        elif "control_noise_refiner.0.attention.to_q.weight" not in shapes:
            refiner = "control_layers"
        return {
            **{
                name: transformer[name]
                for name in ("dim", "n_refiner_layers", "n_heads", "n_kv_heads", "norm_eps", "qk_norm")
            },
            "control_in_dim": shapes["control_all_x_embedder.2-1.weight"][1] // 4,
            "control_layers_places": [i * layers // count for i in range(count)],
            "control_refiner_layers_places": list(range(transformer["n_refiner_layers"])) if refiner else None,
            "add_control_noise_refiner": refiner,
        }

    def extra_channels(self, shapes: dict, transformer: dict) -> int:
        return 0  # it takes zeros for what isn't there

    def encode(self, texts: dict, tokenizers: dict, prompts: list[str]) -> Text:
        return encode.language_model(texts["text_encoder"], tokenizers["tokenizer"], prompts, LENGTH, TEMPLATE, -2)


FAMILY = ZImage(
    name="Z-Image",
    folder="z_image",
    models=ZImageModels,
    networks={
        "transformer": Network(
            "diffusers", "ZImageTransformer2DModel", ("cap_embedder.1.weight",), ("model.diffusion_model.", "")
        ),
        "vae": Network(
            "diffusers", "AutoencoderKL", ("decoder.mid.block_1.conv1.weight",), ("first_stage_model.", "vae.", "")
        ),
        "text_encoder": Network(
            "transformers",
            "Qwen3Model",
            ("model.layers.0.input_layernorm.weight", "model.layers.0.self_attn.q_norm.weight"),
            ("text_encoders.qwen3_4b.transformer.", ""),
        ),
    },
    tokenizers={"tokenizer": "text_encoder"},
    controlnet="ZImageControlNetModel",
    example="Z-Image-Turbo-Fun-Controlnet-Union",
    schedule={"sign": -1, "clock": "rising"},
)
