"""The reviewer: generated images and the product they were painted around in, verdicts out (arXiv:2408.00418)."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from .labels import LABELS
from .maps import MapNet
from .model import RFNet, tokenize
from .product import Canvas, over_grey

CHUNK = 16  # images reviewed at once, so that a long batch needs no more memory than a short one
REMEMBERED = 8  # products whose features are kept


class ReviewError(ValueError):
    """These images can't be reviewed; the message says why and what to do."""


@dataclass
class Review:
    """Verdicts on B images: probabilities (B, 5) in the order of LABELS, accepted (B,) bool, label_ids (B,), and the maps that
    were looked at: depth, saliency (B, 1, H, W) in [0, 1], depth inverse with 1 = nearest."""

    probabilities: torch.Tensor
    accepted: torch.Tensor
    label_ids: torch.Tensor
    depth: torch.Tensor
    saliency: torch.Tensor

    def __len__(self) -> int:
        return len(self.probabilities)

    def rows(self) -> list:
        """One JSON-able dict per image: {"label", "probabilities": {label: p}, "accepted"}."""
        return [
            {"label": LABELS[label], "probabilities": dict(zip(LABELS, (round(p, 6) for p in row))), "accepted": accepted}
            for label, row, accepted in zip(self.label_ids.tolist(), self.probabilities.tolist(), self.accepted.tolist())
        ]


class Reviewer(nn.Module):
    """RFNet with the map estimator it was trained with, its temperature and its threshold. Make one with weights.load_reviewer."""

    def __init__(self, rfnet: RFNet, mapnet: MapNet, metadata: dict | None = None):
        super().__init__()
        self.rfnet, self.maps, self.metadata = rfnet, mapnet, dict(metadata or {})
        self.temperature = float(self.metadata.get("temperature", 1.0))
        self.threshold = float(self.metadata.get("threshold", 0.5))
        self._products = OrderedDict()
        self.eval()

    @torch.no_grad()
    def review(self, images: torch.Tensor, canvas: Canvas, threshold: float | None = None) -> Review:
        """Review images (B, 3, H, W), RGB in [0, 1], painted around the product of this canvas.

        accepted = p(available) >= threshold; by default the threshold of the weights. Each image is judged by itself, whatever
        else is in the batch. Raises ReviewError.
        """
        _check(images, canvas)
        threshold = self.threshold if threshold is None else threshold
        features = self._product_features(canvas)
        logits, depths, saliencies = [], [], []
        for chunk in images.to(self._weight).clamp(0, 1).split(CHUNK):
            depth, saliency = self.maps(chunk)
            logits.append(self.rfnet(None, chunk, depth, saliency, None, product_features=features))
            depths.append(depth)
            saliencies.append(saliency)
        probabilities = (torch.cat(logits).float() / self.temperature).softmax(1).cpu()
        return Review(probabilities, probabilities[:, 0] >= threshold, probabilities.argmax(1), torch.cat(depths).float().cpu(), torch.cat(saliencies).float().cpu())

    def logits(self, images: torch.Tensor, product_rgb: torch.Tensor, alpha: torch.Tensor, captions) -> torch.Tensor:
        """Differentiable logits (B, 5), divided by the temperature; images, product_rgb (B, 3, H, W), alpha (B, H, W), B captions."""
        images, tokens = images.to(self._weight), tokenize(captions).to(self._weight.device)
        shown = over_grey(product_rgb.to(images), alpha.to(images))
        return self.rfnet(shown, images, *self.maps(images), tokens) / self.temperature

    @property
    def _weight(self) -> torch.Tensor:
        return self.rfnet.head.weight

    def _product_features(self, canvas: Canvas) -> torch.Tensor:
        """What depends on the product alone, computed once per canvas, device and dtype."""
        weight = self._weight
        key = canvas.fingerprint, weight.device, weight.dtype, weight._version if not weight.is_inference() else 0
        if key not in self._products:
            tokens = tokenize([canvas.product.caption]).to(weight.device)
            self._products[key] = self.rfnet.encode_product(canvas.shown[None].to(weight), tokens)
            if len(self._products) > REMEMBERED:
                self._products.popitem(last=False)
        self._products.move_to_end(key)
        return self._products[key]


def _check(images: torch.Tensor, canvas: Canvas) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ReviewError(f"the images have shape {tuple(images.shape)}: they must be (batch, 3, height, width), at least one.")
    height, width = images.shape[2:]
    if (height, width) != (canvas.height, canvas.width):
        raise ReviewError(f"the pictures are {width}x{height} but the product was placed on {canvas.width}x{canvas.height}: connect the RFProduct that the sampler used.")
    broken = torch.nonzero(~torch.isfinite(images).flatten(1).all(1)).flatten().tolist()
    if broken:
        raise ReviewError(f"image {broken[0] + 1} of {len(images)} holds NaN or infinite values: the sampler or VAE overflowed; run them in fp32 or try another VAE.")


GREEN, RED = (46, 160, 67), (207, 34, 46)


def annotate(images: torch.Tensor, review: Review) -> list:
    """Images (B, 3, H, W) in [0, 1] as Pillow pictures with a green or red frame and a strip that says "size_mismatch 0.81"."""
    return [annotate_row(image, row) for image, row in zip(images, review.rows())]


def annotate_row(image: torch.Tensor, row: dict) -> Image.Image:
    """One image (3, H, W) with one row of Review.rows(); a row with "error" shows that instead of a verdict."""
    pixels = (image.detach().cpu().float().nan_to_num().clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).numpy()
    height, width = pixels.shape[:2]
    frame = max(2, round(min(width, height) / 64))
    text = "error" if row.get("error") else f"{row['label']} {row['probabilities'][row['label']]:.2f}"
    size = max(9, round(height / 20))
    while size > 7 and ImageFont.load_default(size).getlength(text) > width:
        size -= 1
    strip = round(size * 1.6)
    picture = Image.new("RGB", (width + 2 * frame, height + 2 * frame + strip), GREEN if row["accepted"] else RED)
    picture.paste(Image.fromarray(pixels), (frame, frame))
    ImageDraw.Draw(picture).text((picture.width / 2, height + 2 * frame + strip / 2 - frame / 2), text, "white", ImageFont.load_default(size), anchor="mm")
    return picture
