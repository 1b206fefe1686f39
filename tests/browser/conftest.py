"""A real ComfyUI with the shipped weights, its real web page, and a headless Chromium that opens it."""

import pytest

from reliable_ads.devtools.browser import NO_BROWSER, Browser, chromium
from reliable_ads.devtools.comfy import ComfyServer


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -r requirements-dev.txt"
    )
    with playwright.sync_playwright() as running:
        started = chromium(running)
        if started is None:
            pytest.skip(NO_BROWSER)
        yield started
        started.close()


@pytest.fixture(scope="session")
def server(browser, tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui")
    with ComfyServer(base, base / "server.log", ("--cpu", "--preview-method", "auto")) as running:
        yield running


@pytest.fixture
def desk(browser, server):
    """desk(**settings) opens the page with these settings of its user's; at the end there must have been no error on
    it.
    """
    opened = []

    def open_page(**settings) -> Browser:
        opened.append(
            Browser(browser, server.address, {name.replace("__", "."): value for name, value in settings.items()})
        )
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()
    assert [error for page in opened for error in page.errors] == []
