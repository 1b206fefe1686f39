"""What the diffusion trainings draw from: scenes as latents, hints and prompts, each computed once and not per step.

What rests is computed once too: the features of the ControlNet's hint layers, a resting text encoder's contexts.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...rfnet.data.samples import Samples
from ...rfnet.files import write_safetensors
from ...rfnet.labels import LABELS
from ...rfnet.product import canny_hint
from ...synthetic.scenes import described
from ..family import Pocket, tokenize
from .training import to_unit

EMPTY_PROMPT = 0.1
# share of the prompts that also say what is right or wrong with the picture, as captions of real pictures sometimes do
DESCRIBED = 0.35


@dataclass
class LatentDataset:
    """What the steps draw from: latents (N, 4, 16, 16), product shares (N, 1, 16, 16), hints (N, 128, 128) bool, token
    ids (2 N + 1, 77) of the prompts, of the prompts with words on the picture, and of the empty prompt; how often each
    scene is drawn (N,); and what resting layers make of them: features (N, 256, 16, 16) float16 of the hints, contexts
    (2 N + 1, 77, C) of the tokens.
    """

    latents: torch.Tensor
    shares: torch.Tensor
    hints: torch.Tensor
    tokens: torch.Tensor
    weights: torch.Tensor
    features: torch.Tensor | None = None
    contexts: torch.Tensor | None = None

    def draw(self, count: int, random: torch.Generator, pocket: Pocket):
        """A batch (latents, shares, features, contexts); some of the prompts are empty."""
        index = torch.multinomial(self.weights, count, replacement=True, generator=random)
        chance = torch.rand(count, generator=random)
        prompts = torch.where(chance < EMPTY_PROMPT, -1, index + len(self.latents) * (chance > 1 - DESCRIBED))
        contexts = (
            pocket.text_encoder(self.tokens[prompts]).last_hidden_state
            if self.contexts is None
            else self.contexts[prompts]
        )
        return (
            self.latents[index],
            self.shares[index],
            None if self.features is None else self.features[index],
            contexts,
        )

    @torch.no_grad()
    def encode_prompts(self, pocket: Pocket, batch: int = 64) -> torch.Tensor:
        """The tokens' contexts (2 N + 1, 77, C)."""
        return torch.cat(
            [
                pocket.text_encoder(self.tokens[i : i + batch]).last_hidden_state
                for i in range(0, len(self.tokens), batch)
            ]
        )

    @torch.no_grad()
    def encode_hints(self, controlnet, batch: int = 16) -> torch.Tensor:
        """What the resting layers of the ControlNet's hint embedding make of the line drawings: (N, 256, 16, 16),
        float16.
        """
        embedding = controlnet.controlnet_cond_embedding
        rows = []
        for i in range(0, len(self.hints), batch):
            x = F.silu(embedding.conv_in(self.hints[i : i + batch, None].float().expand(-1, 3, -1, -1)))
            for layer in embedding.blocks:
                x = F.silu(layer(x))
            rows.append(x.half())
        return torch.cat(rows)


@contextlib.contextmanager
def features_as_hints(controlnet):
    """Inside, `controlnet` takes the features of `LatentDataset.encode_hints` where it takes hints otherwise."""
    embedding = controlnet.controlnet_cond_embedding
    embedding.forward = embedding.conv_out.forward
    try:
        yield
    finally:
        del embedding.forward


def hint_of(product: np.ndarray) -> np.ndarray:
    """The canny hint (3, H, W) of a placed product, (H, W, 4) uint8."""
    return canny_hint(product[..., :3] / np.float32(255), product[..., 3] / np.float32(255))


def encode_scenes(vae, images: np.ndarray, batch: int = 16) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(
            [vae.encode(to_unit(images[i : i + batch]) * 2 - 1).latents for i in range(0, len(images), batch)]
        )


def cached_latents(scenes: Samples, vae, cache: Path) -> torch.Tensor:
    """The scenes' latents; those that the file `cache` holds from the same autoencoder are not computed again."""
    from safetensors import safe_open

    key = f"{sum(float(p.half().double().sum()) for p in vae.parameters()):.6f}"  # half: as exported
    known: dict[str, torch.Tensor] = {}
    if cache.exists():
        with safe_open(str(cache), framework="pt") as file:
            if file.metadata().get("vae") == key:
                known = dict(zip(json.loads(file.metadata()["ids"]), file.get_tensor("latents")))
    images = scenes.arrays["image"]
    # By the picture too: a scene may be rendered anew.
    names = [f"{name} {zlib.crc32(image.tobytes()):08x}" for name, image in zip(scenes.column("id"), images)]
    missing = [row for row, name in enumerate(names) if name not in known]
    if missing:
        known |= dict(zip([names[row] for row in missing], encode_scenes(vae, images[missing])))
        write_safetensors(
            cache, {"latents": torch.stack(list(known.values()))}, {"vae": key, "ids": json.dumps(list(known))}
        )
    return torch.stack([known[name] for name in names])


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


def make_dataset(scenes: Samples, vae, cache: Path, shares: dict | None = None) -> LatentDataset:
    """Of Samples in memory. cache: as in cached_latents; shares: as in mix."""
    latents = cached_latents(scenes, vae, cache)
    prompts = scenes.column("prompt")
    alphas = torch.from_numpy(scenes.arrays["product"][..., 3].astype(np.float32) / 255)
    hints = np.stack([hint_of(product)[0] > 0 for product in scenes.arrays["product"]])
    print(f"latents: mean {latents.mean():.3f}, deviation {latents.std():.3f}", flush=True)
    described_prompts = [
        described(prompt, LABELS[label], np.random.default_rng(row))
        for row, (prompt, label) in enumerate(zip(prompts, scenes.labels))
    ]
    return LatentDataset(
        latents,
        F.avg_pool2d(alphas[:, None], 8),
        torch.from_numpy(hints),
        tokenize([*prompts, *described_prompts, ""]),
        mix(scenes.labels, scenes.column("cause"), shares),
    )


@torch.no_grad()
def freeze_hint_layers(controlnet, hints: torch.Tensor) -> None:
    """Leaves the hint's convolutions as random features of unit size and trains only the last one.

    They work on full pictures and would cost a third of every step; what they must tell of a line drawing survives
    random convolutions.
    """
    embedding = controlnet.controlnet_cond_embedding
    x = hints
    for layer in (embedding.conv_in, *embedding.blocks):
        torch.nn.init.orthogonal_(layer.weight.flatten(1))
        x = layer(x)
        layer.weight /= x.std()
        x = F.silu(x / x.std())
        layer.requires_grad_(False)
