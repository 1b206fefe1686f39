"""A real ComfyUI with the shipped weights, its real web page, and a headless Chromium that opens it."""

import pytest

from reliable_ads.devtools.browser import Browser, for_tests
from reliable_ads.devtools.comfy import ComfyServer


@pytest.fixture(scope="session")
def browser():
    yield from for_tests()


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
