"""--opinions of the command lines."""

import argparse

from .opening import OPENERS, open_opinions
from .panel import Panel


def add_opinions(parser: argparse._ActionsContainer, required: bool = False) -> None:
    known = ", ".join(f"{name}={opener.needs}" if opener.needs else name for name, opener in OPENERS.items())
    parser.add_argument(
        "--opinions",
        nargs="+",
        default=[],
        required=required,
        metavar="OPINION",
        help=f"second opinions, from docs/opinions.md: {known}",
    )


def advise(reviewer, args):
    """The reviewer, or with args.opinions a Panel around it. Raises OpinionError."""
    return Panel(reviewer, open_opinions(args.opinions)) if args.opinions else reviewer
