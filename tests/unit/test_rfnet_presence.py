"""No verdict accepts a picture without its product."""

import pytest
import torch

from reliable_ads.rfnet.presence import missing
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.reviewer import MISSING, Reviewer, annotate

from .drawn_products import GREEN, RED, as_bytes, bottle_shapes, mug, painted
from .rfnet_examples import small_networks


@pytest.fixture(scope="module")
def canvas():
    return place(Product.from_arrays(as_bytes(painted(RED, mug()))), 256, 256)


def scene(colour, side=256) -> torch.Tensor:
    torch.manual_seed(1)
    return (torch.tensor(colour).view(1, 3, 1, 1) + 0.04 * torch.randn(1, 3, side, side)).clamp(0, 1)


@pytest.mark.parametrize("colour", [(0.9, 0.9, 0.9), (0.1, 0.3, 0.1), (0.2, 0.3, 0.8)])
def test_a_picture_without_the_product_is_never_accepted(canvas, colour):
    pictures = torch.cat([scene(colour), canvas.paste(scene(colour))])
    assert missing(pictures, canvas).tolist() == [True, False]
    review = Reviewer(*small_networks()).review(pictures, canvas, threshold=0.0)
    assert review.accepted.tolist() == [False, True]
    rows = review.rows()
    assert rows[0]["missing"] and rows[0]["notes"] == [MISSING] and "missing" not in rows[1]
    assert len(annotate(pictures, review)) == 2


@pytest.mark.parametrize("placing", [{"down": 0.09}, {"image_scale": 0.5}, {"image_scale": 0.9}])
def test_a_product_that_was_moved_is_there(canvas, placing):
    assert not missing(canvas.again(**placing).paste(scene((0.9, 0.9, 0.9))), canvas).any()


def test_a_product_in_another_light_or_compressed_is_there(canvas):
    pasted = canvas.paste(scene((0.9, 0.9, 0.9)))
    assert not missing(
        torch.cat([pasted * 0.85, (pasted * 1.1).clamp(0, 1), pasted + 0.05 * torch.randn_like(pasted)]), canvas
    ).any()


def test_of_glass_nothing_is_claimed():
    canvas = place(
        Product.from_arrays(as_bytes(painted(GREEN, 0.4 * bottle_shapes()[1]))), 256, 256, alpha_threshold=0.1
    )
    assert not missing(scene((0.9, 0.9, 0.9)), canvas).any()
