"""`pocket train`, `pocket draw` and `pocket label`: how the pocket family and its labelled pictures were made."""

from __future__ import annotations

import argparse
import sys

from ...rfnet.arguments import COUNT, COUNT_OR_NONE, Parser, decimal, whole
from ...rfnet.commands import guarded
from ...rfnet.files import check_writable
from .train_commands import add_train_parser, file_path

STEPS = whole(1, 1000)  # of a sampler
GUIDANCE = decimal(0, 100)
SAMPLERS = ("ddim", "dpmpp_2m", "euler")
DRAWING = ("steps", "cfg", "sampler", "size", "bf16", "batch")  # arguments of draw.Drawing
USUAL = "default: as the first shipped workflow"


def _draw(args) -> int:
    check_writable(args.out / "drawn.jsonl")
    from tqdm import tqdm

    from ..ldm import CHECKPOINT, CONTROLNET, load_pocket
    from .draw import Drawing, chosen, draw

    listed = chosen(args.products, args.count, args.first)
    pocket = load_pocket(args.checkpoint or CHECKPOINT, args.controlnet or CONTROLNET)
    drawing = Drawing(**{name: getattr(args, name) for name in DRAWING if getattr(args, name) is not None})
    print(draw(listed, args.out, pocket, drawing, args.first, tqdm))
    return 0


def _label(args) -> int:
    from .label import label

    print(label(args.drawn, args.labels, args.shard))
    return 0


def add_draw_parser(commands) -> None:
    draw = commands.add_parser(
        "draw", help="draw pictures around products, with numbered sheets for blind labelling; run again to go on"
    )
    draw.add_argument("--products", type=file_path, required=True, help="the .zip of `synthetic products`")
    draw.add_argument("--out", type=file_path, required=True)
    draw.add_argument("--count", type=COUNT, default=320, help="pictures, one of each product (default %(default)s)")
    draw.add_argument("--first", type=COUNT_OR_NONE, default=0, help="begin with another product, for another set")
    draw.add_argument("--cfg", type=GUIDANCE, help=f"guidance; {USUAL}")
    draw.add_argument("--steps", type=STEPS, help=USUAL)
    draw.add_argument("--sampler", choices=SAMPLERS, help="default: the family's own")
    draw.add_argument("--size", type=size_of_canvas, help=f"side of the canvas in pixels; {USUAL}")
    draw.add_argument("--batch", type=whole(1, 64), default=8, help="pictures drawn at once (default %(default)s)")
    draw.add_argument("--bf16", action="store_true", help="multiply in bfloat16: faster on processors with AMX")
    draw.add_argument("--checkpoint", type=file_path, help="default: the one that ships")
    draw.add_argument("--controlnet", type=file_path, help="default: the one that ships")
    draw.set_defaults(run=_draw)


def size_of_canvas(text: str) -> int:
    size = whole(64, 1024)(text)
    if size % 8:
        raise argparse.ArgumentTypeError(f"{size} is no multiple of 8")
    return size


def main(arguments=None) -> int:
    parser = Parser(prog="pocket", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add_draw_parser(commands)
    label = commands.add_parser(
        "label", help="join the pictures of `pocket draw` with labels into a shard that `rfnet train` reads"
    )
    label.add_argument("--drawn", type=file_path, required=True, help="folder of `pocket draw`")
    label.add_argument(
        "--labels",
        type=file_path,
        nargs="+",
        required=True,
        help="JSON object {number: label}: of one labeller, or of three, whose majority decides",
    )
    label.add_argument("--shard", type=file_path, required=True, help="the .zip to write")
    label.set_defaults(run=_label)
    add_train_parser(commands)
    args = parser.parse_args(arguments)
    return guarded("pocket", lambda: args.run(args), status=2)


if __name__ == "__main__":
    sys.exit(main())
