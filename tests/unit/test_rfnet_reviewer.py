"""Reviews: verdicts that belong to their own image and product, and errors that name what to connect."""

import pytest
import torch

from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.reviewer import Reviewer, ReviewError, annotate, annotate_row

from .rfnet_examples import bottle, small_networks


@pytest.fixture(scope="module")
def reviewer():
    return Reviewer(*small_networks(), {"temperature": "1.2", "threshold": "0.3"})


@pytest.fixture
def images(canvas):
    torch.manual_seed(0)
    return canvas.paste(torch.rand(5, 3, 96, 128))


def test_a_review_says_everything_about_each_image(reviewer, canvas, images):
    review = reviewer.review(images, canvas)
    assert review.probabilities.shape == (5, 5) and torch.allclose(review.probabilities.sum(1), torch.ones(5))
    assert review.depth.shape == review.saliency.shape == (5, 1, 96, 128)
    assert torch.equal(review.accepted, review.probabilities[:, 0] >= 0.3)
    row = review.rows()[0]
    assert tuple(row["probabilities"]) == LABELS and row["label"] == max(
        row["probabilities"], key=row["probabilities"].get
    )
    assert isinstance(row["accepted"], bool)


def test_a_batch_is_reviewed_as_its_images_one_by_one(reviewer, canvas):
    torch.manual_seed(0)
    images = torch.rand(18, 3, 96, 128)  # more than one chunk
    together = reviewer.review(images, canvas).probabilities
    single = torch.cat([reviewer.review(image[None], canvas).probabilities for image in images])
    assert torch.allclose(together, single, atol=1e-5)
    assert torch.allclose(reviewer.review(images.flip(0), canvas).probabilities, together.flip(0), atol=1e-5)


@pytest.mark.parametrize("side", (96, 128, 512))  # smaller than the estimator's picture, and larger
def test_half_precision_says_the_same_on_a_cpu(side):
    torch.manual_seed(0)
    images, product = torch.rand(2, 3, side, side), place(bottle(), side, side)
    whole, half = (
        Reviewer(*small_networks(), {"temperature": "1", "threshold": "0.5"})
        .to(dtype=dtype)
        .review(images, product)
        .probabilities
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert torch.allclose(whole, half.float(), atol=0.05)


def test_the_threshold_decides(reviewer, canvas, images):
    assert reviewer.review(images, canvas, threshold=0.0).accepted.all()
    assert not reviewer.review(images, canvas, threshold=1.1).accepted.any()


def test_products_are_remembered_but_never_mixed_up(reviewer, canvas, images):
    other = place(bottle("a garden chair"), 128, 96)
    first = reviewer.review(images, canvas).probabilities
    second = reviewer.review(images, other).probabilities
    assert not torch.equal(first, second)  # the caption matters
    assert torch.equal(reviewer.review(images, canvas).probabilities, first)
    for number in range(12):
        reviewer.review(images[:1], place(bottle(f"thing {number}"), 128, 96))
    assert len(reviewer._products) <= 8


def test_a_product_from_another_graph_is_refused(reviewer, canvas):
    with pytest.raises(
        ReviewError,
        match="pictures are 512x512 but the product was placed on 128x96: connect the RFProduct that the sampler used",
    ):
        reviewer.review(torch.rand(1, 3, 512, 512), canvas)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_inf_are_refused_with_the_number_of_the_image(reviewer, canvas, images, bad):
    images[1, 0, 3, 3] = bad
    with pytest.raises(ReviewError, match="image 2 of 5 holds NaN"):
        reviewer.review(images, canvas)


@pytest.mark.parametrize("shape", [(3, 96, 128), (1, 4, 96, 128), (0, 3, 96, 128)])
def test_other_shapes_are_refused(reviewer, canvas, shape):
    with pytest.raises(ReviewError, match="must be"):
        reviewer.review(torch.zeros(shape), canvas)


def test_logits_carry_gradients_and_agree_with_the_review(reviewer, canvas, images):
    images.requires_grad_()
    logits = reviewer.logits(
        images, canvas.rgb.expand(5, -1, -1, -1), canvas.alpha.expand(5, -1, -1), ["a blue bottle"] * 5
    )
    logits[:, 0].sum().backward()
    assert images.grad.abs().sum() > 0
    assert torch.allclose(logits.softmax(1), reviewer.review(images.detach(), canvas).probabilities, atol=1e-5)


def test_reviewing_inside_and_outside_inference_mode_is_one_result(reviewer, canvas, images):
    fresh = place(bottle("only here"), 128, 96)
    with torch.inference_mode():
        inside = reviewer.review(images, fresh).probabilities
    assert torch.equal(inside, reviewer.review(images, fresh).probabilities)


def test_weights_changed_in_place_are_not_judged_by_remembered_features(canvas, images):
    reviewer = Reviewer(*small_networks())
    before = reviewer.review(images, canvas).probabilities
    reviewer.rfnet.load_state_dict(small_networks(seed=5)[0].state_dict())
    expected = Reviewer(*small_networks(seed=5))
    expected.maps.load_state_dict(reviewer.maps.state_dict())
    after = reviewer.review(images, canvas).probabilities
    assert not torch.allclose(before, after) and torch.allclose(
        after, expected.review(images, canvas).probabilities, atol=1e-6
    )


def test_annotated_pictures_show_verdict_and_colour(reviewer, canvas, images):
    review = reviewer.review(images, canvas, threshold=2.0)
    pictures = annotate(images, review)
    assert len(pictures) == 5 and all(picture.width > 128 and picture.height > 96 for picture in pictures)
    assert pictures[0].getpixel((0, 0)) == (207, 34, 46)
    assert (
        annotate_row(
            torch.full((3, 64, 64), torch.nan), {"label": None, "probabilities": {}, "accepted": False, "error": "NaN"}
        ).size[0]
        > 64
    )
