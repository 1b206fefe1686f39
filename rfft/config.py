"""What a fine-tuning depends on: a dataclass, read from a TOML file, and checked before anything large is loaded."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from ..rfnet.files import quoted
from ..rfnet.structured import StructureError, check_fields, convert, shortened
from ..rfnet.training.toml_config import make_config, read_toml_config
from ..rfnet.weights import DEFAULT_WEIGHTS
from .files import fingerprint
from .losses import LOSSES
from .rollout import Sampling

Whole = Annotated[int, Meta(ge=1, le=10**9)]
Few = Annotated[int, Meta(ge=1, le=1000)]
Positive = Annotated[float, Meta(gt=0, le=100)]
Share = Annotated[float, Meta(ge=0, le=1)]
PATHS = ("checkpoint", "controlnet", "reviewer", "products", "prompts", "folder")
NAME = re.compile(r"[A-Za-z0-9_\-]+")


class ConfigError(ValueError):
    """A training can't begin; the message says what is wrong, where, and what to do."""


@dataclass
class Lora:
    """A LoRA in kohya's layout, which is folded into the frozen UNet and text encoders."""

    file: Annotated[str, Meta(min_length=1)]
    strength: Annotated[float, Meta(ge=-100, le=100)] = 1.0


@dataclass
class TrainConfig:
    """checkpoint, controlnet: the models; products: folder of cut-outs; prompts: text file, one per line; the result is
    folder/name.safetensors.

    Paths in a TOML file are relative to that file. One step draws batch * accumulation pictures in each process, then
    makes gradient_steps updates.
    """

    checkpoint: str
    controlnet: str
    products: str
    prompts: str
    folder: str
    name: str
    reviewer: str = str(DEFAULT_WEIGHTS)
    family: str = "diffusers"  # which loader reads checkpoint and controlnet
    loras: list = field(default_factory=list)  # {file, strength} each, see Lora
    size: int = 512  # side of the canvas, pixels
    image_scale: Annotated[float, Meta(gt=0, le=1)] = 0.72  # share of the canvas that a product takes

    steps: Whole = 200
    batch: Few = 4
    accumulation: Few = 1  # batches per update
    gradient_steps: Few = 4  # differentiable steps, each with an update, per rollout; 1 is the paper's schedule
    last_steps: Few = 10  # K: they are drawn among the last K of a rollout
    loss: str = "cc"  # a name of losses.LOSSES: what is added to the feedback
    beta: Annotated[float, Meta(ge=0, le=1e6)] = 0.05  # how much of it
    through_maps: bool = True  # whether gradient flows through the reviewer's depth and saliency
    lr: Positive = 1e-4
    warm_up: Annotated[int, Meta(ge=0, le=10**9)] = 10  # updates
    weight_decay: Annotated[float, Meta(ge=0, le=100)] = 0.0
    # Decay of the moving average, which is what is evaluated and written
    ema: Annotated[float, Meta(ge=0, le=0.99999)] = 0.99
    rank: Annotated[int, Meta(ge=1, le=4096)] = 16
    # Recompute activations of ControlNet, UNet and VAE: less memory, about a third more time
    checkpointing: bool = True
    precision: Literal["no", "bf16"] = "no"
    half_base: bool = False  # keep the frozen networks in bfloat16: half of their memory; needs precision bf16
    optimizer: Literal["adamw", "adamw8bit"] = "adamw"  # adamw8bit: moments in 8 bits, by bitsandbytes

    sampler: Literal["ddim", "dpmpp_2m", "euler"] = "ddim"  # flow-matching models: euler
    sampling_steps: Few = 40
    guidance: Positive = 7.5  # scale of classifier-free guidance; 1 = off
    # False: training draws without guidance, at half of the passes; evaluation still has it
    rollout_guidance: bool = True
    strength: Positive = 1.0  # of the ControlNet
    null_prompt: str = ""

    evaluate_every: Whole = 20  # steps
    evaluation_products: Whole = 32
    evaluation_seeds: Annotated[int, Meta(ge=2, le=1000)] = 3  # pictures per product
    diversity_loss: Share = 0.3  # stop when more than this share of the diversity is gone while the rate has risen
    save_every: Whole = 5  # steps
    minimum_ap: Share = 0.75  # a reviewer below this average precision teaches its own mistakes
    force: bool = False  # use it all the same
    seed: Annotated[int, Meta(ge=0)] = 0
    # Flow-matching models: further files where the checkpoint is a transformer alone (VAE, text encoders, the folder of
    # a tokenizer)
    parts: list = field(default_factory=list)
    told_guidance: Positive = 3.5  # what guidance-distilled models such as Flux.1 dev are told; guidance is 1 there

    def __post_init__(self):
        try:
            check_fields(self)
        except StructureError as error:
            raise ConfigError(str(error)) from error
        if self.loss not in LOSSES:
            raise ConfigError(f"loss is {shortened(self.loss)}: use one of {', '.join(LOSSES)}.")
        if self.gradient_steps > min(self.last_steps, self.sampling_steps):
            raise ConfigError(
                f"gradient_steps is {self.gradient_steps}, but there are only"
                f" {min(self.last_steps, self.sampling_steps)} steps to take them from. Lower it, or raise last_steps."
            )
        if not all(isinstance(part, str) and part for part in self.parts):
            raise ConfigError('parts are paths: write parts = ["vae.safetensors", "text_encoder.safetensors"].')
        if self.half_base and self.precision != "bf16":
            raise ConfigError(
                f'half_base keeps networks in bfloat16, but precision is "{self.precision}": set precision = "bf16"'
                " too, or half_base = false."
            )
        for number, lora in enumerate(self.loras):
            try:
                convert(lora, Lora, f"loras[{number}]")
            except StructureError as error:
                raise ConfigError(
                    f'the LoRA can\'t be used ({str(error).rstrip(".")}): write loras = [{{file = "style.safetensors",'
                    " strength = 0.8}]."
                ) from error
        if self.size % 8 or not 64 <= self.size <= 4096:
            raise ConfigError(f"size is {self.size}: it must be a multiple of 8 between 64 and 4096.")
        if not NAME.fullmatch(self.name):
            raise ConfigError(
                f'the result\'s name is "{self.name}": use letters, digits, - and _ only. "folder" says where it goes,'
                " and .safetensors is added."
            )

    @property
    def result(self) -> Path:
        return Path(self.folder) / f"{self.name}.safetensors"

    @property
    def last(self) -> Path:
        """The adapter of the latest evaluation or, where a run was broken off, of its last step. `result` is the best
        one.
        """
        return Path(self.folder) / f"{self.name}.last.safetensors"

    @property
    def state(self) -> Path:
        """The checkpoint that a run goes on from: weights, their average, the optimiser and how far the run got."""
        return Path(self.folder) / f"{self.name}.state"

    @property
    def sampling(self) -> Sampling:
        """How evaluation draws."""
        return Sampling(
            self.sampling_steps, self.guidance, self.strength, self.null_prompt, self.sampler, self.told_guidance
        )

    @property
    def training_sampling(self) -> Sampling:
        """How training draws."""
        return self.sampling if self.rollout_guidance else replace(self.sampling, guidance=1.0)

    def settings(self) -> dict:
        """Everything but where files lie, how often they are written and how long the run is."""
        left_out = (
            *PATHS,
            "parts",
            "name",
            "steps",
            "save_every",
            "checkpointing",
            "force",
            "minimum_ap",
            "diversity_loss",
        )
        values = {name: value for name, value in asdict(self).items() if name not in left_out}
        return {**values, "loras": [{**lora, "file": Path(lora["file"]).name} for lora in self.loras]}

    def identity(self) -> dict:
        """What a run must have in common with a checkpoint to go on from it: the files, and the settings but for those
        that error messages tell the user to change.
        """
        changeable = ("lr", "precision", "half_base")
        settings = {name: value for name, value in self.settings().items() if name not in changeable}
        models = {name: fingerprint(getattr(self, name)) for name in ("checkpoint", "reviewer")}
        loras = {f"lora {i}": fingerprint(lora["file"]) for i, lora in enumerate(self.loras)}
        parts = {f"part {i}": fingerprint(part) for i, part in enumerate(self.parts)}
        return {**settings, **models, **loras, **parts}


def read_config(path, /, **changes) -> TrainConfig:
    """A TrainConfig from a TOML file; changes: fields that stand above the file's.

    Raises ConfigError, which names what is wrong.
    """
    config = read_toml_config(path, TrainConfig, ConfigError, (*PATHS, "loras.file", "parts"), changes)
    if empty := [name for name in PATHS if not getattr(config, name)]:
        raise ConfigError(f"the config {quoted(Path(path))} can't be used: {empty[0]} is empty: give a path.")
    return config


def config_of(values: dict, source: str) -> TrainConfig:
    """A TrainConfig of these values; messages call them what `source` says.

    Raises ConfigError, which names what is wrong.
    """
    return make_config(values, TrainConfig, ConfigError, source)
