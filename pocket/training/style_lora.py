"""A style as a LoRA (arXiv:2106.09685) of the pocket UNet: low-rank updates of the layers around its attention, in
kohya's layout, which ComfyUI's LoRA loader and `rfft` read.

As users' LoRAs are, it is trained without a ControlNet and knows nothing of one.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch

from ...rfft.adapter import LowRank
from ...rfft.lora import ALPHA, DOWN, UP, layers_of
from ...rfnet.files import write_safetensors
from ..family import alphas_cumprod, build_pocket
from ..ldm import CHECKPOINT, check_diffusion, read_file
from .diffusion import begin_from
from .latents import make_dataset
from .losses import velocity_loss
from .training import Training, named
from .vae import load_vae

SUFFIX = ".safetensors"
REPORT_EVERY = 50


def low_rank_updates(unet, rank: int, seed: int = 0) -> torch.nn.ModuleDict:
    """{kohya's name: rfft.adapter.LowRank} for every linear layer and convolution of the UNet's attention blocks
    (queries, keys, values, outputs, feed-forward, and the way in and out); they begin as zero. Raises ValueError where
    the rank is none.
    """
    if rank < 1:
        raise ValueError(f"--rank is {rank}: it must be at least 1; 4 to 32 are usual")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.ModuleDict(
            {
                "lora_unet_" + name.replace(".", "_"): LowRank(layer, rank)
                for name, layer in layers_of(unet).items()
                if ".attentions." in name
            }
        )


@contextlib.contextmanager
def attached(unet, updates: torch.nn.ModuleDict):
    """Inside, the UNet computes with the updates; its own weights stay as they are."""
    layers = {"lora_unet_" + name.replace(".", "_"): layer for name, layer in layers_of(unet).items()}
    handles = [
        layers[name].register_forward_hook(lambda layer, inputs, output, update=update: output + update(inputs[0]))
        for name, update in updates.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def save_lora(path, updates: torch.nn.ModuleDict, about: dict[str, str] | None = None) -> None:
    """Writes the updates as fp16, whole or not at all. about: further metadata."""
    tensors = {}
    ranks = [len(update.down) for update in updates.values()]
    for name, update in updates.items():
        tensors |= {
            name + UP: update.up.half(),
            name + DOWN: update.down.half(),
            name + ALPHA: torch.tensor(update.alpha).half(),
        }
    write_safetensors(
        path,
        tensors,
        {
            "ss_network_module": "networks.lora",
            "ss_network_dim": str(max(ranks)),
            "ss_network_alpha": str(float(max(ranks))),
            **(about or {}),
        },
    )


def train_lora(
    scenes,
    style: str,
    out,
    minutes: float | None = None,
    steps: int | None = None,
    lr: float = 2e-3,
    batch: int = 16,
    rank: int = 8,
    seed: int = 0,
    checkpoint=None,
) -> Path:
    """Trains on Samples in memory whose images are in the style already (styles.restyled) and writes the moving average
    to `out`, a .safetensors; returns its path.

    Its state lies beside it (STEM.state.safetensors): a stopped training goes on from there, and one that is done is
    written again. checkpoint: the pocket checkpoint to train it on, by default the one that ships. Raises ValueError on
    what can't be, before anything is computed.
    """
    out = Path(out)
    checkpoint = Path(checkpoint or CHECKPOINT)
    if out.suffix != SUFFIX or out.is_dir():
        raise ValueError(
            f"--out is {out}: give the path of a file that ends with {SUFFIX}, such as lora_{style}{SUFFIX}"
        )
    if (steps if steps is not None else minutes or 0) <= 0:
        raise ValueError(
            f"--steps or --minutes is {steps if steps is not None else minutes}: it must be more than 0; 5 minutes are"
            " usual"
        )
    config = read_file(checkpoint)[1]
    check_diffusion(config, checkpoint)
    pocket = build_pocket(config)
    begin_from(checkpoint, pocket)
    pocket.vae = load_vae(checkpoint)[0]
    pocket.eval()
    updates = low_rank_updates(pocket.unet, rank, seed)
    settings = {"seed": seed, "batch": batch, "scenes": scenes.fingerprint, "checkpoint": named(checkpoint)}
    run = Training(out.parent, out.stem, {"lora": updates}, lr, minutes, steps, 0.99, 0.01, seed, settings=settings)
    about = {"style": style, "trained_on": checkpoint.name}
    if run.extra.setdefault("about", about) != about:
        raise ValueError(
            f"{run.path} is the state of a training in the style {run.extra['about']['style']} on"
            f" {run.extra['about']['trained_on']}: delete it to start over, or choose another --out"
        )
    dataset = make_dataset(scenes, pocket.vae, out.parent / f"latents-{style}{SUFFIX}")
    run.off_the_clock()
    with attached(pocket.unet, updates):
        while run.running:
            latents, shares, _, contexts = dataset.draw(batch, run.random, pocket)
            run.update(velocity_loss(pocket, latents, shares, None, contexts, alphas_cumprod(), run.random))
            if run.step % REPORT_EVERY == 0:
                run.log(batch)
    run.save()
    with run.averaged():
        save_lora(out, updates, {**about, "steps": str(run.step)})
    return out
