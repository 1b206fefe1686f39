"""What a pocket file's config may say: shapes that the networks can take, and no larger than a pocket model is."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ..rfft.tokens import LENGTH
from ..rfnet.structured import StructureError, convert

GROUPS = 32  # of channels that are normalised together
Channels = Annotated[int, Meta(ge=GROUPS, le=640, multiple_of=GROUPS)]
Blocks = Annotated[list[Annotated[int, Meta(ge=0, le=3)]], Meta(min_length=4, max_length=4)]
Token = Annotated[int, Meta(ge=0, le=49407)]


class UNet(msgspec.Struct, forbid_unknown_fields=True):
    channels: Annotated[list[Channels], Meta(min_length=2, max_length=4)]
    attention: Annotated[list[bool], Meta(min_length=2, max_length=4)]
    layers: Annotated[int, Meta(ge=1, le=3)]
    context: Annotated[int, Meta(ge=8, le=1024)]
    heads: Annotated[int, Meta(ge=1, le=32)]


class Vae(msgspec.Struct, forbid_unknown_fields=True):
    latent_channels: Literal[4]
    channels: Annotated[int, Meta(ge=8, le=256)]
    encoder_blocks: Blocks | None = None
    decoder_blocks: Blocks | None = None


class Clip(msgspec.Struct, forbid_unknown_fields=True):
    hidden_size: Annotated[int, Meta(ge=8, le=1024)]
    intermediate_size: Annotated[int, Meta(ge=8, le=4096)]
    num_attention_heads: Annotated[int, Meta(ge=1, le=32)]
    num_hidden_layers: Annotated[int, Meta(ge=1, le=24)]
    hidden_act: Literal["quick_gelu", "gelu"]
    max_position_embeddings: Annotated[int, Meta(ge=LENGTH, le=LENGTH)]
    vocab_size: Annotated[int, Meta(ge=49408, le=49408)]
    layer_norm_eps: Annotated[float, Meta(gt=0, le=0.1)]
    bos_token_id: Token
    eos_token_id: Token
    pad_token_id: Token
    projection_dim: Annotated[int, Meta(ge=1, le=1024)]


class Config(msgspec.Struct, forbid_unknown_fields=True):
    unet: UNet
    vae: Vae
    clip: Clip
    prediction: Literal["v_prediction", "flow"] = "v_prediction"


def check_config(config: dict) -> None:
    """Raises StructureError for a config that the family can't be built from."""
    checked = convert(config, Config, "its config")
    unet = checked.unet
    if len(unet.attention) != len(unet.channels):
        raise StructureError(
            f"its unet has {len(unet.channels)} channels and {len(unet.attention)} entries of attention: it needs as"
            " many"
        )
    for channels in unet.channels:
        if channels % unet.heads:
            raise StructureError(f"its unet has {unet.heads} heads, which don't divide its {channels} channels evenly")
    if checked.clip.hidden_size % checked.clip.num_attention_heads:
        raise StructureError(
            f"its clip has {checked.clip.num_attention_heads} heads, which don't divide its hidden_size"
            f" {checked.clip.hidden_size} evenly"
        )


def least_weights(config: dict) -> tuple[int, int]:
    """Fewer weights than the first half of the UNet has, which a ControlNet has too, and the text encoder."""
    unet, clip = config["unet"], config["clip"]
    text = clip["vocab_size"] * clip["hidden_size"] + clip["num_hidden_layers"] * clip["hidden_size"] * (
        4 * clip["hidden_size"] + 2 * clip["intermediate_size"]
    )
    return sum(18 * unet["layers"] * channels**2 for channels in unet["channels"][1:]), text
