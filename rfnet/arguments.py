"""What every command line of this project takes for a number or a path: types for argparse with bounds.

Standard library only.
"""

from __future__ import annotations

import argparse
import math
import re

LONGEST = 300  # characters of what a usage error says
WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
DECIMAL = re.compile(r"[+-]?([0-9]{1,20}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors stay one short line, whatever it was given."""

    def error(self, message: str):
        super().error(one_line(message, LONGEST))


def one_line(text: str, most: int) -> str:
    """A text as one line of at most `most` characters; where it or a word of it is longer, the middle is left out."""
    text = "".join(
        sign if sign.isprintable() else " " if sign.isspace() else "\N{REPLACEMENT CHARACTER}" for sign in text
    ).strip()
    text = re.sub(r"\S{120,}", lambda word: f"{word[0][:50]}…{word[0][-50:]}", text)
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}…{text[len(text) - half + 1 :]}"


def whole(low: int, high: int):
    """A whole number from low to high, written in plain digits."""

    def number(text: str) -> int:
        if not WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{one_line(text, 40) or 'nothing'} is not a whole number from {low} to {high}: give one"
            )
        return int(text)

    return number


def decimal(low: float, high: float, above: bool = False):
    """A number from low to high; above: it must be more than low."""

    def number(text: str) -> float:
        value = float(text) if DECIMAL.fullmatch(text) else math.nan
        if not low <= value <= high or (above and value == low):
            raise argparse.ArgumentTypeError(
                f"{one_line(text, 40) or 'nothing'} is not a number {'above' if above else 'from'} {low:g}"
                f" {'and up' if above else ''} to {high:g}: give one".replace("  ", " ")
            )
        return value

    return number


def path(text: str) -> str:
    """The path of a file or folder that may be there or not."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(
            "an empty path names nothing: give the path of a file or a folder"
            if not text.strip()
            else "a path holds no NUL character: give the path of a file or a folder"
        )
    return text


def add_painter(parser: argparse.ArgumentParser) -> None:
    """--painter and --painter-controlnet: which files painted the pictures."""
    parser.add_argument(
        "--painter", type=path, metavar="CHECKPOINT", help="the .safetensors checkpoint that painted the pictures"
    )
    parser.add_argument(
        "--painter-controlnet", type=path, metavar="FILE", help="the .safetensors ControlNet that it painted with"
    )


def painter_files(args) -> tuple:
    """(checkpoint, ControlNet or None) as add_painter's options name them; () without any. Raises ArgumentTypeError."""
    if args.painter_controlnet and not args.painter:
        raise argparse.ArgumentTypeError(
            "--painter-controlnet is given without --painter: name the checkpoint that painted with it, too."
        )
    return (args.painter, args.painter_controlnet) if args.painter else ()


THREADS = whole(1, 1024)
WORKERS = whole(0, 256)  # processes; 0: none besides this one
SEED = whole(0, 2**63 - 1)
COUNT = whole(1, 100_000_000)
COUNT_OR_NONE = whole(0, 100_000_000)
SHARE = decimal(0, 1)
STRENGTH = decimal(-100, 100)


def add_label_numbers(sub) -> None:
    sub.add_argument(
        "--label-numbers",
        choices=("page", "ours"),
        help="how a label.txt of RF1M counts: page: 1 to 6, as the data set's page lists them; ours: 0 to 5",
    )
