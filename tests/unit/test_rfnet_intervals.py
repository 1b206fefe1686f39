"""Wilson's interval, against published values (Wilson 1927 as Newcombe 1998 tabulates it) and at its ends."""

import math

import pytest

from reliable_ads.rfnet.intervals import wilson


@pytest.mark.parametrize(
    "successes, n, low, high", [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
)
def test_published_values(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((successes / n, low, high), abs=1e-4)


def test_of_nothing_nothing_is_known():
    value, low, high = wilson(0, 0)
    assert math.isnan(value) and (low, high) == (0.0, 1.0)
