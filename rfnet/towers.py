"""RFNet's image and text encoders, from timm, open_clip and transformers; each package is imported when its tower is
built.
"""

import inspect
import math
from collections import OrderedDict

import torch
from torch import nn

from .architectures import OPEN_CLIP, ArchitectureError, RFNetConfig, need
from .backbones import check_open_clip, check_size, check_timm
from .captions import ROBERTA_BEGIN, ROBERTA_END, ROBERTA_PAD
from .resize import resize
from .structured import shortened

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


class ImageEncoder(nn.Module):
    """Images (B, 3, S, S) in [0, 1] -> a token map (B, width, S/stride, S/stride), positions added, interpolated for
    another S.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: RFNetConfig):
        super().__init__()
        if config.backbone.startswith(OPEN_CLIP):
            self.backbone, channels, settings = clip_image_tower(config)
        else:
            self.backbone, channels, settings = timm_backbone(config)
        self.project = nn.Conv2d(channels, config.width, 1)
        grid = config.image_size // config.stride
        self.position = nn.Parameter(torch.randn(1, config.width, grid, grid) * 0.02)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(settings[name]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features = self.project(self.backbone(images)[0])
        return features + resize(self.position, *features.shape[-2:])


class MapStem(nn.Sequential):
    """A map (B, 1, S, S) in [0, 1] -> tokens (B, width, S/stride, S/stride), all 0 before training.

    What a map shows, outlines and slopes, needs no network that has learned to see, but all of its resolution. Raises
    ArchitectureError.
    """

    def __init__(self, config: RFNetConfig):
        halvings = int(math.log2(config.stride)) - 2
        if halvings < 0 or 4 * 2**halvings != config.stride:
            raise ArchitectureError(
                f"map_encoder \"stem\" halves a map to the picture's tokens and can't meet stride {config.stride}:"
                ' choose 4, 8, 16 or 32, or map_encoder "shared".'
            )
        layers: list[nn.Module] = [nn.Conv2d(1, 32, 7, 4, 3)]
        channels = 32
        for _ in range(halvings):
            layers += [nn.GELU(), nn.Conv2d(channels, 2 * channels, 3, 2, 1)]
            channels *= 2
        last = nn.Conv2d(channels, config.width, 1)
        super().__init__(*layers, nn.GELU(), last)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)


def timm_backbone(config: RFNetConfig, file=None):
    """A timm backbone, cut behind the feature map of config.stride, its BatchNorms as config.batch_norm says ->
    (module, channels, mean and std).

    file: a safetensors file of the whole timm model to start from; None starts from random numbers. Raises
    ArchitectureError.
    """
    settings = _timm(config.backbone).get_pretrained_cfg(config.backbone, allow_unregistered=True)
    options: dict = {}
    if settings is not None and settings.fixed_input_size:
        # a transformer: positions for our size, interpolated for the maps'
        options |= {"img_size": config.image_size, "dynamic_img_size": True}
    if file is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file), "custom_load": False}}
    backbone, channels, statistics = _timm_features(
        config.backbone, (config.stride,), options, config.batch_norm == "folded"
    )
    return backbone, channels[0], statistics


def timm_pyramid(name: str, strides: tuple):
    """A timm backbone that gives its feature maps at all of these strides, from random numbers -> (module, channels,
    mean and std).
    """
    return _timm_features(name, strides, {})


def _timm(name: str):
    """The package timm, once it is sure that it holds a backbone of this name itself. Raises ArchitectureError."""
    timm = need("timm", f'the image encoder "{name}"')
    check_timm(name)
    return timm


def _timm_features(name: str, strides, options: dict, folded: bool = True):
    timm = _timm(name)
    options = {"features_only": True, "pretrained": False} | options
    try:
        info = timm.create_model(name, **(options | {"pretrained": False})).feature_info.info
        last = {step["reduction"]: level for level, step in enumerate(info)}
        for stride in strides:
            if stride not in last:
                raise ArchitectureError(
                    f'"{name}" has no feature map at stride {stride}: choose one of {sorted(last)}.'
                )
        levels = [last[stride] for stride in strides]
        backbone = timm.create_model(name, out_indices=tuple(levels), **options)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ArchitectureError):
            raise
        said = shortened(str(error), 150)[1:-1]
        raise ArchitectureError(
            f'timm {timm.__version__} can\'t build the backbone "{name}" ({said}): take another, or a newer timm'
            " (vision transformers need 1.0.3)."
        ) from error
    if hasattr(backbone, "blocks") and "stage" in info[levels[-1]]:
        backbone.blocks = backbone.blocks[: info[levels[-1]]["stage"]]  # timm keeps the stages behind the last map
    if folded:
        fold_batch_norm(backbone)
    backbone.to(memory_format=torch.channels_last)  # the faster layout on CPUs too
    settings = timm.get_pretrained_cfg(name, allow_unregistered=True)
    statistics = IMAGENET if settings is None else {"mean": settings.mean, "std": settings.std}
    return backbone, [info[level]["num_chs"] for level in levels], statistics


def fold_batch_norm(module: nn.Module) -> None:
    """Fold every BatchNorm into the convolution before it, in place.

    Statistics of small, skewed batches would spoil a pretrained backbone; folded, its ImageNet statistics stay, one
    image's verdict can't depend on its neighbours in the batch, and it runs about a third faster on a CPU.
    """
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    names = list(module._modules)
    for name, following in zip(names, [*names[1:], ""]):
        child = module._modules[name]
        norm = module._modules.get(following)
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.modules.batchnorm._BatchNorm):
            fused = fuse_conv_bn_eval(child.eval(), norm.eval())
            module._modules[name] = fused.requires_grad_()  # PyTorch leaves a new bias frozen
            module._modules[following] = getattr(norm, "act", nn.Identity())
        elif child is not None:
            fold_batch_norm(child)


class ClipImages(nn.Module):
    """open_clip's vision transformer, seen through its patch tokens: (B, 3, S, S) -> [(B, channels, S/patch,
    S/patch)].
    """

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual

    def forward(self, images: torch.Tensor) -> list:
        tokens = self.visual(images)[1]
        return [tokens.transpose(1, 2).unflatten(2, self.visual.grid_size)]


def clip_image_tower(config: RFNetConfig):
    """-> (module, channels, mean and std).

    Raises ArchitectureError for anything but a plain vision transformer of this stride.
    """
    open_clip, described = clip_config(config.backbone)
    visual = open_clip.model._build_vision_tower(
        described["embed_dim"],
        {**described["vision_cfg"], "image_size": config.image_size},
        described.get("quick_gelu", False),
    )
    if not hasattr(visual, "grid_size") or getattr(visual, "attn_pool", None) is not None:
        raise ArchitectureError(
            f'the image tower of "{config.backbone}" is no plain vision transformer: choose one such as'
            f" {OPEN_CLIP}ViT-B-32."
        )
    if (
        visual.patch_size[0] != config.stride
        or config.image_size % config.stride
        or config.map_size != config.image_size
    ):
        raise ArchitectureError(
            f'"{config.backbone}" cuts images into patches of {visual.patch_size[0]}: set'
            f" stride={visual.patch_size[0]}, an image_size that is a multiple of it, and map_size=image_size (they are"
            f" {config.stride}, {config.image_size}, {config.map_size})."
        )
    visual.proj, visual.output_tokens = None, True  # the shared space of images and texts isn't used here
    settings = {"mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD} | described.get(
        "preprocess_cfg", {}
    )
    return ClipImages(visual), visual.conv1.out_channels, settings


def clip_text_tower(config: RFNetConfig) -> nn.Module:
    """The text tower, every token's last state as its second output.

    Raises ArchitectureError where its context is another.
    """
    open_clip, described = clip_config(config.text)
    text = open_clip.model._build_text_tower(
        described["embed_dim"], described["text_cfg"], described.get("quick_gelu", False)
    )
    if text.context_length != config.context:
        raise ArchitectureError(
            f'"{config.text}" reads {text.context_length} tokens: set context={text.context_length}.'
        )
    text.text_projection, text.output_tokens = None, True
    return text


def clip_config(name: str):
    """-> (the package open_clip, its own description of the model with this name). Raises ArchitectureError."""
    open_clip = need("open_clip", f'"{name}"', "open_clip_torch")
    if "final_ln_after_pool" not in inspect.signature(open_clip.transformer.VisionTransformer).parameters:
        raise ArchitectureError(
            f'"{name}" needs open_clip_torch 2.23 or newer, whose image tower gives other numbers than older ones:'
            ' update it, or use "compact", which needs none of its towers.'
        )
    short = name.removeprefix(OPEN_CLIP)
    check_open_clip(open_clip, short)
    described = open_clip.get_model_config(short)
    if {"hf_model_name", "hf_tokenizer_name"} & set(described["text_cfg"]) or "timm_model_name" in described[
        "vision_cfg"
    ]:
        raise ArchitectureError(
            f'"{short}" takes parts from a model hub: choose an open_clip model with towers and vocabulary of CLIP,'
            " such as ViT-B-32."
        )
    check_size(short, described)
    return open_clip, described


def text_encoder(config: RFNetConfig) -> "ClipText | RobertaEncoder":
    """The text encoder of this config: tokens (B, L) -> (features (B, L, .width), mask (B, L) that is True on
    padding).
    """
    if config.text == "roberta":
        return RobertaEncoder(config)
    return ClipText(config)


class ClipText(nn.Module):
    """A transformer over CLIP's vocabulary: a small one that starts from nothing, or the text tower of an open_clip
    model.
    """

    def __init__(self, config: RFNetConfig):
        super().__init__()
        self.transformer = SmallTransformer(config) if config.text == "small" else clip_text_tower(config)
        self.width: int = self.transformer.width  # type: ignore[assignment]  # torch: "Tensor | Module"

    def forward(self, tokens: torch.Tensor):
        end = tokens.argmax(1, keepdim=True)  # the end mark has the highest id
        padding = torch.arange(tokens.shape[1], device=tokens.device) > end
        return self.transformer(tokens)[1], padding


class SmallTransformer(nn.Module):
    """A text transformer that reads both ways and starts from nothing, of PyTorch's own layers: tokens (B, L) -> (None,
    states (B, L, width)).

    Modules, their names and their first random numbers are those of CLIP's text tower, because weights files hold these
    names.
    """

    def __init__(self, config: RFNetConfig):
        super().__init__()
        self.width = config.text_width
        self.token_embedding = nn.Embedding(config.vocabulary, self.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context, self.width))
        self.transformer = TextBlocks(self.width, config.text_heads, config.text_layers)
        self.ln_final = nn.LayerNorm(self.width)
        self._start()

    def _start(self) -> None:
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        for block in self.transformer:
            nn.init.normal_(block.attn.in_proj_weight, std=self.width**-0.5)
            nn.init.normal_(block.attn.out_proj.weight, std=(2 * len(self.transformer) * self.width) ** -0.5)
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * self.width) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=(2 * len(self.transformer) * self.width) ** -0.5)

    def forward(self, tokens: torch.Tensor) -> tuple:
        states = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        # as numbers, not as bool: PyTorch takes a short cut for bool masks, whose verdicts differ in the seventh digit
        padding = torch.zeros_like(states[..., 0]).masked_fill(tokens == 0, -math.inf)
        for block in self.transformer:
            states = block(states, padding)
        return None, self.ln_final(states)


class TextBlocks(nn.Module):
    """Nothing but a name in front of the blocks' own, as weights files have it."""

    def __init__(self, width: int, heads: int, layers: int):
        super().__init__()
        self.resblocks = nn.ModuleList(TextBlock(width, heads) for _ in range(layers))

    def __iter__(self):
        return iter(self.resblocks)

    def __len__(self) -> int:
        return len(self.resblocks)


class TextBlock(nn.Module):
    """Self-attention, then a small network, each added to what came in: states (B, L, width), padding (B, L), -inf
    where nothing is to be read, else 0.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(width, 4 * width), gelu=nn.GELU(), c_proj=nn.Linear(4 * width, width))
        )

    def forward(self, states: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        asked = self.ln_1(states)
        states = states + self.attn(asked, asked, asked, key_padding_mask=padding, need_weights=False)[0]
        return states + self.mlp(self.ln_2(states))


class RobertaEncoder(nn.Module):
    """transformers' RoBERTa (arXiv:1907.11692), every token's last state."""

    def __init__(self, config: RFNetConfig):
        super().__init__()
        transformers = need("transformers", "the text encoder RoBERTa")
        self.width = config.text_width
        self.transformer = transformers.RobertaModel(
            transformers.RobertaConfig(
                vocab_size=config.vocabulary,
                hidden_size=config.text_width,
                num_hidden_layers=config.text_layers,
                num_attention_heads=config.text_heads,
                intermediate_size=4 * config.text_width,
                max_position_embeddings=514,
                type_vocab_size=1,
                layer_norm_eps=1e-5,
                pad_token_id=ROBERTA_PAD,
                bos_token_id=ROBERTA_BEGIN,
                eos_token_id=ROBERTA_END,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,  # as everywhere in RFNet: a repeated step gives the same step
            ),
            add_pooling_layer=False,
        )
        embeddings = self.transformer.embeddings
        embeddings.register_buffer(
            "position_ids", embeddings.position_ids, persistent=False
        )  # transformers 4.30 would write them into weights files

    def forward(self, tokens: torch.Tensor):
        padding = tokens == ROBERTA_PAD
        return self.transformer(input_ids=tokens, attention_mask=(~padding).long()).last_hidden_state, padding
