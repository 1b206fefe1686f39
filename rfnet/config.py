"""What a training run depends on: a dataclass, read from a TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from .architectures import ArchitectureError, RFNetConfig, architecture
from .data import DataError
from .textfiles import TextError, read_toml, toml_reader

PATHS = ("train", "val", "train_maps", "val_maps", "weights", "roundtrip")
PRECISIONS = ("no", "bf16")  # fp16 would need a loss scale, whose state a resumed run would have to know too


@dataclass
class TrainConfig:
    """train, val: data as sources.open_samples reads it (folders of shards, tables, RF1M); out: the weights file.

    Paths in a TOML file are relative to that file. `architecture` is a name of ARCHITECTURES or a table of RFNetConfig's fields.
    """

    train: list
    val: list
    out: str
    architecture: object = "compact"
    init: str = "imagenet"  # or "random"
    weights: list = field(default_factory=list)  # backbone weights on disk (pretrained.load_pretrained), or one reviewer to go on from, with these inputs or more
    train_maps: list = field(default_factory=list)  # folders of `rfnet maps`, one per entry of train: RFNet learns from these and not from its own estimator's
    val_maps: list = field(default_factory=list)
    roundtrip: list = field(default_factory=list)  # .npy of the first training images after a VAE; half of the pictures that have one take it
    estimator: str | None = None  # a reviewer whose estimator of depth and saliency is taken over
    epochs: float = 6
    map_epochs: float = 3  # of the depth and saliency estimator, which is trained first; 0 leaves the one that `weights` or `estimator` brought
    minutes: float | None = None  # end by the clock instead of by epochs, a quarter of it for the maps
    batch: int = 32  # pictures per step, over all processes together
    lr: float = 1e-3  # of what starts from nothing
    backbone_lr: float = 3e-4  # of the image encoder, and of a text tower that is pretrained
    weight_decay: float = 0.02
    smoothing: float = 0.05
    balance: float = 0.0  # 0: labels weigh as they occur, 1: all labels weigh alike; more than 0 makes p(available) too small until it is calibrated
    labels: int = 5  # or 2: the loss only asks whether a picture is available (an ablation of the paper)
    scale: float = 0.5  # weight of the second task, to read the product's size and the one it is shown at (scale.py), where the data know both; 0: none
    augment: bool = True
    frozen: list = field(default_factory=lambda: ["conv_stem", "blocks.0", "blocks.1", "blocks.2"])  # of the backbone: edges and textures of ImageNet hold here too
    precision: str = "no"
    workers: int = 0  # processes that read pictures and augment them
    limit: int | None = None  # use only so many samples of each list, for a look
    save_every: int = 100  # steps
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self):
        for name in PATHS:
            value = getattr(self, name)
            setattr(self, name, [str(value)] if isinstance(value, (str, Path)) else [str(path) for path in value])
        if isinstance(self.architecture, dict):
            self.architecture = RFNetConfig(**self.architecture)
        self.architecture = architecture(self.architecture)
        for data, maps in ((self.train, self.train_maps), (self.val, self.val_maps)):
            if (self.train_maps or self.val_maps) and len(data) != len(maps):
                raise DataError(f"train_maps and val_maps name {len(maps)} folders of maps for {len(data)} of data: give one for each, or none at all.")
        positive = ("epochs", "batch", "lr", "save_every")
        for name in positive:
            if not getattr(self, name) > 0:
                raise DataError(f"{name} is {getattr(self, name)}: it must be more than 0.")
        if not 0 <= self.scale < float("inf"):
            raise DataError(f"scale is {self.scale}: it must be 0, for no second task, or more.")
        for name, choices in (("precision", PRECISIONS), ("init", ("imagenet", "random")), ("labels", (2, 5))):
            if getattr(self, name) not in choices:
                raise DataError(f"{name} is {getattr(self, name)!r}: use one of {', '.join(map(str, choices))}.")

    def identity(self) -> dict:
        """What a state must agree with to be gone on from: everything but where files lie and how often they are written."""
        values = {name: value for name, value in asdict(self).items() if name not in (*PATHS, "out", "save_every", "workers", "tensorboard")}
        return {**values, "weights": [Path(path).name for path in self.weights], "estimator": self.estimator and Path(self.estimator).name}


def changes(pairs: list) -> dict:
    """{key: value} out of "key=value" texts, the values as TOML has them; a word without quotes is a text. Raises DataError."""
    try:
        toml, found = toml_reader(), {}
    except TextError as error:
        raise DataError(str(error)) from None
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise DataError(f'"{pair}" is no change of the config: write key=value, such as epochs=2.')
        try:
            found |= toml.loads(f"{key} = {value}")
        except ValueError:
            found[key.strip()] = value
    return found


def read_config(path, **changes) -> TrainConfig:
    """A TrainConfig from a TOML file; changes: fields that stand above the file's. Raises DataError, which names what is wrong."""
    path = Path(path)
    try:
        values = read_toml(path)
    except TextError as error:
        raise DataError(f"the config {error}") from error
    known = {entry.name for entry in fields(TrainConfig)}
    if unknown := sorted(set(values) - known):
        raise DataError(f'the config "{path}" has unknown keys: {", ".join(unknown)}. Known are {", ".join(sorted(known))}.')
    beside = lambda value: str(path.parent / value)
    for name in PATHS:
        if name in values:
            values[name] = [beside(value) for value in ([values[name]] if isinstance(values[name], str) else values[name])]
    values |= {name: beside(values[name]) for name in ("out", "estimator") if name in values}
    if unknown := sorted(set(changes) - known):
        raise DataError(f"there is no key {', '.join(unknown)} to set. Known are {', '.join(sorted(known))}.")
    values |= {name: value for name, value in changes.items() if value is not None}
    if missing := [name for name in ("train", "val", "out") if name not in values]:
        raise DataError(f'the config "{path}" lacks {", ".join(missing)}: name the data and the weights file there or on the command line.')
    try:
        return TrainConfig(**values)
    except (TypeError, ValueError, ArchitectureError) as error:
        raise DataError(f'the config "{path}" can\'t be used: {error}') from error
