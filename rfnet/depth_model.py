"""Depth from a model that the user has on disk: DPT or Depth-Anything, as transformers writes them."""

from pathlib import Path
from typing import Annotated

import msgspec
import torch
from msgspec import Meta
from torch import nn

from .architectures import need
from .files import quoted
from .map_names import MapError
from .resize import EPSILON, resize, spread
from .structured import convert, parse_json, shortened
from .tensors import check_finite
from .textfiles import read_text

LIMIT = 1 << 20  # bytes of a config
LARGEST_SIZE = 65_536  # of any number in a depth model's config
Side = Annotated[int, Meta(ge=1, le=4096)]
Triple = Annotated[list[float], Meta(min_length=3, max_length=3)]


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
                # transformers 4.30 would open a pickle instead, whatever use_safetensors says
                raise OSError("it holds no .safetensors")
            model = transformers.AutoModelForDepthEstimation.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
            self.model = model.eval().requires_grad_(False)
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
        depth = self.model(pixel_values=pixels).predicted_depth[:, None].to(images)
        inverse = 1 / depth.clamp(min=EPSILON) if self.metric else depth
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
            continue
        numbers = [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, (int, float))]
        if any(number > LARGEST_SIZE for number in numbers):
            raise ValueError(f"its {shortened(key)} is {shortened(value)}, where {LARGEST_SIZE} is the most")
        if key in ("num_hidden_layers", "num_layers") and not (isinstance(value, int) and 0 < value <= 64):
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
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if key in Preprocessing.__struct_fields__}
        config = convert(values, Preprocessing, '"preprocessor_config.json"')
        size = config.size if isinstance(config.size, dict) else {"height": config.size, "width": config.size}
        multiple = config.ensure_multiple_of or 1
        side = (size["height"], size["width"])
        return cls(side, config.image_mean, config.image_std, bool(config.keep_aspect_ratio), multiple)

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
