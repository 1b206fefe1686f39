"""Augmentations that make rendered scenes look like generated ones, on batches of bytes; the label never changes."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .data import Scenes
from .product import over_grey


@dataclass
class Batch:
    """Floats in [0, 1]: image, product_rgb (B, 3, S, S); alpha, depth (B, S, S); labels (B,), captions list of B."""

    image: torch.Tensor
    product_rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor
    labels: torch.Tensor
    captions: list

    @property
    def shown(self) -> torch.Tensor:
        """The product over grey, (B, 3, S, S)."""
        return over_grey(self.product_rgb, self.alpha)


def make_batch(scenes: Scenes, rows, roundtrips=(), augment: bool = False) -> Batch:
    """The scenes at these rows. roundtrips: arrays like scenes.images, or like its first rows, of the same scenes after a VAE; half of an
    augmented batch takes its image from one of them where it has the scene. Random choices come from torch's global generator."""
    rows = np.asarray(rows)
    pixels = torch.from_numpy(scenes.images[rows])
    if augment and len(roundtrips):
        for index, row in enumerate(rows):
            copies = roundtrips[int(torch.randint(len(roundtrips), ()))]
            if torch.rand(()) < 0.5 and row < len(copies):
                pixels[index] = torch.from_numpy(np.array(copies[row]))
    image, product = (_floats(array) for array in (pixels, torch.from_numpy(scenes.products[rows])))
    depth = torch.from_numpy(scenes.depths[rows]).float() / 255
    rgb, alpha = product[:, :3], product[:, 3]
    if augment:
        image = degrade(image)
        flip = torch.rand(len(rows)) < 0.5
        image, rgb, alpha, depth = (_flip(x, flip) for x in (image, rgb, alpha, depth))
    # As in generation, the product's own pixels end up on the picture.
    image = alpha[:, None] * rgb + (1 - alpha[:, None]) * image
    return Batch(image, rgb, alpha, depth, torch.from_numpy(scenes.labels[rows]), [scenes.captions[row] for row in rows])


def degrade(images: torch.Tensor) -> torch.Tensor:
    """Each image by its own draw: light, contrast and tint; softness as a small autoencoder leaves it; grain; JPEG blocks. (B, 3, S, S) -> same."""
    draw = lambda low, high: torch.empty(len(images), 1, 1, 1).uniform_(low, high)
    mean = images.mean((1, 2, 3), keepdim=True)
    tint = torch.empty(len(images), 3, 1, 1).uniform_(-0.04, 0.04)
    images = (images - mean) * draw(0.8, 1.2) + mean + draw(-0.08, 0.08) + tint
    size = images.shape[-1]
    softened = torch.rand(len(images)) < 0.5
    if softened.any():
        small = int(size * float(torch.empty(()).uniform_(0.2, 0.95)))
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
    return pixels.permute(0, 3, 1, 2).float() / 255
