"""Folds keep products together, and labels that contradict each other are found."""

import json

import numpy as np
import pytest
from PIL import Image

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.training.folds import LEAST, check_labels, contradicting, folds
from reliable_ads.rfnet.training.metrics import average_precision, precision_within

from .rfnet_examples import scene


def test_a_product_is_in_one_fold():
    labels = np.arange(200) % 5
    products = [f"p{number % 31}" for number in range(200)]
    found = folds(labels, products)
    assert found.by == "product" and len(found) == 4
    for learn, judge in found:
        assert not {products[row] for row in learn} & {products[row] for row in judge}
        assert 40 <= len(judge) <= 60 and 0 < (labels[judge] == 0).sum() < len(judge)
    assert np.array_equal(found.of, folds(labels, products).of)


def test_two_products_make_two_folds():
    found = folds(np.arange(40) % 5, ["a"] * 20 + ["b"] * 20)
    assert found.by == "product" and len(found) == 2


@pytest.mark.parametrize("labels", [np.arange(LEAST) % 5, (np.arange(LEAST) % 5 > 3) * 2])
def test_one_product_is_divided_by_picture(labels):
    found = folds(labels, ["p"] * len(labels))
    assert found.by == "picture" and len(found) >= 3
    for learn, judge in found:
        assert 0 < (labels[judge] == 0).sum() < len(judge) and 0 < (labels[learn] == 0).sum() < len(learn)


@pytest.mark.parametrize(
    "labels, told",
    [
        (np.arange(LEAST - 1) % 5, "19 pictures are labelled: at least 20 are needed, 200 are recommended"),
        (np.zeros(60), "0 pictures are labelled with a defect: at least 4"),
        (np.ones(60), "0 pictures are labelled as available: at least 4"),
    ],
)
def test_too_few_labels_are_refused(labels, told):
    with pytest.raises(DataError, match=told):
        check_labels(labels, 200)


def test_the_same_picture_with_two_labels_is_left_out(tmp_path):
    rows = []
    for number, label in enumerate(("available", "size_mismatch", "available")):
        made = scene(min(number, 1), "available" if number < 2 else label, "p")
        for role in ("image", "product"):
            picture: Image.Image = made[role] if number < 2 else scene(1, "available", "p")[role]
            picture.save(tmp_path / f"{role}{number}.png")
        rows.append({"image": f"image{number}.png", "product": f"product{number}.png", "label": label})
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, sentences = contradicting(open_samples(tmp_path / "table.jsonl", 64))
    assert out.tolist() == [False, True, True]
    assert len(sentences) == 1 and "show the same picture but are labelled" in sentences[0]


def test_average_precision_within_folds_forgives_what_only_sets_folds_apart():
    truth = np.array([True, False, True, False])
    scores = np.array([0.9, 0.8, 0.2, 0.1])
    even = np.ones(4)
    assert precision_within(np.array([0, 0, 1, 1]), truth, scores, even) == 1
    assert precision_within(np.zeros(4), truth, scores, even) == average_precision(truth, scores, even) < 1
    assert np.isnan(precision_within(np.zeros(4), ~truth & truth, scores, even))
