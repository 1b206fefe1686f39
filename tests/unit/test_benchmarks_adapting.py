"""The stand-in for a shop's photographs, and how familiarity is measured on it."""

import numpy as np
import pytest

from reliable_ads.benchmarks.adapting import auroc
from reliable_ads.benchmarks.common import VALIDATION
from reliable_ads.benchmarks.other_composer import OtherComposer, things_of
from reliable_ads.rfnet.labels import LABELS


@pytest.fixture(scope="module")
def composer():
    return OtherComposer(things_of(VALIDATION, 0, 4))


def test_the_same_number_shows_the_same_picture(composer):
    thing = composer.things[0]
    first, second, other = (composer.scene(thing, number) for number in (0, 0, 1))
    assert np.array_equal(first["image"], second["image"]) and not np.array_equal(first["image"], other["image"])


def test_all_labels_come_and_the_product_is_where_its_cut_out_says(composer):
    scenes = [composer.scene(thing, number) for thing in composer.things for number in range(12)]
    assert {scene["label"] for scene in scenes} == set(LABELS)
    for scene in scenes:
        image, product = np.asarray(scene["image"], int), np.asarray(scene["product"], int)
        opaque = product[..., 3] > 250
        assert opaque.any() and np.abs(image[opaque] - product[opaque][:, :3]).mean() < 3


def test_auroc():
    truth, even = np.array([0, 0, 1, 1]), np.ones(4)
    assert auroc(truth, np.array([1, 2, 3, 4.0]), even) == 1
    assert auroc(truth, np.array([1, 3, 2, 4.0]), even) == 0.75
    assert auroc(truth, np.array([1, 3, 2, 4.0]), np.array([1, 0, 1, 1])) == 1
