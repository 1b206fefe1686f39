"""RFNet (arXiv:2408.00418): product, generated image, depth, saliency and caption in, five logits out."""

import torch
from torch import nn

from .architectures import ARCHITECTURES, IMAGES, MAPS, RFNetConfig, architecture
from .captions import Tokenizer
from .head import AddedHead
from .labels import LABELS
from .resize import resize
from .towers import ClipText, ImageEncoder, MapStem, RobertaEncoder, text_encoder


class FeatureFilter(nn.Module):
    """e_f = Conv( Conv(CrossAttn(q=e_o, kv=e_c)) * Conv(e_o) ) + e_o: what of the product the caption speaks about."""

    def __init__(self, width: int, heads: int, text_width: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, kdim=text_width, vdim=text_width, batch_first=True)
        self.from_caption, self.from_product, self.out = (nn.Conv2d(width, width, 1) for _ in range(3))

    def forward(self, product: torch.Tensor, caption: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        query = product.flatten(2).transpose(1, 2)
        asked, _ = self.attention(query, caption, caption, key_padding_mask=padding, need_weights=False)
        asked = asked.transpose(1, 2).view_as(product)
        return self.out(self.from_caption(asked) * self.from_product(product)) + product


class RFNet(nn.Module):
    """One shared image encoder, a feature filter between product and caption, self-attention over all tokens, a linear
    head.

    Pictures of any shape are resized to the square that the config names, portrait and landscape alike: all four images
    of a sample share one shape, so their tokens still lie over each other.
    """

    config: RFNetConfig
    text: ClipText | RobertaEncoder

    def __init__(self, config: RFNetConfig = ARCHITECTURES["compact"]):
        super().__init__()
        self.config = config
        self.tokenize = Tokenizer(config)
        width = config.width
        self.images = ImageEncoder(config)
        with_stem = [name for name in MAPS if name in config.inputs and config.map_encoder == "stem"]
        self.stems = nn.ModuleDict({name: MapStem(config) for name in with_stem})
        self.filters = nn.ModuleList()
        if config.reads_captions:
            self.text = text_encoder(config)
            for _ in range(config.filter_layers):
                self.filters.append(FeatureFilter(width, config.heads, self.text.width))
        shared = [name for name in IMAGES if name in config.inputs and name not in self.stems]
        self.kinds = nn.ParameterDict({name: nn.Parameter(torch.randn(width, 1, 1) * 0.02) for name in shared})
        self.verdict = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.fusion = nn.TransformerEncoder(
            layer, config.fusion_layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, len(LABELS))
        self.added: AddedHead | None = None  # what was learned from a user's labels, where a weights file brings it

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

    def forward(
        self,
        product,
        generated,
        depth,
        saliency,
        tokens,
        product_features=None,
        states: list | None = None,
        features: list | None = None,
    ) -> torch.Tensor:
        """Logits (B, 5) in the order of LABELS.

        product, generated: (B, 3, H, W) in [0, 1]; depth, saliency: (B, 1, H, W) in [0, 1]; tokens: (B, L).
        product_features: what encode_product gave, for B or for one product; product and tokens are then not looked at.
        states: a list to which the tokens of `verdicts` are added, for what else is to be read off them. features: one
        to which the features (B, feature_width) of `features` are added.
        """
        maps = self.token_maps(product, generated, depth, saliency, tokens, product_features)
        return self.judge(maps, states, features)

    def token_maps(self, product, generated, depth, saliency, tokens, product_features=None) -> dict:
        """What each image becomes before the fusion: {name: (B, width, h, w)} for the config's images; arguments as in
        forward.
        """
        size = self.config.image_size
        encoders = {
            "product": lambda: self.encode_product(product, tokens) if product_features is None else product_features,
            "generated": lambda: self._encode(generated, size),
            "depth": lambda: self._encode_map("depth", depth),
            "saliency": lambda: self._encode_map("saliency", saliency),
        }
        maps = {name: encoders[name]() for name in IMAGES if name in self.config.inputs}
        return {
            name: features + self.kinds[name] if name in self.kinds else features for name, features in maps.items()
        }

    def judge(self, maps: dict, states: list | None = None, features: list | None = None) -> torch.Tensor:
        """Logits (B, 5) from token_maps; one map may stand for the whole batch. states, features: as in
        forward.
        """
        fused = self._fuse(maps)
        verdicts = self._verdicts_of(fused)
        if states is not None:
            states += verdicts
        logits = self.head(verdicts[-1])
        if self.added is None and features is None:
            return logits
        seen = self._features_of(maps, fused, verdicts)
        if features is not None:
            features.append(seen)
        return logits if self.added is None else self.added(logits, seen)

    def verdicts(self, maps: dict) -> list:
        """The verdict token (B, width) before the fusion's first layer and after each."""
        return self._verdicts_of(self._fuse(maps))

    def features(self, maps: dict) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits (B, 5), features (B, feature_width)) from token_maps: the verdict token after each layer of the
        fusion, and the mean of each image's tokens after the last: what an added head reads.

        The logits are those of the network itself, without an added head.
        """
        fused = self._fuse(maps)
        verdicts = self._verdicts_of(fused)
        return self.head(verdicts[-1]), self._features_of(maps, fused, verdicts)

    @property
    def feature_width(self) -> int:
        """How many features an added head reads."""
        images = [name for name in IMAGES if name in self.config.inputs]
        images = [name for name in images if name == "product"] + ["generated"] if self.stems else images
        return (self.config.fusion_layers + len(images)) * self.config.width

    def _laid_over(self, maps: dict) -> dict:
        """token_maps by the image whose places they lie on: what stems give lies on the generated picture."""
        if not self.stems:
            return maps
        over = sum(features for name, features in maps.items() if name != "product")
        return {name: features for name, features in maps.items() if name == "product"} | {"generated": over}

    def _fuse(self, maps: dict) -> list:
        """All tokens (B, 1 + places, width) before the fusion's first layer and after each, the verdict's first."""
        batch = max(len(features) for features in maps.values())
        images = self._laid_over(maps).values()
        tokens = [features.flatten(2).transpose(1, 2).expand(batch, -1, -1) for features in images]
        states = [torch.cat([self.verdict.expand(batch, -1, -1), *tokens], 1)]
        for layer in self.fusion.layers:
            states.append(layer(states[-1]))
        return states

    def _verdicts_of(self, fused: list) -> list:
        return [self._norm(state[:, 0]) for state in fused]

    def _features_of(self, maps: dict, fused: list, verdicts: list) -> torch.Tensor:
        places = [features.shape[-2] * features.shape[-1] for features in self._laid_over(maps).values()]
        of_images = self._norm(fused[-1][:, 1:]).split(places, 1)
        return torch.cat([*verdicts[1:], *(tokens.mean(1) for tokens in of_images)], 1)

    @property
    def _norm(self) -> nn.Module:
        norm = self.fusion.norm
        assert norm is not None  # given in __init__
        return norm

    def _encode_map(self, name: str, image: torch.Tensor) -> torch.Tensor:
        size = self.config.map_size
        return self.stems[name](resize(image, size, size)) if name in self.stems else self._encode(image, size)

    def _encode(self, images: torch.Tensor, size: int) -> torch.Tensor:
        return self.images(resize(images, size, size).expand(-1, 3, -1, -1))


def build_rfnet(name_or_config) -> RFNet:
    """An untrained RFNet: "compact", "paper", "clip", or any RFNetConfig.

    Raises ArchitectureError, naming what isn't installed.
    """
    return RFNet(architecture(name_or_config))
