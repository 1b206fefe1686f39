"""What a training run depends on: a dataclass, read from a TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..architectures import ArchitectureError, RFNetConfig, architecture
from ..data.errors import DataError
from ..data.rf1m import numbers_of
from ..map_names import MapNames, map_name, parse_maps
from ..structured import StructureError, check_fields, convert, shortened
from .toml_config import read_toml_config

FROZEN = ("conv_stem", "blocks.0", "blocks.1", "blocks.2")  # of compact's image encoder
PATHS = ("train", "val", "train_maps", "val_maps", "weights", "roundtrip")
Path_ = Annotated[str, Meta(min_length=1)]
Paths = list[Path_]
Whole = Annotated[int, Meta(ge=1, le=10**9)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Rate = Annotated[float, Meta(gt=0, le=100)]
Precision = Literal["no", "bf16"]  # fp16 would need a loss scale, whose state a resumed run would have to know too


@dataclass
class TrainConfig:
    """train, val: data as sources.open_samples reads it (folders of shards, tables, RF1M); out: the weights file.

    Paths in a TOML file are relative to that file. `architecture` is a name of ARCHITECTURES or a table of
    RFNetConfig's fields.
    """

    train: Paths
    val: Paths
    out: Path_
    architecture: Any = "compact"
    init: Literal["imagenet", "random"] = "imagenet"
    weights: Paths = field(
        default_factory=list
    )  # backbone weights on disk (pretrained.load_pretrained), or one reviewer to go on from, with these inputs or more
    train_maps: Paths = field(
        default_factory=list
    )  # folders of `rfnet maps`, one per entry of train: RFNet learns from these and not from its own estimator's
    val_maps: Paths = field(default_factory=list)
    roundtrip: Paths = field(
        default_factory=list
    )  # .npy of the first training images after a VAE; half of the pictures that have one take it
    estimator: Path_ | None = None  # a reviewer whose estimator of depth and saliency is taken over
    epochs: Positive = 6
    map_epochs: Annotated[float, Meta(ge=0, le=1e6)] = (
        # of the depth and saliency estimator, which is trained first; 0 leaves the one that `weights` or `estimator`
        # brought
        3
    )
    minutes: Positive | None = None  # end by the clock instead of by epochs, a quarter of it for the maps
    batch: Annotated[int, Meta(ge=1, le=65_536)] = 32  # pictures per step, over all processes together
    lr: Rate = 1e-3  # of what starts from nothing
    backbone_lr: Annotated[float, Meta(ge=0, le=100)] = (
        3e-4  # of the image encoder, and of a text tower that is pretrained
    )
    weight_decay: Annotated[float, Meta(ge=0, le=100)] = 0.02
    smoothing: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    balance: Annotated[float, Meta(ge=0, le=10)] = (
        # 0: labels weigh as they occur, 1: all labels weigh alike; more than 0 makes p(available) too small until it is
        # calibrated
        0.0
    )
    labels: Literal[2, 5] = 5  # or 2: the loss only asks whether a picture is available (an ablation of the paper)
    scale: Annotated[float, Meta(ge=0, le=1000)] = (
        # weight of the second task, to read the product's size and the one it is shown at (scale.py), where the data
        # know both; 0: none
        0.5
    )
    augment: bool = True
    frozen: list[str] = field(
        default_factory=lambda: list(FROZEN)
    )  # of the backbone: edges and textures of ImageNet hold here too
    precision: Precision = "no"
    workers: Annotated[int, Meta(ge=0, le=256)] = 0  # processes that read pictures and augment them
    limit: Whole | None = None  # use only so many samples of each list, for a look
    save_every: Whole = 100  # steps
    tensorboard: bool = False
    seed: Annotated[int, Meta(ge=0)] = 0
    schedule: Literal["cosine", "step"] = "cosine"  # of the learning rates, see step.learning_rate
    label_numbers: Literal["page", "ours"] | dict[str, str] | None = (
        # how a label.txt of RF1M counts: "page" (1 to 6, as the data set's page lists the labels), "ours" (0 to 5), or
        # a table of numbers and labels; None: from 0, and numbers without a 0 are refused
        None
    )
    own_maps: str | dict[str, str] | None = (
        # RFNet learns from the depth and saliency that came with the data, and not from an estimator's: what made them,
        # such as {depth = "dpt-large", saliency = "u2net"}
        None
    )

    def __post_init__(self):
        for name in PATHS:
            value = getattr(self, name)
            value = [value] if isinstance(value, (str, Path)) else list(value) if isinstance(value, tuple) else value
            setattr(
                self,
                name,
                [str(path) if isinstance(path, Path) else path for path in value] if isinstance(value, list) else value,
            )
        self.out = str(self.out) if isinstance(self.out, Path) else self.out
        self.frozen = list(self.frozen) if isinstance(self.frozen, tuple) else self.frozen
        self.estimator = str(self.estimator) if isinstance(self.estimator, Path) else self.estimator
        try:
            check_fields(self)
            if isinstance(self.architecture, dict):
                self.architecture = convert(self.architecture, RFNetConfig, "architecture")
        except StructureError as error:
            raise DataError(str(error)) from error
        if not isinstance(self.architecture, (str, RFNetConfig)):
            raise DataError(f"architecture is {shortened(self.architecture)}: give a name or a table.")
        try:
            self.architecture = architecture(self.architecture)
        except ArchitectureError as error:
            raise DataError(str(error)) from error
        numbers_of(self.label_numbers)
        if self.own_map_name and (self.train_maps or self.val_maps):
            raise DataError("own_maps takes the maps that came with the data: leave out train_maps and val_maps.")
        for data, maps in ((self.train, self.train_maps), (self.val, self.val_maps)):
            if (self.train_maps or self.val_maps) and len(data) != len(maps):
                raise DataError(
                    f"train_maps and val_maps name {len(maps)} folders of maps for {len(data)} of data: give one for"
                    " each, or none at all."
                )

    @property
    def own_map_name(self) -> str:
        """own_maps as weights record it (map_names.map_name), empty where RFNet doesn't learn from such. Raises
        DataError.
        """
        if self.own_maps is None:
            return ""
        try:
            names = parse_maps(self.own_maps) if isinstance(self.own_maps, str) else self.own_maps
            return map_name(**msgspec.to_builtins(convert(names, MapNames, "own_maps")))
        except (StructureError, ValueError) as error:
            raise DataError(f"own_maps can't be used ({error}): say what made depth and saliency.") from error

    def identity(self) -> dict:
        """What a state must agree with to be gone on from: everything but where files lie and how often they are
        written.
        """
        values = {
            name: value
            for name, value in asdict(self).items()
            if name not in (*PATHS, "out", "save_every", "workers", "tensorboard")
        }
        return {
            **values,
            "weights": [Path(path).name for path in self.weights],
            "estimator": self.estimator and Path(self.estimator).name,
        }


def read_config(path, /, **changes) -> TrainConfig:
    """A TrainConfig from a TOML file; changes: fields that stand above the file's.

    Raises DataError, which names what is wrong.
    """
    return read_toml_config(path, TrainConfig, DataError, (*PATHS, "out", "estimator"), changes)
