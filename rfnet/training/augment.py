"""Augmentations that make rendered scenes look like generated ones, on batches of bytes; the label never changes."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..product import over_grey
from .scale import log_sizes


@dataclass
class Batch:
    """Floats in [0, 1]: image, product_rgb (B, 3, S, S); alpha, depth, saliency (B, S, S), the last two NaN where
    nobody knows them; labels (B,), captions list of B, aligned (B,) bool: whether the product's own pixels belong on
    the picture; sizes (B, 2), logs of scale.SIZES, NaN where nobody knows them; broken: {row: why it can't be read} of
    samples that would belong to the batch.
    """

    image: torch.Tensor
    product_rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor
    saliency: torch.Tensor
    labels: torch.Tensor
    captions: list
    aligned: torch.Tensor
    sizes: torch.Tensor
    broken: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shown(self) -> torch.Tensor:
        """The product over grey, (B, 3, S, S)."""
        return over_grey(self.product_rgb, self.alpha)

    @property
    def maps(self) -> tuple:
        """Depth and saliency that came with the samples, (B, 1, S, S) each, as RFNet takes them."""
        return self.depth[:, None], self.saliency[:, None]

    def to(self, device) -> "Batch":
        moved: dict[str, Any] = {
            entry.name: value.to(device)
            for entry in fields(self)
            if isinstance(value := getattr(self, entry.name), torch.Tensor)
        }
        return replace(self, **moved)


def make_batch(scenes, rows, roundtrips=(), augment: bool = False) -> Batch:
    """The samples scenes[row] (of Samples or a MixedDataset) at these rows; see collate."""
    return collate([scenes[row] for row in rows], rows, roundtrips, augment)


def collate(samples: list, rows=(), roundtrips=(), augment: bool = False) -> Batch:
    """Samples as Samples.read gives them.

    roundtrips: arrays (N, S, S, 3) of the images with these rows, or of the first of them, after a VAE; half of an
    augmented batch takes its image from one of them where it has the row. Random choices come from torch's global
    generator.
    """
    pictures = [sample["image"] for sample in samples]
    if augment and len(roundtrips):
        for index, row in enumerate(rows):
            copies = roundtrips[int(torch.randint(len(roundtrips), ()))]
            if torch.rand(()) < 0.5 and row < len(copies):
                pictures[index] = np.array(copies[row])
    image, product = (
        _floats(torch.from_numpy(np.stack(arrays))) for arrays in (pictures, [sample["product"] for sample in samples])
    )
    unknown = np.full(pictures[0].shape[:2], np.nan, np.float32)
    depth, saliency = (
        torch.from_numpy(
            np.stack([unknown if sample[kind] is None else sample[kind].astype(np.float32) / 255 for sample in samples])
        )
        for kind in ("depth", "saliency")
    )
    aligned = torch.tensor([sample["aligned"] for sample in samples])
    rgb = product[:, :3]
    alpha = product[:, 3]
    if augment:
        image = degrade(image)
        flip = torch.rand(len(samples)) < 0.5
        image, rgb, alpha, depth, saliency = (_flip(x, flip) for x in (image, rgb, alpha, depth, saliency))
    # As in generation, the product's own pixels end up on the picture.
    share = alpha[:, None] * aligned[:, None, None, None]
    image = share * rgb + (1 - share) * image
    labels = torch.tensor([int(sample["label"]) for sample in samples])
    sizes = torch.tensor([log_sizes(sample) for sample in samples])
    return Batch(image, rgb, alpha, depth, saliency, labels, [sample["caption"] for sample in samples], aligned, sizes)


def degrade(images: torch.Tensor) -> torch.Tensor:
    """Each image by its own draw: light, contrast and tint; softness as a small autoencoder leaves it; grain; JPEG
    blocks. (B, 3, S, S) -> same.
    """

    def draw(low, high):
        return torch.empty(len(images), 1, 1, 1).uniform_(low, high)

    mean = images.mean((1, 2, 3), keepdim=True)
    tint = torch.empty(len(images), 3, 1, 1).uniform_(-0.04, 0.04)
    images = (images - mean) * draw(0.8, 1.2) + mean + draw(-0.08, 0.08) + tint
    size = images.shape[-1]
    softened = torch.rand(len(images)) < 0.5
    if softened.any():
        small = int(size * float(torch.empty(()).uniform_(0.1, 0.95)))
        smaller = F.interpolate(images[softened], (small, small), mode="bilinear", antialias=True)
        images[softened] = F.interpolate(smaller, (size, size), mode="bicubic")
    images = images + torch.randn_like(images) * draw(0, 0.03)
    return _compress(images.clamp(0, 1), share=0.4)


def _compress(images: torch.Tensor, share: float) -> torch.Tensor:
    import cv2

    for index in torch.nonzero(torch.rand(len(images)) < share).flatten().tolist():
        pixels = (images[index].permute(1, 2, 0) * 255 + 0.5).byte().numpy()
        quality = int(torch.randint(40, 95, ()))
        stored = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        images[index] = _floats(torch.from_numpy(cv2.imdecode(stored, cv2.IMREAD_COLOR))[None])[0]
    return images


def _flip(x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    return torch.where(which.view(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)


def _floats(pixels: torch.Tensor) -> torch.Tensor:
    return (
        pixels.permute(0, 3, 1, 2).contiguous().float() / 255
    )  # augmenting pixels whose channels lie together takes twice as long
