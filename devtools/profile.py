"""`python dev.py profile`: draws a graph's pictures to their end and writes down where RF Cyclic Sampler may give one
up early.

The graph's RF Cyclic Sampler is replaced by RF Profile with the same inputs. Killed at any moment, the draws made so
far are kept: the same command goes on from them, product by product.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from tqdm import tqdm

from ..cyclic.early_rejection import Profile, ProfileError
from ..rfnet.cut_outs import read_folder
from ..rfnet.data.errors import DataError
from ..rfnet.files import write_bytes
from ..rfnet.pictures import PictureError
from .arguments import parse
from .client import ComfyClient, GraphRefused
from .comfy import ComfyServer
from .demo import PICTURE, PLACED, PROMPT, SAMPLER, as_png, png_of
from .graph import GraphError, load, titled, to_api
from .server import ServerFailed

PAGE = "reliable-ads-profile"
EXPECTED = (PictureError, DataError, ProfileError, ServerFailed, GraphRefused, GraphError, RuntimeError, OSError)


def main(arguments: list[str]) -> int:
    options, _ = parse(["profile", *arguments])
    try:
        chosen = list(jobs(options.split) if options.split else pictures(options.products))
        with (
            tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
            ComfyServer(Path(base), options.out.with_suffix(".log"), lent(options.models, Path(base))) as server,
        ):
            kept = Path(base) / "models" / "rfnet" / f"{PAGE}.gates.json"
            done = begin(options.out, kept)
            client = ComfyClient(server.address, patience=3600)
            graph = profiling(client, options)
            for number, (picture, caption, prompt) in enumerate(tqdm(chosen, desc="profile", unit="product")):
                if number * options.draws >= done:
                    draw(client, graph, picture, caption, prompt, options.seed + number * options.draws)
                    write_bytes(options.out, kept.read_bytes())
        print(summary(Profile.from_json(options.out.read_text(encoding="utf-8"), options.out.name)))
    except EXPECTED as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stopped; the draws so far are in {options.out}, the same command goes on", file=sys.stderr)
        return 130
    return 0


def summary(profile: Profile) -> str:
    report = profile.report()
    if "note" in report:
        return f"{report['draws']} draws, no thresholds yet: {report['note']}"
    return json.dumps(report, indent=2)


def jobs(split: Path):
    """(PNG, caption, prompt) of a split's products."""
    from ..synthetic.jobs import jobs_of

    for job in jobs_of(split):
        yield png_of(job.product.rgba), job.product.caption, job.prompt


def pictures(folder: Path):
    """(PNG, caption, None) of a folder's product pictures."""
    found = read_folder(folder)
    for path, caption in found.items:
        try:
            yield as_png(path), caption, None
        except PictureError as error:
            found.broken[path.name] = str(error)
    print(*found.sentences, sep="\n", file=sys.stderr)


def lent(models: Path | None, base: Path) -> tuple[str, ...]:
    """ComfyUI's arguments that let it see a models folder beside its own."""
    if models is None:
        return ()
    config = base / "models.yaml"
    config.write_text(
        json.dumps(
            {"lent": {"base_path": str(models), **{part.name: part.name for part in models.iterdir() if part.is_dir()}}}
        ),
        encoding="utf-8",
    )
    return "--extra-model-paths-config", str(config)


def begin(out: Path, kept: Path) -> int:
    """Puts the profile that is there into the server's folder; returns how many draws it holds."""
    if not out.exists():
        return 0
    profile = Profile.from_json(out.read_text(encoding="utf-8"), out.name)
    write_bytes(kept, out.read_bytes())
    return len(profile.accepted)


def profiling(client: ComfyClient, options: Namespace) -> dict:
    """The workflow in API format, RF Profile in the place of RF Cyclic Sampler and of all that hangs on it."""
    known = client.ask("/object_info")
    graph = to_api(load(options.workflow), known)
    sampler, asked = titled(graph, SAMPLER), known["RFProfile"]["input"]
    shared = {
        name: value
        for name, value in graph[sampler]["inputs"].items()
        if name in asked["required"] | asked.get("optional", {})
    }
    behind = {sampler}
    while more := {
        key
        for key, node in graph.items()
        if key not in behind
        and any(isinstance(value, list) and value[0] in behind for value in node["inputs"].values())
    }:
        behind |= more
    graph = {key: node for key, node in graph.items() if key not in behind}
    graph[sampler] = {
        "class_type": "RFProfile",
        "inputs": {**shared, "profile_name": PAGE, "draws": options.draws, "share": options.share},
        "_meta": {"title": SAMPLER},
    }
    return graph


def draw(client: ComfyClient, graph: dict, picture: bytes, caption: str, prompt: str | None, seed: int) -> None:
    """The draws of one product."""
    graph[titled(graph, PICTURE)]["inputs"]["image"] = client.upload("product.png", picture)
    graph[titled(graph, PLACED)]["inputs"]["caption"] = caption
    if prompt is not None:
        graph[titled(graph, PROMPT)]["inputs"]["text"] = prompt
    graph[titled(graph, SAMPLER)]["inputs"]["seed"] = seed
    client.outputs(graph)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
