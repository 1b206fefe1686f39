"""Automatic1111, Forge and reForge: what the loop costs there, and whether it draws what it should.

    python -m benchmarks.sdwebui [--quick] [--host a1111 forge reforge] [--only PART ...]

The web UIs are those that RELIABLE_ADS_A1111, RELIABLE_ADS_FORGE and RELIABLE_ADS_REFORGE name (ROOT:PYTHON). They draw
with a thin Stable Diffusion 1.5 of random weights and its canny ControlNet. Plain Generate is the host's own ControlNet
with the product's outline, and its latent held to the product where the mask says so: what a user could set up without
us.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from reliable_ads.devtools import thin_models
from reliable_ads.devtools.api_graph import masked_latent, node, placed_product
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.webui import VARIABLES, Host, WebUI
from reliable_ads.rfnet.product import Canvas, Product, place

from .common import Figure, publish
from .figures.sdwebui import HOSTS

COMMAND = "python -m benchmarks.sdwebui"
PICTURE = Path(__file__).resolve().parents[1] / "pocket" / "demo_product.png"
CAPTION = "a green bottle"
ALWAYS, NEVER = 1e-6, 1.0  # thresholds that every picture passes, and that none does
DRAW = {"prompt": "a bottle on sand", "negative_prompt": "blurred", "cfg_scale": 5.0, "sampler_name": "Euler"}


class Session:
    """A running web UI, and requests to it. server: a devtools.webui.WebUI."""

    def __init__(self, server: WebUI, options):
        self.server = server
        self.options = options

    def canvas(self, size: int) -> Canvas:
        return place(Product.from_picture(PICTURE, CAPTION), size, size)

    def ours(self, size: int, steps: int, seed: int, **settings):
        named = {
            "product": base64.b64encode(PICTURE.read_bytes()).decode(),
            "caption": CAPTION,
            "remedies": [],
            "on_exhausted": "last",
            **settings,
        }
        return self._draw(size, steps, seed, {"reliable ads": {"args": [named]}})

    def plain(self, size: int, steps: int, seed: int):
        return self._draw(size, steps, seed, thin_models.plain(self.server, self.canvas(size)))

    def _draw(self, size: int, steps: int, seed: int, scripts: dict):
        request = {**DRAW, "width": size, "height": size, "steps": steps, "seed": seed, "alwayson_scripts": scripts}
        return self.server.draw(**request)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), dtype=int)


def draws(session: Session, key: str) -> tuple[dict, dict]:
    """Attempts 1 to 3 against plain draws with their seeds, where nothing of the product is pasted."""
    painted = (session.canvas(64).alpha == 0).numpy()
    largest = []
    for seed in (5, 105):
        answer = session.ours(64, 4, seed, attempts=3, threshold=NEVER, keep_rejected=True)
        for drawn, its_seed in zip(answer.pictures, answer.info["all_seeds"]):
            plain = session.plain(64, 4, its_seed).pictures[0]
            largest.append(int(np.abs(pixels(drawn) - pixels(plain))[painted].max()))
    return {f"inner_difference_{key}": Figure(max(largest), min(largest), max(largest), len(largest))}, {}


def overhead(session: Session, key: str) -> tuple[dict, dict]:
    """Pairs of the same draw, in turns; the first of each loads and is left out."""
    size, steps, pairs = (64, 4, 1) if session.options.quick else (128, 20, session.options.pairs)
    ways = {
        "plain": lambda seed: session.plain(size, steps, seed),
        "ours": lambda seed: session.ours(size, steps, seed, threshold=ALWAYS),
    }
    seconds: dict[str, list] = {"plain": [], "ours": []}
    for pair in range(-1, pairs):
        for way in ("plain", "ours") if pair % 2 else ("ours", "plain"):
            began = time.monotonic()
            ways[way](50 + pair)
            if pair >= 0:
                seconds[way].append(time.monotonic() - began)
        print(f"\r{key} pair {pair + 1}/{pairs}", end="", file=sys.stderr, flush=True)
    ratios = np.array(seconds["ours"]) / np.array(seconds["plain"]) - 1
    found = Figure(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), len(ratios))
    return {f"overhead_{key}": found}, {f"seconds_{key}": seconds}


def stops(session: Session, key: str) -> tuple[dict, dict]:
    """Skip and Interrupt are pressed in the second attempt of three; how many steps began after that."""
    figures = {}
    for button in ("skip", "interrupt"):
        after = []
        for seed in range(1 if session.options.quick else 5):
            pressed: list[int] = []
            presser = threading.Thread(target=press, args=(session.server, button, pressed))
            presser.start()
            answer = session.ours(128, 12, 300 + 10 * seed, attempts=3, threshold=NEVER)
            presser.join()
            attempts = answer.report["attempts"]
            assert "error" in attempts[1] and len(attempts) == (3 if button == "skip" else 2), answer.report
            after.append(attempts[1]["steps"] - pressed[0])
        figures[f"{button}_steps_{key}"] = Figure(max(after), min(after), max(after), len(after))
    return figures, {}


def press(server: WebUI, button: str, pressed: list) -> None:
    """Presses a button after some steps of attempt 2, and notes how many were done then."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state = server.ask("/sdapi/v1/progress?skip_current_image=true")
        if (state["textinfo"] or "").startswith("attempt 2/") and state["state"]["sampling_step"] >= 3:
            server.ask(f"/sdapi/v1/{button}", {})
            # the bar's step is the one that was done last; the next is on its way already
            pressed.append(server.ask("/sdapi/v1/progress?skip_current_image=true")["state"]["sampling_step"] + 1)
            return
        time.sleep(0.02)


def memory(session: Session, key: str) -> tuple[dict, dict]:
    """Resident memory over generations of five attempts that are never accepted."""
    generations = 6 if session.options.quick else 50
    process = psutil.Process(session.server.process.pid)
    curve = []
    for number in range(generations):
        session.ours(64, 2, 1000 + 10 * number, attempts=5, threshold=NEVER)
        curve.append(process.memory_info().rss / 2**20)
        print(f"\r{key} memory {number + 1}/{generations}: {curve[-1]:.0f} MiB", end="", file=sys.stderr, flush=True)
    return {f"memory_growth_{key}": Figure(curve[-1] / curve[4] - 1, n=generations)}, {f"memory_mib_{key}": curve}


def start(session: Session, key: str) -> tuple[dict, dict]:
    """The time that the log gives for loading our script, over several starts."""
    found = []
    for number in range(1 if session.options.quick else 5):
        server = session.server
        log = session.options.out / f"{key}_start_{number}.log"
        with WebUI(server.host, server.data, log, server.checkpoint, ("--log-startup",)):
            times = re.findall(r"reliable_ads\.py: done in ([\d.]+)s", log.read_text(encoding="utf-8", errors="replace"))
            assert times, f"{log} doesn't say how long reliable_ads.py took"
            found.append(1000 * sum(map(float, times)))
    low, middle, high = np.percentile(found, (0, 50, 100))
    return {f"start_ms_{key}": Figure(float(middle), float(low), float(high), len(found))}, {}


def comfyui(session: Session, key: str) -> tuple[dict, dict]:
    """The same checkpoint, ControlNet, seed and settings through RF Cyclic Sampler and through the web UI."""
    size, steps = 128, 8
    theirs, products = [], []
    with (
        tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
        ComfyServer(Path(base), session.options.out / "comfyui.log") as server,
    ):
        for folder, file in (("checkpoints", "thin_sd"), ("controlnet", "thin_canny")):
            place_for = Path(base) / "models" / folder
            place_for.mkdir(parents=True, exist_ok=True)
            (place_for / f"{file}.safetensors").symlink_to(thin_models.MODELS / f"{file}.safetensors")
        client = ComfyClient(server.address, patience=1800)
        client.upload("product.png", PICTURE.read_bytes())
        canvas = session.canvas(size)
        painted, solid = (canvas.alpha == 0).numpy(), (canvas.alpha == 1).numpy()
        for seed in (5, 6, 7):
            outputs = client.outputs(comfyui_graph(size, steps, seed))
            comfy = pixels(Image.open(io.BytesIO(client.view(outputs["show"]["images"][0]))))
            ours = pixels(session.ours(size, steps, seed, attempts=1).pictures[0])
            theirs.append(float(np.abs(comfy - ours)[painted].mean()))
            products.append(int(np.abs(comfy - ours)[solid].max()))
    return {
        f"comfyui_difference_{key}": Figure(float(np.mean(theirs)), min(theirs), max(theirs), len(theirs)),
        f"comfyui_product_{key}": Figure(max(products), min(products), max(products), len(products)),
    }, {}


def comfyui_graph(size: int, steps: int, seed: int) -> dict:
    graph = {
        "models": node("CheckpointLoaderSimple", ckpt_name="thin_sd.safetensors"),
        "control": node("ControlNetLoader", control_net_name="thin_canny.safetensors"),
        **placed_product(CAPTION, size, size),
        **masked_latent(["models", 2]),
        "prompt": node("CLIPTextEncode", text=DRAW["prompt"], clip=["models", 1]),
        "negative": node("CLIPTextEncode", text=DRAW["negative_prompt"], clip=["models", 1]),
        "controlled": node(
            "ControlNetApplyAdvanced",
            positive=["prompt", 0],
            negative=["negative", 0],
            control_net=["control", 0],
            image=["product", 3],
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        ),
        "reviewer": node("RFLoadReviewer", reviewer_name="rfnet_compact.safetensors"),
    }
    graph["sampler"] = node(
        "RFCyclicSampler",
        model=["models", 0],
        positive=["controlled", 0],
        negative=["controlled", 1],
        latent_image=["masked", 0],
        vae=["models", 2],
        reviewer=["reviewer", 0],
        product=["product", 0],
        seed=seed,
        steps=steps,
        cfg=DRAW["cfg_scale"],
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
        attempts=1,
        on_exhausted="best",
        threshold=0.0,
    )
    return {**graph, "show": node("PreviewImage", images=["sampler", 0])}


PARTS = {
    "draws": draws,
    "overhead": overhead,
    "stops": stops,
    "memory": memory,
    "start": start,
    "comfyui": comfyui,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same code on less work; nothing written")
    parser.add_argument("--host", nargs="+", choices=HOSTS, default=list(HOSTS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("out/sdwebui"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for key in options.host:
        named = os.environ.get(VARIABLES[HOSTS[key]])
        if not named:
            print(f"{HOSTS[key]} is left out: name it with {VARIABLES[HOSTS[key]]}=ROOT{os.pathsep}PYTHON")
            continue
        measure(Host.named(named), key, options)


def measure(host: Host, key: str, options) -> None:
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as base:
        data = Path(base) / "data"
        checkpoint = thin_models.data_folder(host, data)
        for name in options.only:  # each on a server of its own, so that none inherits another's memory
            with WebUI(host, data, options.out / f"{key}_{name}.log", checkpoint) as server:
                figures, details = PARTS[name](Session(server, options), key)
            publish("sdwebui", COMMAND, "fixed", figures, options.quick, details)


if __name__ == "__main__":
    main()
