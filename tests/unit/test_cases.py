"""Pictures and files as users have them come out right, or are refused with a remedy: the cases of tests/cases that
need no server.
"""

import pytest

from reliable_ads.benchmarks.robustness.cases import CASES


@pytest.mark.parametrize("number", CASES)
def test_case(number):
    CASES[number]()
