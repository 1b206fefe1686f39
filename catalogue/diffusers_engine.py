"""The engine that draws in this process: Stable Diffusion 1.5, SDXL or the pocket family, on diffusers' modules, with
a canny ControlNet, a tuned adapter and LoRAs, from files and without a network.
"""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..cyclic import profiles
from ..cyclic.loop import NoneAccepted, run
from ..cyclic.remedies import Policy, check_names
from ..pocket.family import SCALE_FACTOR, is_flow
from ..pocket.ldm import CHECKPOINT, CONTROLNET, check_pair, config_in
from ..pocket.tuning import DRAWING, SAMPLING, own_sampler
from ..pocket.tuning import load as load_pocket
from ..rfft.adapter import load_adapter, read_adapter
from ..rfft.kinds import SDXL, check_models
from ..rfft.loading import load
from ..rfft.lora import fold_loras
from ..rfft.models import Models
from ..rfft.names import attention_of, unet_key
from ..rfft.rollout import Sampling
from ..rfnet.devices import find_device
from ..rfnet.painters import Painter, fingerprint
from ..rfnet.pictures import picture_in
from ..rfnet.product import Product, check_placing, place
from ..rfnet.risks import doubt
from ..rfnet.tensors import read_header
from ..rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from .draw import Painting, ProductDraw, possible
from .rows import CatalogueError, Job
from .settings import Budgets, Verdict, print_of, versions_of
from .worker import MEMORY, EngineError, Produced

PRECISIONS = ("float32", "bfloat16")
SCHEDULERS = {"ddim": "ddim_uniform", "dpmpp_2m": "sgm_uniform"}  # ComfyUI's name for how each spaces its steps


@dataclass(frozen=True)
class DiffusersSpec:
    """Files, and how to draw with them; None: what suits the family. loras: ((file, strength), ...)."""

    verdict: Verdict = field(default_factory=Verdict)
    budgets: Budgets = field(default_factory=Budgets)
    checkpoint: str = str(CHECKPOINT)
    controlnet: str = str(CONTROLNET)
    adapter: str | None = None
    adapter_strength: float = 1.0
    loras: tuple[tuple[str, float], ...] = ()
    precision: str = "float32"
    width: int | None = None
    height: int | None = None
    image_scale: float = 0.72
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    negative: str = ""
    control_strength: float = 1.0
    device: str = "auto"

    @property
    def is_pocket(self) -> bool:
        return _is_pocket(self.checkpoint)

    def check(self) -> list[str]:
        """All that files' headers tell. Raises the files' own errors, or CatalogueError."""
        if self.is_pocket:
            check_pair(self.checkpoint, self.controlnet)
        else:
            check_models(self.checkpoint, self.controlnet)
        if self.adapter:
            read_adapter(self.adapter, self.controlnet)
        for file, _ in self.loras:
            if not Path(file).is_file():
                raise CatalogueError(f'the LoRA "{file}" does not exist: check the path.')
        check_names(self.budgets.remedies)
        self.verdict.check()
        if self.verdict.accept != "threshold":
            load_reviewer(self.verdict.reviewer).threshold_for(self.verdict.accept)
        if self.device != "auto":
            find_device(self.device)
        whole = self.complete()
        assert whole.width and whole.height
        check_placing(whole.width, whole.height, whole.image_scale, 0.5, "centre")
        early = self.budgets.early_rejection
        if early not in (profiles.AUTO, profiles.OFF) and not Path(early).is_file():
            raise CatalogueError(f'--early-rejection is "{early}": give auto, off, or a profile\'s file.')
        return []

    def complete(self) -> DiffusersSpec:
        """With what suits the family in the place of None."""
        size: Any
        steps: Any
        cfg: Any
        sampler: Any
        if self.is_pocket:
            size, steps, cfg = SAMPLING["size"], DRAWING["steps"], DRAWING["cfg"]
            sampler = own_sampler(is_flow(config_in(self.checkpoint)))
        else:
            kind, _ = check_models(self.checkpoint, self.controlnet)
            size, steps, cfg, sampler = (1024 if kind is SDXL else 512), 30, 7.0, "dpmpp_2m"
        return replace(
            self,
            width=self.width or size,
            height=self.height or self.width or size,
            steps=self.steps or steps,
            cfg=cfg if self.cfg is None else self.cfg,
            sampler=self.sampler or sampler,
        )

    def settings(self) -> dict:
        whole: Any = self.complete()
        drawn = {key: value for key, value in asdict(whole).items() if key not in ("verdict", "budgets", "device")}
        return {
            "engine": "diffusers",
            **drawn,
            "checkpoint": print_of(self.checkpoint),
            "controlnet": print_of(self.controlnet),
            "adapter": self.adapter and print_of(self.adapter),
            "loras": [[print_of(file), strength] for file, strength in self.loras],
            **self.verdict.settings(),
            **self.budgets.settings(),
        }

    def versions(self) -> dict:
        files = {"checkpoint": self.checkpoint, "controlnet": self.controlnet, "reviewer": self.verdict.reviewer}
        files |= {"adapter": self.adapter} if self.adapter else {}
        return {**versions_of("torch", "diffusers"), **{name: print_of(file) for name, file in files.items()}}

    def weights(self) -> int:
        """Bytes of memory that the weights take."""
        files = [self.checkpoint, self.controlnet, *([self.adapter] if self.adapter else [])]
        drawn = sum(_floats(Path(file)) for file in files) * (2 if self.precision == "bfloat16" else 4)
        return drawn + self.verdict.weights()

    def open(self) -> DiffusersEngine:
        return DiffusersEngine(self.complete())


class DiffusersEngine:
    at_once = 1

    def __init__(self, spec: DiffusersSpec):
        assert spec.width and spec.height and spec.steps and spec.cfg is not None and spec.sampler
        self.spec, self.width, self.height = spec, spec.width, spec.height
        there = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = find_device(there if spec.device == "auto" else spec.device)
        self.reviewer = load_reviewer(spec.verdict.reviewer).to(self.device)
        self.judge = spec.verdict.advised(self.reviewer, self.device)
        self.threshold = self.judge.threshold_for(spec.verdict.accept, spec.verdict.threshold)
        models = load_models(spec)
        sampling = Sampling(spec.steps, spec.cfg, spec.control_strength, spec.negative, spec.sampler)
        early = early_rejection(spec, models, self.reviewer, self.threshold)
        self.early = early
        self.certificate = self.reviewer.certificate(spec.verdict.accept, painter_of(spec, models))
        half = spec.precision == "bfloat16"
        models = (models.to(torch.bfloat16) if half else models).freeze().to(self.device)
        scale = SCALE_FACTOR if spec.is_pocket else models.vae.config.scaling_factor
        self.painting = Painting(models, sampling, early.preview, scale, half)
        self.remedies = possible(spec.budgets.remedies, sampling)

    def produce(self, job: Job, product: io.BytesIO) -> Produced:
        name = job.picture.replace("\\", "/").rpartition("/")[2]
        cut_out = Product.from_arrays(picture_in(product, f'"{name}"'), caption=job.caption, size_cm=job.size_cm)
        canvas = place(cut_out, self.width, self.height, self.spec.image_scale)
        draw = ProductDraw(self.painting, canvas, job.prompt, self._review, Policy(self.remedies), self._alone)
        budgets = self.spec.budgets
        try:
            result = run(
                draw.one,
                draw.review,
                job.seed,
                budgets.attempts,
                budgets.on_exhausted,
                thresholds=self.early.thresholds,
                usable=budgets.usable,
                seconds=budgets.seconds,
                steps=budgets.steps,
                together=draw.several,
                parallel=budgets.parallel,
                remedies=draw.policy,
                review_preview=draw.review_preview,
            )
        except NoneAccepted as failure:  # what was drawn is kept all the same
            result = failure.run
        except torch.cuda.OutOfMemoryError:
            with suppress(RuntimeError):
                torch.cuda.empty_cache()
            raise EngineError(
                f"the GPU's memory ran out at {self.width}x{self.height} pixels: use --precision bfloat16, a smaller"
                " --width and --height, or --parallel 1.",
                MEMORY,
            ) from None
        result.certificate = self.certificate
        notes = [*canvas.notes, *filter(None, [doubt(self.certificate)])]
        report = {**result.report(), "early_rejection": self.early.source, **({"notes": notes} if notes else {})}
        return Produced([to_picture(attempt.image) for attempt in result.attempts], report)

    def _review(self, image: torch.Tensor, canvas) -> dict:
        return self.judge.review(image[None], canvas, self.threshold).rows()[0]

    def _alone(self, image: torch.Tensor, canvas) -> dict:
        """By RFNet alone, as early rejection was measured."""
        return self.reviewer.review(image[None], canvas, self.threshold).rows()[0]


def load_models(spec: DiffusersSpec) -> Models:
    """The networks with adapter and LoRAs, float32 on the CPU."""
    read = load_pocket if spec.is_pocket else load
    models = read(spec.checkpoint, spec.controlnet)
    models = fold_loras(models, [{"file": file, "strength": at} for file, at in spec.loras], spec.checkpoint)
    if spec.adapter:
        load_adapter(models.controlnet, spec.adapter, spec.controlnet, spec.adapter_strength)
    return models


def early_rejection(spec: DiffusersSpec, models: Models, reviewer, threshold: float) -> profiles.Early:
    """As the node chooses it: "auto" takes the profile that was made with this very model, reviewer and settings."""
    name = spec.budgets.early_rejection
    paths = profiles.profiles_in([Path(DEFAULT_WEIGHTS).parent])
    if name not in (profiles.AUTO, profiles.OFF):
        paths, name = {Path(name).name.removesuffix(profiles.ENDING): Path(name)}, Path(name).name
        name = name.removesuffix(profiles.ENDING)
    settings = {
        "steps": spec.steps,
        "cfg": spec.cfg,
        "sampler_name": spec.sampler,
        "scheduler": SCHEDULERS.get(str(spec.sampler), ""),
        "denoise": 1.0,
        "threshold": threshold,
    }
    return profiles.choose(
        name, paths, lambda: profiles.fingerprint_of_state(as_comfy(models.unet)), reviewer, settings
    )


def as_comfy(unet) -> dict:
    """{ComfyUI's name: weight} of a UNet of diffusers."""
    layers, attention = unet.config.layers_per_block, attention_of(unet.config.down_block_types)
    return {unet_key(name, layers, attention): weight for name, weight in unet.state_dict().items()}


def painter_of(spec: DiffusersSpec, models: Models) -> Painter:
    """Who paints; an adapter makes another ControlNet of it, for which no certificate was measured."""
    control = {fingerprint(models.controlnet.state_dict().values())}
    control |= {print_of(spec.adapter)} if spec.adapter else set()
    return Painter(fingerprint(models.unet.state_dict().values()), frozenset(control))


def to_picture(image: torch.Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] as Pillow has it; NaN is black."""
    return Image.fromarray((image.nan_to_num().clamp(0, 1) * 255).byte().movedim(0, -1).cpu().numpy())


def _is_pocket(checkpoint: str) -> bool:
    path = Path(checkpoint)
    if path.is_dir():
        return False
    return "pocket" in _header(path).metadata


def _header(path: Path):
    return read_header(path, CatalogueError, f'"{path}" does not exist: check the path.', name=f'"{path.name}"')


def _floats(path: Path) -> int:
    """How many numbers the weights are."""
    files = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
    return sum(_header(file).count("") for file in files)
