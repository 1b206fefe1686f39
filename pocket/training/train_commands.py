"""`pocket train vae | sharpen | diffusion | controlnet | flow | export`, and `lora | roundtrip`: the commands that make
the pocket family's weights.

Each can be stopped at any moment and goes on from its last state (at most two minutes old) when it is run again.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ...rfnet.arguments import COUNT, SEED, SHARE, THREADS, WORKERS, decimal, one_line, path, whole
from ...rfnet.commands import guarded
from ...rfnet.files import check_writable
from ...synthetic.cli import check_composing
from .styles import STYLES

BATCH = whole(1, 4096)
RANK = whole(1, 1024)
SIDE = whole(16, 1024)
LEVEL = whole(0, 999)
RATE = decimal(0, 10, above=True)
MINUTES = decimal(0, 1e6, above=True)
HELD_OUT = 64  # scenes to look at while training
COMPOSED = 40000  # composites, where nothing else is said


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
    torch.set_float32_matmul_precision("high")  # TF32, where an accelerator has it
    torch.backends.cudnn.benchmark = True


def _scenes(folder: Path, limit: int | None, style: str | None = None):
    from ...rfnet.data.sources import read_shards
    from ..family import PICTURE_SIZE
    from .styles import restyled

    samples = read_shards(folder, PICTURE_SIZE)
    scenes = samples.select(range(min(limit or len(samples), len(samples)))).in_memory()
    print(f"{len(scenes)} scenes from {folder}{f' in the style {style}' if style else ''}", flush=True)
    return restyled(scenes, style) if style else scenes


def _feed(args, style: str | None = None):
    """(feed of the training scenes, held-out scenes in memory), composed where the command asks for it."""
    from ..family import PICTURE_SIZE
    from .feed import Feed, held_out

    if args.compose:
        check_composing(args.compose)
    held = held_out(args.data / "val", PICTURE_SIZE, min(args.limit or HELD_OUT, HELD_OUT), style, args.compose)
    limit = args.limit or (COMPOSED if args.compose else None)
    return Feed(args.data / "train", PICTURE_SIZE, limit, style, args.workers, args.compose), held


def _common(args, batch: int) -> dict:
    names = ("work", "minutes", "steps", "seed", "start", "device", "bf16")
    given = {name: getattr(args, name) for name in names} | {"batch": args.batch or batch}
    return given | ({"lr": args.lr} if args.lr else {})


def _vae(args) -> None:
    from .vae import train_vae

    feed, held = _feed(args)
    with feed:
        train_vae(feed, held.arrays["image"], **_common(args, 4))


def _sharpen(args) -> None:
    from .sharpen import sharpen

    feed, held = _feed(args)
    with feed:
        sharpen(feed, held.arrays["image"], **_common(args, 4))


def _diffusion(args) -> None:
    from .diffusion import train_diffusion

    if len(dict(args.shares)) < len(args.shares):
        raise ValueError("--shares names something twice: give each label or cause one share")
    feed, held = _feed(args, args.style)
    options = {"shares": dict(args.shares), "only_unet": getattr(args, "only", None) == "unet"}
    options["guidance"] = getattr(args, "guidance", None)
    with feed:
        train_diffusion(args.stage, feed, held, **_common(args, 16), **options)


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

    check_writable(args.out)
    if not args.noise[0] < args.noise[1]:
        raise ValueError(f"--noise is {args.noise[0]} {args.noise[1]}: give the lower timestep first, as 150 350")
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
    """Adds `train` with its commands to the subparsers of `pocket`."""
    train = commands.add_parser("train", help="train the small SD-style family on composites or rendered scenes")
    stages = train.add_subparsers(dest="stage", required=True)
    for add in (
        _add_vae,
        _add_sharpen,
        _add_diffusion,
        _add_controlnet,
        _add_flow,
        _add_lora,
        _add_export,
        _add_roundtrip,
    ):
        add(stages)


def _add_stage(stages, name: str, work, help_text: str) -> argparse.ArgumentParser:
    parser = stages.add_parser(name, help=help_text)
    parser.add_argument(
        "--threads",
        type=THREADS,
        default=2,
        help="of the CPU (default: 2); more than there are idle cores make it several times slower",
    )
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
    """What the trainings of the family have in common."""
    parser.add_argument("--data", type=file_path, required=True, help="folder with train/ and val/")
    parser.add_argument(
        "--compose",
        type=file_path,
        metavar="ASSETS",
        help="node_modules folder as of `synthetic compose`: scenes that --data lacks are composed while it trains",
    )
    parser.add_argument(
        "--limit",
        type=COUNT,
        help=f"use only the first scenes; with --compose: how many there are to be (default {COMPOSED})",
    )
    parser.add_argument(
        "--workers", type=WORKERS, default=1, help="processes that read and compose scenes (default %(default)s)"
    )
    parser.add_argument("--work", type=file_path, required=True, help="folder for states and sample sheets")
    _add_budget(parser, minutes)
    parser.add_argument("--lr", type=RATE)
    parser.add_argument("--batch", type=BATCH)
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the accelerator where there is one)")
    parser.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        help="compute in bfloat16 (default: on an accelerator; it pays on CPUs with AMX, too)",
    )
    parser.add_argument(
        "--start",
        type=file_path,
        help=(
            "go on from the weights in this file: an exported pocket_sd.safetensors, its ControlNet beside it, or a"
            " file that such a training left in its --work"
        ),
    )


def _add_vae(stages) -> None:
    _add_work(_add_stage(stages, "vae", _vae, "the autoencoder: WORK/vae.safetensors"), minutes=60)


def _add_sharpen(stages) -> None:
    text = "a sharper decoder, by a critic of patches: WORK/vae.safetensors again; best last"
    _add_work(_add_stage(stages, "sharpen", _sharpen, text), minutes=30)


def _add_diffusion(stages) -> None:
    text = "UNet and text encoder on the autoencoder's latents"
    parser = _add_stage(stages, "diffusion", _diffusion, text)
    _add_work(parser, minutes=240)
    _add_scenes(parser)
    parser.add_argument(
        "--only",
        choices=("unet",),
        help="the UNet alone learns, beside the ControlNet of --start, which stays as it is and fits the result",
    )
    parser.add_argument(
        "--guidance",
        type=decimal(1, 100),
        metavar="W",
        help="with --only unet: learn what the family of --start draws at this guidance, so that a draw needs none",
    )


def _add_controlnet(stages) -> None:
    text = "UNet and ControlNet, after diffusion; the text encoder rests"
    parser = _add_stage(stages, "controlnet", _diffusion, text)
    _add_work(parser, minutes=240)
    _add_scenes(parser)


def _add_flow(stages) -> None:
    text = "another family out of that of --start: it matches flows, and draws what that one draws"
    parser = _add_stage(stages, "flow", _diffusion, text)
    _add_work(parser, minutes=30)
    _add_scenes(parser)


def _add_scenes(parser) -> None:
    """Which scenes the UNet sees, and how often."""
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
