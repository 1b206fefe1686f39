"""`pocket render`, `pocket compose` and `pocket train`: how the small world and its models are made."""

from __future__ import annotations

import sys
from pathlib import Path

from ..rfnet.arguments import COUNT, COUNT_OR_NONE, Parser, decimal, path, whole
from ..rfnet.commands import guarded
from ..rfnet.files import check_writable, quoted

from .shards import PER_SHARD

STEPS = whole(1, 1000)  # of a sampler
GUIDANCE = decimal(0, 100)
PROCESSES = whole(1, 256)


def file_path(text: str) -> Path:
    return Path(path(text))


def _render(args) -> int:
    from .assets import AssetError, Assets
    from .shards import render_split
    try:
        import bpy  # noqa: F401
        import OpenEXR  # noqa: F401
        from tqdm import tqdm
    except ImportError as missing:
        print(f"pocket render needs Blender as a module ({missing.name} is not installed): use a virtual environment with Python 3.11 and run "
              f"`pip install bpy OpenEXR pillow opencv-python-headless tqdm` there", file=sys.stderr)
        return 2
    data = Path(args.data)
    try:
        Assets(args.assets, data / "assets-check")
    except AssetError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if (data / "assets-check").is_dir():
            (data / "assets-check").rmdir()
    for split, count, start in (("train", args.train, args.start), ("val", args.val, 0), ("test", args.test, 0)):
        with tqdm(total=max(0, count - start), desc=f"render {split}", unit="scene") as bar:
            render_split(data, split, count, Path(args.assets), args.workers, lambda number, count=count: bar.update(min(PER_SHARD, count - number * PER_SHARD)), start)
    return 0


def _compose(args) -> int:
    from .assets import AssetError, Assets
    from .collage.shards import compose_split
    from .collage.relief import Finishes
    try:
        import cv2  # noqa: F401
        import OpenEXR  # noqa: F401
        from tqdm import tqdm
    except ImportError as missing:
        print(f"pocket compose reads HDR panoramas ({missing.name} is not installed): run `pip install OpenEXR pillow opencv-python-headless tqdm` in a virtual environment and use its Python",
              file=sys.stderr)
        return 2
    if args.size % 8 or not 64 <= args.size <= 1024:
        print(f"--size is {args.size}: it must be a multiple of 8 between 64 and 1024", file=sys.stderr)
        return 2
    import tempfile
    try:
        with tempfile.TemporaryDirectory() as scratch:
            Assets(args.assets, scratch)
            Finishes.read(args.assets)
    except AssetError as error:
        print(error, file=sys.stderr)
        return 2
    for split, count, start in (("train", args.train, args.start), ("val", args.val, 0), ("test", args.test, 0)):
        with tqdm(total=max(0, count - start), desc=f"compose {split}", unit="scene") as bar:
            compose_split(Path(args.data), split, count, Path(args.assets), args.size, args.workers, bar.update, start)
    return 0


def _draw(args) -> int:
    if not args.data.is_dir():
        raise ValueError(f"there is no folder {quoted(args.data)}: give the folder of one split, such as DATA/train.")
    check_writable(args.out / "drawn.jsonl")
    from tqdm import tqdm
    from .draw import draw
    from .ldm import CHECKPOINT, CONTROLNET, load_pocket
    print(draw(args.data, args.out, args.count, load_pocket(args.checkpoint or CHECKPOINT, args.controlnet or CONTROLNET), args.cfg, args.steps, tqdm, first=args.first))
    return 0


def _label(args) -> int:
    from .draw import label
    print(f"{label(args.drawn, args.labels, args.shard)} labelled pictures in {args.shard}")
    return 0


def main(arguments=None) -> int:
    parser = Parser(prog="pocket", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, counts, text in (("render", _render, (5600, 400, 1000), "render scenes with true labels, depth and masks"),
                                    ("compose", _compose, (8000, 600, 1200), "compose photograph-like scenes with true labels, beside the rendered ones")):
        maker = commands.add_parser(name, help=text)
        maker.add_argument("--data", type=path, required=True, help="folder for the splits; a stopped run goes on where it was")
        maker.add_argument("--assets", type=path, required=True, help="node_modules folder with @pmndrs/assets and @lobehub/fluent-emoji-3d")
        for split, count in zip(("train", "val", "test"), counts):
            maker.add_argument(f"--{split}", type=COUNT_OR_NONE, default=count, help="how many scenes (default %(default)s)")
        maker.add_argument("--start", type=COUNT_OR_NONE, default=0, help="leave out so many training scenes, for scenes that another training has not seen")
        maker.add_argument("--workers", type=PROCESSES, default=2, help="processes of one thread each")
        maker.set_defaults(run=run)
    maker.add_argument("--size", type=whole(64, 1024), default=256, help="side of a square picture; portraits and landscapes have the same area")
    draw = commands.add_parser("draw", help="draw pictures around a split's products, with numbered sheets for labelling by eye")
    draw.add_argument("--data", type=file_path, required=True, help="folder of one split, such as DATA/train")
    draw.add_argument("--out", type=file_path, required=True)
    draw.add_argument("--count", type=COUNT, default=320)
    draw.add_argument("--first", type=COUNT_OR_NONE, default=0, help="begin with another product, for another set")
    draw.add_argument("--cfg", type=GUIDANCE, default=1.5, help="guidance, as in the demo workflow")
    draw.add_argument("--steps", type=STEPS, default=20)
    draw.add_argument("--checkpoint", type=file_path, help="default: the one that ships")
    draw.add_argument("--controlnet", type=file_path, help="default: the one that ships")
    draw.set_defaults(run=_draw)
    label = commands.add_parser("label", help="join the pictures of `pocket draw` with labels into a shard that `rfnet train` reads")
    label.add_argument("--drawn", type=file_path, required=True, help="folder of `pocket draw`")
    label.add_argument("--labels", type=file_path, required=True, help='JSON object {number: label}')
    label.add_argument("--shard", type=file_path, required=True, help="the .zip to write")
    label.set_defaults(run=_label)
    from .train import add_train_parser
    add_train_parser(commands)
    args = parser.parse_args(arguments)
    if args.command in ("render", "compose") and args.start % PER_SHARD:
        print(f"--start is {args.start}: it must be a multiple of {PER_SHARD}", file=sys.stderr)
        return 2
    return guarded("pocket", lambda: args.run(args), status=2)


if __name__ == "__main__":
    sys.exit(main())
