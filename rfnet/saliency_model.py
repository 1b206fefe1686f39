"""Saliency from a model that the user has on disk: U2-Net or BiRefNet as .onnx files."""

from pathlib import Path

import torch

from .architectures import need
from .files import quoted
from .map_names import MapError
from .resize import EPSILON, resize, spread
from .structured import shortened

U2NET = ("u2net", "u2netp", "silueta")  # at 320 px, giving probabilities; every birefnet* at 1024 px, giving logits
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def is_known(name: str) -> bool:
    """Whether a file of this name is one that SaliencyModel takes."""
    stem, _, ending = name.lower().rpartition(".")
    return ending == "onnx" and (stem in U2NET or stem.startswith("birefnet"))


def saliency_input(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images (B, 3, H, W) as U2-Net (arXiv:2005.09007) and BiRefNet (arXiv:2401.03407) take them in rembg's
    distribution: side x side, divided by the brightest value, ImageNet's mean and deviation.
    """
    images = resize(images.float(), side, side).clamp(0, 1)
    images = images / images.amax((1, 2, 3), keepdim=True).clamp(min=EPSILON)
    mean, std = (torch.tensor(values, device=images.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std


def saliency_output(maps: torch.Tensor, logits: bool, height: int, width: int) -> torch.Tensor:
    """What the network gave, (B, 1, h, w), as saliency (B, 1, height, width), stretched to [0, 1] in each image."""
    maps = maps.float().sigmoid() if logits else maps.float()
    return resize(spread(maps), height, width).clamp(0, 1)


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
        available = onnxruntime.get_available_providers()
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in available]
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
        # one by one: many exports fix the batch to 1
        rows = [self._session.run([self._output], {self._input.name: row[None]})[0] for row in fed]
        maps = torch.cat([torch.from_numpy(row)[:, :1] for row in rows])
        return saliency_output(maps, self.logits, *images.shape[-2:]).to(images)
