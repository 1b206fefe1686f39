"""Bad inputs over HTTP: graphs and label requests for a real ComfyUI server, and the reader that sends them there."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import re
import shutil
import time
from pathlib import Path

import psutil
from PIL import Image

from reliable_ads.devtools.api_graph import changed, masked_latent, node, placed_product
from reliable_ads.devtools.client import ComfyClient, GraphRefused
from reliable_ads.devtools.comfy import ComfyServer

from .watch import MEMORY, PATIENCE

FOLDERS = {
    "reviewer": "models/rfnet",
    "profile": "models/rfnet",
    "pocket": "models/pocket",
    "adapter": "models/controlnet",
    "input": "input",
    "labels": "output/labels",
}
BUSY = 3  # times the patience that a machine is given which has much else to do
CORES_PREFIX = re.compile(r"^\w+ \(node \w+\): (Exception when validating inner node: )?")


class Server:
    """A real server whose base directory holds the good files. `ask("graph" | "request", arguments)` answers as
    watch.Worker does; a server that hung or grew is started anew."""

    def __init__(self, base: Path, goods: Path):
        self.base = base
        self.goods = goods
        self.server = None
        for kind, names in {
            "reviewer": ("reviewer.safetensors",),
            "pocket": ("pocket_sd.safetensors", "pocket_canny.safetensors"),
            "adapter": ("adapter.safetensors",),
            "input": ("product.png", "drawn.png"),
            "labels": (),
        }.items():
            (base / FOLDERS[kind]).mkdir(parents=True, exist_ok=True)
            for name in names:
                shutil.copyfile(goods / name, base / FOLDERS[kind] / name)
        shutil.copytree(goods / "labels", base / "output" / "labels" / "good")
        shutil.copytree(goods / "shop", base / "input" / "shop")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        if self.server:
            self.server.__exit__()
        self.server = None

    def start(self) -> None:
        if self.server is None:
            self.server = ComfyServer(self.base, self.base / "server.log", ("--cpu",)).__enter__()
            self._graph(sampling_graph())  # loads what is slow to load

    def client(self) -> ComfyClient:
        self.start()
        return ComfyClient(self.server.address, patience=120)

    def ask(self, target: str, arguments: dict) -> dict:
        self.start()
        process = psutil.Process(self.server.process.pid)
        before = process.memory_info().rss
        began = time.monotonic()
        computed = sum(process.cpu_times()[:2])
        files = [
            (self.goods.parent / "input" / source, self.base / FOLDERS[kind] / Path(source).name)
            for kind, source in arguments.pop("files", ())
        ]
        for source, place in files:
            _copy(source, place)
        try:
            answer = self._graph(**arguments) if target == "graph" else self._request(**arguments)
        except (TimeoutError, OSError) as error:
            answer = {"outcome": "hang" if self.server.process.poll() is None else "crash", "message": str(error)}
        finally:
            for _, place in files:
                _remove(place)
        if answer["outcome"] not in ("hang", "crash"):
            if process.memory_info().rss - before > MEMORY:
                answer["outcome"] = "memory"
            elif sum(process.cpu_times()[:2]) - computed > PATIENCE:
                answer["outcome"] = "hang"
        if answer["outcome"] in ("hang", "crash", "memory"):
            self.stop()
        return {**answer, "seconds": round(time.monotonic() - began, 2)}

    def _graph(self, graph: dict) -> dict:
        client = ComfyClient(self.server.address, patience=BUSY * PATIENCE)
        try:
            last = None
            shown = []
            for event in client.run(graph):
                last = event
                if event.kind == "executed":
                    shown.append(event.data.get("output"))
        except GraphRefused as refusal:
            return {
                "outcome": "refused",
                "message": CORES_PREFIX.sub("", str(refusal).splitlines()[0]),
                "said": "partly in ComfyUI's words",
            }
        except Exception as error:  # websocket's own kinds of timeouts
            if "timed out" in str(error).lower():
                raise TimeoutError(f"no answer after {PATIENCE:.0f} s") from None
            return {"outcome": "traceback", "message": str(error), "type": type(error).__name__}
        if last.kind != "execution_error":
            return {"outcome": "accepted", "result": _result(client, shown)}
        kind = last.data["exception_type"]
        ours = any(room in kind for room in (".rfnet.", ".rfft.", ".pocket.", ".nodes.")) or kind in (
            "Reliable Ads",
            "ValueError",
            "OSError",
            "FileNotFoundError",
        )
        return {
            "outcome": "refused" if ours else "traceback",
            "message": last.data["exception_message"].strip(),
            "type": kind,
            "trace": "".join(last.data["traceback"])[-3000:],
        }

    def _request(self, method: str, path: str, headers: dict, body: str | None = None) -> dict:
        """body: base64. An answer that is no refusal is compared by its status."""
        connection = http.client.HTTPConnection(self.server.address, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            content = base64.b64decode(body) if body is not None else None
            for name, value in {
                **({"Content-Length": str(len(content))} if content is not None else {}),
                **headers,
            }.items():
                connection.putheader(name, value.replace("{address}", self.server.address))
            connection.endheaders(content)
            answer = connection.getresponse()
            status = answer.status
            text = answer.read(100_000).decode("utf-8", "replace")
        except http.client.HTTPException as error:
            return {"outcome": "refused", "message": f"the connection ends: {error!r}", "said": True}
        finally:
            connection.close()
        if status >= 500:
            return {"outcome": "traceback", "message": f"{status} {text}"}
        if status < 400:
            return {"outcome": "accepted", "result": f"{status} {text[:300]}"}
        try:
            return {"outcome": "refused", "message": json.loads(text)["error"], "said": "to a program"}
        except (ValueError, KeyError, TypeError):  # aiohttp's own, such as "404: Not Found", or core's empty 403
            return {"outcome": "refused", "message": f"HTTP {status}: {text.strip()}", "said": "the server's own words"}


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def _copy(source: Path, place: Path) -> None:
    """Also what is no regular file."""
    if source.is_symlink():
        place.symlink_to(source.readlink())
    elif source.is_dir():
        shutil.copytree(source, place)
    elif source.is_fifo():
        import os

        os.mkfifo(place)
    elif source.exists():
        shutil.copyfile(source, place)


def _result(client: ComfyClient, shown: list) -> str:
    """What the nodes showed: pictures by their pixels, texts as they are."""
    found = []
    for output in filter(None, shown):
        for name, values in output.items():
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, dict) and "filename" in value:
                    found.append(hashlib.sha256(Image.open(io.BytesIO(client.view(value))).tobytes()).hexdigest()[:16])
                else:
                    found.append(re.sub(" at 0x[0-9a-f]+", "", f"{name} {value}")[:500])
    return " ".join(found)


def good_graph(**changes) -> dict:
    """A product, reviewed as it is placed: quick. A change `product__width=7` sets one input of one node."""
    graph = {
        **placed_product("a box", 64, 64),
        "reviewer": node("RFLoadReviewer", reviewer_name="reviewer.safetensors"),
        "review": node(
            "RFReview",
            images=["product", 1],
            reviewer=["reviewer", 0],
            product=["product", 0],
            threshold=0.0,
        ),
        "verdicts": node("PreviewAny", source=["review", 2]),
    }
    return changed(graph, changes)


def sampling_graph(**changes) -> dict:
    """The whole loop in two steps."""
    graph = {name: value for name, value in good_graph().items() if name in ("picture", "product", "reviewer")} | {
        "models": node(
            "RFPocketModels", ckpt_name="pocket_sd.safetensors", control_net_name="pocket_canny.safetensors"
        ),
        "prompt": node("CLIPTextEncode", text="a box on a table", clip=["models", 1]),
        **masked_latent(["models", 2]),
        "sampler": node(
            "RFCyclicSampler",
            model=["models", 0],
            positive=["prompt", 0],
            negative=["prompt", 0],
            latent_image=["masked", 0],
            vae=["models", 2],
            reviewer=["reviewer", 0],
            product=["product", 0],
            seed=7,
            steps=2,
            cfg=1.0,
            sampler_name="ddim",
            scheduler="ddim_uniform",
            denoise=1.0,
            attempts=2,
            on_exhausted="best",
            threshold=0.5,
        ),
        "save": node("PreviewImage", images=["sampler", 0]),
    }
    return changed(graph, changes)
