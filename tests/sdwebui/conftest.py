"""Real web UIs: Automatic1111, Forge and reForge, each with this repository among its extensions, one server of each at
a time.

They are named by RELIABLE_ADS_A1111, RELIABLE_ADS_FORGE and RELIABLE_ADS_REFORGE, each ROOT:PYTHON: the folder of an
installation, and the Python that has its packages; nothing is written into that folder. For Automatic1111 also
RELIABLE_ADS_CONTROLNET, a folder of sd-webui-controlnet, unless it lies in the installation's extensions; and, since
nothing is downloaded, the folder openai/clip-vit-large-patch14 in ROOT (that model's config and tokenizer). What isn't
named is skipped, and the summary says so.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.devtools import thin_models
from reliable_ads.devtools.browser import PATIENCE, for_tests
from reliable_ads.devtools.thin_models import MODELS
from reliable_ads.devtools.webui import VARIABLES, Host, WebUI

ATTENTION = "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"  # as wide as the text


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.fspath).parents:
            item.add_marker(pytest.mark.webui)


@pytest.fixture(scope="session", params=VARIABLES)
def host(request) -> Host:
    variable = VARIABLES[request.param]
    named = os.environ.get(variable)
    if not named:
        pytest.skip(f"web UI: name it with {variable}=ROOT{os.pathsep}PYTHON")
    host = Host.named(named)
    assert host.kind == request.param, f"{variable} names {host.kind}"
    return host


@pytest.fixture(scope="session")
def data(host, tmp_path_factory) -> Path:
    """Its data folder: the thin models, and the extensions that it needs for them."""
    folder = tmp_path_factory.mktemp(host.kind)
    thin_models.data_folder(host, folder)
    for name, width in (("sdxl_depth", 2048), ("damaged_depth", 768)):  # of another family; of none that can be loaded
        save_file({ATTENTION: torch.zeros(320, width)}, folder / "models" / "ControlNet" / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="session")
def web(host, data) -> WebUI:
    with WebUI(host, data, data / "server.log", MODELS / "thin_sd.safetensors", page=True) as running:
        yield running


@pytest.fixture(scope="session")
def browser(web):
    """Asks for the web UI first: where none is named, no browser is started that others' would be in the way of."""
    yield from for_tests()


@pytest.fixture
def page(browser, web):
    """The host's page, which reaches nothing but the host."""
    page = browser.new_page(viewport={"width": 1500, "height": 1400})
    page.set_default_timeout(PATIENCE)
    home = f"http://{web.address}"
    page.route(
        "**/*",
        lambda route: route.continue_() if route.request.url.startswith((home, "data:", "blob:")) else route.abort(),
    )
    page.goto(home, wait_until="domcontentloaded")
    page.wait_for_selector("#txt2img_generate")
    yield page
    page.close()
