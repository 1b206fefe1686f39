"""`pocket train vae | diffusion | lora | export | roundtrip`: the commands that make the pocket family's weights.

Each can be stopped at any moment and goes on from its last state (at most two minutes old) when it is run again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ...rfnet.arguments import COUNT, SEED, SHARE, THREADS, decimal, one_line, path, whole
from ...rfnet.commands import guarded
from .styles import STYLES

BATCH = whole(1, 4096)
RANK = whole(1, 1024)
SIDE = whole(16, 1024)
LEVEL = whole(0, 999)
RATE = decimal(0, 10, above=True)
MINUTES = decimal(0, 1e6, above=True)


def _prepare(args) -> None:
    """Threads that sleep instead of spinning while they wait: on a busy machine the difference is more than tenfold.

    Must come before torch is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    if hasattr(os, "nice"):
        os.nice(args.nice)
    import torch

    torch.set_num_threads(args.threads)


def _scenes(folder: Path, limit: int | None, style: str | None = None):
    from ...rfnet.data.sources import read_shards
    from ..family import PICTURE_SIZE
    from .styles import restyled

    samples = read_shards(folder, PICTURE_SIZE)
    scenes = samples.select(range(min(limit or len(samples), len(samples)))).in_memory()
    print(f"{len(scenes)} scenes from {folder}{f' in the style {style}' if style else ''}", flush=True)
    return restyled(scenes, style) if style else scenes


def _vae(args) -> None:
    from .vae import train_vae

    scenes = _scenes(args.data / "train", args.limit)
    held_out = _scenes(args.data / "val", 64)
    train_vae(
        scenes.arrays["image"],
        held_out.arrays["image"],
        args.work,
        args.minutes,
        args.steps,
        args.lr or 1e-3,
        args.batch or 4,
        args.seed,
        start=args.start,
    )


def _diffusion(args) -> None:
    from .diffusion import train_diffusion

    scenes = _scenes(args.data / "train", args.limit, args.style)
    held_out = _scenes(args.data / "val", 64, args.style)
    train_diffusion(
        scenes,
        held_out,
        args.work,
        args.minutes,
        args.steps,
        args.lr or 1e-3,
        args.batch or 16,
        args.seed,
        start=args.start,
        shares=dict(args.shares),
        only_unet=args.only == "unet",
    )


def _lora(args) -> None:
    from .style_lora import train_lora

    print(
        train_lora(
            _scenes(args.data / "train", args.limit, args.style),
            args.style,
            args.out,
            args.minutes,
            args.steps,
            args.lr,
            args.batch,
            args.rank,
            args.seed,
            args.checkpoint,
        )
    )


def _export(args) -> None:
    from .export import export

    for written in export(args.work, args.out):
        print(written)


def _roundtrip(args) -> None:
    from .export import roundtrip

    print(
        roundtrip(
            _scenes(args.data, args.limit),
            args.out,
            args.checkpoint,
            args.controlnet,
            args.variant,
            args.seed,
            cache=args.cache,
            noise=args.noise,
            size=args.size,
        )
    )


def _share(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, SHARE(value)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{one_line(text, 40)} is no share: give NAME=SHARE, such as available=0.4"
        ) from error


def file_path(text: str) -> Path:
    return Path(path(text))


def add_train_parser(commands) -> None:
    """Adds `train` with its five commands to the subparsers of `pocket`."""
    train = commands.add_parser("train", help="train the small SD-style family on rendered scenes")
    stages = train.add_subparsers(dest="stage", required=True)
    for add in (_add_vae, _add_diffusion, _add_lora, _add_export, _add_roundtrip):
        add(stages)


def _add_stage(stages, name: str, work, help_text: str) -> argparse.ArgumentParser:
    parser = stages.add_parser(name, help=help_text)
    parser.add_argument("--threads", type=THREADS, default=2)
    parser.add_argument(
        "--nice",
        type=whole(0, 19),
        default=5,
        help=("niceness of the process: higher values leave more of the CPU to other programs"),
    )
    parser.set_defaults(run=_run, work_function=work)
    return parser


def _add_budget(parser, minutes: float) -> None:
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--minutes", type=MINUTES, default=minutes, help="training time, stops included once (default %(default)s)"
    )
    budget.add_argument("--steps", type=COUNT, help="a fixed number of steps instead of minutes")


def _add_work(parser, minutes: float) -> None:
    """What the trainings of the autoencoder and of the UNet have in common."""
    parser.add_argument("--data", type=file_path, required=True, help="folder with train/ and val/")
    parser.add_argument("--work", type=file_path, required=True, help="folder for states and sample sheets")
    _add_budget(parser, minutes)
    parser.add_argument("--lr", type=RATE)
    parser.add_argument("--batch", type=BATCH)
    parser.add_argument("--limit", type=COUNT, help="use only the first scenes")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument(
        "--start",
        type=file_path,
        help=(
            "begin from the weights in this file: vae.safetensors, diffusion.state.safetensors, or an exported"
            " pocket_sd.safetensors"
        ),
    )


def _add_vae(stages) -> None:
    _add_work(_add_stage(stages, "vae", _vae, "the autoencoder: WORK/vae.safetensors"), minutes=25)


def _add_diffusion(stages) -> None:
    text = "UNet, ControlNet and text encoder on the autoencoder's latents"
    parser = _add_stage(stages, "diffusion", _diffusion, text)
    _add_work(parser, minutes=40)
    parser.add_argument(
        "--shares",
        nargs="+",
        type=_share,
        default=[],
        metavar="NAME=SHARE",
        help=(
            "how often the steps see a label or a cause, such as available=0.4 no_surface=0.1; what is left goes to all"
            " others (default: as often as they occur)"
        ),
    )
    parser.add_argument("--style", choices=STYLES, help="learn from the scenes in this style")
    parser.add_argument(
        "--only",
        choices=("unet",),
        help="the UNet alone learns, beside the ControlNet of --start, which stays as it is and fits the result",
    )


def _add_lora(stages) -> None:
    text = "a style as a LoRA of the UNet, in kohya's layout: FILE.safetensors"
    parser = _add_stage(stages, "lora", _lora, text)
    parser.add_argument("--style", choices=STYLES, required=True)
    parser.add_argument("--data", type=file_path, required=True, help="folder with train/")
    parser.add_argument(
        "--out",
        type=file_path,
        required=True,
        help="the .safetensors to write; a stopped training's state lies beside it",
    )
    _add_budget(parser, minutes=5)
    parser.add_argument("--lr", type=RATE, default=2e-3)
    parser.add_argument("--batch", type=BATCH, default=16)
    parser.add_argument("--rank", type=RANK, default=8)
    parser.add_argument("--limit", type=COUNT, help="use only the first scenes")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument(
        "--checkpoint", type=file_path, help="the checkpoint to train it on (default: the exported one)"
    )


def _add_export(stages) -> None:
    parser = _add_stage(stages, "export", _export, "write the two fp16 files that ComfyUI and diffusers load")
    parser.add_argument("--work", type=file_path, required=True)
    parser.add_argument("--out", type=file_path, help="folder (default: where the pack looks, pocket/weights)")


def _add_roundtrip(stages) -> None:
    text = "scenes as the family would draw them, for training the reviewer: a uint8 .npy in the scenes' order"
    parser = _add_stage(stages, "roundtrip", _roundtrip, text)
    parser.add_argument("--data", type=file_path, required=True, help="one split, as DATA/train")
    parser.add_argument("--out", type=file_path, required=True)
    parser.add_argument(
        "--variant",
        choices=("vae", "denoised"),
        default="vae",
        help="through the autoencoder; or noised and denoised in one step, like an early preview",
    )
    parser.add_argument(
        "--noise",
        nargs=2,
        type=LEVEL,
        default=(150, 350),
        metavar=("LOW", "HIGH"),
        help="for denoised: between which of the 1,000 timesteps (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        type=SIDE,
        default=160,
        help="side of the copies, which is the reviewer's image_size (default %(default)s)",
    )
    parser.add_argument("--checkpoint", type=file_path, help="default: the exported one")
    parser.add_argument("--controlnet", type=file_path, help="default: the exported one")
    parser.add_argument(
        "--cache",
        type=file_path,
        help="latents-train.safetensors of a diffusion training with the same autoencoder: saves encoding",
    )
    parser.add_argument("--limit", type=COUNT)
    parser.add_argument("--seed", type=SEED, default=0)


def _run(args) -> int:
    _prepare(args)
    return guarded("pocket", lambda: args.work_function(args) or 0, status=2)
