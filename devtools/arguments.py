"""The command line of dev.py. Standard library only: it is read before anything is installed."""

import argparse
import os
from pathlib import Path

from .graph import workflow

try:
    from ..rfnet.arguments import SHARE, Parser, decimal, one_line, path, whole
except ImportError:  # dev.py: nothing is a package of this pack yet
    from rfnet.arguments import SHARE, Parser, decimal, one_line, path, whole


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the options and, for `test` and `serve`, what is passed on to pytest or to ComfyUI."""
    parser = Parser(prog="dev.py", description="A product picture goes in, a usable advertising picture comes out.")
    commands = parser.add_subparsers(dest="command", required=True)
    add_demo(
        commands.add_parser("demo", help="draw one advertising picture inside a real ComfyUI and say where it lies")
    )
    add_profile(commands.add_parser("profile", help="measure where a graph's draws can be stopped early"))
    test = commands.add_parser("test", help="run the tests; further arguments go to pytest")
    test.add_argument(
        "--fast", action="store_true", help="two minutes: no server, no browser, no training of more than seconds"
    )
    lint = commands.add_parser("lint", help="ruff format, ruff check, and mypy on rfnet, rfft and cyclic")
    lint.add_argument("--quick", action="store_true", help="ruff alone: what pre-commit runs")
    commands.add_parser("serve", help="leave ComfyUI running for a browser; further arguments go to ComfyUI")
    for command in commands.choices.values():
        command.add_argument(
            "--comfyui",
            type=comfyui,
            metavar="DIR",
            help="a ComfyUI of yours, the folder of its main.py (default: one from PyPI)",
        )
    options, rest = parser.parse_known_args(arguments)
    if rest and options.command in ("demo", "lint", "profile"):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if options.command == "demo":
        check_models(parser, options)
    for name in ("products", "split"):
        given = getattr(options, name, None)
        if given and not (
            os.path.isdir(given) or (name == "split" and given.suffix == ".zip" and os.path.isfile(given))
        ):
            parser.error(
                f"argument --{name}: there is no folder {one_line(str(given), 100)}: give the path of a folder"
            )
    return options, rest


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--product",
        type=picture,
        metavar="FILE.png",
        help="product cut-out with transparency (default: one that ships with the project)",
    )
    parser.add_argument("--caption", metavar="TEXT", help="what the product is, in a few words")
    parser.add_argument("--prompt", metavar="TEXT", help="the scene to paint around it")
    parser.add_argument(
        "--seed", type=whole(0, 2**64 - 1), metavar="N", help="seed of the first attempt (default: the workflow's)"
    )
    parser.add_argument(
        "--attempts", type=whole(1, 1000), metavar="N", help="attempts at most (default: the workflow's)"
    )
    add_models(parser)
    parser.add_argument(
        "--out", type=new, default=Path("out/demo"), metavar="DIR", help="where the results go (default: out/demo)"
    )
    parser.add_argument("--json", action="store_true", help="print report.json instead of words")
    parser.add_argument(
        "--webui",
        metavar=f"ROOT[{os.pathsep}PYTHON]",
        help="an Automatic1111 of yours, to draw in it instead (default for PYTHON: the one in its venv)",
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """Models of the user's in the place of the small ones, and how to draw with them."""
    models = parser.add_argument_group("models of yours, SD 1.5 or SDXL (default: the small ones that ship)")
    models.add_argument("--checkpoint", type=weights, metavar="FILE.safetensors", help="needs --controlnet, too")
    models.add_argument("--controlnet", type=weights, metavar="FILE.safetensors", help="a canny one of the same kind")
    models.add_argument("--vae", type=weights, metavar="FILE.safetensors", help="default: the checkpoint's own")
    models.add_argument(
        "--size",
        type=side,
        metavar="N",
        help="side of the picture, pixels (default: 512 for SD 1.5, 1024 for SDXL, 256 for the small ones)",
    )
    models.add_argument("--steps", type=whole(1, 10000), metavar="N", help="sampling steps (default: the workflow's)")
    models.add_argument("--cfg", type=decimal(0, 100), metavar="X", help="guidance (default: the workflow's)")


def check_models(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends with a usage error where options about models don't go together."""
    if options.checkpoint and not options.controlnet:
        parser.error("--checkpoint needs a canny ControlNet that holds the product's outline: give --controlnet, too")
    for name in ("controlnet", "vae"):
        if getattr(options, name) and not options.checkpoint:
            parser.error(f"--{name} goes with a checkpoint of yours: give --checkpoint, too")
    if options.checkpoint and options.webui:
        parser.error("--checkpoint draws in ComfyUI: leave --webui out, or choose the checkpoint in your web UI")


def add_profile(parser: argparse.ArgumentParser) -> None:
    shipped = workflow("First product ad")
    products = parser.add_mutually_exclusive_group(required=True)
    products.add_argument(
        "--products",
        type=new,
        metavar="DIR",
        help="product cut-outs with transparency; a .txt of the same name holds a caption",
    )
    products.add_argument(
        "--split",
        type=new,
        metavar="DIR",
        help="a split that `synthetic render` made, or an archive of `synthetic products`",
    )
    parser.add_argument(
        "--out",
        type=new,
        required=True,
        metavar="NAME.gates.json",
        help="the profile to write, or to add to; put it into models/rfnet",
    )
    parser.add_argument(
        "--workflow",
        type=file,
        default=shipped,
        metavar="FILE.json",
        help="a graph with RF Cyclic Sampler, titled as the shipped ones are (default: the pocket demo)",
    )
    parser.add_argument(
        "--models",
        type=folder,
        metavar="DIR",
        help="your ComfyUI's models folder, for a workflow with checkpoints of yours",
    )
    parser.add_argument(
        "--draws", type=whole(1, 1000), default=3, metavar="N", help="draws for each product (default: 3)"
    )
    parser.add_argument(
        "--share", type=SHARE, default=0.03, help="share of the accepted pictures that may be lost (default: 0.03)"
    )
    parser.add_argument(
        "--seed", type=whole(0, 2**64 - 1), default=0, metavar="N", help="seed of the first draw (default: 0)"
    )


def new(text: str) -> Path:
    """A path that may not be there yet."""
    return Path(path(text))


def file(text: str) -> Path:
    found = new(text)
    if not os.path.isfile(found):
        raise argparse.ArgumentTypeError(f"there is no file {one_line(text, 100)}: give the path of a file")
    return found.resolve()


def weights(text: str) -> Path:
    found = file(text)
    if found.suffix.lower() != ".safetensors":
        raise argparse.ArgumentTypeError(
            f"{one_line(text, 100)} is no .safetensors file: other formats can run code when they are opened; convert"
            " it first"
        )
    return found


def side(text: str) -> int:
    number = whole(64, 4096)(text)
    if number % 8:
        raise argparse.ArgumentTypeError(f"{number} is no multiple of 8: give one, such as {number // 8 * 8}")
    return number


def picture(text: str) -> Path:
    found = new(text)
    if not os.path.isfile(found):
        raise argparse.ArgumentTypeError(
            f"there is no file {one_line(text, 100)}: give the path of a picture with transparency"
        )
    return found.resolve()


def comfyui(text: str) -> Path:
    found = folder(text)
    if not (
        (found / "main.py").is_file()
        and (found / "comfy_api" / "latest").is_dir()
        and (found / "requirements.txt").is_file()
    ):
        raise argparse.ArgumentTypeError(
            f"{one_line(text, 100)} holds no ComfyUI from 0.3.75 on: give the folder in which its main.py lies"
        )
    return found


def folder(text: str) -> Path:
    found = new(text)
    if not os.path.isdir(found):
        raise argparse.ArgumentTypeError(f"there is no folder {one_line(text, 100)}: give the path of a folder")
    return found.resolve()
