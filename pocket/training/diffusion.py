"""Trains the pocket UNet, its text encoder and its canny ControlNet on the latents of scenes, in two stages; a third
one turns a family into one that matches flows.

"diffusion": UNet and text encoder alone, since every step is then almost twice as fast. "controlnet": the text encoder
rests; the ControlNet starts as a copy of the UNet's way down with its outputs at zero (as arXiv:2302.05543 has it), and
both go on together. "flow": both learn anew what they knew, along straight lines (losses.Straightened), so that flow
matching can be studied beside diffusion on one family. Each goes on from the weights of earlier trainings (`start`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from ...rfnet.data.samples import Samples
from ...rfnet.devices import find_device
from ...rfnet.files import quoted, write_text
from ...rfnet.product import Product, place
from ..family import POCKET, Pocket, alphas_cumprod, build_pocket
from ..ldm import CHECKPOINT, CONTROLNET, check_diffusion, from_ldm, key_maps, read_file
from ..pipeline import sample
from .latents import LatentCache, LatentDataset, add_scenes, freeze_hint_layers, hint_layers, make_dataset, unpacked
from .losses import Guided, Straightened, velocity_loss
from .training import Training, named, read_averages, read_state, to_unit, write_sheet
from .vae import load_vae, save_vae

LEARNING = {
    "diffusion": ("unet", "text_encoder"),
    "controlnet": ("unet", "controlnet"),
    "flow": ("unet", "controlnet"),
}
RATES = {"diffusion": 1.2e-3, "controlnet": 8e-4, "flow": 3e-4}
WITHOUT_CONTROL = 0.12  # share of the steps of the second stage without it, so that the UNet stands alone too
SHEET_SECONDS = 600
SHEET_STEPS, SHEET_GUIDANCE = 12, 2.0
STATE = ".state.safetensors"


def is_matrix(key: str, parameter: torch.Tensor) -> bool:
    """What Muon trains: all matrices and convolutions but the first and the last, and but the table of words."""
    return parameter.ndim >= 2 and not any(
        name in key
        for name in ("conv_in", "conv_out", "embedding.weight", "controlnet_cond", "controlnet_down", "controlnet_mid")
    )


def begin_from(file, pocket: Pocket) -> bool:
    """Takes UNet and text encoder from a training's state or from an exported checkpoint; the ControlNet too, where the
    state holds one or the export's lies beside the checkpoint. Returns whether there was one.
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
        names = key_maps(pocket.config, controlnet=pocket.controlnet)["controlnet"]
        from_ldm(pocket.controlnet, names, read_file(hints)[0], hints)
    return hints.exists()


def train_diffusion(
    stage: str,
    feed,
    held_out: Samples,
    work,
    minutes: float | None = None,
    steps: int | None = None,
    lr: float | None = None,
    batch: int = 16,
    seed: int = 0,
    sheet_columns: int = 8,
    start=None,
    shares: dict | None = None,
    only_unet: bool = False,
    guidance: float | None = None,
    config: dict = POCKET,
    device: str | None = None,
    bf16: bool | None = None,
) -> Path:
    """One of the stages, with the autoencoder of WORK/vae.safetensors; returns its state,
    WORK/STAGE.state.safetensors. `export` takes that of "controlnet".

    feed: as feed.Feed; held_out: samples in memory. start: the state file of an earlier training, or an exported
    checkpoint, to begin from, whose autoencoder is taken along where WORK has none; "controlnet" begins from WORK's own
    "diffusion" by default, and "flow" needs one with a ControlNet. shares: {label or cause: share of the scenes that
    the steps draw}. only_unet: the ControlNet of `start` takes part, but stays as it is: the UNet learns to go on
    beside it, so that the same ControlNet fits both. guidance: the UNet learns to draw without guidance what `start`
    draws with it (losses.Guided). Raises ValueError on what can't be, before anything is computed.
    """
    work = Path(work)
    if guidance is not None and not only_unet:
        raise ValueError("--guidance is learned with --only unet: give that, too, and the family with --start")
    beside = only_unet or stage == "flow"  # such a training needs a ControlNet to begin with
    given, start = start, _check_start(stage, work, start, beside)
    where = find_device(device)
    pocket, controlled = _build(work, start, config, seed)
    if beside and not controlled:
        raise _lonely(start)
    for part in pocket.parts().values():
        part.to(where, memory_format=torch.channels_last).train()
    pocket.vae.eval()
    cache = LatentCache(pocket.vae, work / "latents-train.safetensors")
    train = LatentDataset(where, shares)
    add_scenes(train, feed.take(0.0), cache)
    val = make_dataset(held_out, pocket.vae, work / "latents-val.safetensors")
    if stage == "controlnet" and not controlled:
        start_controlnet(pocket, train, seed)
    loss_of = _loss_of(stage, pocket, guidance)
    modules = _let_learn(pocket, ("unet",) if only_unet else LEARNING[stage])
    settings = {"seed": seed, "batch": batch, "shares": shares or {}, "guidance": guidance, "start": named(given)}
    settings |= {"style": getattr(feed, "style", None), "only": "unet" if only_unet else None}
    options = {"seed": seed, "matrices": is_matrix, "bf16": bf16, "settings": settings}
    run = Training(work, stage, modules, lr or RATES[stage], minutes, steps, **options)
    run.extra |= {"config": pocket.config, "control": "controlnet" in modules}
    look = partial(_validate, run, pocket, loss_of, held_out, val, sheet_columns)
    _steps(run, pocket, loss_of, feed, train, cache, batch, look)
    return run.path


def _loss_of(stage: str, pocket: Pocket, guidance: float | None):
    """What a stage minimises. Of "flow" the family learns what it is now, and is called so from here on."""
    if stage == "flow":
        loss = Straightened(pocket, alphas_cumprod())
        pocket.config = {**pocket.config, "prediction": "flow"}
        return loss
    return velocity_loss if guidance is None else Guided(pocket, guidance)


def _let_learn(pocket: Pocket, names: tuple[str, ...]) -> dict[str, torch.nn.Module]:
    """Lets everything rest but these parts, and the hint layers in any case. Returns what belongs into the state: UNet
    and text encoder, and the ControlNet where it takes part.
    """
    for name, part in pocket.parts().items():
        part.requires_grad_(name in names)
    for layer in hint_layers(pocket.controlnet):
        layer.requires_grad_(False)
    parts = pocket.parts()
    kept = ("unet", "text_encoder") if "text_encoder" in names else ("unet", "text_encoder", "controlnet")
    return {name: parts[name] for name in kept}


def _steps(run: Training, pocket: Pocket, loss_of, feed, train: LatentDataset, cache: LatentCache, batch: int, look):
    """All that are left of the run; `look` validates."""
    alpha_bar = alphas_cumprod().to(run.device)
    run.off_the_clock()
    while run.running:
        if new := feed.take(run.progress):
            add_scenes(train, new, cache)
            run.off_the_clock()
        controlled = run.extra["control"] and bool(
            torch.rand((), generator=run.random, device=run.device) >= WITHOUT_CONTROL
        )
        with run.cast():
            latents, product_shares, hints, contexts = train.draw(batch, run.random, pocket)
            hints = hints if controlled else None
            loss = loss_of(pocket, latents, product_shares, hints, contexts, alpha_bar, run.random)
        run.update(loss)
        run.report(batch, look, SHEET_SECONDS)
    run.save()
    look()


@torch.no_grad()
def start_controlnet(pocket: Pocket, scenes: LatentDataset, seed: int) -> None:
    """The ControlNet takes over the UNet's weights wherever both have them; its hint layers become features that
    rest.
    """
    own = pocket.controlnet.state_dict()
    pocket.controlnet.load_state_dict({k: v for k, v in pocket.unet.state_dict().items() if k in own}, strict=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        freeze_hint_layers(pocket.controlnet, unpacked(scenes.columns["hints"][:32]))


def _check_start(stage: str, work: Path, start, beside: bool) -> Path | None:
    """What the training begins from, or None. beside: it needs a ControlNet; raises ValueError where `start` lacks one.
    Takes its autoencoder along where WORK has none.
    """
    if start is None and stage == "controlnet":
        start = work / f"diffusion{STATE}"
        if not start.exists():
            raise ValueError(
                f"{quoted(work)} holds no training of the UNet: run `pocket train diffusion` first, or give --start and"
                " a checkpoint."
            )
    exported = start is not None and not str(start).endswith(STATE)
    if beside and (start is None or (exported and not Path(start).with_name(CONTROLNET.name).exists())):
        raise _lonely(start)
    if stage == "diffusion" and (work / f"controlnet{STATE}").exists():
        raise ValueError(
            f"{quoted(work)} holds the training of a ControlNet, which would not fit another UNet: choose another"
            " --work."
        )
    if exported and not (work / "vae.safetensors").exists():
        save_vae(work / "vae.safetensors", *load_vae(start), {})
    return None if start is None else Path(start)


def _lonely(start) -> ValueError:
    return ValueError(
        f"this training goes on beside a ControlNet, and {start or 'a new training'} has none: begin with"
        f" {CHECKPOINT.name} in a folder with its {CONTROLNET.name}"
    )


def _build(work: Path, start: Path | None, config: dict, seed: int) -> tuple[Pocket, bool]:
    """A family around the autoencoder of WORK, new or with the weights of `start`; and whether it has a ControlNet."""
    vae, trained = load_vae(work / "vae.safetensors")
    if start is not None:
        is_state = str(start).endswith(STATE)
        config = read_state(start)[0]["extra"].get("config", config) if is_state else read_file(start)[1]
        check_diffusion(config, start)
    pocket = build_pocket({**config, "vae": trained["vae"]}, seed)
    pocket.vae = vae
    return pocket, start is not None and begin_from(start, pocket)


def sheet_canvases(scenes: Samples, count: int) -> list:
    """The scenes' products where they stand in their pictures."""
    side = scenes.size
    return [
        place(Product(product.astype("float32") / 255, caption), side, side, position="keep")
        for product, caption in zip(scenes.arrays["product"][:count], scenes.column("caption"))
    ]


def _held_out_loss(run: Training, pocket: Pocket, loss_of, val: LatentDataset, batch: int = 16) -> float:
    """Of plain prompts, with the same noise every time."""
    random = torch.Generator(run.device).manual_seed(0)
    alpha_bar, losses = alphas_cumprod().to(run.device), []
    for rows in torch.arange(len(val), device=run.device).split(batch):
        latents, shares, hints = val.rows(rows)
        with run.cast():
            contexts = pocket.text_encoder(val.columns["tokens"][rows, 0].long()).last_hidden_state
            hints = hints if run.extra["control"] else None
            losses.append(loss_of(pocket, latents, shares, hints, contexts, alpha_bar, random))
    return float(sum(losses) / len(losses))


@torch.no_grad()
def _validate(run: Training, pocket: Pocket, loss_of, held_out: Samples, val: LatentDataset, columns: int) -> None:
    """Print the moving average's loss on held-out scenes, and draw some of them for a sheet."""
    prompts = held_out.column("prompt")[:columns]
    canvases, seeds = sheet_canvases(held_out, columns), list(range(columns))
    with run.averaged():
        run.extra["loss"] = _held_out_loss(run, pocket, loss_of, val)
        drawn = sample(pocket, canvases, prompts, seeds[: len(canvases)], steps=SHEET_STEPS, cfg=SHEET_GUIDANCE)
    loss = f"held-out loss {run.extra['loss']:.4f}"
    print(f"{run.name} step {run.step} · {100 * run.progress:.0f} % · {loss}", flush=True)
    sheets = run.work / "sheets"
    write_sheet(sheets / f"{run.name}-{run.step:06d}.png", [to_unit(held_out.arrays["image"][:columns]), drawn])
    write_text(sheets / "prompts.txt", "\n".join(prompts) + "\n")
    run.off_the_clock()
