"""What second opinions cost beside RFNet's own review: milliseconds and memory, and what is left after distillation.

    python -m benchmarks.opinions [--quick] [--language FOLDER] [--expansion FILE] [--only NAME ...]

Each is asked about a 512-pixel picture, in a process of its own with one thread. Milliseconds are that process's
computing time, memory what it takes at most beyond a process that only reviews (of `rfnet`: beyond one that has not
loaded the reviewer). Without models of yours the costs are those of random weights: a LLaVA of 0.2 billion weights and
a SAM with ViT-B. `server` asks one on this machine that answers at once: what is left is the packing and the waiting.
`panel` is RFNet with all of them but the server. `size` has a reader of sizes made up of zeros. What ComfyUI itself
runs (`text_model`) is not timed. After `rfnet distill` the reviewer alone answers, with a network of
the same size: `rfnet` is its cost.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import torch

from reliable_ads.rfnet.opinions.opening import open_opinions
from reliable_ads.rfnet.opinions.panel import Panel
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.sizes import SizeReader
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_reviewer

from .common import ROOT, Figure, mean, publish
from .random_opinions import THIN, USUAL, write_language, write_sam

COMMAND = "python -m benchmarks.opinions"
PRODUCT = ROOT / "pocket" / "demo_product.png"
SIDE = 512
LIGHT = ("contact", "own_label", "size")
TIMES = {"rfnet": 20} | dict.fromkeys(LIGHT, 20) | {"expansion": 2, "language": 2, "server": 5, "panel": 1}
ANSWER = json.dumps({"choices": [{"message": {"content": "No"}}]}).encode()


class Answering(BaseHTTPRequestHandler):
    """A server that answers at once."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *about):
        pass


def specifications(options, folder: Path) -> dict[str, list[str]]:
    """{name: what open_opinions takes}, with random models written where the user gave none."""
    models = {"language": options.language, "expansion": options.expansion}
    wanted = {*options.only} | ({"language", "expansion"} if "panel" in options.only else set())
    if not models["language"] and "language" in wanted:
        models["language"] = write_language(folder / "llava", size=THIN if options.quick else USUAL)
    if not models["expansion"] and "expansion" in wanted:
        models["expansion"] = write_sam(folder / "sam", thin=options.quick)
    texts = {"rfnet": []} | {name: [name] for name in (*LIGHT, "server")}
    texts |= {name: [f"{name}={path}"] for name, path in models.items()}
    texts["panel"] = [text for name in (*LIGHT, "expansion", "language") for text in texts[name]]
    return {name: texts[name] for name in options.only}


def cost(name: str, texts: list[str], times: int) -> dict:
    """{"ms": one for each time, "mib": at most} of one opinion, of RFNet, or of a panel, in this process."""
    torch.set_num_threads(1)
    canvas = place(Product.from_picture(PRODUCT, size_cm=30), SIDE, SIDE)
    torch.manual_seed(0)
    images = canvas.paste(torch.rand(1, 3, SIDE, SIDE))
    unloaded = _mib()
    reviewer = load_reviewer(DEFAULT_WEIGHTS)
    if {"size", "panel"} & {name}:  # a reader of any numbers: the weights that ship have none
        reviewer.sizes = SizeReader(weight=[0.0] * reviewer.rfnet.feature_width, bias=0.0, sigma=0.5)
    review = reviewer.review(images, canvas)
    opinions = open_opinions([f"server={answering()}"] if name == "server" else texts)
    panel = Panel(reviewer, opinions)
    asking = {
        "rfnet": lambda: reviewer.review(images, canvas),
        "panel": lambda: panel.review(images, canvas),
        "size": lambda: panel.opinions[0].evidence_in(canvas, review),
    }.get(name, lambda: panel.opinions[0].evidence(canvas, images, review.depth))
    spent = []
    for _ in range(times + (times > 2)):  # the first one warms up, where that costs little
        began = time.process_time()
        asking()
        spent.append(1000 * (time.process_time() - began))
    return {"ms": spent[-times:], "mib": _mib(), "unloaded": unloaded}


def answering() -> Path:
    """The file of a server in a thread."""
    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = Path(tempfile.mkdtemp()) / "server.json"
    file.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_address[1]}/v1", "model": "none"}))
    return file


def _mib() -> float:
    """The most that this process has held in memory. Linux tells it in VmHWM; in ru_maxrss it also counts what the
    process held that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 2**10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def apart(name: str, texts: list[str], times: int) -> dict:
    """cost in a process of its own."""
    command = [sys.executable, "-m", "reliable_ads.benchmarks.opinions", "--cost", name, str(times), *texts]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if sys.argv[1:2] == ["--cost"]:
        name, times, *texts = sys.argv[2:]
        print(json.dumps(cost(name, texts, int(times))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="thin models, three pictures; nothing written")
    parser.add_argument("--only", nargs="+", choices=TIMES, default=list(TIMES))
    parser.add_argument("--language", type=Path, help="folder of a vision-language model")
    parser.add_argument("--expansion", type=Path, help="BiRefNet or U2-Net .onnx file, or folder of a SAM")
    options = parser.parse_args()
    options.only = list(dict.fromkeys(["rfnet", *options.only]))
    figures, details = {}, {}
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as folder:
        for name, texts in specifications(options, Path(folder)).items():
            found = apart(name, texts, min(TIMES[name], 3) if options.quick else TIMES[name])
            figures[f"{name}_ms"] = Figure(*mean(found["ms"]), len(found["ms"]))
            alone = details["rfnet"]["mib"] if details else found["unloaded"]
            figures[f"{name}_mib"] = Figure(max(0.0, found["mib"] - alone), n=1)
            details[name] = found
    publish("opinions", COMMAND, "fixed", figures, options.quick, details)


if __name__ == "__main__":
    main()
