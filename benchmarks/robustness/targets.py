"""What reads the bad inputs: the library's and the command lines' own doors, as a user's program calls them. Runs in
the worker."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import torch

from reliable_ads.rfnet.product import Product, place

from .sentences import Said

ROOT = Path(__file__).resolve().parents[2]


def digest(*parts) -> str:
    """16 hex digits, equal for equal arrays, tensors and texts."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().numpy()
        array = isinstance(part, np.ndarray)
        found.update(part.tobytes() + repr(part.shape).encode() if array else str(part).encode("utf-8", "replace"))
    return found.hexdigest()[:16]


def picture(path: str) -> str:
    """Any picture, as `rfnet review` opens what was drawn."""
    from reliable_ads.rfnet.pictures import open_picture

    return digest(open_picture(path))


def product(path: str) -> str:
    """A cut-out, onto a canvas."""
    canvas = place(Product.from_picture(path, "a thing"), 128, 128)
    return digest(canvas.rgb, canvas.alpha, canvas.inpaint_mask, canvas.hint)


def products(folder: str) -> Said | str:
    """A folder of cut-outs, as `rfft train` reads it."""
    from reliable_ads.rfft.inputs import open_products, products_of

    found = open_products(folder)
    read = digest(*(part for product in products_of(found) for part in (product.caption, product.rgba)))
    return Said(found.sentences[0], beside=True) if found.sentences else read


def sample(table: str) -> Said | str:
    """A table of labelled pictures, all of them read, as training reads them."""
    from reliable_ads.rfnet.data.errors import BrokenSample
    from reliable_ads.rfnet.data.sources import open_samples

    samples = open_samples(table, 64)
    broken = []
    read = []
    for row in range(len(samples)):
        try:
            found = samples.read(row)
            read += [found["image"], found["product"], found["caption"], found["label"]]
        except BrokenSample as error:
            broken.append(str(error))
    sentences = [*(sentence for kind in samples.findings.sentences.values() for sentence in kind), *broken]
    return Said(sentences[0], beside=True) if sentences else digest(*read)


@functools.cache
def scene() -> tuple:
    """A picture and the canvas that it was drawn around."""
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[16:56, 20:44] = (200, 60, 30, 255)
    return torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64), place(
        Product.from_arrays(rgba, caption="a red box"),
        64,
        64,
    )


def reviewer(path: str) -> str:
    """A reviewer's file: its verdict on a picture, and whether RFFT would learn from it."""
    from reliable_ads.rfft.inputs import check_reviewer
    from reliable_ads.rfnet.weights import load_reviewer, read_metadata

    check_reviewer(read_metadata(path), Path(path).name, 0.75)
    loaded = load_reviewer(path)
    threshold = loaded.threshold_for("threshold", None)
    images, canvas = scene()
    return json.dumps(loaded.review(images, canvas, threshold).rows()[0]["probabilities"]) + f" from {threshold}"


@functools.cache
def controlnet(folder: str):
    from reliable_ads.pocket.ldm import load_pocket

    return load_pocket(f"{folder}/pocket_sd.safetensors", f"{folder}/pocket_canny.safetensors").controlnet


def adapter(path: str, base: str) -> str:
    """An adapter on the ControlNet that it belongs to."""
    from reliable_ads.rfft.adapter import load_adapter

    loaded = load_adapter(controlnet(str(Path(base).parent)), path, base)
    loaded.remove()
    return digest(loaded.rank, *(part for update in loaded.updates for part in (update.up, update.down, update.alpha)))


def merged(path: str, base: str) -> str:
    """The same, folded into it, as RF Load ControlNet and `rfft merge` do."""
    from reliable_ads.rfft.merge import fold

    tensors, _ = fold(base, [(path, 1.0)])
    return digest(*(tensors[key].float() for key in sorted(tensors)))


@functools.cache
def layers(folder: str) -> dict:
    from reliable_ads.pocket.ldm import load_pocket
    from reliable_ads.pocket.tuning import models_of
    from reliable_ads.rfft.lora import names_of

    return names_of(models_of(load_pocket(f"{folder}/pocket_sd.safetensors", f"{folder}/pocket_canny.safetensors")))


def lora(path: str, family: str) -> str:
    """A LoRA, as `rfft train` folds it."""
    from reliable_ads.rfft.lora import updates

    found = updates(path, layers(family))
    return digest(*sorted(digest(value) for value in found.values()))


def pocket(checkpoint: str, controlnet: str) -> str:
    """The two files of a pocket family."""
    from reliable_ads.pocket.ldm import load_pocket

    found = load_pocket(checkpoint, controlnet)
    return digest(*(value for part in found.parts().values() for _, value in sorted(part.state_dict().items())))


def profile(path: str) -> str:
    """A profile of early rejection, and what the sampler asks of it."""
    from reliable_ads.cyclic.early_rejection import Profile

    found = Profile.read(path)
    settings = {
        "steps": 20,
        "cfg": 1.5,
        "sampler_name": "ddim",
        "scheduler": "ddim_uniform",
        "denoise": 1.0,
        "threshold": 0.5,
    }
    return json.dumps(
        [
            found.why_not(found.model, found.reviewer, settings),
            [threshold.at(20) for threshold in found.thresholds],
            found.check_cost,
            found.review_cost,
            found.preview,
        ]
    )


def gallery(folder: str) -> str:
    """A gallery that a run would go on with: what is done, and its page."""
    from reliable_ads.cyclic.gallery import Gallery

    found = Gallery(folder)
    return json.dumps(
        [
            sorted(found.rows),
            found.to_do,
            digest(found.page().read_text("utf-8").replace(Path(folder).name, "GALLERY")),
        ]
    )


def labels(folder: str) -> str:
    """A folder of labels: what holds, and the table that training reads."""
    from reliable_ads.rfnet.data.labelling import LabelFolder

    found = LabelFolder(folder)
    return json.dumps([str(found.read()), found.write_table().read_text("utf-8")])


def rf1m(folder: str) -> Said | str:
    """A folder in RF1M's layout."""
    return sample(folder)


def rfnet_config(path: str) -> str:
    """A config, and a training that would begin as it says."""
    from reliable_ads.rfnet.files import check_writable
    from reliable_ads.rfnet.training.config import read_config
    from reliable_ads.rfnet.training.train import Run

    config = read_config(path)
    check_writable(config.out)
    return digest(Run(config, cpu=True).identity)


def rfft_config(path: str) -> str:
    """A config, and all of what it names that is quick to check."""
    from reliable_ads.rfft.config import read_config
    from reliable_ads.rfft.inputs import read_pairs

    config = read_config(path)
    return str(config.settings()) + digest(
        *(part for canvas, prompt in read_pairs(config) for part in (canvas.rgb, prompt))
    )


def command(program: str, arguments: list, folder: str) -> Said | str:
    """A command line; what it prints to stderr is what it says."""
    out = io.StringIO()
    err = io.StringIO()
    os.chdir(folder)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = _main(program)(arguments)
        except SystemExit as stop:  # argparse
            status = stop.code
    if status:
        return Said(str(status) if isinstance(status, str) else _last(err.getvalue() or out.getvalue()))
    return digest(out.getvalue()) + (f" {err.getvalue()}" if err.getvalue() else "")


def _main(program: str):
    if program == "rfnet":
        from reliable_ads.rfnet.cli import main
    elif program == "rfft":
        from reliable_ads.pocket.tuning import FAMILY
        from reliable_ads.rfft.cli import main

        return lambda arguments: main(arguments, FAMILY)
    elif program == "pocket":
        from reliable_ads.pocket.training.cli import main
    else:
        from reliable_ads.devtools.arguments import parse

        return lambda arguments: parse(arguments) and 0
    return main


def _last(text: str) -> str:
    """argparse prints its usage first, a command its progress; the sentence is the last paragraph."""
    lines = text.strip().splitlines() or [""]
    if "Traceback" in text:
        return text
    start = next(
        (
            place
            for place in range(len(lines) - 1, -1, -1)
            if lines[place].startswith(("rfnet", "rfft", "pocket", "dev.py"))
        ),
        len(lines) - 1,
    )
    return " ".join(line for line in lines[start:])


TARGETS = {
    function.__name__: function
    for function in (
        picture,
        product,
        products,
        sample,
        reviewer,
        adapter,
        merged,
        lora,
        pocket,
        profile,
        gallery,
        labels,
        rf1m,
        rfnet_config,
        rfft_config,
        command,
    )
}


def warm_up(goods: str, target: str) -> str:
    """Imports what is slow to import, and loads what is there once, so that no input pays for it."""
    if target in ("adapter", "merged"):
        controlnet(goods)
    elif target == "lora":
        layers(goods)
    elif target in ("reviewer", "command"):
        reviewer(f"{goods}/reviewer.safetensors")
    elif target == "pocket":
        pocket(f"{goods}/pocket_sd.safetensors", f"{goods}/pocket_canny.safetensors")
    else:
        scene()
    return "warm"


TARGETS["warm_up"] = warm_up
