"""A real ComfyUI with the shipped weights, its real web page, and a headless Chromium that opens it."""

import shutil
from pathlib import Path

import pytest
from reliable_ads.devtools.comfy import ComfyServer

from .desk import Desk

NO_BROWSER = "no Chromium here: install one (Debian, Ubuntu: apt install chromium) or run `python -m playwright install chromium` with .venv's Python"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -r requirements-dev.txt")
    with playwright.sync_playwright() as running:
        found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
        path = next(filter(None, found), running.chromium.executable_path)
        if not Path(path).is_file():
            pytest.skip(NO_BROWSER)
        started = running.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def server(browser, tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui")
    with ComfyServer(base, base / "server.log", ("--cpu", "--preview-method", "auto")) as running:
        yield running


@pytest.fixture
def desk(browser, server):
    """desk(**settings) opens the page with these settings of its user's; at the end there must have been no error on it."""
    opened = []

    def open_page(**settings) -> Desk:
        opened.append(Desk(browser, server.address, {name.replace("__", "."): value for name, value in settings.items()}))
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()
    assert [error for page in opened for error in page.errors] == []
