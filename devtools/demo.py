"""`python dev.py demo`: one product picture through the shipped workflow in a real ComfyUI, and what came out of it.

With `--webui ROOT` in an Automatic1111 (demo_webui.py); with `--checkpoint FILE --controlnet FILE` on models of the
user's (own_models.py).

Exit codes: 0 a picture was accepted, 1 something failed, 2 no attempt was accepted (the results are written all the
same).
"""

import importlib.metadata
import io
import json
import platform
import signal
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from .. import __version__
from ..rfft.models import ModelError
from ..rfnet.product import PictureError, open_picture
from . import own_models
from .arguments import parse
from .client import ComfyClient, GraphRefused, write_atomically
from .comfy import ROOT, ComfyServer
from .graph import GraphError, load, titled, to_api, workflow
from .server import ServerFailed
from .sheet import attempts_sheet
from .webui import WebUIRefused

WORKFLOW = workflow("First product ad")
PRODUCT = ROOT / "pocket" / "demo_product.png"
PICTURE, PLACED, PROMPT, SAMPLER, RESULT = "Product picture", "Product", "Scene prompt", "Draw until accepted", "Result"


class DemoFailed(RuntimeError):
    """The run did not come to its end; one sentence that says why and what to do."""


def main(arguments: list[str]) -> int:
    options, _ = parse(["demo", *arguments])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C: the server is stopped, too
    started = time.monotonic()
    try:
        report = (in_webui if options.webui else in_comfyui)(options, started)
    except (
        PictureError,
        ServerFailed,
        GraphRefused,
        GraphError,
        DemoFailed,
        ModelError,
        WebUIRefused,
        ValueError,
        OSError,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cancelled", file=sys.stderr)
        return 130
    print(json.dumps(report, ensure_ascii=False, indent=2) if options.json else summary(report, options.out))
    return 0 if report["accepted"] else 2


def in_comfyui(options: Namespace, started: float) -> dict:
    template = own_models.template(options) if options.checkpoint else WORKFLOW
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as base:
        if options.checkpoint:
            own_models.install(options, Path(base) / "models")
        with ComfyServer(Path(base), options.out / "server.log") as server:
            client = ComfyClient(server.address)
            graph = prepared(client, options, template)
            return write(client, graph, outputs(client, graph), options.out, started)


def in_webui(options: Namespace, started: float) -> dict:
    from . import demo_webui

    return demo_webui.draw(options, started)


def prepared(client: ComfyClient, options: Namespace, template: Path = WORKFLOW) -> dict:
    """The shipped workflow in API format, with the product uploaded, and what the user asks for in it."""
    graph = to_api(load(template), client.ask("/object_info"))
    if options.checkpoint:
        own_models.put(graph, options)
    graph[titled(graph, PICTURE)]["inputs"]["image"] = client.upload("product.png", as_png(options.product or PRODUCT))
    for title, name, value in (
        (PLACED, "caption", options.caption),
        (PROMPT, "text", options.prompt),
        (SAMPLER, "seed", options.seed),
        (SAMPLER, "attempts", options.attempts),
        (SAMPLER, "steps", options.steps),
        (SAMPLER, "cfg", options.cfg),
        (PLACED, "width", options.size),
        (PLACED, "height", options.size),
    ):
        if value is not None:
            graph[titled(graph, title)]["inputs"][name] = value
    return graph


def as_png(path: Path) -> bytes:
    """Any picture file as an 8-bit RGBA PNG: Load Image would clip 16-bit files and take an animation for a batch."""
    return png_of(open_picture(path))


def png_of(rgba) -> bytes:
    """(H, W, 4) in [0, 1] as an 8-bit PNG."""
    file = io.BytesIO()
    Image.fromarray((rgba * 255 + 0.5).astype("uint8"), "RGBA").save(file, "PNG")
    return file.getvalue()


def outputs(client: ComfyClient, graph: dict) -> dict:
    """Runs the graph with a progress bar of attempts and verdicts; returns what its nodes show."""
    sampler = titled(graph, SAMPLER)
    with tqdm(
        total=1, desc="loading models", bar_format="{desc} |{bar}| {elapsed}", file=sys.stderr, disable=None
    ) as bar:
        for event in client.run(graph):
            if event.kind == "execution_error":
                raise DemoFailed(f"{event.data['node_type']}: {event.data['exception_message'].strip()}")
            if event.kind == "execution_interrupted":
                raise DemoFailed("the server was told to stop: run the demo again")
            if event.node == sampler and event.kind == "progress_text":
                bar.set_description_str(event.data["text"])
                if bar.disable:  # not on a screen, such as in a log: words instead of a bar
                    print(event.data["text"], file=sys.stderr, flush=True)
            if event.node == sampler and event.kind == "progress":
                bar.total, bar.n = event.data["max"], event.data["value"]
                bar.refresh()
    return client.history(client.prompt_id)["outputs"]


def write(client: ComfyClient, graph: dict, shown: dict, folder: Path, started: float) -> dict:
    """Writes advert.png, attempts.png and report.json into the folder; returns the report."""
    sampler = shown[titled(graph, SAMPLER)]
    run = json.loads(sampler["report"][0])
    pictures = [Image.open(io.BytesIO(client.view(picture))) for picture in sampler.get("images", [])]
    if len(pictures) != len(run["attempts"]):
        raise DemoFailed("the server could not write its pictures: free some disk space and run the demo again")
    image, sheet = (folder / "advert.png").resolve(), (folder / "attempts.png").resolve()

    drawn = io.BytesIO()
    attempts_sheet(pictures, run["attempts"]).save(drawn, "PNG")
    write_atomically(image, client.view(shown[titled(graph, RESULT)]["images"][0]))
    write_atomically(sheet, drawn.getvalue())
    report = {
        **run,
        "image": str(image),
        "sheet": str(sheet),
        "seconds": round(time.monotonic() - started, 2),
        "versions": versions(client),
    }
    write_atomically(folder / "report.json", json.dumps(report, ensure_ascii=False, indent=2).encode())
    return report


def versions(client: ComfyClient) -> dict[str, str]:
    comfyui = client.ask("/system_stats")["system"]["comfyui_version"]
    found = {name: importlib.metadata.version(name) for name in ("torch", "timm", "open_clip_torch", "numpy", "pillow")}
    return {"reliable-ads": __version__, "comfyui": comfyui, "python": platform.python_version(), **found}


def summary(report: dict, folder: Path) -> str:
    count = len(report["attempts"])
    head = (
        f"accepted at attempt {count}, after {report['seconds']:.0f} s"
        if report["accepted"]
        else (
            f"none of {count} attempts was accepted, so the picture below is only the best of them: "
            "try more attempts (--attempts), another prompt (--prompt) or another seed (--seed)"
        )
    )
    return (
        f"{head}\n  picture   {report['image']}\n  attempts  {report['sheet']}\n  report   "
        f" {(folder / 'report.json').resolve()}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
