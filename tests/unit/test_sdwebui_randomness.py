"""What is computed between a web UI's steps leaves its random numbers alone."""

import numpy as np
import pytest
import torch

from reliable_ads.sdwebui.randomness import apart


def test_nothing_inside_is_seen_outside():
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(4), np.random.rand(4)
    torch.manual_seed(3)
    np.random.seed(3)
    with apart():
        torch.nn.Linear(3, 3)
        np.random.rand(7)
    with pytest.raises(ValueError), apart(seed=1):
        torch.rand(5)
        raise ValueError
    assert torch.equal(torch.rand(4), expected[0]) and (np.random.rand(4) == expected[1]).all()


def test_a_seed_gives_the_same_numbers_again():
    drawn = []
    for _ in range(2):
        with apart(seed=0):
            drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
