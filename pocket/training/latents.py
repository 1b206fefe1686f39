"""What the diffusion trainings draw from: scenes as latents, hints and tokens, packed, and computed once."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...rfnet.data.samples import Samples
from ...rfnet.files import quoted, write_safetensors
from ...rfnet.labels import LABELS
from ...rfnet.tensors import open_tensors
from ..family import Pocket, tokenize
from ..ldm import PocketFileError
from .feed import Scenes
from .training import to_unit

EMPTY_PROMPT = 0.1
# share of the prompts that also say what is right or wrong with the picture, as captions of real pictures sometimes do
DESCRIBED = 0.35


class LatentDataset:
    """What the steps draw from, on the device of the networks: latents (N, 4, h, w) float16, and shares, hints and
    tokens as in feed.Scenes. It can grow. weights: (N,), how often each scene is drawn; asked: as `shares` in `mix`.
    """

    def __init__(self, device="cpu", asked: dict | None = None):
        self.device, self.asked = torch.device(device), asked
        self.columns: dict[str, torch.Tensor] = {}
        self.labels, self.causes = np.zeros(0, np.uint8), []
        self.empty = tokenize([""]).int().to(self.device)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def latents(self) -> torch.Tensor:
        return self.columns["latents"]

    def add(self, scenes: list[Scenes], latents: list[torch.Tensor]) -> None:
        """Scenes with their latents, float16. Raises ValueError where no scene is of a kind that is asked for."""
        for name in ("latents", "shares", "hints", "tokens"):
            new = latents if name == "latents" else [torch.from_numpy(getattr(part, name)) for part in scenes]
            known = [self.columns[name]] if name in self.columns else []
            self.columns[name] = torch.cat([*known, *(part.to(self.device) for part in new)])
        self.labels = np.concatenate([self.labels, *(part.labels for part in scenes)])
        self.causes += [cause for part in scenes for cause in part.causes]
        self.weights = mix(self.labels, self.causes, self.asked).to(self.device)

    def draw(self, count: int, random: torch.Generator, pocket: Pocket) -> tuple[torch.Tensor, ...]:
        """A batch: latents (B, 4, h, w), product shares (B, 1, h, w), hints (B, 3, 8 h, 8 w) and contexts (B, 77, C);
        some of the prompts are empty.
        """
        index = torch.multinomial(self.weights, count, replacement=True, generator=random)
        chance = torch.rand(count, generator=random, device=self.device)
        tokens = self.columns["tokens"][index, (chance > 1 - DESCRIBED).long()]
        tokens = torch.where((chance < EMPTY_PROMPT)[:, None], self.empty, tokens)
        return *self.rows(index), pocket.text_encoder(tokens.long()).last_hidden_state

    def rows(self, index) -> tuple[torch.Tensor, ...]:
        """(latents, product shares, hints) of some scenes, as `draw` gives them."""
        shares = self.columns["shares"][index][:, None].float() / 255
        return self.latents[index].float(), shares, unpacked(self.columns["hints"][index])


def unpacked(hints: torch.Tensor) -> torch.Tensor:
    """Packed hints (N, H, W / 8) uint8 -> (N, 3, H, W) of 0 and 1, whose channels share their memory."""
    bits = torch.arange(7, -1, -1, device=hints.device, dtype=torch.uint8)
    return ((hints[..., None] >> bits) & 1).flatten(-2)[:, None].float().expand(-1, 3, -1, -1)


class LatentCache:
    """Latents of scenes, computed once with one encoder, and kept in a file.

    Raises PocketFileError where the file holds something else, or is damaged.
    """

    def __init__(self, vae, file):
        self.vae, self.file = vae, Path(file)
        self.key = (
            f"{sum(float(p.detach().half().double().sum()) for p in vae.encoder.parameters()):.6f}"  # half: as exported
        )
        self.known: dict[str, torch.Tensor] = {}
        if self.file.exists():
            self._read()

    def _read(self) -> None:
        name = quoted(self.file)
        with open_tensors(self.file, PocketFileError, name=name) as opened:
            about = opened.metadata() or {}
            if not about.keys() >= {"encoder", "ids"} or "latents" not in opened.keys():
                raise PocketFileError(f"{name} holds no latents of scenes: give another file, which may be a new one")
            if about["encoder"] == self.key:
                self.known = dict(zip(json.loads(about["ids"]), opened.get_tensor("latents")))

    def encode(self, images: np.ndarray, ids: list[str]) -> torch.Tensor:
        """(N, S, S, 3) uint8 -> (N, 4, S / 8, S / 8) float16 on the CPU; what is known is not computed again."""
        # By the picture too: a scene may be rendered anew.
        names = [f"{name} {zlib.crc32(image.tobytes()):08x}" for name, image in zip(ids, images)]
        missing = [row for row, name in enumerate(names) if name not in self.known]
        if missing:
            self.known |= dict(zip([names[row] for row in missing], encode_images(self.vae, images[missing])))
        return torch.stack([self.known[name] for name in names])

    def save(self) -> None:
        latents = torch.stack(list(self.known.values()))
        write_safetensors(self.file, {"latents": latents}, {"encoder": self.key, "ids": json.dumps(list(self.known))})


@torch.no_grad()
def encode_images(vae, images: np.ndarray, batch: int = 16) -> torch.Tensor:
    """(N, S, S, 3) uint8 -> latents (N, 4, S / 8, S / 8) float16 on the CPU."""
    device = next(vae.parameters()).device
    parts = [
        vae.encode(to_unit(images[i : i + batch], device) * 2 - 1).latents.half().cpu()
        for i in range(0, len(images), batch)
    ]
    return torch.cat(parts)


def cached_latents(scenes: Samples, vae, file: Path) -> torch.Tensor:
    """The latents of samples in memory, float32; those that `file` holds from the same encoder are not computed
    again.
    """
    cache = LatentCache(vae, file)
    before = len(cache.known)
    latents = cache.encode(scenes.arrays["image"], scenes.column("id"))
    if len(cache.known) > before:
        cache.save()
    return latents.float()


def add_scenes(dataset: LatentDataset, scenes: list[Scenes], cache: LatentCache) -> None:
    """Encodes what isn't known yet, and lets the dataset grow by it."""
    before = len(cache.known)
    dataset.add(scenes, [cache.encode(part.images, part.ids) for part in scenes])
    if len(cache.known) > before:
        cache.save()


def make_dataset(samples: Samples, vae, file: Path, shares: dict | None = None) -> LatentDataset:
    """Of samples in memory, on the device of the autoencoder. file: keeps the latents; shares: as in `mix`."""
    dataset = LatentDataset(next(vae.parameters()).device, shares)
    add_scenes(dataset, [Scenes.of(samples)], LatentCache(vae, file))
    latents = dataset.latents.float()
    print(f"latents: mean {latents.mean():.3f}, deviation {latents.std():.3f}", flush=True)
    return dataset


def mix(labels: np.ndarray, causes: list, shares: dict | None = None) -> torch.Tensor:
    """Weights (N,) by which the scenes of a label or a cause that `shares` names get that share of the draws; all
    others divide what is left.

    Raises ValueError on a name that no scene has, on a share outside of [0, 1], and where the shares exceed 1 or leave
    something for nobody.
    """
    weights = torch.zeros(len(labels))
    left = 1.0
    rest = np.ones(len(labels), bool)
    for name, share in (shares or {}).items():
        chosen = np.array([name in (LABELS[label], cause) for label, cause in zip(labels, causes)])
        if not chosen.any():
            raise ValueError(
                f'no scene is "{name}": name a label or a cause, such as'
                f" {', '.join(sorted({LABELS[label] for label in labels} | {cause for cause in causes if cause}))}"
            )
        if not 0 <= share <= 1 or (chosen & ~rest).any():
            raise ValueError(
                f"the share of {name} is {share}: give each scene one share between 0 and 1, such as available=0.5"
            )
        weights[chosen] = share / chosen.sum()
        left = left - share
        rest = rest & ~chosen
    if left < -1e-6 or (left > 1e-6 and not rest.any()):
        raise ValueError(
            f"the shares add up to {1 - left:.2f}: they may not be more than 1, nor less where they name all scenes"
        )
    if rest.any():
        weights[rest] = max(0.0, left) / rest.sum()
    return weights


def hint_layers(controlnet) -> list[torch.nn.Module]:
    """The hint's convolutions but the last.

    They work on full pictures, and rest as random features: what they must tell of a line drawing survives random
    convolutions, and to train them would cost a third of every step.
    """
    embedding = controlnet.controlnet_cond_embedding
    return [embedding.conv_in, *embedding.blocks]


@torch.no_grad()
def freeze_hint_layers(controlnet, hints: torch.Tensor) -> None:
    """Makes them random features of unit size for hints (N, 3, H, W)."""
    x = hints
    for layer in hint_layers(controlnet):
        weight = torch.empty(layer.weight.flatten(1).shape)  # on the CPU: the same on every device
        layer.weight.copy_(torch.nn.init.orthogonal_(weight).view(layer.weight.shape))
        x = layer(x)
        layer.weight /= x.std()
        x = F.silu(x / x.std())
        layer.requires_grad_(False)
