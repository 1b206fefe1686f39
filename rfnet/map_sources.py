"""Depth and saliency from elsewhere: DPT, Depth-Anything, U2-Net, BiRefNet as the user has them on disk.

Nothing is fetched.
"""

import json
from pathlib import Path
from typing import Annotated, Protocol

import msgspec
import torch
from msgspec import Meta
from torch import nn

from .architectures import need
from .files import quoted
from .resize import resize
from .structured import convert, from_json, parse_json, shortened
from .tensors import check_finite
from .textfiles import read_text

BUILTIN = "builtin"  # MapNet, whose weights lie in the reviewer's own file
OUTSIDE = "another node"  # maps that another node made, by whatever means
KINDS = ("depth", "saliency")
EPSILON = 1e-6
LONGEST_NAME = 200
LIMIT = 1 << 20  # bytes of a config
LARGEST_SIZE = 65_536  # of any number in a depth model's config
Side = Annotated[int, Meta(ge=1, le=4096)]
Triple = Annotated[list[float], Meta(min_length=3, max_length=3)]


Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00-\x1f\x7f]+\Z")]


class MapNames(msgspec.Struct):
    depth: Name
    saliency: Name


class MapError(RuntimeError):
    """This model can't be used as a source of maps; the message names it, and what to do."""


class MapSource(Protocol):
    """What a Reviewer looks through. name: what weights trained with it record under "maps", as map_name writes it."""

    name: str

    def __call__(self, images: torch.Tensor) -> tuple:
        """images (B, 3, H, W) in [0, 1] -> depth, saliency, both (B, 1, H, W) in [0, 1]; depth is inverse, 1 =
        nearest.
        """


def map_name(depth: str = BUILTIN, saliency: str = BUILTIN) -> str:
    """The record of two estimators: one word where one made both, else JSON such as {"depth": "builtin", "saliency":
    "u2net"}.
    """
    return depth if depth == saliency else json.dumps({"depth": depth, "saliency": saliency})


def parse_maps(text: str) -> dict:
    """{"depth": name, "saliency": name} out of what map_name wrote. Raises ValueError on anything else."""
    if not text.lstrip().startswith("{"):
        if not text.strip():
            raise ValueError("it is empty")
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise ValueError(f"{shortened(text)} is no name of a model")
        return dict.fromkeys(KINDS, text)
    return msgspec.to_builtins(from_json(text, MapNames, "it"))


def map_notes(trained: dict, fed: dict) -> list:
    """One sentence for each kind whose maps are fed from something else than what the reviewer was trained with."""
    return [
        f'The {kind} maps come from "{fed[kind]}", but this reviewer was trained with "{trained[kind]}" ones: '
        "its verdicts hold only as far as the two agree, so feed the maps that it knows, or train it with these."
        for kind in fed
        if fed[kind] != trained[kind]
    ]


class MapPair(nn.Module):
    """A MapSource of two estimators; either may be left to the built-in one (a MapNet)."""

    def __init__(self, builtin: nn.Module, depth=None, saliency=None):
        super().__init__()
        self.builtin, self.depth, self.saliency = builtin, depth, saliency
        self.name = map_name(*(BUILTIN if model is None else model.name for model in (depth, saliency)))

    def forward(self, images: torch.Tensor) -> tuple:
        depth, saliency = self.builtin(images) if self.depth is None or self.saliency is None else (None, None)
        return depth if self.depth is None else self.depth(images), (
            saliency if self.saliency is None else self.saliency(images)
        )


def open_maps(builtin: nn.Module, depth=None, saliency=None) -> MapPair:
    """A MapSource from a DPT or Depth-Anything folder and a U2-Net or BiRefNet .onnx file, None for built-in.

    Raises MapError.
    """
    return MapPair(builtin, DepthModel(depth) if depth else None, SaliencyModel(saliency) if saliency else None)


def spread(values: torch.Tensor) -> torch.Tensor:
    """(B, 1, h, w) stretched to [0, 1], each image by itself; an image without contrast becomes 0."""
    low, high = values.amin((1, 2, 3), keepdim=True), values.amax((1, 2, 3), keepdim=True)
    return (values - low) / (high - low).clamp(min=EPSILON)


class DepthModel(nn.Module):
    """DPT (arXiv:2103.13413) or Depth-Anything (arXiv:2401.10891) from a folder as transformers writes it.

    images (B, 3, H, W) in [0, 1] -> inverse depth (B, 1, H, W), stretched to [0, 1] in each image, 1 = nearest;
    differentiable. metric: True for weights that give metres; None takes what their config says, which says nothing for
    DPT: it means "relative".
    """

    def __init__(self, folder, metric: bool | None = None):
        super().__init__()
        folder = Path(folder)
        name, described = quoted(folder.name), folder / "config.json"
        if not described.is_file():
            raise MapError(
                f"{quoted(folder)} is no folder with a config.json: give the folder of a DPT or Depth-Anything model."
            )
        transformers = need("transformers", "the depth model", error=MapError)
        try:
            check_depth_config(parse_json(read_text(described, LIMIT), '"config.json"'))
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if config.model_type not in ("dpt", "depth_anything"):
                raise MapError(f"{name} is a {shortened(config.model_type)[1:-1]} model: use DPT or Depth-Anything.")
            self.prepare = DepthInput.read(folder)
            if not any((folder / file).is_file() for file in ("model.safetensors", "model.safetensors.index.json")):
                raise OSError(
                    "it holds no .safetensors"
                )  # transformers 4.30 would open a pickle instead, whatever use_safetensors says
            self.model = (
                transformers.AutoModelForDepthEstimation.from_pretrained(
                    folder, config=config, local_files_only=True, use_safetensors=True, trust_remote_code=False
                )
                .eval()
                .requires_grad_(False)
            )
        except MapError:
            raise
        except Exception as error:  # what transformers raises on odd configs is not bounded
            reason = shortened(str(error).rstrip("."), 120)[1:-1]
            raise MapError(
                f"{name} can't be read as a depth model ({reason}): it needs config.json, preprocessor_config.json and"
                " model.safetensors; Depth-Anything needs transformers 4.38."
            ) from error
        check_finite(self.model.state_dict(), name, MapError)
        self.name = folder.name
        self.metric = getattr(config, "depth_estimation_type", "relative") == "metric" if metric is None else metric

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = self.prepare(images).to(next(self.model.parameters()))
        found = self.model(pixel_values=pixels).predicted_depth[:, None].to(images)
        inverse = 1 / found.clamp(min=EPSILON) if self.metric else found
        return resize(spread(inverse), *images.shape[-2:]).clamp(0, 1)


def check_depth_config(values) -> None:
    """Raises ValueError for a config.json that names a model elsewhere, or sizes that no depth model has."""
    if not isinstance(values, dict):
        raise ValueError(f"its config is {shortened(values)}, not a table")
    if elsewhere := [key for key in ("backbone", "use_timm_backbone", "use_pretrained_backbone") if values.get(key)]:
        raise ValueError(f"its config takes its {elsewhere[0]} from a model hub")
    for key, value in values.items():
        if isinstance(value, dict):
            if key not in ("id2label", "label2id"):
                check_depth_config(value)
        elif any(
            number > LARGEST_SIZE
            for number in (value if isinstance(value, list) else [value])
            if isinstance(number, (int, float))
        ):
            raise ValueError(f"its {shortened(key)} is {shortened(value)}, where {LARGEST_SIZE} is the most")
        elif key in ("num_hidden_layers", "num_layers") and not (isinstance(value, int) and 0 < value <= 64):
            raise ValueError(f"its {key} is {shortened(value)}: a depth model has 1 to 64")


class Preprocessing(msgspec.Struct):
    """What is read of a preprocessor_config.json."""

    size: dict[str, Side] | Side
    image_mean: Triple
    image_std: Annotated[list[Annotated[float, Meta(gt=0, le=10)]], Meta(min_length=3, max_length=3)]
    keep_aspect_ratio: bool | None = None
    ensure_multiple_of: Annotated[int, Meta(ge=1, le=256)] | None = None


class DepthInput:
    """The preprocessing that a folder's preprocessor_config.json describes, on tensors: resize and normalise."""

    def __init__(self, size, mean, std, keep_aspect_ratio: bool = False, multiple: int = 1):
        self.height, self.width = size
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        self.keep_aspect_ratio, self.multiple = keep_aspect_ratio, multiple

    @classmethod
    def read(cls, folder: Path) -> "DepthInput":
        """Raises OSError, ValueError or KeyError where the file is missing or says something else."""
        values = parse_json(read_text(folder / "preprocessor_config.json", LIMIT), '"preprocessor_config.json"')
        known = (
            {key: value for key, value in values.items() if key in Preprocessing.__struct_fields__}
            if isinstance(values, dict)
            else values
        )
        found = convert(known, Preprocessing, '"preprocessor_config.json"')
        size = (found.size["height"], found.size["width"]) if isinstance(found.size, dict) else (found.size, found.size)
        return cls(
            size, found.image_mean, found.image_std, bool(found.keep_aspect_ratio), found.ensure_multiple_of or 1
        )

    def shape(self, height: int, width: int) -> tuple:
        """The size an image is resized to. With the ratio kept, the side that has to change less decides, as in DPT."""
        scales = self.height / height, self.width / width
        if self.keep_aspect_ratio:
            scales = (min(scales, key=lambda scale: abs(1 - scale)),) * 2
        return tuple(
            max(1, round(side * scale / self.multiple)) * self.multiple for side, scale in zip((height, width), scales)
        )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return (resize(images, *self.shape(*images.shape[-2:])) - self.mean.to(images)) / self.std.to(images)


U2NET = ("u2net", "u2netp", "silueta")  # at 320 px, giving probabilities; every birefnet* at 1024 px, giving logits
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def saliency_input(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images (B, 3, H, W) as U2-Net (arXiv:2005.09007) and BiRefNet (arXiv:2401.03407) take them in rembg's
    distribution: side x side, divided by the brightest value, ImageNet's mean and deviation.
    """
    images = resize(images.float(), side, side).clamp(0, 1)
    images = images / images.amax((1, 2, 3), keepdim=True).clamp(min=EPSILON)
    mean, std = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def saliency_output(found: torch.Tensor, logits: bool, height: int, width: int) -> torch.Tensor:
    """What the network gave, (B, 1, h, w), as saliency (B, 1, height, width), stretched to [0, 1] in each image."""
    found = found.float().sigmoid() if logits else found.float()
    return resize(spread(found), height, width).clamp(0, 1)


class SaliencyModel:
    """U2-Net or BiRefNet as an .onnx file with the name that rembg gives it; run by onnxruntime, hence not
    differentiable.

    images (B, 3, H, W) in [0, 1] -> saliency (B, 1, H, W), stretched to [0, 1] in each image.
    """

    def __init__(self, file):
        file = Path(file)
        self.name = file.stem.lower()
        self.logits = self.name.startswith("birefnet")
        if file.suffix.lower() != ".onnx" or not file.is_file():
            raise MapError(
                f"{quoted(file)} is no .onnx file that exists: give a U2-Net or BiRefNet file, such as u2net.onnx."
            )
        if not self.logits and self.name not in U2NET:
            raise MapError(
                f"{quoted(file.name)} is a model whose input and output aren't known here: use {', '.join(U2NET)} or"
                " birefnet-*, named as rembg does."
            )
        onnxruntime = need("onnxruntime", f'"{file.name}"', error=MapError)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = [
            name
            for name in ("CUDAExecutionProvider", "CPUExecutionProvider")
            if name in onnxruntime.get_available_providers()
        ]
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        except Exception as error:  # onnxruntime's own kinds, which share no base
            raise MapError(
                f"{quoted(file.name)} can't be opened by onnxruntime ({shortened(str(error), 180)[1:-1]}): download it"
                " again."
            ) from error
        self._input, self._output = self._session.get_inputs()[0], self._session.get_outputs()[0].name
        side = self._input.shape[-1]
        self.side = side if isinstance(side, int) else 1024 if self.logits else 320

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        kind = "float16" if "float16" in self._input.type else "float32"
        fed = saliency_input(images.detach(), self.side).cpu().numpy().astype(kind)
        found = [
            self._session.run([self._output], {self._input.name: row[None]})[0] for row in fed
        ]  # one by one: many exports fix the batch to 1
        maps = torch.cat([torch.from_numpy(row)[:, :1] for row in found])
        return saliency_output(maps, self.logits, *images.shape[-2:]).to(images)
