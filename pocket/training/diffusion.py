"""Trains the pocket UNet, its text encoder and its canny ControlNet on the latents of rendered scenes.

First UNet and text encoder alone (CONTROL_FROM of the budget), since every step is then almost twice as fast. Then the
ControlNet starts as a copy of the UNet's way down with its outputs at zero (as arXiv:2302.05543 has it), and all three
go on together. A training that begins from earlier weights (`start`) leaves the text encoder as it is, and takes their
ControlNet along from its first step on.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...rfnet.data.samples import Samples
from ...rfnet.files import write_text
from ...rfnet.product import Product, place
from ..family import POCKET, Pocket, alphas_cumprod, build_pocket
from ..ldm import CHECKPOINT, CONTROLNET, from_ldm, key_maps, read_file
from ..pipeline import sample
from .latents import LatentDataset, features_as_hints, freeze_hint_layers, make_dataset
from .training import Training, read_averages, to_unit, write_sheet
from .vae import load_vae, save_vae

CONTROL_FROM = 0.55  # share of the budget after which the ControlNet takes part
WITHOUT_CONTROL = 0.15  # share of the later steps without it, so that the UNet stands alone too
PRODUCT_WEIGHT = 0.4  # of the loss on the product, whose own pixels are put back after sampling
SHEET_SECONDS = 420
STATE = ".state.safetensors"


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
    scenes: Samples,
    held_out: Samples,
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
    """Trains on Samples in memory with the autoencoder of WORK/vae.safetensors; WORK/diffusion.state.safetensors is the
    result for `export`.

    start: the state file of an earlier training, or an exported checkpoint, that this one begins from; its autoencoder
    is taken along where WORK has none. shares: {label or cause: share of the scenes that the steps draw}, since a small
    family doesn't paint all defects as often as it sees them. only_unet: the ControlNet of `start` takes part, but
    stays as it is: the UNet learns to go on beside it, so that the same ControlNet fits both.
    """
    work = Path(work)
    _check_start(work, start, only_unet)
    pocket = _build(work, config, seed)
    train = make_dataset(scenes, pocket.vae, work / "latents-train.safetensors", shares)
    val = make_dataset(held_out, pocket.vae, work / "latents-val.safetensors")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        freeze_hint_layers(pocket.controlnet, train.hints[:32, None].float().expand(-1, 3, -1, -1))
    controlled = start is not None and _begin_beside(start, pocket, only_unet)
    modules = {"unet": pocket.unet, "controlnet": pocket.controlnet, "text_encoder": pocket.text_encoder}
    run = Training(work, "diffusion", modules, lr, minutes, steps, seed=seed, matrices=is_matrix)
    run.extra["config"] = pocket.config
    if start is not None:
        train.contexts = train.encode_prompts(pocket)
        run.extra.setdefault("control", controlled)
    for module in run.modules.values():
        module.train()
    validate = partial(_validate, run, pocket, held_out, val, sheet_columns)
    alpha_bar = alphas_cumprod()
    while run.running:
        _let_control_in(run, pocket, train, val)
        latents, product_shares, features, contexts = train.draw(batch, run.random, pocket)
        if torch.rand((), generator=run.random) < WITHOUT_CONTROL:
            features = None
        run.update(velocity_loss(pocket, latents, product_shares, features, contexts, alpha_bar, run.random))
        run.report(batch, validate, SHEET_SECONDS)
    run.save()
    validate()
    return run.path


def _check_start(work: Path, start, only_unet: bool) -> None:
    """Raises ValueError where the UNet is to be trained beside a ControlNet that `start` lacks; takes its autoencoder
    along where WORK has none.
    """
    exported = start is not None and not str(start).endswith(STATE)
    if only_unet and (start is None or (exported and not Path(start).with_name(CONTROLNET.name).exists())):
        raise _lonely(start)
    if exported and not (work / "vae.safetensors").exists():
        save_vae(work / "vae.safetensors", *load_vae(start), {})


def _lonely(start) -> ValueError:
    return ValueError(
        f"the UNet alone is trained on beside a ControlNet, and {start or 'a new training'} has none: begin with"
        f" {CHECKPOINT.name} in a folder with its {CONTROLNET.name}"
    )


def _build(work: Path, config: dict, seed: int) -> Pocket:
    """A new family around the autoencoder of WORK."""
    vae, trained = load_vae(work / "vae.safetensors")
    pocket = build_pocket({**config, "vae": trained["vae"]}, seed)
    pocket.vae = vae
    return pocket


def _begin_beside(start, pocket: Pocket, only_unet: bool) -> bool:
    """Take the weights of `start` and let rest what stays as it is. Whether they have a ControlNet; ValueError where
    they must.
    """
    controlled = begin_from(start, pocket)
    pocket.text_encoder.requires_grad_(False)
    if only_unet and not controlled:
        raise _lonely(start)
    if only_unet:
        pocket.controlnet.requires_grad_(False)
    return controlled


def _let_control_in(run: Training, pocket: Pocket, *datasets: LatentDataset) -> None:
    """Start the ControlNet when its time has come, and compute once what its resting layers make of the hints."""
    if run.progress >= CONTROL_FROM and not run.extra.get("control"):
        start_controlnet(run, pocket)
    if run.extra.get("control"):
        for dataset in datasets:
            if dataset.features is None:
                dataset.features = dataset.encode_hints(pocket.controlnet)


def sheet_canvases(scenes, count: int) -> list:
    """The scenes' products where they stand in their pictures."""
    return [
        place(
            Product.from_arrays(p[..., :3] / np.float32(255), p[..., 3] / np.float32(255), c), 128, 128, position="keep"
        )
        for p, c in zip(scenes.arrays["product"][:count], scenes.column("caption"))
    ]


@torch.no_grad()
def _validate(run: Training, pocket: Pocket, held_out: Samples, val: LatentDataset, columns: int) -> None:
    """Print the moving average's loss on held-out scenes, and draw some of them for a sheet."""
    with run.averaged():
        contexts = val.encode_prompts(pocket)[: len(val.latents)]
        random = torch.Generator().manual_seed(0)
        loss = velocity_loss(pocket, val.latents, val.shares, val.features, contexts, alphas_cumprod(), random)
        prompts = held_out.column("prompt")[:columns]
        drawn = sample(pocket, sheet_canvases(held_out, columns), prompts, list(range(columns)))
    run.extra["loss"] = float(loss)
    print(f"diffusion step {run.step} · {100 * run.progress:.0f} % · held-out loss {float(loss):.4f}", flush=True)
    sheets = run.work / "sheets"
    write_sheet(sheets / f"diffusion-{run.step:06d}.png", [to_unit(held_out.arrays["image"][:columns]), drawn])
    write_text(sheets / "prompts.txt", "\n".join(prompts) + "\n")
    run.off_the_clock()
