"""`cyclic produce --comfy`: real servers draw a catalogue, and one that fails costs no product."""

import http.server
import io
import json
import socket
import threading
from contextlib import contextmanager

import pytest
from PIL import Image

from reliable_ads.catalogue.cli import main
from reliable_ads.catalogue.comfy_engine import ComfyEngine
from reliable_ads.catalogue.comfy_graph import ComfyGraph
from reliable_ads.catalogue.comfy_server import ComfyServer, ServerError
from reliable_ads.catalogue.rows import CatalogueError, Job
from reliable_ads.catalogue.worker import EngineError, Stop
from reliable_ads.devtools.api_graph import node

from . import ads

IN_THE_FOLDERS_PLACE = {  # outputs of RF Product Folder
    ("product", "image"): 0,
    ("product", "mask"): 1,
    ("product", "caption"): 2,
    ("prompt", "text"): 3,
    ("sampler", "seed"): 4,
    ("sampler", "job"): 5,
}


def listed_ad(**changes) -> dict:
    """The advertising graph behind RF Product Folder."""
    graph = ads.ad(**changes)
    del graph["picture"]
    graph["folder"] = node("RFProductFolder", folder="x", prompts="{caption}", gallery="mine", seed=0)
    for (where, name), output in IN_THE_FOLDERS_PLACE.items():
        graph[where]["inputs"][name] = ["folder", output]
    return graph


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(listed_ad(sampler__attempts=2)))
    return path


class Failing(http.server.BaseHTTPRequestHandler):
    """A server that knows every node, and then answers 500."""

    def do_GET(self):
        self.send_response(500)
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


@contextmanager
def failing():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


def test_servers_draw_a_catalogue(server, graph, folder, tmp_path, capsys):
    from pyarrow import parquet

    out = tmp_path / "out"
    with failing() as broken:
        where = [str(folder), "--out", str(out), "--prompt", "{caption} on a table"]
        done = main(["produce", *where, "--comfy", server.address, broken, "--graph", str(graph)])
    said = capsys.readouterr()
    assert done == 0, said.err
    assert f"Server {broken}: {broken} answers 500" in said.out
    rows = parquet.read_table(out / "manifest" / "part-000001.parquet").to_pylist()
    assert [(row["caption"], row["attempt"]) for row in rows] == [
        (caption, attempt) for caption in ("blue box", "red box", "a tin of tea") for attempt in (1, 2)
    ]
    assert {row["worker"] for row in rows} == {server.address} and not any(row["accepted"] for row in rows)
    assert rows[0]["seed"] != rows[2]["seed"] and rows[0]["prompt"] == "blue box on a table"
    for row in rows:
        assert Image.open(out / row["thumbnail"]).size == (ads.SIZE, ads.SIZE)
    assert sum(bool(row["file"]) for row in rows) == 3


def test_a_server_that_keeps_failing_ends_the_run(graph):
    job = Job("0" * 16, "a", "a.png", "a box", "a box", 1, 1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = f"127.0.0.1:{closed.getsockname()[1]}"
    with failing() as broken:
        engine = ComfyEngine(ComfyGraph.read(graph), [ComfyServer(broken), ComfyServer(gone)], rest=0.01)
        for _ in range(3):
            with pytest.raises(EngineError, match=r"no server could draw it .*answers 500.*doesn't answer") as failure:
                engine.produce(job, product())
            assert failure.value.kind == "no server"
        with pytest.raises(Stop, match="none of the 2 ComfyUI servers draws any more"):
            engine.produce(job, product())


def product() -> io.BytesIO:
    return io.BytesIO(ads.png(ads.cut_out()))


def test_a_server_that_never_ends_is_given_up(server, client):
    slow = listed_ad(sampler__attempts=1000, sampler__threshold=ads.NEVER)
    job = Job("1" * 16, "a", "a.png", "a box", "a box", 1, 1)
    made = ComfyServer(server.address, patience=2)
    name = made.upload("slow.png", ads.png(ads.cut_out()))
    with pytest.raises(ServerError, match="did not draw it in 2 seconds"):
        made.outputs(ComfyGraph(slow, '"slow"').for_job(job, name))
    client.outputs(ads.ad(sampler__attempts=1))  # the server is free again


def test_what_no_server_can_run_is_said_first(server, tmp_path, folder, capsys):
    def said(graph, *more) -> str:
        path = tmp_path / "graph.json"
        path.write_text(json.dumps(graph))
        where = [str(folder), "--out", str(tmp_path / "out"), "--prompt", "a box"]
        assert main(["produce", *where, "--comfy", server.address, "--graph", str(path), *more]) == 1
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    graph = listed_ad()
    assert "it has no node Unheard" in said({**graph, "more": node("Unheard")})
    gone = listed_ad(models__ckpt_name="gone.safetensors")
    assert 'RFPocketModels offers no "gone.safetensors" as ckpt_name' in said(gone)
    assert "has 0 nodes RF Product Folder" in said(ads.ad())
    assert "use Export (API)" in said({"nodes": [], "links": []})
    assert "--steps is for drawing without ComfyUI" in said(graph, "--steps", "4")
    with pytest.raises(CatalogueError, match="nothing takes RF Product Folder's image"):
        unlinked = listed_ad()
        del unlinked["product"]["inputs"]["image"]
        ComfyGraph(unlinked, "it")
