"""`python dev.py demo --webui ROOT`: the same in an Automatic1111 of the developer's, through its API.

Its folder stays as it is: models, extension and settings lie in a data folder that is gone afterwards.
"""

import base64
import io
import json
import platform
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from .. import __version__
from ..sdwebui import pocket_files
from .client import write_atomically
from .sheet import attempts_sheet
from .webui import Answer, Host, WebUI


def draw(options: Namespace, started: float) -> dict:
    """Draws with the small models, and writes advert.png, attempts.png and report.json -> the report.

    Raises ValueError, OSError, ServerFailed, WebUIRefused.
    """
    host = Host.named(options.webui)
    if host.kind != "Automatic1111":
        raise ValueError(
            f"{host.kind} knows checkpoints by their shapes, and doesn't know the small demo models: name an"
            " Automatic1111, or leave --webui out to draw in ComfyUI"
        )
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as data:
        checkpoint = pocket_files.install(Path(data) / "models")
        with WebUI(host, Path(data), options.out / "server.log", checkpoint) as web:
            return write(web.draw(**request(options)), host, options.out, started)


def request(options: Namespace) -> dict:
    """What the API is asked for, with the user's product, words, seed and attempts in it."""
    asked = {
        "prompt": options.prompt,
        "seed": options.seed,
        "steps": options.steps,
        "cfg_scale": options.cfg,
        "width": options.size,
        "height": options.size,
    }
    product = options.product or pocket_files.PRODUCT
    settings = {
        **pocket_files.SETTINGS,
        "product": base64.b64encode(product.read_bytes()).decode(),
        **({"caption": ""} if options.product else {}),
        **given({"caption": options.caption, "attempts": options.attempts}),
    }
    return {**pocket_files.DRAW, **given(asked), "alwayson_scripts": {"reliable ads": {"args": [settings]}}}


def given(values: dict) -> dict:
    return {name: value for name, value in values.items() if value is not None}


def write(answer: Answer, host: Host, folder: Path, started: float) -> dict:
    """Writes what came out into the folder; returns the report."""
    run = answer.report
    drawn = dict(zip(answer.info["all_seeds"], answer.pictures))  # what is given back comes first, then the others
    image, sheet, report = ((folder / name).resolve() for name in ("advert.png", "attempts.png", "report.json"))
    write_atomically(image, png(answer.pictures[0]))
    write_atomically(sheet, png(attempts_sheet([drawn[row["seed"]] for row in run["attempts"]], run["attempts"])))
    run = {
        **run,
        "image": str(image),
        "sheet": str(sheet),
        "seconds": round(time.monotonic() - started, 2),
        "versions": {
            "reliable-ads": __version__,
            host.kind: answer.info["version"],
            "python": platform.python_version(),
        },
    }
    write_atomically(report, json.dumps(run, ensure_ascii=False, indent=2).encode())
    return run


def png(picture) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
