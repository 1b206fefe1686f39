"""What a user gets from the registry: a copy of the release in a clean ComfyUI, without this checkout and without what
only developers install.
"""

import json
import subprocess
import sys

import pytest

from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import PACK, ROOT
from reliable_ads.devtools.graph import load, titled, to_api, workflow
from reliable_ads.devtools.graph import shipped as workflows

from . import ads
from .ads import NODES
from .installed import installed, refused, requirements


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A ComfyUI with the release and its requirements.txt."""
    with installed(tmp_path_factory.mktemp("clean")) as server:
        yield ComfyClient(server.address, patience=120), server


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The same without diffusers, accelerate and open_clip."""
    with installed(tmp_path_factory.mktemp("bare"), without=("diffusers", "accelerate", "open-clip-torch")) as server:
        yield ComfyClient(server.address, patience=120), server


def shipped(client: ComfyClient, name: str, **inputs) -> dict:
    """A shipped workflow in API format, these inputs changed wherever a node has them."""
    graph = to_api(load(workflow(name)), client.ask("/object_info"))
    for node in graph.values():
        node["inputs"].update({key: value for key, value in inputs.items() if key in node["inputs"]})
    return graph


def nodes_of(client: ComfyClient) -> set:
    return {
        name for name, info in client.ask("/object_info").items() if info["python_module"] == f"custom_nodes.{PACK}"
    }


def test_what_only_developers_install_is_out_of_reach():
    modules, _ = refused()
    assert {"reliable_ads", "pytest", "hypothesis"} <= modules and not {
        "torch",
        "timm",
        "open_clip",
        "safetensors",
        "transformers",
        "tqdm",
    } & modules
    assert {"diffusers", "accelerate", "open_clip"} <= refused(("diffusers", "accelerate", "open-clip-torch"))[0]


def test_all_nodes_pages_and_workflows_are_there(clean):
    client, server = clean
    assert nodes_of(client) == NODES
    assert set(client.ask("/workflow_templates")[PACK]) == {path.stem for path in workflows()}
    for name in NODES:
        assert client.get(f"/extensions/{PACK}/docs/{name}/en.md")
    assert f"custom_nodes/{PACK} module" not in server.log.read_text(
        "utf-8", errors="replace"
    )  # "Cannot import ... module for custom nodes"


def test_the_demo_runs_as_it_is_opened(clean):
    client, _ = clean
    graph = shipped(client, "First product ad", attempts=1)
    shown = client.outputs(graph)
    assert len(shown[titled(graph, "Result")]["images"]) == 1
    assert len(json.loads(shown[titled(graph, "Draw until accepted")]["report"][0])["attempts"]) == 1


def test_the_product_list_runs_as_it_is_opened(clean):
    client, server = clean
    graph = shipped(client, "A list of products", attempts=1, steps=4, width=128, height=128)
    shown = client.outputs(graph)
    assert len(shown[titled(graph, "Result")]["images"]) == 8  # four products, two prompts
    album = server.base / "output" / "product_list"
    assert (album / "index.html").is_file() and len(list((album / "entries").glob("*.json"))) == 8


def test_without_optional_packages_the_pack_loads_and_draws(bare):
    client, server = bare
    assert nodes_of(client) == NODES
    assert f"custom_nodes/{PACK} module" not in server.log.read_text(
        "utf-8", errors="replace"
    )  # "Cannot import ... module for custom nodes"
    client.upload("product.png", ads.png(ads.cut_out()))
    graph = ads.ad(models__ckpt_name="pocket_sd.safetensors", models__control_net_name="pocket_canny.safetensors")
    settings = {
        key: graph["sampler"]["inputs"][key]
        for key in (
            "model",
            "positive",
            "negative",
            "latent_image",
            "seed",
            "steps",
            "cfg",
            "sampler_name",
            "scheduler",
            "denoise",
        )
    }
    del graph["sampler"], graph["reviewer"]
    graph |= {
        "draw": ads.node("KSampler", **settings),
        "decode": ads.node("VAEDecode", samples=["draw", 0], vae=["models", 2]),
    }
    graph["save"]["inputs"]["images"] = ["decode", 0]
    assert ads.pixels(client, client.outputs(graph)["save"]).shape == (ads.SIZE, ads.SIZE, 3)


def test_without_optional_packages_a_node_says_what_to_install(bare):
    client, _ = bare
    client.upload("product.png", ads.png(ads.cut_out()))
    with pytest.raises(RuntimeError, match=r"needs open_clip_torch, .*pip install open_clip_torch"):
        client.outputs(
            ads.ad(
                reviewer__reviewer_name="rfnet_compact.safetensors",
                models__ckpt_name="pocket_sd.safetensors",
                models__control_net_name="pocket_canny.safetensors",
            )
        )


def test_without_training_packages_the_trainer_says_what_to_install(bare):
    client, _ = bare
    graph = shipped(client, "Train a ControlNet")
    train = graph[titled(graph, "Train on the reviewer's feedback")]
    with pytest.raises(
        RuntimeError,
        match=(
            "training needs accelerate, diffusers: install with ComfyUI's Python, `python -m pip install accelerate"
            " diffusers`, and restart"
        ),
    ):
        client.outputs({"train": train, "show": ads.node("PreviewAny", source=["train", 4])})


def test_install_py_says_whether_all_is_there(clean, bare):
    def run(server):
        pack = server.base / "custom_nodes" / PACK
        return subprocess.run(
            [sys.executable, "install.py"],
            cwd=pack,
            env=server.surroundings["env"],
            capture_output=True,
            text=True,
            timeout=60,
        )

    ready = run(clean[1])
    assert ready.returncode == 0 and "is ready" in ready.stdout
    lacking = run(bare[1])
    assert lacking.returncode == 1 and "missing: open_clip_torch. Run: " in lacking.stdout and "-r " in lacking.stdout


def test_install_py_knows_every_requirement():
    said = (ROOT / "install.py").read_text(encoding="utf-8")
    assert [name for name in requirements(ROOT / "requirements.txt") if f'"{name}"' not in said.replace("_", "-")] == []
