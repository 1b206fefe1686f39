"""Small ones of the architectures."""

from dataclasses import replace

from reliable_ads.rfnet.architectures import ARCHITECTURES, RFNetConfig

TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


PAPER = replace(
    ARCHITECTURES["paper"],
    backbone="test_resnet",
    image_size=64,
    map_size=64,
    width=32,
    text_width=32,
    text_layers=1,
    text_heads=4,
    vocabulary=300,
    context=24,
)


CLIP = RFNetConfig(
    backbone="open_clip/tiny-clip",
    stride=16,
    image_size=64,
    map_size=64,
    width=32,
    heads=4,
    text="open_clip/tiny-clip",
    context=20,
)
