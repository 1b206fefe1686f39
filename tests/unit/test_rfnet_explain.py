"""Explanations: heat that marks what the verdict hangs on, for each image by itself, also where ComfyUI allows no
gradients.
"""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet import explain as explaining
from reliable_ads.rfnet.architectures import RFNetConfig
from reliable_ads.rfnet.explain import (
    annotate_heat,
    explain,
    explain_all,
    hottest_box,
    log_odds,
    overlay,
    rows_with_evidence,
)
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.reviewer import GREEN, RED, Reviewer, ReviewError

from .rfnet_examples import SMALL, small_networks


@pytest.fixture(scope="module")
def reviewer():
    return Reviewer(*small_networks(), {"temperature": "1.2"})


@pytest.fixture
def images():
    return torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def test_every_image_gets_heat_a_box_and_shares(reviewer, canvas, images):
    found = explain(reviewer, images, canvas)
    assert len(found) == 2 and found.heat.shape == (2, 96, 128)
    assert found.heat.min() >= 0 and torch.allclose(found.heat.amax((1, 2)), torch.ones(2))
    for heat, box, inputs in zip(found.heat, found.boxes, found.inputs):
        x0, y0, x1, y1 = box
        assert heat[y0:y1, x0:x1].max() == 1
        assert tuple(inputs) == ("product", "generated", "depth", "saliency") and sum(inputs.values()) == pytest.approx(
            1, abs=1e-5
        )


def test_by_default_it_speaks_of_the_most_probable_defect_even_of_an_accepted_image(reviewer, canvas, images):
    review = reviewer.review(images, canvas, threshold=0.0)
    assert torch.equal(explain(reviewer, images, canvas).label_ids, 1 + review.probabilities[:, 1:].argmax(1))


def test_a_named_label_is_explained_and_all_defects_at_once_are_the_same(reviewer, canvas, images):
    together = explain_all(reviewer, images, canvas)
    assert tuple(together) == LABELS[1:]
    for label in ("space_mismatch", "shape_hallucination"):
        alone = explain(reviewer, images, canvas, label)
        assert set(alone.label_ids.tolist()) == {LABELS.index(label)}
        assert torch.allclose(together[label].heat, alone.heat, atol=1e-5)
    assert not torch.allclose(together["space_mismatch"].heat, together["shape_hallucination"].heat, atol=0.1)


def test_a_batch_is_explained_as_its_images_one_by_one(reviewer, canvas):
    images = torch.rand(5, 3, 96, 128, generator=torch.Generator().manual_seed(1))  # more than one chunk
    together = explain(reviewer, images, canvas).heat
    assert torch.allclose(
        torch.cat([explain(reviewer, image[None], canvas).heat for image in images]), together, atol=1e-4
    )


def test_attributions_add_up_to_what_the_inputs_changed(reviewer, canvas, images, monkeypatch):
    monkeypatch.setattr(explaining, "STEPS", 16)
    judge = explaining._Judge(reviewer.rfnet, reviewer.temperature)
    maps, neutral, labels = explaining._maps(
        reviewer, judge, images, canvas, explaining._unknown_product(reviewer), None
    )
    parts = explaining._attribute(judge, maps, neutral, labels)
    explained = sum(part.sum((1, 2)) for part in parts.values())
    with torch.no_grad():
        changed = log_odds(judge.logits(maps), labels) - log_odds(judge.logits(neutral), labels)
    assert changed.abs().max() > 1e-3 and torch.allclose(explained, changed, atol=0.02 * float(changed.abs().max()))


def test_an_image_that_says_the_same_everywhere_has_even_heat_and_one_that_differs_is_hot_there(canvas):
    """Only the picture is looked at, one corner is unlike the rest, and the label is the one that the corner speaks
    for.
    """
    torch.manual_seed(0)
    reviewer = Reviewer(
        *small_networks(config=RFNetConfig(**{**vars(SMALL), "image_size": 128, "inputs": ("generated",)}))
    )
    plain = torch.full((1, 3, 96, 128), 0.5)
    marked = plain.clone()
    marked[..., :32, :32] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    change = reviewer.review(marked, canvas).probabilities - reviewer.review(plain, canvas).probabilities
    heat = explain(reviewer, marked, canvas, LABELS[int(change[0].argmax())]).heat[0]
    assert heat[:40, :40].sum() / heat.sum() > 0.3  # of 13 % of the picture


@pytest.mark.parametrize("built_inside", [False, True])
def test_inference_mode_changes_nothing(canvas, images, built_inside):
    outside = explain(Reviewer(*small_networks()), images, canvas)
    with torch.inference_mode(built_inside):
        reviewer = Reviewer(*small_networks())
    with torch.inference_mode():
        inside_images = images.clone()
        review = reviewer.review(inside_images, canvas)
        inside = explain(reviewer, inside_images, canvas, review=review)
        assert torch.is_inference_mode_enabled()
    assert torch.allclose(inside.heat, outside.heat, atol=1e-4) and inside.rows()[0]["box"] == outside.rows()[0]["box"]
    assert not inside.heat.requires_grad and all(parameter.grad is None for parameter in reviewer.parameters())


def test_the_reviewer_judges_as_before(canvas, images):
    reviewer = Reviewer(*small_networks())
    before, weights = (
        reviewer.review(images, canvas).probabilities,
        {name: value.clone() for name, value in reviewer.state_dict().items()},
    )
    explain(reviewer, images, canvas)
    assert torch.equal(reviewer.review(images, canvas).probabilities, before)
    assert all(torch.equal(value, weights[name]) for name, value in reviewer.state_dict().items())


def test_the_maps_of_the_review_are_looked_at_again(reviewer, canvas, images):
    own = explain(reviewer, images, canvas, "size_mismatch").heat
    assert torch.allclose(
        explain(reviewer, images, canvas, "size_mismatch", reviewer.review(images, canvas)).heat, own, atol=1e-4
    )
    with pytest.warns(UserWarning):
        review = reviewer.review(images, canvas, depth=torch.rand(2, 1, 96, 128), saliency=torch.rand(2, 1, 96, 128))
    assert not torch.allclose(explain(reviewer, images, canvas, "size_mismatch", review).heat, own, atol=1e-2)


@pytest.mark.parametrize("inputs", [("generated",), ("product", "generated"), ("product",)])
def test_reviewers_with_fewer_inputs_are_explained_by_those(canvas, images, inputs):
    reviewer = Reviewer(*small_networks(config=RFNetConfig(**{**vars(SMALL), "inputs": inputs})))
    found = explain(reviewer, images, canvas)
    assert tuple(found.inputs[0]) == inputs and sum(found.inputs[0].values()) == pytest.approx(1, abs=1e-5)
    assert (found.boxes[0] is None) == (inputs == ("product",))  # nothing of the picture was looked at


def test_only_rejected_rows_carry_evidence_and_they_are_json(reviewer, canvas, images):
    review = reviewer.review(images, canvas)
    review.accepted = torch.tensor([True, False])
    rows = json.loads(json.dumps(rows_with_evidence(review, explain(reviewer, images, canvas, review=review))))
    assert ["evidence" in row for row in rows] == [False, True]
    assert set(rows[1]["evidence"]) == {"label", "box", "inputs"} and rows[1]["evidence"]["label"] in LABELS[1:]
    assert len(rows[1]["evidence"]["box"]) == 4 and all(isinstance(edge, int) for edge in rows[1]["evidence"]["box"])


def test_pictures_under_heat_keep_the_colour_of_the_verdict(reviewer, canvas, images):
    review = reviewer.review(images, canvas)
    review.accepted = torch.tensor([True, False])
    pictures = annotate_heat(images, review, explain(reviewer, images, canvas, review=review))
    assert [picture.getpixel((0, 0)) for picture in pictures] == [GREEN, RED]


def test_heat_is_laid_over_the_hot_places_alone():
    image = torch.rand(1, 3, 32, 32)
    heat = torch.zeros(1, 32, 32)
    heat[0, 8:16, 8:16] = 1
    shown = overlay(image, heat)
    quiet = overlay(image, torch.zeros(1, 32, 32))
    assert shown.shape == image.shape and shown.min() >= 0 and shown.max() <= 1
    assert torch.equal(shown[..., 16:], quiet[..., 16:])
    assert (shown - quiet)[..., 8:16, 8:16].abs().mean() > 0.1
    assert (shown[:, 0] - shown[:, 2])[0, 8:16, 8:16].min() > 0.1  # warm: more red than blue


@given(st.integers(0, 2**31 - 1), st.integers(2, 40), st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_the_box_holds_the_hottest_place_and_no_cold_border(seed, height, width):
    heat = torch.from_numpy(np.random.default_rng(seed).random((height, width), np.float32))
    heat = F.avg_pool2d(heat[None, None], 3, 1, 1)[0, 0]
    x0, y0, x1, y1 = hottest_box(heat / heat.max())
    y, x = divmod(int(heat.argmax()), width)
    assert 0 <= x0 <= x < x1 <= width and 0 <= y0 <= y < y1 <= height
    hot = heat >= 0.5 * heat.max()
    assert hot[y0, x0:x1].any() and hot[y1 - 1, x0:x1].any() and hot[y0:y1, x0].any() and hot[y0:y1, x1 - 1].any()


def test_of_two_hot_regions_the_box_takes_the_hotter_and_no_heat_has_no_box():
    heat = torch.zeros(20, 30)
    heat[2:5, 3:9], heat[12:18, 20:25] = 0.9, 0.6
    heat[3, 4] = 1.0
    assert hottest_box(heat) == (3, 2, 9, 5)
    assert hottest_box(torch.zeros(4, 4)) is None


def test_log_odds_are_those_of_the_probability():
    logits, labels = torch.randn(7, 5), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    p = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    assert torch.allclose(log_odds(logits, labels), torch.logit(p), atol=1e-4)


def test_errors_name_what_to_do(reviewer, canvas, images):
    with pytest.raises(ReviewError, match="connect the RFProduct"):
        explain(reviewer, torch.rand(1, 3, 64, 64), canvas)
    with pytest.raises(ValueError, match='"pretty" is not a label; use one of available'):
        explain(reviewer, images, canvas, "pretty")
