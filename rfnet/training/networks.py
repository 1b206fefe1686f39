"""The networks of a training, and the weights that they start from."""

from dataclasses import dataclass, replace

import torch
from torch import nn

from ..architectures import VIEW
from ..data.errors import DataError
from ..maps import BACKBONE, MapNet
from ..model import RFNet, build_rfnet
from ..pretrained import load_imagenet, load_pretrained
from ..resize import resize
from ..weights import WeightsError, load_networks, read_metadata
from .checkpoint import Tensors, add_prefix, select_prefix
from .config import TrainConfig
from .processes import spare_bf16
from .scale import ScaleReader


@dataclass
class Networks:
    """rfnet; mapnet: the estimator of depth and saliency; reader: rfnet with the head of the second task (scale.py)."""

    rfnet: RFNet
    mapnet: MapNet
    reader: ScaleReader

    def state_dict(self) -> Tensors:
        return {
            **add_prefix("rfnet.", self.rfnet.state_dict()),
            **add_prefix("maps.", self.mapnet.state_dict()),
            **add_prefix("sizes.", self.reader.sizes.state_dict()),
        }

    def load_state_dict(self, tensors: Tensors) -> None:
        """What state_dict gave, among other tensors."""
        self.rfnet.load_state_dict(select_prefix("rfnet.", tensors))
        self.mapnet.load_state_dict(select_prefix("maps.", tensors))
        self.reader.sizes.load_state_dict(select_prefix("sizes.", tensors))


def start_networks(config: TrainConfig, device: torch.device) -> Networks:
    """New networks with the weights that the config names; those alike in seed are alike. Raises DataError."""
    torch.manual_seed(config.seed)
    mapnet = MapNet()
    rfnet = build_rfnet(config.architecture)
    networks = Networks(rfnet, mapnet, ScaleReader(rfnet))
    if config.init == "imagenet" and not config.weights:
        load_imagenet(rfnet.images.backbone, rfnet.config.backbone)
    if config.init == "imagenet" and config.map_epochs:
        load_imagenet(mapnet.backbone, BACKBONE)
    for path in config.weights:
        _load_weights(networks, path)
    if config.estimator:
        mapnet.load_state_dict(load_networks(config.estimator)[1].state_dict())
    if config.init == "imagenet" or config.weights:
        _freeze(rfnet, config.frozen)
    if config.precision == "bf16" and device.type == "cpu":
        spare_bf16(rfnet)
        spare_bf16(mapnet)
    mapnet.to(device)
    networks.reader.to(device)
    return networks


def _load_weights(networks: Networks, path) -> None:
    """A reviewer to go on from, or weights of its backbones (pretrained.load_pretrained)."""
    try:
        read_metadata(path)
    except WeightsError:
        load_pretrained(networks.rfnet, path)
        return
    rfnet, mapnet, _ = load_networks(path)
    if rfnet.tokenize.vocabulary:
        networks.rfnet.tokenize.use(rfnet.tokenize.vocabulary)
    if rfnet.added is not None and rfnet.feature_width == networks.rfnet.feature_width:
        networks.rfnet.added = rfnet.added  # it is trained on, too
    mine = networks.rfnet.state_dict()
    theirs = rfnet.state_dict()
    # It may have seen pictures of another size, or have more inputs than this one, an ablation of it; and this one may
    # read maps by another encoder, which then begins anew.
    theirs["images.position"] = resize(theirs["images.position"], *mine["images.position"].shape[-2:])
    shared = {name: value for name, value in theirs.items() if name in mine}
    lacking = [name for name in mine.keys() - shared.keys() if not name.startswith("stems.")]
    ours = networks.rfnet.config
    like_ours = replace(rfnet.config, **{name: getattr(ours, name) for name in ("inputs", *VIEW)})
    lost = rfnet.added is not None and networks.rfnet.added is None
    if like_ours != ours or lacking or lost or any(value.shape != mine[name].shape for name, value in shared.items()):
        raise DataError(
            f'"{path}" is a reviewer of another architecture: leave it out, or set architecture to its config'
            f" {rfnet.config.to_json()}."
        )
    networks.rfnet.load_state_dict(mine | shared)
    networks.mapnet.load_state_dict(mapnet.state_dict())


def _freeze(rfnet: RFNet, names: list[str]) -> None:
    """Keep these parts of the image encoder's backbone as they are. Raises DataError on one that it lacks."""
    modules: dict[str, nn.Module] = dict(rfnet.images.backbone.named_modules())
    for name in names:
        if name not in modules:
            raise DataError(
                f'frozen names "{name}", which the backbone {rfnet.config.backbone} lacks: take it out, or name one of'
                f" {', '.join(list(modules)[1:8])} ..."
            )
        modules[name].requires_grad_(False)
