"""`rfnet adapt`: its arguments."""

import sys
from pathlib import Path

from ..arguments import SEED, add_label_numbers, decimal, path
from ..commands import Commands
from ..data.labelling import JOURNAL, LabelFolder
from ..data.rf1m import numbers_of
from ..files import check_writable
from ..weights import DEFAULT_WEIGHTS
from .methods import METHODS


def add_adapt(commands: Commands) -> None:
    sub = commands.add(
        "adapt",
        adapt_to,
        "Let a reviewer learn from the labels of a dataset, and write it only if it is no worse on pictures that it did"
        " not learn from.",
    )
    sub.add_argument(
        "dataset", type=path, help="folder that RF Label or a web UI's tab filled, a table, or a folder of shards"
    )
    sub.add_argument("--weights", type=path, default=str(DEFAULT_WEIGHTS), help="reviewer to start from")
    sub.add_argument("--out", type=path, required=True, help="weights file to write, .safetensors")
    sub.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help=(
            "auto: what cross-validation likes best; head: a head on its features, in seconds;"
            " low_rank: small changes of its weights; full: the whole network"
        ),
    )
    sub.add_argument("--epochs", type=decimal(0.01, 1000), default=4, help="of training a network")
    sub.add_argument("--lr", type=decimal(1e-8, 1), default=2e-4, help="learning rate of training a network")
    sub.add_argument("--seed", type=SEED, default=0)
    sub.add_argument("--mix-train", type=path, help="labelled pictures from elsewhere, so that it forgets less")
    sub.add_argument("--mix-val", type=path, help="such pictures on which it must not get worse")
    sub.add_argument("--report", type=path, metavar="DIR", help="folder for the report as a page, with pictures")
    add_label_numbers(sub)
    sub.add_argument("--keep-worse", action="store_true", help="write it even if the old reviewer is better")


def adapt_to(args) -> None:
    from .adapt import Progress, adapt

    check_writable(args.out)
    mixed = {name: given for name in ("train", "val") if (given := getattr(args, f"mix_{name}"))}
    said = [""]

    def say(text: str, *_) -> None:
        if text != said[-1]:
            print(text, flush=True)
            said[-1] = text

    labels = LabelFolder(args.dataset) if (Path(args.dataset) / JOURNAL).exists() else args.dataset
    progress = Progress(say)
    adapted = adapt(
        args.weights,
        labels,
        args.out,
        args.epochs,
        args.lr,
        args.seed,
        mixed,
        progress,
        method=args.method,
        keep_worse=args.keep_worse,
        tell=progress.tell,
        page=args.report,
        numbers=numbers_of(args.label_numbers),
    )
    print(adapted.report["reason"])
    if adapted.findings:
        print(adapted.findings, file=sys.stderr)
    if args.report:
        print(f"wrote {Path(args.report) / 'index.html'}")
    args.status = 0 if adapted.path and not adapted.report["damaged"] else 1
