"""Trains the pocket UNet, its text encoder and its canny ControlNet on the latents of rendered scenes.

First UNet and text encoder alone (CONTROL_FROM of the budget), since every step is then almost twice as fast. Then the
ControlNet starts as a copy of the UNet's way down with its outputs at zero (as arXiv:2302.05543 has it), and all three
go on together. A training that begins from earlier weights (`start`) leaves the text encoder as it is, and takes their
ControlNet along from its first step on. What rests is computed once per scene, not once per step: the latents, the hint
layers' features, a resting text encoder's words.
"""

from __future__ import annotations

import contextlib
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ...rfnet.files import write_safetensors, write_text
from ...rfnet.labels import LABELS
from ...rfnet.product import Product, canny_hint, place
from ...synthetic.scenes import described
from ..family import POCKET, Pocket, alphas_cumprod, build_pocket, tokenize
from ..ldm import CHECKPOINT, CONTROLNET, from_ldm, key_maps, read_file
from ..pipeline import sample
from .training import Training, read_averages, to_unit, write_sheet
from .vae import load_vae, save_vae

CONTROL_FROM = 0.55  # share of the budget after which the ControlNet takes part
WITHOUT_CONTROL = 0.15  # share of the later steps without it, so that the UNet stands alone too
EMPTY_PROMPT = 0.1
# share of the prompts that also say what is right or wrong with the picture, as captions of real pictures sometimes do
DESCRIBED = 0.35
PRODUCT_WEIGHT = 0.4  # of the loss on the product, whose own pixels are put back after sampling
REPORT_SECONDS = 30
SHEET_SECONDS = 420
STATE = ".state.safetensors"


@dataclass
class Table:
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
        words = torch.where(chance < EMPTY_PROMPT, -1, index + len(self.latents) * (chance > 1 - DESCRIBED))
        contexts = (
            pocket.text_encoder(self.tokens[words]).last_hidden_state if self.contexts is None else self.contexts[words]
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
    """Inside, `controlnet` takes the features of `Table.encode_hints` where it takes hints otherwise."""
    embedding = controlnet.controlnet_cond_embedding
    embedding.forward = embedding.conv_out.forward
    try:
        yield
    finally:
        del embedding.forward


def encode_scenes(vae, images: np.ndarray, batch: int = 16) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(
            [vae.encode(to_unit(images[i : i + batch]) * 2 - 1).latents for i in range(0, len(images), batch)]
        )


def cached_latents(scenes, vae, cache: Path) -> torch.Tensor:
    """The scenes' latents; those that the file `cache` holds from the same autoencoder are not computed again."""
    from safetensors import safe_open

    key, known = f"{sum(float(p.half().double().sum()) for p in vae.parameters()):.6f}", {}  # half: as exported
    if cache.exists():
        with safe_open(str(cache), framework="pt") as file:
            if file.metadata().get("vae") == key:
                known = dict(zip(json.loads(file.metadata()["ids"]), file.get_tensor("latents")))
    names = [
        f"{name} {zlib.crc32(image.tobytes()):08x}" for name, image in zip(scenes.column("id"), scenes.arrays["image"])
    ]  # a scene may be rendered anew
    missing = [row for row, name in enumerate(names) if name not in known]
    if missing:
        known |= dict(zip([names[row] for row in missing], encode_scenes(vae, scenes.arrays["image"][missing])))
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


def make_table(scenes, vae, cache: Path, shares: dict | None = None) -> Table:
    latents = cached_latents(scenes, vae, cache)
    prompts = scenes.column("prompt")
    alphas = torch.from_numpy(scenes.arrays["product"][..., 3].astype(np.float32) / 255)
    hints = np.stack(
        [canny_hint(p[..., :3] / np.float32(255), p[..., 3] / np.float32(255))[0] > 0 for p in scenes.arrays["product"]]
    )
    print(f"latents: mean {latents.mean():.3f}, deviation {latents.std():.3f}", flush=True)
    words = [
        described(prompt, LABELS[label], np.random.default_rng(row))
        for row, (prompt, label) in enumerate(zip(prompts, scenes.labels))
    ]
    return Table(
        latents,
        F.avg_pool2d(alphas[:, None], 8),
        torch.from_numpy(hints),
        tokenize([*prompts, *words, ""]),
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


@torch.no_grad()
def start_controlnet(run: Training, pocket: Pocket) -> None:
    """The ControlNet takes over the UNet's weights wherever both have them, and its moving average starts there."""
    own = pocket.controlnet.state_dict()
    pocket.controlnet.load_state_dict({k: v for k, v in pocket.unet.state_dict().items() if k in own}, strict=False)
    for key, p in run.parameters.items():
        if key.startswith("controlnet."):
            run.average.shadow[key].copy_(p)
    run.extra["control"] = True


def is_matrix(key: str, parameter: torch.Tensor) -> bool:
    """What Muon trains: all matrices and convolutions but the first and the last, and but the table of words."""
    return parameter.ndim >= 2 and not any(
        name in key
        for name in ("conv_in", "conv_out", "embedding.weight", "controlnet_cond", "controlnet_down", "controlnet_mid")
    )


def velocity_loss(
    pocket: Pocket, latents, shares, features, context, alpha_bar: torch.Tensor, random: torch.Generator
) -> torch.Tensor:
    """Mean squared error of v, weighted by where it will be seen; features None: without the ControlNet."""
    count = len(latents)
    t = (
        (torch.rand((), generator=random) + torch.arange(count) / count) % 1 * 1000
    ).long()  # spread evenly: less noise between batches
    noise = torch.randn(latents.shape, generator=random)
    a = alpha_bar[t][:, None, None, None]
    with features_as_hints(pocket.controlnet):
        predicted = pocket.velocity(
            a.sqrt() * latents + (1 - a).sqrt() * noise, t, context, None if features is None else features.float()
        )
    weight = 1 - (1 - PRODUCT_WEIGHT) * shares
    return (weight * (predicted - (a.sqrt() * noise - (1 - a).sqrt() * latents)) ** 2).mean() / weight.mean()


def begin_from(file, pocket: Pocket) -> bool:
    """Takes UNet and text encoder from a training's state or from an exported checkpoint; the ControlNet too, where the
    state had begun it or the export's lies beside the checkpoint. Returns whether there was one.
    """
    parts = {"unet": pocket.unet, "text_encoder": pocket.text_encoder}
    if str(file).endswith(STATE):
        controlled = bool(read_averages(file, parts)["extra"].get("control"))
        if controlled:
            read_averages(file, {"controlnet": pocket.controlnet})
        return controlled
    tensors, _ = read_file(file)
    for name, names in key_maps(pocket.config, **parts).items():
        from_ldm(parts[name], names, tensors, file)
    hints = Path(file).with_name(CONTROLNET.name)
    if hints.exists():
        from_ldm(
            pocket.controlnet,
            key_maps(pocket.config, controlnet=pocket.controlnet)["controlnet"],
            read_file(hints)[0],
            hints,
        )
    return hints.exists()


def train_diffusion(
    scenes,
    held_out,
    work,
    minutes: float | None = None,
    steps: int | None = None,
    lr: float = 6e-4,
    batch: int = 16,
    seed: int = 0,
    sheet_columns: int = 8,
    start=None,
    shares: dict | None = None,
    only_unet: bool = False,
    config: dict = POCKET,
) -> Path:
    """Trains on Samples in memory with the autoencoder of WORK/vae.safetensors; WORK/diffusion.state.safetensors
    is the result for `export`.

    start: the state file of an earlier training, or an exported checkpoint, that this one begins from; its autoencoder
    is taken along where WORK has none. shares: {label or cause: share of the scenes that the steps draw}, since a small
    family doesn't paint all defects as often as it sees them. only_unet: the ControlNet of `start` takes part, but
    stays as it is: the UNet learns to go on beside it, so that the same ControlNet fits both.
    """
    work = Path(work)
    lonely = ValueError(
        f"the UNet alone is trained on beside a ControlNet, and {start or 'a new training'} has none: begin with"
        f" {CHECKPOINT.name} in a folder with its {CONTROLNET.name}"
    )
    if (
        only_unet
        and not str(start).endswith(STATE)
        and (start is None or not Path(start).with_name(CONTROLNET.name).exists())
    ):
        raise lonely
    if start is not None and not (work / "vae.safetensors").exists() and not str(start).endswith(STATE):
        save_vae(work / "vae.safetensors", *load_vae(start), {})
    vae, trained = load_vae(work / "vae.safetensors")
    config = {**config, "vae": trained["vae"]}
    pocket = build_pocket(config, seed)
    pocket.vae = vae
    table, check = (
        make_table(s, vae, work / f"latents-{name}.safetensors", asked)
        for s, name, asked in ((scenes, "train", shares), (held_out, "val", None))
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        freeze_hint_layers(pocket.controlnet, table.hints[:32, None].float().expand(-1, 3, -1, -1))
    if start is not None:
        controlled = begin_from(start, pocket)
        pocket.text_encoder.requires_grad_(False)
        if only_unet and not controlled:
            raise lonely
        if only_unet:
            pocket.controlnet.requires_grad_(False)
    run = Training(
        work,
        "diffusion",
        {"unet": pocket.unet, "controlnet": pocket.controlnet, "text_encoder": pocket.text_encoder},
        lr,
        minutes,
        steps,
        ema_decay=0.998,
        weight_decay=0.01,
        seed=seed,
        matrices=is_matrix,
    )
    run.extra["config"] = config
    if start is not None:
        table.contexts = table.encode_prompts(pocket)
        run.extra.setdefault("control", controlled)
    for module in run.modules.values():
        module.train()
    alpha_bar = alphas_cumprod()
    reported = sheeted = time.monotonic()
    while run.running:
        if run.progress >= CONTROL_FROM and not run.extra.get("control"):
            start_controlnet(run, pocket)
        if run.extra.get("control") and table.features is None:
            table.features = table.encode_hints(pocket.controlnet)
            check.features = check.encode_hints(pocket.controlnet)
        latents, shares, features, contexts = table.draw(batch, run.random, pocket)
        if torch.rand((), generator=run.random) < WITHOUT_CONTROL:
            features = None
        run.update(velocity_loss(pocket, latents, shares, features, contexts, alpha_bar, run.random))
        now = time.monotonic()
        if now - reported > REPORT_SECONDS:
            run.log(batch)
            reported = now
        if now - sheeted > SHEET_SECONDS:
            _report(run, pocket, held_out, check, alpha_bar, sheet_columns)
            reported = sheeted = time.monotonic()
    run.save()
    _report(run, pocket, held_out, check, alpha_bar, sheet_columns)
    return run.path


def sheet_canvases(scenes, count: int) -> list:
    """The scenes' products where they stand in their pictures."""
    return [
        place(
            Product.from_arrays(p[..., :3] / np.float32(255), p[..., 3] / np.float32(255), c), 128, 128, position="keep"
        )
        for p, c in zip(scenes.arrays["product"][:count], scenes.column("caption"))
    ]


def _report(run: Training, pocket: Pocket, held_out, check: Table, alpha_bar: torch.Tensor, columns: int) -> None:
    with run.averaged(), torch.no_grad():
        fixed = torch.Generator().manual_seed(0)
        loss = float(
            velocity_loss(
                pocket,
                check.latents,
                check.shares,
                check.features,
                check.encode_prompts(pocket)[: len(check.latents)],
                alpha_bar,
                fixed,
            )
        )
        seeds = list(range(columns))
        drawn = sample(pocket, sheet_canvases(held_out, columns), held_out.column("prompt")[:columns], seeds)
    print(f"diffusion step {run.step} · {100 * run.progress:.0f} % · held-out loss {loss:.4f}", flush=True)
    run.extra["loss"] = loss
    write_sheet(
        run.work / "sheets" / f"diffusion-{run.step:06d}.png", [to_unit(held_out.arrays["image"][:columns]), drawn]
    )
    write_text(run.work / "sheets" / "prompts.txt", "\n".join(held_out.column("prompt")[:columns]) + "\n")
    run.off_the_clock()
