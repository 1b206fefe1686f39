"""The cases of tests/cases that need a server: a mask the wrong way round, links from other packs' outputs, transparency that Load Image drops."""

import pytest
from reliable_ads.benchmarks.robustness import cases, goods
from reliable_ads.benchmarks.robustness.server import Server


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    (folder / "goods").mkdir()
    goods.make(folder / "goods")
    cases.help_server(folder / "comfyui")
    with Server(folder / "comfyui", folder / "goods") as server:
        yield server.client()


@pytest.mark.parametrize("number", cases.SERVER_CASES)
def test_case(client, number):
    cases.SERVER_CASES[number](client)
