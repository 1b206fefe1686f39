"""The cases of tests/cases that need a server: a mask the wrong way round, links from other packs' outputs,
transparency that Load Image drops.
"""

import pytest

from reliable_ads.benchmarks.robustness import cases


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with cases.served(tmp_path_factory.mktemp("cases")) as client:
        yield client


@pytest.mark.parametrize("number", cases.SERVER_CASES)
def test_case(client, number):
    cases.SERVER_CASES[number](client)
