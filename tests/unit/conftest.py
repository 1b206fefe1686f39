"""What several tests of the reviewer look at."""

import pytest
import torch

from reliable_ads.rfnet.product import place

from .rfnet_examples import bottle


@pytest.fixture(scope="module")
def canvas():
    return place(bottle(), 128, 96)


@pytest.fixture
def images(canvas):
    torch.manual_seed(0)
    return canvas.paste(torch.rand(3, 3, 96, 128))


@pytest.fixture
def world(tmp_path):
    """(config changes -> Run): small trainings of rfft, all in one folder."""
    from .rfft_examples import runs_in

    return runs_in(tmp_path)
