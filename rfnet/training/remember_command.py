"""`rfnet remember`: its arguments."""

import sys

from ..arguments import SEED, add_label_numbers, path, whole
from ..commands import Commands
from ..data.rf1m import numbers_of
from ..files import check_writable


def add_remember(commands: Commands) -> None:
    sub = commands.add(
        "remember",
        remember_data,
        "Write into a weights file what familiar pictures look like, and a few labelled ones, so that it knows unlike"
        " ones and learns on without forgetting.",
    )
    sub.add_argument("weights", type=path)
    sub.add_argument(
        "--data",
        type=path,
        nargs="+",
        required=True,
        help="what it was trained on: folders of one split, tables, or folders of RF1M; each is one kind of pictures",
    )
    add_label_numbers(sub)
    sub.add_argument("--count", type=whole(0, 5000), default=200, help="labelled pictures to keep in the file")
    sub.add_argument("--out", type=path, help="weights file to write; by default the same file")
    sub.add_argument("--seed", type=SEED, default=0, help="which pictures are kept")


def remember_data(args) -> None:
    from tqdm import tqdm

    from .remember import check_data, remember, summary

    out = args.out or args.weights
    check_writable(out)
    check_data(args.data)
    report = remember(
        args.weights,
        args.data,
        out,
        args.count,
        args.seed,
        lambda steps: tqdm(steps, desc="remember", unit="batch"),
        numbers_of(args.label_numbers),
    )
    print(f"{summary(report)}; wrote {out}")
    for findings in report["findings"]:
        print(findings, file=sys.stderr)
    args.status = 1 if report["damaged"] else 0
