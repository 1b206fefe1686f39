"""`rfnet sizes`: its arguments."""

import math

from ..arguments import path
from ..commands import Commands
from ..files import check_writable


def add_sizes_command(commands: Commands) -> None:
    sub = commands.add(
        "sizes",
        sizes,
        "Write into a weights file how large a product looks in a picture, as its features tell it, so that the"
        ' opinion "size" can compare that with the product\'s true size.',
    )
    sub.add_argument("weights", type=path)
    sub.add_argument(
        "--data",
        type=path,
        nargs="+",
        required=True,
        help="folders of one split whose pictures tell how large the product looks, such as those of `synthetic"
        " compose`; tables with a column size_cm, whose available pictures are taken",
    )
    sub.add_argument(
        "--unseen",
        type=path,
        nargs="+",
        default=[],
        help="the same, of pictures that the reviewer was not trained on: they say how far to trust it",
    )
    sub.add_argument("--out", type=path, help="weights file to write; by default the same file")


def sizes(args) -> None:
    from tqdm import tqdm

    from .fit_sizes import add_sizes
    from .remember import check_data

    out = args.out or args.weights
    check_writable(out)
    check_data([*args.data, *args.unseen])
    reader = add_sizes(args.weights, args.data, out, args.unseen, lambda steps: tqdm(steps, desc="sizes", unit="batch"))
    about = reader.about
    print(
        f"{about['n']} pictures of {about['products']} products; where the size is right, what it reads is off by a"
        f" factor of {math.exp(reader.sigma):.1f}; wrote {out}"
    )
