"""The command line of dev.py. Standard library only: it is read before anything is installed."""

import argparse
from pathlib import Path

from .graph import workflow


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the options and, for `test` and `serve`, what is passed on to pytest or to ComfyUI."""
    parser = argparse.ArgumentParser(prog="dev.py", description="A product picture goes in, a usable advertising picture comes out.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_demo(commands.add_parser("demo", help="draw one advertising picture inside a real ComfyUI and say where it lies"))
    add_profile(commands.add_parser("profile", help="measure where a graph's draws can be given up early"))
    commands.add_parser("test", help="run the tests; further arguments go to pytest")
    commands.add_parser("serve", help="leave ComfyUI running for a browser; further arguments go to ComfyUI")
    for command in commands.choices.values():
        command.add_argument("--comfyui", type=comfyui, metavar="DIR", help="a ComfyUI of yours, the folder of its main.py (default: one from PyPI)")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command in ("demo", "profile"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options, rest


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--product", type=picture, metavar="FILE.png", help="product cut-out with transparency (default: one that ships with the project)")
    parser.add_argument("--caption", metavar="TEXT", help="what the product is, in a few words")
    parser.add_argument("--prompt", metavar="TEXT", help="the scene to paint around it")
    parser.add_argument("--seed", type=whole(0, 2**64 - 1), metavar="N", help="seed of the first attempt (default: the workflow's)")
    parser.add_argument("--attempts", type=whole(1, 1000), metavar="N", help="attempts at most (default: the workflow's)")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), metavar="DIR", help="where the results go (default: out/demo)")
    parser.add_argument("--json", action="store_true", help="print report.json instead of words")


def add_profile(parser: argparse.ArgumentParser) -> None:
    shipped = workflow("First product ad")
    products = parser.add_mutually_exclusive_group(required=True)
    products.add_argument("--products", type=Path, metavar="DIR", help="product cut-outs with transparency; a .txt of the same name holds a caption")
    products.add_argument("--split", type=Path, metavar="DIR", help="a split that `pocket render` made")
    parser.add_argument("--out", type=Path, required=True, metavar="NAME.gates.json", help="the profile to write, or to add to; put it into models/rfnet")
    parser.add_argument("--workflow", type=Path, default=shipped, metavar="FILE.json", help="a graph with RF Cyclic Sampler, titled as the shipped ones are (default: the pocket demo)")
    parser.add_argument("--models", type=folder, metavar="DIR", help="your ComfyUI's models folder, for a workflow with checkpoints of yours")
    parser.add_argument("--draws", type=whole(1, 1000), default=3, metavar="N", help="draws for each product (default: 3)")
    parser.add_argument("--share", type=float, default=0.03, help="share of the accepted pictures that may be lost (default: 0.03)")
    parser.add_argument("--seed", type=whole(0, 2**64 - 1), default=0, metavar="N", help="seed of the first draw (default: 0)")


def picture(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}: give the path of a picture with transparency")
    return path.resolve()


def comfyui(text: str) -> Path:
    path = folder(text)
    if not ((path / "main.py").is_file() and (path / "comfy_api" / "latest").is_dir() and (path / "requirements.txt").is_file()):
        raise argparse.ArgumentTypeError(f"{path} holds no ComfyUI from 0.3.75 on: give the folder in which its main.py lies")
    return path


def folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path}")
    return path.resolve()


def whole(low: int, high: int):
    def number(text: str) -> int:
        if not text.lstrip("-").isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {low} to {high}")
        return int(text)

    return number
