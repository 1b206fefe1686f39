"""What the cyclic sampler costs beside the stock nodes: time, previews, memory.

    python -m benchmarks.overhead [--quick] [--only node preview memory] [--pairs 3] [--attempts 500]

`node` draws with a random-weight SD 1.5 at 512 px, 4 steps, and a threshold that every picture passes, in turns with
stock KSampler + VAE Decode on the same server. `preview` draws with the pocket family, whose quick steps make previews
weigh most, on a server with previews and one without. `memory` counts the server's resident memory over many attempts
of four steps, in runs of five that are never accepted: what a loop forgets to let go of is kept for each attempt,
however many steps it has.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from reliable_ads.devtools.api_graph import masked_latent, node, placed_product
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.demo import PRODUCT, SAMPLER, as_png
from reliable_ads.devtools.graph import titled

from .common import Figure, products, publish
from .end_to_end import Session, memory_growth
from .random_sd15 import CHECKPOINT, VAE, write_sd15

COMMAND = "python -m benchmarks.overhead"
EVERY = 1e-6  # a threshold that every picture passes
NONE = 1.0  # and one that none does
STEPS = 4


def sd15_graph(way: str, seed: int) -> dict:
    """Stock KSampler + VAE Decode, or RF Cyclic Sampler, behind the same loaders, prompts and product."""
    sampling = {
        "model": ["models", 0],
        "positive": ["prompt", 0],
        "negative": ["negative", 0],
        "latent_image": ["masked", 0],
        "seed": seed,
        "steps": STEPS,
        "cfg": 7.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    graph = {
        "models": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "vae": node("VAELoader", vae_name=VAE),
        **placed_product("a product", 512, 512),
        **masked_latent(["vae", 0]),
        "prompt": node("CLIPTextEncode", text="a product on a table", clip=["models", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["models", 1]),
    }
    if way == "stock":
        return graph | {
            "sampler": node("KSampler", **sampling),
            "decode": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
            "show": node("PreviewImage", images=["decode", 0]),
        }
    reviewer = node("RFLoadReviewer", reviewer_name="rfnet_compact.safetensors")
    ours = node(
        "RFCyclicSampler",
        **sampling,
        vae=["vae", 0],
        reviewer=["reviewer", 0],
        product=["product", 0],
        attempts=5,
        on_exhausted="best",
        threshold=EVERY,
    )
    return graph | {"reviewer": reviewer, "sampler": ours, "show": node("PreviewImage", images=["sampler", 0])}


def overhead(options) -> tuple[dict[str, Figure], dict]:
    seconds = {"stock": [], "ours": []}
    memory_of = {}
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as base:
        write_sd15(Path(base) / "models")
        with ComfyServer(Path(base), options.out / "server.log") as server:
            client = ComfyClient(server.address, patience=1800)
            client.upload("product.png", as_png(PRODUCT))
            process = psutil.Process(server.process.pid)
            for way in ("stock", "ours"):  # loads and encodes everything; memory after a run of each
                client.outputs(sd15_graph(way, 1))
                memory_of[way] = process.memory_info().rss / 2**20
            for pair in range(options.pairs):
                for way in ("stock", "ours") if pair % 2 else ("ours", "stock"):
                    began = time.monotonic()
                    client.outputs(sd15_graph(way, 10 + pair))
                    seconds[way].append(time.monotonic() - began)
                print(f"\rpair {pair + 1}/{options.pairs}", end="", file=sys.stderr, flush=True)
    ratios = np.array(seconds["ours"]) / np.array(seconds["stock"]) - 1
    return {
        "overhead": Figure(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), len(ratios)),
        "extra_mib": Figure(memory_of["ours"] - memory_of["stock"], n=1),
    }, {"seconds": seconds}


def preview(options) -> tuple[dict[str, Figure], dict]:
    """Seconds of five full attempts with previews against without, in pairs; the interval is their middle half."""
    seconds = {"auto": [], "none": []}
    (job,) = products(1, True)
    with (
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as one,
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as other,
        ComfyServer(Path(one), options.out / "with.log", ("--preview-method", "auto")) as with_,
        ComfyServer(Path(other), options.out / "without.log", ("--preview-method", "none")) as without,
    ):
        sessions = {"auto": Session(with_), "none": Session(without)}
        for pair in range(-1, 3 * options.pairs):
            asked = replace(job, seed=job.seed + 10 * pair + 50)
            for way in ("auto", "none") if pair % 2 else ("none", "auto"):
                report, _ = sessions[way].draw(asked, 5, threshold=NONE)
                if pair >= 0:  # the first draw loads the models
                    seconds[way].append(report["seconds"])
            print(f"\rpair {pair + 1}/{3 * options.pairs}", end="", file=sys.stderr, flush=True)
    ratios = np.array(seconds["auto"]) / np.array(seconds["none"]) - 1
    middle, low, high = (float(np.percentile(ratios, part)) for part in (50, 25, 75))
    return {"preview_overhead": Figure(middle, low, high, len(ratios))}, {"preview_seconds": seconds}


def long_run(options) -> tuple[dict[str, Figure], dict]:
    with (
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
        ComfyServer(Path(base), options.out / "memory.log") as server,
    ):
        session = Session(server)
        session.graph[titled(session.graph, SAMPLER)]["inputs"]["steps"] = STEPS
        return memory_growth(session, options.attempts, 10)


PARTS = {"node": overhead, "preview": preview, "memory": long_run}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one pair, 15 attempts; nothing written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--attempts", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("out/overhead"))
    options = parser.parse_args()
    if options.quick:
        options.pairs = 1
        options.attempts = 15
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only:
        figures, details = PARTS[name](options)
        paints = name != "node"  # that one draws with random weights
        publish("overhead", COMMAND, "fixed, one per pair", figures, options.quick, details, paints=paints)


if __name__ == "__main__":
    main()
