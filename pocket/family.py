"""The pocket family: a Stable-Diffusion-1.5-style model, small enough to train and sample on a laptop's CPU.

The parts are diffusers' and transformers' own classes with SD 1.5's shapes in small; nothing here is a network of its
own. Pictures are 256x256, latents (B, 4, 32, 32), noise follows SD's scaled_linear schedule. The UNet predicts v, as SD
2's does: to get a picture's large areas right, a network that predicts epsilon has to be exact to a hundredth where
there is most noise, and learns that last.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from ..rfft.schedule import scaled_linear
from ..rfft.tokens import END, LENGTH, START, tokenize

SCALE_FACTOR = 0.18215
PICTURE_SIZE = 256

POCKET = {
    "unet": {"channels": [64, 128, 256], "attention": [False, True, True], "layers": 1, "context": 128, "heads": 8},
    # the blocks that are at work, of TAESD's 1-3-3-3 and 3-3-3-1
    "vae": {"latent_channels": 4, "channels": 64, "encoder_blocks": [0, 2, 3, 3], "decoder_blocks": [3, 3, 2, 0]},
    "clip": {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "hidden_act": "quick_gelu",
        "max_position_embeddings": LENGTH,
        "vocab_size": 49408,
        "layer_norm_eps": 1e-5,
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": END,
        "projection_dim": 128,
    },
}
HINT_CHANNELS = (16, 32, 96, 256)  # ComfyUI's ControlNet has these fixed


def build_unet(config: dict = POCKET):
    """UNet2DConditionModel. The first level stays free of attention, which would cost the most there."""
    from diffusers import UNet2DConditionModel

    c = config["unet"]
    down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in c["attention"])
    up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(c["attention"]))
    return UNet2DConditionModel(
        sample_size=PICTURE_SIZE // 8,
        in_channels=4,
        out_channels=4,
        block_out_channels=tuple(c["channels"]),
        layers_per_block=c["layers"],
        down_block_types=down,
        up_block_types=up,
        cross_attention_dim=c["context"],
        attention_head_dim=c["heads"],  # in SD 1.x configs this field is the NUMBER of heads
    )


def build_controlnet(unet):
    """ControlNetModel started from `unet`'s weights, its outputs zero."""
    from diffusers import ControlNetModel

    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=HINT_CHANNELS)


class RestingBlock(torch.nn.Module):
    """A block of AutoencoderTiny whose convolutions are zero and stay so: only its ReLU is computed.

    Blocks on large pictures cost most of the time; at rest they keep the file's layout, and a program that computes
    them gets the same numbers.
    """

    def __init__(self, block):
        super().__init__()
        self.conv = block.conv
        self.rest()

    def rest(self) -> None:
        for p in self.conv.parameters():
            torch.nn.init.zeros_(p).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)


def build_vae(config: dict = POCKET):
    """AutoencoderTiny (TAESD's architecture), 3 → 4 channels, 8 times smaller on each side.

    Its latents need no factor: their deviation is about 1.
    """
    from diffusers import AutoencoderTiny

    c = config["vae"]
    vae = AutoencoderTiny(
        latent_channels=c["latent_channels"],
        encoder_block_out_channels=(c["channels"],) * 4,
        decoder_block_out_channels=(c["channels"],) * 4,
    )
    for half, working, all_blocks in (
        (vae.encoder, c.get("encoder_blocks"), (1, 3, 3, 3)),
        (vae.decoder, c.get("decoder_blocks"), (3, 3, 3, 1)),
    ):
        if working:
            places = [i for i, layer in enumerate(half.layers) if type(layer).__name__ == "AutoencoderTinyBlock"]
            for count, level in zip(working, all_blocks):
                for place in places[count:level]:
                    half.layers[place] = RestingBlock(half.layers[place])
                places = places[level:]
    return vae


def build_text_encoder(config: dict = POCKET):
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(**config["clip"]))


alphas_cumprod = functools.lru_cache(maxsize=1)(scaled_linear)


def is_flow(config: dict) -> bool:
    """Whether a family of this config matches flows."""
    return config.get("prediction") == "flow"


@dataclass
class Pocket:
    """The four networks together, on one device and in one dtype."""

    unet: torch.nn.Module
    controlnet: torch.nn.Module
    vae: torch.nn.Module
    text_encoder: torch.nn.Module
    config: dict

    @property
    def flow(self) -> bool:
        """Whether it was turned into a family that matches flows (training.losses.Straightened)."""
        return is_flow(self.config)

    def parts(self) -> dict[str, torch.nn.Module]:
        return {"unet": self.unet, "controlnet": self.controlnet, "vae": self.vae, "text_encoder": self.text_encoder}

    def eval(self) -> Pocket:
        for part in self.parts().values():
            part.eval().requires_grad_(False)
        return self

    def encode_prompts(self, prompts: list[str]) -> torch.Tensor:
        """Prompts → context (B, 77, C)."""
        return self.text_encoder(tokenize(prompts).to(self.text_encoder.device)).last_hidden_state

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) in [0, 1] → the model's latents (B, 4, H/8, W/8)."""
        return self.vae.encode(images * 2 - 1).latents

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The model's latents → (B, 3, H, W) in [0, 1]."""
        return ((self.vae.decode(latents).sample + 1) / 2).clamp(0, 1)

    def velocity(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        context: torch.Tensor,
        hint: torch.Tensor | None = None,
        strength: float = 1.0,
    ) -> torch.Tensor:
        """What the UNet puts out for x_t (B, 4, h, w) at timesteps t (B,): v = sqrt(a) eps - sqrt(1 - a) x0
        (arXiv:2202.00512), or eps - x0 of a family that matches flows.

        hint (B, 3, 8h, 8w) in [0, 1] goes through the ControlNet.
        """
        if hint is None:
            return self.unet(noisy, t, encoder_hidden_states=context).sample
        down, mid = self.controlnet(
            noisy,
            t,
            encoder_hidden_states=context,
            controlnet_cond=hint,
            conditioning_scale=strength,
            return_dict=False,
        )
        return self.unet(
            noisy,
            t,
            encoder_hidden_states=context,
            down_block_additional_residuals=down,
            mid_block_additional_residual=mid,
        ).sample

    def epsilon(
        self,
        noisy: torch.Tensor,
        t: torch.Tensor,
        context: torch.Tensor,
        hint: torch.Tensor | None = None,
        strength: float = 1.0,
    ) -> torch.Tensor:
        """The predicted noise: eps = sqrt(a) v + sqrt(1 - a) x_t; arguments as for `velocity`."""
        a = alphas_cumprod().to(noisy)[t].view(-1, 1, 1, 1)
        return a.sqrt() * self.velocity(noisy, t, context, hint, strength) + (1 - a).sqrt() * noisy


def build_pocket(config: dict = POCKET, seed: int = 0) -> Pocket:
    """A family with fresh random weights; the same seed gives the same weights, and the global random state is left as
    it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = build_unet(config)
        return Pocket(unet, build_controlnet(unet), build_vae(config), build_text_encoder(config), config)
