"""What a user hands in: products, prompts, a reviewer, a place for the result; everything wrong with them is said
before the long work.
"""

from __future__ import annotations

import logging
import shutil
from typing import Annotated, Any

from msgspec import Meta

from ..rfnet.cut_outs import CutOuts, read_folder
from ..rfnet.files import check_writable, quoted
from ..rfnet.pictures import PictureError
from ..rfnet.product import Product, place
from ..rfnet.structured import convert, parse_json
from ..rfnet.textfiles import TextError, read_text
from .config import ConfigError, TrainConfig

PROMPTS_LIMIT = 16 << 20  # bytes
PRECISION: Any = Annotated[float, Meta(ge=0, le=1)]


def open_products(folder) -> CutOuts:
    """The cut-outs that a folder holds. Raises ConfigError where it can't be read, or holds no cut-outs."""
    try:
        return read_folder(folder)
    except PictureError as error:
        raise ConfigError(f"the product folder {error}") from error


def products_of(cut_outs: CutOuts) -> list:
    """Every cut-out of a folder, by name -> list of Product. A product's caption is NAME.txt beside it, else its name.

    One that can't be used is added to cut_outs.broken, and the others go on without it. Raises ConfigError where none
    is left.
    """
    products = []
    for path, caption in cut_outs.items:
        try:
            products.append(Product.from_picture(path, caption))
        except PictureError as error:
            cut_outs.broken[path.name] = str(error).removeprefix(f'"{path.name}": ')
    if not products:
        file, reason = next(iter(cut_outs.broken.items()))
        raise ConfigError(
            f'no product can be used, first "{file}": {reason.rstrip(".")}; give cut-outs with a transparent'
            " background."
        )
    return products


def read_products(folder) -> list:
    """The products of a folder; a warning names each that can't be used. Raises ConfigError."""
    cut_outs = open_products(folder)
    products = products_of(cut_outs)
    for sentence in cut_outs.sentences:
        logging.warning(sentence)
    return products


def read_prompts(path) -> list:
    """The lines of a text file that hold a prompt; empty lines and those that begin with # don't.

    Raises ConfigError.
    """
    try:
        lines = read_text(path, PROMPTS_LIMIT).split("\n")
    except TextError as error:
        raise ConfigError(f"the prompts {error}") from error
    return prompts_of(lines, f'the prompts "{path}"')


def prompts_of(lines: list, source: str = "the prompts") -> list:
    """The lines that hold a prompt. Raises ConfigError, which calls them what `source` says."""
    prompts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not prompts:
        raise ConfigError(
            f'{source} hold no line with a prompt: write one prompt per line, such as "on a wooden table, a kitchen,'
            ' soft light".'
        )
    return prompts


def read_pairs(config: TrainConfig, cut_outs: CutOuts | None = None) -> list:
    """(canvas, prompt) of every product of a config with every prompt.

    cut_outs: its opened folder, which then says what is left out. Raises ConfigError.
    """
    prompts = read_prompts(config.prompts)
    return pairs(products_of(cut_outs) if cut_outs else read_products(config.products), prompts, config)


def pairs(products: list, prompts: list, config: TrainConfig) -> list:
    """(canvas, prompt) of every product with every prompt, {caption} standing for the product's.

    Neighbours in the list differ in both where there are several of both.
    """
    canvases = [place(product, config.size, config.size, config.image_scale) for product in products]
    return [
        (canvas, prompts[(i + shift) % len(prompts)].replace("{caption}", canvas.product.caption))
        for shift in range(len(prompts))
        for i, canvas in enumerate(canvases)
    ]


def check_result(config: TrainConfig) -> None:
    """Raises ConfigError where a file of the result exists and no checkpoint shows that it is this run's, or where its
    folder can't be written.
    """
    for file in (config.result, config.last, config.result.with_suffix(".png")):
        if file.exists() and not config.state.exists():
            raise ConfigError(f"{quoted(file)} exists: choose another name, or delete it first.")
    try:
        check_writable(config.result)
    except OSError as error:
        raise ConfigError(str(error)) from error


def check_space(folder, needed: int) -> None:
    """Raises ConfigError where the disk has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConfigError(
            f'the disk of "{folder}" has {free / 2**20:.0f} MiB left and the run needs {needed / 2**20:.0f}: make room,'
            " or choose another folder."
        )


def check_reviewer(metadata: dict, name: str, floor: float, force: bool = False) -> float | None:
    """The average precision that a reviewer's metadata states.

    Raises ConfigError where it states none, or one below `floor`, unless forced.
    """
    try:
        ap: float = convert(parse_json(metadata["scores"], "scores")["ap"]["value"], PRECISION, "the average precision")
    except (KeyError, TypeError, ValueError):
        if force:
            return None
        raise ConfigError(
            f'the reviewer "{name}" doesn\'t say how good it is: train it with `rfnet train`, or set force = true.'
        ) from None
    if ap < floor and not force:
        raise ConfigError(
            f'the reviewer "{name}" has an average precision of {ap:.2f}, below {floor:.2f}: the ControlNet would learn'
            " its mistakes; train a better one, or set force = true."
        )
    return ap
