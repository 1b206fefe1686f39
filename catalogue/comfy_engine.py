"""The engine that has ComfyUI servers draw: a job goes to the one with least to do, and to another where one fails."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from dataclasses import dataclass

from PIL import Image

from ..rfnet.files import sha256_of
from ..rfnet.pictures import picture_in
from .comfy_graph import ComfyGraph
from .comfy_server import ComfyServer, ServerError
from .rows import CatalogueError, Job
from .settings import versions_of
from .worker import SERVER, EngineError, Produced, Stop

LARGEST = 2048  # pixels of a product picture's longer side that is sent
REST = 30.0  # seconds that a server is left alone after it failed
ROUNDS = 3  # failures in a row, of every server, that end the run


@dataclass(frozen=True)
class ComfySpec:
    """servers: ("host:port", ...); graph: a file in API format; patience: seconds that one job may take."""

    servers: tuple[str, ...]
    graph: str
    patience: float = 600

    def check(self) -> list[str]:
        """The graph, and which servers can't run it now. Raises CatalogueError where none can."""
        graph = ComfyGraph.read(self.graph)
        faults = {address: fault(address, graph) for address in self.servers}
        if all(faults.values()):
            address, first = next(iter(faults.items()))
            raise CatalogueError(f"none of the servers can run {graph.name}, first {address}: {first}.")
        return [f"Server {address}: {told}." for address, told in faults.items() if told]

    def settings(self) -> dict:
        graph = ComfyGraph.read(self.graph)
        nodes = {id_: node for id_, node in graph.nodes.items() if id_ != graph.folder}
        said = json.dumps([[node["class_type"], node["inputs"]] for node in nodes.values()], sort_keys=True)
        return {"engine": "comfy", "graph": hashlib.sha256(said.encode()).hexdigest()[:16]}

    def versions(self) -> dict:
        return {**versions_of(), "graph": f"{ComfyGraph.read(self.graph).name[1:-1]} {sha256_of(self.graph)[:16]}"}

    def weights(self) -> int:
        return 0

    def open(self) -> ComfyEngine:
        """With the servers that can run the graph, and those that don't answer yet."""
        graph = ComfyGraph.read(self.graph)
        able = [address for address in self.servers if not fault(address, graph, silent="")]
        return ComfyEngine(graph, [ComfyServer(address, self.patience) for address in able])


def fault(address: str, graph: ComfyGraph, silent: str | None = None) -> str:
    """Why a server can't run the graph, "" where it can. silent: what to say of one that doesn't answer."""
    try:
        return "; ".join(graph.faults(ComfyServer(address).json("/object_info"))[:3])
    except ServerError as error:
        return str(error) if silent is None else silent


@dataclass
class State:
    """Of a server: jobs that it has, until when it is left alone, and how often it failed since it last drew."""

    busy: int = 0
    rests_until: float = 0.0
    in_a_row: int = 0


class ComfyEngine:
    """rest: seconds that a server is left alone after it failed."""

    def __init__(self, graph: ComfyGraph, servers: list[ComfyServer], rest: float = REST):
        self.graph, self.servers, self.rest = graph, servers, rest
        self.at_once = len(servers)
        self.state = [State() for _ in servers]
        self.lock = threading.Lock()

    def produce(self, job: Job, product: io.BytesIO) -> Produced:
        """Each server is asked at most once. Raises EngineError where all fail, Stop where they keep failing."""
        content = as_png(product, job.picture)
        failed: dict[int, str] = {}
        while len(failed) < len(self.servers):
            number = self._take(failed)
            state = self.state[number]
            try:
                produced = self._draw(self.servers[number], job, content)
                state.in_a_row = 0
                return produced
            except ServerError as error:
                failed[number] = str(error)
                state.in_a_row += 1
                state.rests_until = time.monotonic() + self.rest
            finally:
                with self.lock:
                    state.busy -= 1
        raise EngineError(
            f"no server could draw it ({'; '.join(failed.values())}): it is tried again next time.", SERVER
        )

    def _take(self, failed) -> int:
        """Of the servers that didn't fail for this job, the one that is awake and has least to do; waits for one."""
        others = [number for number in range(len(self.servers)) if number not in failed]
        while True:
            with self.lock:
                if all(state.in_a_row >= ROUNDS for state in self.state):
                    raise Stop(
                        f"none of the {len(self.servers)} ComfyUI servers draws any more: look at their logs, and run"
                        " the same command again; it goes on."
                    )
                now = time.monotonic()
                if awake := [number for number in others if self.state[number].rests_until <= now]:
                    number = min(awake, key=lambda number: self.state[number].busy)
                    self.state[number].busy += 1
                    return number
                wait = min(self.state[number].rests_until for number in others) - now
            time.sleep(wait + 0.01)

    def _draw(self, server: ComfyServer, job: Job, content: bytes) -> Produced:
        name = server.upload(f"{job.key}.png", content)
        shown = server.outputs(self.graph.for_job(job, name)).get(self.graph.sampler) or {}
        try:
            report = json.loads(shown["report"][0])
            attempts = report["attempts"]
        except (KeyError, IndexError, TypeError, ValueError):
            raise EngineError(f"{server.address} gives no report of RF Cyclic Sampler: update its pack.") from None
        pictures = [opened(server.view(picture)) for picture in shown.get("images", ())]
        if len(pictures) != len(attempts):
            raise EngineError(
                f"{server.address} shows {len(pictures)} pictures of {len(attempts)} attempts: look at its disk."
            )
        return Produced(pictures, report, by=server.address)


def as_png(product: io.BytesIO, name: str) -> bytes:
    """A product picture of any kind as a PNG that LoadImage reads. Raises PictureError."""
    rgba = picture_in(product, f'"{name.rpartition("/")[2]}"')
    picture = Image.fromarray((rgba * 255 + 0.5).astype("uint8"), "RGBA")
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    return picture.convert("RGB")
