"""`pocket render` and `pocket train`: how the small world and its models are made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def _render(args) -> int:
    from .assets import AssetError, Assets
    from .shards import PER_SHARD, render_split
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
    for split, count in (("train", args.train), ("val", args.val), ("test", args.test)):
        with tqdm(total=count, desc=f"render {split}", unit="scene") as bar:
            render_split(data, split, count, Path(args.assets), args.workers, lambda number, count=count: bar.update(min(PER_SHARD, count - number * PER_SHARD)))
    return 0


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="pocket", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="render scenes with true labels, depth and masks")
    render.add_argument("--data", required=True, help="folder for the splits; a stopped run goes on where it was")
    render.add_argument("--assets", required=True, help="node_modules folder with @pmndrs/assets and @lobehub/fluent-emoji-3d")
    render.add_argument("--train", type=int, default=5600)
    render.add_argument("--val", type=int, default=400)
    render.add_argument("--test", type=int, default=1000)
    render.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    render.set_defaults(run=_render)
    from .train import add_train_parser
    add_train_parser(commands)
    args = parser.parse_args(arguments)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
