"""RFNet's architectures as data: one config says which network it is; `model.build_rfnet` builds it
(arXiv:2408.00418).
"""

import importlib
import json
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from msgspec import Meta

from .structured import from_json, shortened

IMAGES = ("product", "generated", "depth", "saliency")
INPUTS = (*IMAGES, "caption")
MAPS = ("depth", "saliency")
VIEW = (
    "image_size",
    "map_size",
    "map_encoder",
)  # settings in which a reviewer may differ from the one that it was trained on from
OPEN_CLIP = "open_clip/"  # prefix of the towers that open_clip builds
Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9_./-]+\Z")]
MOST_TOKENS = 64  # on a side
Side = Annotated[int, Meta(ge=16, le=1024)]
Layers = Annotated[int, Meta(ge=1, le=32)]


class ArchitectureError(RuntimeError):
    """This architecture can't be built, or can't be filled with these weights; the message says what is missing."""


@dataclass(frozen=True)
class RFNetConfig:
    """The architecture as data; its defaults are the compact one.

    inputs: what the network sees, so that an ablation is a config. All sizes in pixels, of squares; strides in pixels
    per token.
    """

    backbone: Name = "tf_efficientnet_lite0"  # image encoder: a timm name, or open_clip/NAME
    stride: Annotated[int, Meta(ge=1, le=64)] = 16  # which feature map of the backbone becomes tokens
    image_size: Side = 160
    map_size: Side = 64  # of depth and saliency
    map_encoder: Literal[
        "shared", "stem"
        # "shared": the image encoder reads them, too (the paper); "stem": a few convolutions of their own, whose tokens
        # lie
        # on the generated picture's
    ] = "shared"
    width: Annotated[int, Meta(ge=1, le=1024)] = 128
    heads: Annotated[int, Meta(ge=1, le=64)] = 8
    filter_layers: Annotated[int, Meta(ge=0, le=32)] = 1  # N1 of the paper
    fusion_layers: Layers = 3  # N2 of the paper
    # "small": a transformer that starts from nothing; "roberta"; or open_clip/NAME, which brings its own sizes
    text: Name = "small"
    text_width: Annotated[int, Meta(ge=1, le=1280)] = 64
    text_layers: Layers = 2
    text_heads: Annotated[int, Meta(ge=1, le=64)] = 4
    vocabulary: Annotated[int, Meta(ge=1, le=65_536)] = 49408  # CLIP's; RoBERTa's has 50265 entries
    context: Annotated[int, Meta(ge=3, le=512)] = 32  # caption tokens, begin and end included; longer captions are cut
    inputs: tuple[str, ...] = INPUTS
    # of the backbone: "folded" into its convolutions, with the statistics that it was pretrained with; "trained" on
    # batches, as the paper's network is built
    batch_norm: Literal["folded", "trained"] = "folded"

    def __post_init__(self):
        object.__setattr__(self, "inputs", tuple(self.inputs))
        unknown = set(self.inputs) - set(INPUTS)
        if unknown or not set(self.inputs) & set(IMAGES):
            raise ValueError(
                f"inputs are {shortened(', '.join(map(str, self.inputs)))}: name at least one image, out of"
                f" {', '.join(INPUTS)}."
            )
        if self.map_encoder not in ("shared", "stem") or (
            self.map_encoder == "stem" and self.map_size != self.image_size
        ):
            raise ValueError(
                f'map_encoder is "{self.map_encoder}" and map_size {self.map_size}: choose shared, or stem with'
                f" map_size={self.image_size}, as large as the picture."
            )
        if not (self.text in ("small", "roberta") or self.text.startswith(OPEN_CLIP)):
            raise ValueError(f"text is {shortened(self.text)}: choose small, roberta or {OPEN_CLIP}NAME.")
        if max(self.image_size, self.map_size) > MOST_TOKENS * self.stride or self.image_size < self.stride:
            raise ValueError(
                f"image_size is {self.image_size} and map_size {self.map_size} at stride {self.stride}: choose 1 to"
                f" {MOST_TOKENS} tokens on a side."
            )
        for width, heads in (("width", "heads"), ("text_width", "text_heads")):
            if getattr(self, width) % getattr(self, heads):
                raise ValueError(
                    f"{width} is {getattr(self, width)} and {heads} {getattr(self, heads)}: choose a {width} that its"
                    f" {heads} divide evenly."
                )

    @property
    def own_weights(self) -> int:
        """About how many weights its own parts have, the towers that are built by name left out."""
        text = (
            self.vocabulary * self.text_width + 12 * self.text_layers * self.text_width**2
            if self.reads_captions and not self.text.startswith(OPEN_CLIP)
            else 0
        )
        return (
            8 * (self.fusion_layers + self.filter_layers * self.reads_captions // 2) * self.width**2
            + text
            + (self.image_size // self.stride) ** 2 * self.width
        )

    @property
    def reads_captions(self) -> bool:
        """The caption is asked by the product's features, so it counts only where both are inputs."""
        return {"product", "caption"} <= set(self.inputs)

    def to_json(self) -> str:
        later = {"batch_norm"}  # left out where it is the default, so that older versions read the file
        values = asdict(self)
        return json.dumps({k: v for k, v in values.items() if k not in later or v != getattr(RFNetConfig, k)})

    @classmethod
    def from_json(cls, text: str) -> "RFNetConfig":
        """Raises structured.StructureError, a ValueError, on anything else than to_json writes, keys that this version
        doesn't know among it: a silently dropped setting builds another network.
        """
        return from_json(text, cls, "it")


ARCHITECTURES = {
    "compact": RFNetConfig(map_size=160, map_encoder="stem"),
    # ResNet-50, RoBERTa-base, 384 px, width 384, 8 heads, N1 = 1, N2 = 3: arXiv:2408.00418, as far as it says. Captions
    # of 64 tokens are ours.
    "paper": RFNetConfig(
        backbone="resnet50",
        stride=32,
        image_size=384,
        map_size=384,
        width=384,
        text="roberta",
        text_width=768,
        text_layers=12,
        text_heads=12,
        vocabulary=50265,
        context=64,
    ),
    # Towers that have seen products and words together. OpenAI's own weights need ViT-B-32-quickgelu instead.
    "clip": RFNetConfig(
        backbone="open_clip/ViT-B-32",
        stride=32,
        image_size=224,
        map_size=224,
        width=256,
        text="open_clip/ViT-B-32",
        text_width=512,
        text_layers=12,
        text_heads=8,
        context=77,
    ),
}


def architecture(name_or_config) -> RFNetConfig:
    """The config of this name, or the config itself. Raises ArchitectureError on a name that isn't there."""
    if isinstance(name_or_config, RFNetConfig):
        return name_or_config
    if name_or_config not in ARCHITECTURES:
        raise ArchitectureError(
            f"there is no architecture {shortened(name_or_config)}: choose {', '.join(ARCHITECTURES)}, or give an"
            " RFNetConfig."
        )
    return ARCHITECTURES[name_or_config]


def need(module: str, purpose: str, package: str | None = None, error: type = ArchitectureError):
    """Import an optional package at the moment when it is needed.

    Raises `error`, saying for what, and how to get the package.
    """
    try:
        return importlib.import_module(module)
    except ImportError as cause:
        package = package or module
        raise error(
            f"{purpose} needs {package}, which can't be imported here ({cause}): pip install {package}."
        ) from cause
