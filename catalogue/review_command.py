"""`rfnet review --catalogue`: what it takes besides, and what it does."""

from __future__ import annotations

import argparse

from ..rfnet.arguments import painter_files, path
from .cli import add_running, columns_of, start, whole_paths

OTHERS = ("images", "index", "product", "json")  # of `rfnet review`


def add_catalogue_review(sub: argparse.ArgumentParser) -> None:
    """Its options; without --catalogue the command does what it did."""
    otherwise = sub.get_default("command")
    bulk = sub.add_argument_group("in bulk")
    bulk.add_argument(
        "--catalogue",
        type=path,
        metavar="FILE",
        help=".csv, .jsonl or .parquet with image, product and caption in each row (docs/catalogue.md)",
    )
    bulk.add_argument("--out", type=path, metavar="DIR", help="folder for verdicts, manifest and pages")
    bulk.add_argument("--columns", nargs="+", default=[], metavar="NAME=COLUMN", help="what it calls its columns")
    add_running(sub)
    sub.set_defaults(command=lambda args: review_catalogue(args) if args.catalogue else otherwise(args))


def review_catalogue(args) -> None:
    """Raises ArgumentTypeError, and what else is fatal."""
    from .review_engine import ReviewSpec
    from .rows import Catalogue
    from .settings import Verdict

    if not args.out:
        raise argparse.ArgumentTypeError("--catalogue needs --out DIR, where verdicts and pages go.")
    if given := [name for name in OTHERS if getattr(args, name, None)]:
        raise argparse.ArgumentTypeError(f"--catalogue names images and products itself: leave out {given[0]}.")
    if args.ray:
        whole_paths(args)
    catalogue = Catalogue(args.catalogue, columns=columns_of(args.columns), images=True)
    verdict = Verdict(args.weights, args.threshold, args.accept, tuple(args.opinions))
    start(args, catalogue, ReviewSpec(verdict, args.image_scale, painter_files(args), args.device))
