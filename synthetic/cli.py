"""`synthetic render`, `compose` and `photographed`: pictures with true labels; `synthetic products`: cut-outs alone."""

import sys
import tempfile
from pathlib import Path

from ..rfnet.arguments import COUNT_OR_NONE, Parser, path, whole
from ..rfnet.commands import guarded
from ..rfnet.files import check_writable
from .shards import PER_SHARD

PROCESSES = whole(1, 256)
SPLITS = ("train", "val", "test")
DEFAULT_RENDERED, DEFAULT_COMPOSED = (5600, 400, 1000), (8000, 600, 1200)  # scenes of each split
DEFAULT_PHOTOGRAPHED = (600, 300, 600)


class CommandError(ValueError):
    """Arguments or packages that the command can't work with; one sentence."""


def main(arguments=None) -> int:
    parser = Parser(prog="synthetic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add(commands, "render", render, DEFAULT_RENDERED, "render scenes with true labels, depth and masks")
    composing = add(commands, "compose", compose, DEFAULT_COMPOSED, "compose photograph-like scenes with true labels")
    composing.add_argument("--square", action="store_true", help="square pictures alone, as the pocket family paints")
    add_size(composing)
    text = "compose the stand-in for photographs: another composer, on crops of real ones, for measuring"
    add_size(add(commands, "photographed", photographed, DEFAULT_PHOTOGRAPHED, text))
    add_products(commands)
    args = parser.parse_args(arguments)
    return guarded("synthetic", lambda: args.run(args), status=2)


def add(commands, name: str, run, counts: tuple, text: str):
    """A subcommand with what both share."""
    parser = commands.add_parser(name, help=text)
    parser.add_argument("--data", type=path, required=True, help="folder for the splits; run again to go on")
    add_assets(parser)
    for split, count in zip(SPLITS, counts):
        parser.add_argument(f"--{split}", type=COUNT_OR_NONE, default=count, help="scenes (default %(default)s)")
    parser.add_argument(
        "--start",
        type=COUNT_OR_NONE,
        default=0,
        help="leave out so many training scenes, for scenes that another training has not seen; rendered scenes from"
        " number 1000000 on show other products, too",
    )
    parser.add_argument("--workers", type=PROCESSES, default=2, help="processes of one thread each")
    parser.set_defaults(run=run)
    return parser


def add_size(parser) -> None:
    text = "side of a square picture; portraits and landscapes have the same area"
    parser.add_argument("--size", type=whole(64, 1024), default=256, help=text)


def add_assets(parser) -> None:
    parser.add_argument(
        "--assets",
        type=path,
        required=True,
        help="node_modules folder with @pmndrs/assets and @lobehub/fluent-emoji-3d",
    )


def add_products(commands) -> None:
    parser = commands.add_parser("products", help="draw cut-outs of products, without a scene, into one archive")
    parser.add_argument("--split", choices=SPLITS, required=True, help="test: kinds that no network was trained on")
    parser.add_argument("--count", type=whole(1, 100_000), required=True)
    parser.add_argument("--first", type=COUNT_OR_NONE, default=0, help="begin with another product")
    parser.add_argument("--pixels", type=whole(32, 1024), default=282, help="height of a product (default %(default)s)")
    parser.add_argument("--quality", type=whole(1, 100), help="of the colours, as WebP counts it (default: lossless)")
    parser.add_argument("--out", type=path, required=True, help="the .zip to write")
    add_assets(parser)
    parser.set_defaults(run=products)


def render(args) -> int:
    from .shards import render_split

    need("bpy", "OpenEXR", "tqdm", remedy="use Python 3.11 and run `pip install bpy OpenEXR tqdm`")
    check(args)

    def render_one(split: str, count: int, start: int, advance) -> None:
        def finished(shard: int) -> None:
            advance(min(PER_SHARD, count - shard * PER_SHARD))

        render_split(Path(args.data), split, count, Path(args.assets), args.workers, finished, start)

    each_split(args, "render", render_one)
    return 0


def compose(args) -> int:
    from .composed.relief import Finishes
    from .composed.shards import compose_split

    check_size(args)
    Finishes.read(args.assets)

    def compose_one(split: str, count: int, start: int, advance) -> None:
        folder, assets = Path(args.data), Path(args.assets)
        compose_split(folder, split, count, assets, args.size, args.workers, advance, start, args.square)

    each_split(args, "compose", compose_one)
    return 0


def photographed(args) -> int:
    from .photographed.shards import photograph_split

    check_size(args)

    def photograph(split: str, count: int, start: int, advance) -> None:
        photograph_split(Path(args.data), split, count, Path(args.assets), args.size, args.workers, advance, start)

    each_split(args, "photographed", photograph)
    return 0


def check_size(args) -> None:
    """Raises CommandError or AssetError where pictures can't be composed, before anything is made."""
    need("cv2", "OpenEXR", "tqdm", remedy="run `pip install OpenEXR opencv-python-headless tqdm`")
    if args.size % 8:
        raise CommandError(f"--size is {args.size}: it must be a multiple of 8 between 64 and 1024.")
    check(args)


def products(args) -> int:
    from .composed.relief import Finishes

    need("cv2", "tqdm", remedy="run `pip install opencv-python-headless tqdm`")
    import cv2
    from tqdm import tqdm

    from .assets import Assets
    from .composed.products import product
    from .product_files import write_products

    check_writable(args.out)
    cv2.setNumThreads(1)  # pictures are small: on a busy machine its threads would wait for one another
    finishes = Finishes.read(args.assets)
    with tempfile.TemporaryDirectory() as scratch:
        assets = Assets(args.assets, scratch)

        def drawn(number: int) -> tuple:
            kind, made = product(args.split, number, assets, finishes, args.pixels)
            return made.product_id, kind, made.caption, made.metres, made.rgba

        numbers = tqdm(range(args.first, args.first + args.count), desc="products")
        count = write_products(args.out, map(drawn, numbers), args.quality)
    print(f"{count} products in {args.out}")
    return 0


def need(*packages: str, remedy: str) -> None:
    """Raises CommandError where a package is missing."""
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise CommandError(f"the package {package} is not installed: {remedy} in a virtual environment.")


def check(args) -> None:
    """Raises CommandError or AssetError before anything is made."""
    from .assets import Assets

    if args.start % PER_SHARD:
        raise CommandError(f"--start is {args.start}: it must be a multiple of {PER_SHARD}.")
    with tempfile.TemporaryDirectory() as scratch:
        Assets(args.assets, scratch)


def each_split(args, verb: str, make) -> None:
    """make(split, count, start, advance) for each split; only training scenes can start later."""
    from tqdm import tqdm

    for split in SPLITS:
        count, start = getattr(args, split), args.start if split == "train" else 0
        with tqdm(total=max(0, count - start), desc=f"{verb} {split}", unit="scene") as bar:
            make(split, count, start, bar.update)


def check_composing(assets) -> None:
    """Raises CommandError or AssetError where a package or an asset is missing that composites need."""
    from .assets import Assets
    from .composed.relief import Finishes

    need("cv2", "OpenEXR", "tqdm", remedy="run `pip install OpenEXR opencv-python-headless tqdm`")
    with tempfile.TemporaryDirectory() as scratch:
        Assets(assets, scratch)
    Finishes.read(assets)


if __name__ == "__main__":
    sys.exit(main())
