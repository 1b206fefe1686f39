"""Expansion: has the product grown? A segmentation network says what belongs to it in the picture, and what of that was
not in the cut-out (object expansion, arXiv:2404.10157).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ..architectures import need
from ..files import quoted
from ..map_names import MapError
from ..resize import resize
from ..saliency_model import SaliencyModel
from ..structured import shortened
from .identity import name_of
from .protocol import OpinionError, about

SIDE = 512  # pixels of the longer side at which areas are counted
SOLID = 0.5
RIM = 0.02  # of the product's longer side: what is nearer to it is its own soft edge
USUAL = 0.08  # grown area, as a share of the product's, at which the odds are even
STEEP = 1.5  # log-odds by which the evidence rises where the area grows e-fold
SEEN = 0.5  # share of the product that the network has to find, to be believed


class Expansion:
    """Evidence for shape_hallucination: area that hangs together with the product and was not in its cut-out.

    segment(images (B, 3, H, W) in [0, 1], canvas) -> masks (B, 1, H, W) in [0, 1], 1 = the product, by a network;
    model: its name. What the network adds to the product before plain grey is its own error, and is taken off. NaN
    where it doesn't find the product.
    """

    name, proof = "expansion", False
    cost = "one pass of the network"

    def __init__(self, segment: Callable, model: str):
        self.segment, self.model = segment, model
        self._usual: tuple[str, float] = ("", 0.0)

    @torch.no_grad()
    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """As protocol.Opinion."""
        if self._usual[0] != canvas.fingerprint:
            error = float(grown(self.segment(canvas.shown[None], canvas), canvas).nan_to_num()[0])
            self._usual = (canvas.fingerprint, error)
        share = (grown(self.segment(images.clamp(0, 1), canvas), canvas) - self._usual[1]).clamp(min=0)
        return about("shape_hallucination", STEEP * ((share + USUAL / 20) / USUAL).log())


def grown(masks: torch.Tensor, canvas) -> torch.Tensor:
    """(B,): area that hangs together with the product beyond its rim, as a share of the product's own area; masks (B,
    1, H, W). NaN where less than SEEN of the product is in a mask.
    """
    import cv2

    scale = min(1.0, SIDE / max(canvas.width, canvas.height))
    height, width = (max(16, round(side * scale)) for side in (canvas.height, canvas.width))
    product = (resize(canvas.alpha[None, None], height, width)[0, 0] >= SOLID).numpy()
    left, top, right, bottom = canvas.box
    rim = max(1, round(RIM * scale * max(right - left, bottom - top)))
    near = cv2.dilate(product.astype(np.uint8), np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)) > 0
    shares = []
    for mask in (resize(masks.float().cpu(), height, width)[:, 0] >= SOLID).numpy():
        if mask[product].mean() < SEEN:
            shares.append(np.nan)
            continue
        _, parts = cv2.connectedComponents((mask | product).astype(np.uint8))
        joined = np.isin(parts, np.unique(parts[product]))
        shares.append((joined & mask & ~near).sum() / product.sum())
    return torch.tensor(shares, dtype=torch.float32)


def open_expansion(path) -> Expansion:
    """path: the .onnx file of a BiRefNet or U2-Net, or the folder of a SAM of transformers. Raises OpinionError."""
    path = Path(path)
    if path.is_dir():
        segment = Sam(path)
        return Expansion(segment, name_of(path))
    try:
        model = SaliencyModel(path)
    except MapError as error:
        raise OpinionError(str(error)) from error
    return Expansion(lambda images, canvas: model(images), name_of(path))


class Sam:
    """A network of transformers' AutoModelForMaskGeneration (arXiv:2304.02643), asked for what lies at nine points of
    the product.
    """

    def __init__(self, folder: Path, ready=lambda: None):
        self.folder, self.ready = folder, ready
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            raise OpinionError(f"{quoted(folder)} holds no config.json or no .safetensors: give a SAM of transformers.")
        transformers = need("transformers", "a segmentation network", error=OpinionError)
        here = {"local_files_only": True, "trust_remote_code": False}
        try:
            self.processor = transformers.AutoProcessor.from_pretrained(folder, **here)
            network = transformers.AutoModelForMaskGeneration.from_pretrained(folder, use_safetensors=True, **here)
        except Exception as error:  # what transformers raises on odd folders is not bounded
            reason = shortened(str(error).split("\n")[0].rstrip("."), 150)[1:-1]
            raise OpinionError(f"{quoted(folder.name)} can't be read as a SAM of transformers ({reason}).") from error
        self.network = network.eval().requires_grad_(False)

    def __call__(self, images: torch.Tensor, canvas) -> torch.Tensor:
        self.ready()
        points = inner_points(canvas)
        return torch.cat([self._one(image, points) for image in images])[:, None]

    def _one(self, image: torch.Tensor, points: list) -> torch.Tensor:
        pixels = (image.detach().float().cpu() * 255 + 0.5).byte().permute(1, 2, 0).numpy()
        try:
            inputs = self.processor(images=pixels, input_points=[[points]], return_tensors="pt")
            inputs = inputs.to(next(self.network.parameters()).device)
            found = self.network(**inputs, multimask_output=False)
            sizes = [inputs[name].cpu() for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
            masks = self.processor.post_process_masks(found.pred_masks.float().cpu(), *sizes)
        except torch.cuda.OutOfMemoryError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            reason = shortened(str(error).split("\n")[0].rstrip("."), 150)[1:-1]
            raise OpinionError(f"{quoted(self.folder.name)} could not be asked ({reason}).") from error
        return masks[0].reshape(1, *pixels.shape[:2]).float()


def inner_points(canvas, count: int = 9) -> list:
    """[x, y] of points well inside the product, spread over its height."""
    import cv2

    depth = cv2.distanceTransform((canvas.alpha >= SOLID).numpy().astype(np.uint8), cv2.DIST_L2, 3)
    rows = np.flatnonzero(depth.max(1) > 0)
    chosen = [band[depth[band].max(1).argmax()] for band in np.array_split(rows, count) if len(band)]
    return [[float(depth[row].argmax()), float(row)] for row in chosen]
