"""`pocket train`, `pocket draw` and `pocket label`: how the pocket family and its labelled pictures were made."""

from __future__ import annotations

import sys

from ...rfnet.arguments import COUNT, COUNT_OR_NONE, Parser, decimal, whole
from ...rfnet.commands import guarded
from ...rfnet.files import check_writable, quoted
from .train_commands import add_train_parser, file_path

STEPS = whole(1, 1000)  # of a sampler
GUIDANCE = decimal(0, 100)


def _draw(args) -> int:
    if not args.data.is_dir():
        raise ValueError(f"there is no folder {quoted(args.data)}: give the folder of one split, such as DATA/train.")
    check_writable(args.out / "drawn.jsonl")
    from tqdm import tqdm

    from ..ldm import CHECKPOINT, CONTROLNET, load_pocket
    from .draw import draw

    print(
        draw(
            args.data,
            args.out,
            args.count,
            load_pocket(args.checkpoint or CHECKPOINT, args.controlnet or CONTROLNET),
            args.cfg,
            args.steps,
            tqdm,
            first=args.first,
        )
    )
    return 0


def _label(args) -> int:
    from .draw import label

    print(f"{label(args.drawn, args.labels, args.shard)} labelled pictures in {args.shard}")
    return 0


def main(arguments=None) -> int:
    parser = Parser(prog="pocket", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    draw = commands.add_parser(
        "draw", help="draw pictures around a split's products, with numbered sheets for blind labelling"
    )
    draw.add_argument("--data", type=file_path, required=True, help="folder of one split, such as DATA/train")
    draw.add_argument("--out", type=file_path, required=True)
    draw.add_argument("--count", type=COUNT, default=320)
    draw.add_argument("--first", type=COUNT_OR_NONE, default=0, help="begin with another product, for another set")
    draw.add_argument("--cfg", type=GUIDANCE, default=1.5, help="guidance, as in the demo workflow")
    draw.add_argument("--steps", type=STEPS, default=20)
    draw.add_argument("--checkpoint", type=file_path, help="default: the one that ships")
    draw.add_argument("--controlnet", type=file_path, help="default: the one that ships")
    draw.set_defaults(run=_draw)
    label = commands.add_parser(
        "label", help="join the pictures of `pocket draw` with labels into a shard that `rfnet train` reads"
    )
    label.add_argument("--drawn", type=file_path, required=True, help="folder of `pocket draw`")
    label.add_argument("--labels", type=file_path, required=True, help="JSON object {number: label}")
    label.add_argument("--shard", type=file_path, required=True, help="the .zip to write")
    label.set_defaults(run=_label)
    add_train_parser(commands)
    args = parser.parse_args(arguments)
    return guarded("pocket", lambda: args.run(args), status=2)


if __name__ == "__main__":
    sys.exit(main())
