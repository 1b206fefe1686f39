"""One real ComfyUI per test run, with this pack in its custom_nodes and small random-weight models in its models
folder.
"""

import shutil
from pathlib import Path

import pytest

from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ComfyServer

from .. import tiny_depth
from . import ads


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """ComfyUI's base directory with the random-weight models."""
    from . import tiny_models

    folder = tmp_path_factory.mktemp("comfyui")
    for name in ("pocket", "rfnet"):
        (folder / "models" / name).mkdir(parents=True)
    tiny_models.write_pocket(
        folder / "models" / "pocket" / ads.CHECKPOINT, folder / "models" / "pocket" / ads.CONTROLNET
    )
    tiny_models.write_reviewer(folder / "models" / "rfnet" / ads.REVIEWER)
    tiny_depth.write_dpt(folder / "models" / "dpt" / "dpt-tiny")
    (folder / "custom_nodes").mkdir()
    for name in ("fault_nodes.py", "flow_nodes.py", "link_nodes.py", "segment_nodes.py", "text_nodes.py"):
        shutil.copy(Path(__file__).with_name(name), folder / "custom_nodes" / name)
    return folder


@pytest.fixture(scope="session")
def server(base):
    with ComfyServer(base, base / "server.log", ("--cpu", "--preview-method", "auto")) as running:
        yield running


@pytest.fixture
def client(server) -> ComfyClient:
    client = ComfyClient(server.address, patience=120)
    client.upload("product.png", ads.png(ads.cut_out()))
    return client


@pytest.fixture
def folder(base) -> Path:
    """Three products below the server's input folder, each of its own width."""
    folder = base / "input" / f"products{len(list((base / 'input').glob('products*')))}"
    folder.mkdir()
    for number, name in enumerate(("red_box", "blue-box", "tin")):
        ads.cut_out(200 + 10 * number).save(folder / f"{name}.png")
    (folder / "tin.txt").write_text("a tin\nof tea")
    return folder
